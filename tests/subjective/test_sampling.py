"""Which pair next: full, random, and the spanning tree of the largest information gains."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.special import log_ndtr, ndtr

from mien.subjective.pairs import whole
from mien.subjective.sampling import PRIOR_VARIANCE, Pair, answered, information_gain, next_pairs, posterior

NONE = np.zeros((6, 6), int)


def voted(n_items: int, votes: int, seed: int = 0, spread: float = 1.0) -> np.ndarray:
    """Votes on random pairs of items whose true scores are known to nobody."""
    rng = np.random.default_rng(seed)
    q, wins = spread * rng.normal(size=n_items), np.zeros((n_items, n_items), int)
    for _ in range(votes):
        i, j = rng.choice(n_items, 2, replace=False)
        wins[(i, j) if rng.random() < ndtr(q[i] - q[j]) else (j, i)] += 1
    return wins


def counted(pairs: list[Pair], n_items: int) -> np.ndarray:
    times = np.zeros((n_items, n_items), int)
    np.add.at(times, tuple(np.array(pairs).T), 1)
    return times[np.triu_indices(n_items, 1)]


# ---- full and random ----------------------------------------------------------------------------------------------


def test_full_asks_every_pair_once_and_then_all_of_them_again():
    first = next_pairs(6, NONE, method="full", seed=0)
    assert sorted(first) == list(combinations(range(6), 2))
    assert counted(next_pairs(6, NONE, method="full", n_pairs=30, seed=0), 6).tolist() == [2] * 15
    assert set(counted(next_pairs(6, NONE, method="full", n_pairs=20, seed=0), 6)) == {1, 2}


def test_full_goes_on_where_the_votes_and_the_other_observers_are():
    votes = np.triu(np.ones((6, 6), int), 1)
    votes[0, 1] = 0
    assert next_pairs(6, votes, method="full", seed=0) == [(0, 1)]
    votes[[2, 4], [3, 5]] = 0
    assert next_pairs(6, votes, method="full", pending=[(1, 0), (3, 2)], seed=0) == [(4, 5)]


def test_random_asks_no_pair_twice_in_a_round_and_every_pair_sooner_or_later():
    assert sorted(next_pairs(6, NONE, method="random", n_pairs=15, seed=3)) == list(combinations(range(6), 2))
    assert len(next_pairs(6, NONE, method="random", seed=0)) == 5
    times = counted([p for s in range(1500) for p in next_pairs(6, NONE, method="random", n_pairs=1, seed=s)], 6)
    assert times.min() > 65  # 100 expected
    assert times.max() < 135


def test_random_leaves_a_pair_to_the_observer_who_has_it():
    out = [pair for pair in combinations(range(6), 2) if pair != (2, 5)]
    assert next_pairs(6, NONE, method="random", n_pairs=1, pending=out, seed=0) == [(2, 5)]


# ---- the posterior ------------------------------------------------------------------------------------------------


def by_integration(wins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and covariances of three scores, summed up on a grid."""
    line = np.linspace(-3.5, 3.5, 71)
    q = np.stack(np.meshgrid(line, line, line, indexing="ij")).reshape(3, -1)
    log = -(q**2).sum(axis=0) / (2 * PRIOR_VARIANCE)
    for i, j in np.argwhere(wins):
        log += wins[i, j] * log_ndtr(q[i] - q[j])
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    mean = q @ weight
    return mean, (weight * (q - mean[:, None])) @ (q - mean[:, None]).T


@pytest.mark.parametrize(
    "wins",
    [[[0, 1, 0], [0, 0, 0], [0, 0, 0]], [[0, 6, 4], [2, 0, 5], [1, 3, 0]], [[0, 9, 0], [0, 0, 0], [0, 2, 0]]],
    ids=["one vote", "all pairs", "unanimous"],
)
def test_the_posterior_is_that_of_an_integration(wins: list[list[int]]):
    mean, covariance = posterior(np.array(wins))
    expected_mean, expected_covariance = by_integration(np.array(wins))
    assert mean == pytest.approx(expected_mean, abs=0.01)
    assert covariance == pytest.approx(expected_covariance, abs=0.01)


def test_without_votes_the_posterior_is_the_prior():
    mean, covariance = posterior(NONE)
    assert mean.tolist() == [0] * 6
    assert covariance == pytest.approx(PRIOR_VARIANCE * np.eye(6))


