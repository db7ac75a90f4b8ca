"""2AFC: the oracles of the ADTH-QA specification, rebuilt from its published counts of majorities."""

import numpy as np
import pytest

from mien.core.errors import UsageError
from mien.evaluation.choices import hard_2afc, soft_2afc
from mien.evaluation.evaluate import evaluate
from mien.evaluation.tables import Votes

# pairs whose majority has 8, 9, ... 15 of 15 votes, and the mean majority share that was derived from the tables
MAJORITIES = {
    "render": ((10, 7, 2, 4, 2, 8, 15, 12), 0.8056),
    "lip": ((13, 5, 9, 7, 8, 6, 8, 4), 0.7356),
    "head": ((5, 2, 3, 5, 3, 7, 8, 27), 0.8744),
}


def votes_of(counts):
    """60 pairs in 10 clips with these majorities, the winner in turn on either side."""
    majority = np.repeat(np.arange(8, 16), counts)
    a = np.where(np.arange(60) % 2, majority, 15 - majority).astype(float)
    clips = tuple(f"clip{i % 10}" for i in range(60))
    names = tuple(f"{i:02}" for i in range(60))
    return Votes(tuple(f"{n}/a" for n in names), tuple(f"{n}/b" for n in names), a, 15 - a, clips)


def result_of(votes, sign, draws=0):
    """A metric that sees the vote shares (sign 1), their negation (-1) or nothing (0)."""
    shares = {**dict(zip(votes.a, sign * votes.votes_a, strict=True))}
    return evaluate(shares | dict(zip(votes.b, sign * votes.votes_b, strict=True)), votes, "adth-qa", draws=draws)


@pytest.mark.parametrize("dimension", MAJORITIES)
def test_oracle_negation_and_constant(dimension):
    counts, ceiling = MAJORITIES[dimension]
    votes = votes_of(counts)
    right, wrong, blind = (result_of(votes, sign) for sign in (1, -1, 0))
    assert right.total["soft"].value == pytest.approx(ceiling, abs=5e-5)
    assert right.extras["ceiling_soft"] == pytest.approx(right.total["soft"].value)
    assert right.total["hard"].value == 1
    assert wrong.total["soft"].value == pytest.approx(1 - ceiling, abs=5e-5)
    assert wrong.total["hard"].value == 0
    assert (blind.total["soft"].value, blind.total["hard"].value) == (0.5, 0.5)
    assert blind.extras["ties"] == 60
    assert len(right.groups) == 10


def test_by_hand():
    assert soft_2afc([1, -1, 0], [12, 12, 12], [3, 3, 3]).tolist() == [0.8, 0.2, 0.5]
    assert hard_2afc([1, -1, 0, 1], [12, 12, 12, 7], [3, 3, 3, 7]).tolist() == [1, 0, 0.5, 0.5]


def test_the_bootstrap_draws_whole_clips():
    """In every clip all pairs agree: draws over 4 clips give only quarters."""
    a = np.array([15.0] * 6 + [0.0] * 6)
    votes = Votes(
        tuple(f"w{i}" for i in range(12)), tuple(f"m{i}" for i in range(12)), a, 15 - a, ("x", "y", "z", "u") * 3
    )
    votes = Votes(votes.a, votes.b, a, 15 - a, tuple(f"c{i // 3}" for i in range(12)))
    predictions = {**dict.fromkeys(votes.a, 1.0), **dict.fromkeys(votes.b, 0.0)}
    result = evaluate(predictions, votes, "adth-qa", draws=200)
    assert set(np.unique(result.samples["hard"])) == {0, 0.25, 0.5, 0.75, 1}
    pairs = evaluate(predictions, votes, "adth-qa", draws=200, resample="rows")
    assert len(np.unique(pairs.samples["hard"])) > 5


def test_the_prior_is_always_the_method_with_more_votes():
    votes = Votes(("w/1", "w/2"), ("m/1", "m/2"), np.array([15.0, 6.0]), np.array([0.0, 9.0]), ("1", "2"))
    extras = evaluate({"w/1": 0, "m/1": 1, "w/2": 0, "m/2": 1}, votes, "adth-qa", draws=0).extras
    assert (extras["method_prior_soft"], extras["method_prior_hard"]) == (0.7, 0.5)


def test_clips_are_needed():
    votes = Votes(("a",), ("b",), np.array([1.0]), np.array([2.0]))
    with pytest.raises(UsageError, match="needs the column clip"):
        evaluate({"a": 1, "b": 2}, votes, "adth-qa")