def test_many_votes_find_the_scale():
    rng = np.random.default_rng(5)
    q = rng.normal(size=8)
    q -= q.mean()
    share = ndtr(q[:, None] - q)
    mean, covariance = posterior(np.round(1000 * share) * (1 - np.eye(8)))
    assert mean == pytest.approx(q, abs=0.01)
    assert (covariance.diagonal() < 0.07).all()  # what is left is the mean of all, which no comparison tells


def test_half_a_vote_for_either_side_is_a_tie():
    mean, covariance = posterior(np.array([[0, 0.5], [0.5, 0]]))
    assert mean == pytest.approx([0, 0], abs=1e-9)
    assert (covariance.diagonal() < PRIOR_VARIANCE).all()


@pytest.mark.parametrize("wins", [[[0, 10**6], [1, 0]], [[0, 10**4], [0, 0]], [[0, 10**5], [10**5, 0]]])
def test_very_many_votes_keep_the_posterior_finite(wins: list[list[int]]):
    mean, covariance = posterior(np.array(wins))
    assert np.isfinite(mean).all()
    assert np.linalg.eigvalsh(covariance).min() > 0


# ---- the gain -----------------------------------------------------------------------------------------------------


def divergence(after: tuple[np.ndarray, np.ndarray], before: tuple[np.ndarray, np.ndarray]) -> float:
    """KL of two normal distributions of all scores, as textbooks have it."""
    inverse, moved = np.linalg.inv(before[1]), after[0] - before[0]
    ratio = np.linalg.slogdet(before[1])[1] - np.linalg.slogdet(after[1])[1]
    return 0.5 * float(np.trace(inverse @ after[1]) + moved @ inverse @ moved - len(moved) + ratio)


def test_the_gain_is_what_the_whole_inference_would_learn_from_either_answer():
    wins = voted(5, 40)
    now = posterior(wins)
    gain = information_gain(*now)
    for i, j in combinations(range(5), 2):
        share = ndtr((now[0][i] - now[0][j]) / np.sqrt(1 + now[1][i, i] + now[1][j, j] - 2 * now[1][i, j]))
        expected = 0.0
        for chance, (winner, loser) in ((share, (i, j)), (1 - share, (j, i))):
            more = wins.copy()
            more[winner, loser] += 1
            expected += chance * divergence(posterior(more), now)
        assert gain[i, j] == pytest.approx(expected, rel=0.05)


def test_the_gain_knows_no_names_and_no_sides():
    wins, order = voted(7, 60), np.random.default_rng(1).permutation(7)
    gain = information_gain(*posterior(wins))
    assert gain == pytest.approx(gain.T)
    assert information_gain(*posterior(wins[np.ix_(order, order)])) == pytest.approx(gain[np.ix_(order, order)], 1e-4)


def test_less_doubt_is_never_more_to_learn():
    """What the batches rest on: a gain from before an answer is an upper bound of the gain after it."""
    for distance in np.linspace(0, 6, 9):
        gains = [information_gain(np.array([distance, 0]), v / 2 * np.eye(2))[0, 1] for v in np.geomspace(1e-4, 20, 30)]
        assert (np.diff(gains) > -1e-12).all()


def test_close_and_new_items_teach_more_than_far_and_known_ones():
    wins = np.zeros((5, 5), int)
    wins[0, 2] = wins[1, 2] = 20  # 0 and 1 are close, 2 is far below; nobody has seen 3 and 4
    gain = information_gain(*posterior(wins))
    assert gain[0, 1] > 2 * gain[0, 2]
    assert gain[3, 4] > gain[0, 1]


# ---- batches ------------------------------------------------------------------------------------------------------


def test_an_active_batch_grows_by_the_best_pair_that_joins_two_parts():
    wins = voted(6, 40)
    mean, covariance = posterior(wins)
    batch = next_pairs(6, wins, method="active", seed=0)
    assert batch[0] == max(combinations(range(6), 2), key=lambda pair: information_gain(mean, covariance)[pair])
    part = {item: {item} for item in range(6)}
    for pair in batch:
        gain = information_gain(mean, covariance)
        assert pair == max(
            (p for p in combinations(range(6), 2) if part[p[0]] is not part[p[1]]), key=lambda p: gain[p]
        )
        joined = part[pair[0]] | part[pair[1]]
        part |= dict.fromkeys(joined, joined)
        covariance = answered(mean, covariance, pair)


def test_no_item_is_in_most_of_a_batch():
    wins = voted(20, 100)
    times = np.bincount(np.ravel(next_pairs(20, wins, method="active", seed=0)), minlength=20)
    assert times.max() <= 5


@pytest.mark.parametrize("n_items", [2, 3, 20])
@pytest.mark.parametrize("votes", [0, 5, 300])
def test_an_active_batch_reaches_every_item(n_items: int, votes: int):
    batch = next_pairs(n_items, voted(n_items, votes), method="active", seed=0)
    assert len(batch) == n_items - 1
    assert all(i < j for i, j in batch)
    assert whole(*np.array(batch).T, n_items)


def test_fewer_pairs_are_the_best_of_the_tree_and_more_are_further_trees():
    wins = voted(6, 40)
    batch = next_pairs(6, wins, method="active", seed=0)
    assert next_pairs(6, wins, method="active", n_pairs=2, seed=0) == batch[:2]
    more = next_pairs(6, wins, method="active", n_pairs=12, seed=0)
    assert more[:5] == batch
    assert more[5:10] == next_pairs(6, wins, method="active", pending=batch, seed=0)
    assert len(more) == 12


def test_two_observers_at_once_are_not_asked_the_same():
    wins = voted(20, 100)
    first = next_pairs(20, wins, method="active", seed=0)
    second = next_pairs(20, wins, method="active", pending=first, seed=1)
    assert len(set(first) & set(second)) < len(first) / 2
    assert next_pairs(20, wins, method="active", pending=first[:1], n_pairs=1, seed=0) != first[:1]


def test_a_pending_pair_narrows_as_its_two_answers_do_on_average():
    wins = voted(5, 40)
    mean, covariance = posterior(wins)
    expected = np.zeros((5, 5))
    share = ndtr((mean[1] - mean[3]) / np.sqrt(1 + covariance[1, 1] + covariance[3, 3] - 2 * covariance[1, 3]))
    for chance, at in ((share, (1, 3)), (1 - share, (3, 1))):
        more = wins.copy()
        more[at] += 1
        expected += chance * posterior(more)[1]
    found = answered(mean, covariance, (1, 3))
    assert found == pytest.approx(expected, abs=0.02 * float(covariance.max()))
    assert found[1, 1] < covariance[1, 1]


@pytest.mark.parametrize("method", ["full", "random", "active"])
def test_the_same_arguments_give_the_same_pairs_and_another_seed_another_order(method: str):
    def pairs(seed: int) -> list[Pair]:
        return next_pairs(6, NONE, method=method, pending=[(4, 2)], seed=seed)  # pyright: ignore[reportArgumentType]

    assert pairs(1) == pairs(1)
    assert pairs(1) != pairs(2)


WRONG = [
    ({"n_items": 1, "votes": np.zeros((1, 1))}, "2 items or more, not 1"),
    ({"votes": np.zeros((5, 6))}, r"votes of 6 items have the shape \(6, 6\), not \(5, 6\)"),
    ({"votes": -np.ones((6, 6))}, "votes are at least 0"),
    ({"votes": np.eye(6)}, "0 for an item against itself"),
    ({"votes": np.full((6, 6), np.nan)}, "votes are at least 0"),
    ({"pending": [(0, 1), (2, 6)]}, r"pending pairs are two different items of 6, not \(2, 6\)"),
    ({"pending": [(3, 3)]}, r"not \(3, 3\)"),
    ({"pending": [(-1, 3)]}, r"not \(-1, 3\)"),
    ({"n_pairs": 0}, "1 pair or more, not 0"),
    ({"method": "swiss"}, "method is one of full, random, active, not 'swiss'"),
]


@pytest.mark.parametrize(("change", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_arguments_are_told(change: dict[str, object], message: str):
    arguments: dict = {"n_items": 6, "votes": NONE, "method": "active", "seed": 0} | change
    with pytest.raises(ValueError, match=message):
        next_pairs(arguments.pop("n_items"), arguments.pop("votes"), **arguments)
