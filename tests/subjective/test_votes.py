"""Votes: JOD, Bradley-Terry, Thurstone; intervals, unanimous and lone votes, parts, observers, power."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtr

from mien.subjective import bootstrap
from mien.subjective.bootstrap import run_draws
from mien.subjective.bradley_terry import bradley_terry
from mien.subjective.jod import fit, fit_checked, jod, sample
from mien.subjective.jod_objective import SIGMA, Objective
from mien.subjective.mos import mos
from mien.subjective.observers import (
    agreement,
    correlation_with_others,
    krippendorff_alpha,
    rating_report,
    report,
    split_half,
)
from mien.subjective.pairs import Pairs, count, need_finite, need_one_part, parts
from mien.subjective.power import comparisons_needed, ratings_needed, typical_sd, votes_for
from mien.subjective.scale import apart, examine_votes, rows, scale_votes
from mien.subjective.tables import Ratings, TableError, Votes, read_votes
from mien.subjective.thurstone import thurstone

DATA = Path(__file__).parents[3] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data")
METHODS = {"bradley-terry": bradley_terry, "thurstone": thurstone, "jod": jod}


def trials(q: np.ndarray, repeats: int, *, observers: int = 1, seed: int = 0, sigma: float = SIGMA) -> Votes:
    """Every pair `repeats` times by each observer."""
    rng, n = np.random.default_rng(seed), len(q)
    a, b = (np.tile(side, repeats * observers) for side in np.triu_indices(n, 1))
    won = (rng.random(len(a)) < ndtr((q[a] - q[b]) / sigma)).astype(float)
    who = np.repeat(np.arange(observers), len(a) // observers)
    names = tuple("abcdefghijklmnopqrstuvwxyz"[:n])
    return Votes(names, a, b, won, 1 - won, tuple(f"o{i:02}" for i in range(observers)), who)


# ---- what a score means -------------------------------------------------------------------------------------------


def test_three_to_one_is_one_jod_and_ln_3_and_0_67():
    pairs = count(Votes.of([[0, 30], [10, 0]]))
    assert np.diff(fit(pairs, prior=False).q)[0] == pytest.approx(-1, abs=1e-4)
    assert np.diff(bradley_terry(pairs).score)[0] == pytest.approx(-np.log(3), abs=1e-9)
    assert np.diff(thurstone(pairs).score)[0] == pytest.approx(-0.6744898, abs=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_a_circle_is_a_tie_and_names_do_not_matter(name: str):
    options = {"draws": 0} if name == "jod" else {}
    assert METHODS[name](count(Votes.of([[0, 9, 1], [1, 0, 9], [9, 1, 0]])), **options).score == pytest.approx(
        0, abs=1e-6
    )
    wins, order = np.array([[0, 7, 9, 4], [3, 0, 6, 5], [1, 4, 0, 8], [2, 5, 3, 0]]), [2, 0, 3, 1]
    score = METHODS[name](count(Votes.of(wins)), **options).score
    assert METHODS[name](count(Votes.of(wins[np.ix_(order, order)])), **options).score == pytest.approx(
        score[order], abs=1e-6
    )


@pytest.mark.parametrize("name", METHODS)
def test_missing_pairs_repetitions_and_ties(name: str):
    """Two rows of a pair are one, whichever side is first; a tie is half a vote for either."""
    options = {"draws": 0} if name == "jod" else {}
    whole = Votes(("x", "y", "z"), np.array([0, 1]), np.array([1, 2]), np.array([5.5, 6]), np.array([2.5, 3]))
    a, b = np.array([0, 1, 1, 0]), np.array([1, 0, 2, 1])
    parts = Votes(("x", "y", "z"), a, b, np.array([4.0, 2, 6, 0.5]), np.array([0.0, 1, 3, 0.5]), ties=1)
    expected, found = (METHODS[name](count(votes), **options) for votes in (whole, parts))
    assert found.score == pytest.approx(expected.score, abs=1e-7)
    assert found.n.tolist() == [8, 17, 9]


def test_ties_of_a_file_are_told(tmp_path: Path):
    path = tmp_path / "v.csv"
    path.write_text("item_a,item_b,choice\nx,y,a\nx,y,tie\ny,x,a\nx,y,x\n")
    scale = scale_votes(read_votes(path), "bradley-terry")[""]
    assert "1 ties count as half a vote for either side" in scale.notes
    assert scale.n.tolist() == [4, 4]
    assert np.ptp(scale.score) == pytest.approx(np.log(2.5 / 1.5), abs=1e-6)


# ---- the objective of JOD -----------------------------------------------------------------------------------------


def slow_objective(pairs: Pairs, q: np.ndarray) -> float:
    """The formula of `jod_objective.py`, pair by pair."""
    ordered = [(i, j, w, v) for i, j, w, v in zip(pairs.a, pairs.b, *pairs.wins, strict=True)]
    ordered += [(j, i, v, w) for i, j, w, v in ordered]
    votes = []
    for _, _, won, lost in ordered:
        moved = min((won + lost) / 2, 1)
        votes.append((won - moved, moved) if lost == 0 else (moved, lost - moved) if won == 0 else (won, lost))
    likelihood = np.array(
        [[ndtr(x) ** k * ndtr(-x) ** n for k, n in votes] for x in [(q[i] - q[j]) / SIGMA for i, j, _, _ in ordered]]
    )
    prior = (likelihood / likelihood.sum(axis=0)).sum(axis=1)
    value = -np.log(prior + 0.1).sum()
    for i, j, won, lost in ordered:
        x = (q[i] - q[j]) / SIGMA
        value -= won * log_ndtr(x) + lost * log_ndtr(-x)
    return float(value)


@pytest.mark.parametrize("wins", [[[0, 7, 9], [3, 0, 6], [1, 4, 0]], [[0, 5, 1], [0, 0, 2], [0, 2.5, 0]]])
def test_the_objective_is_its_formula_and_its_gradient_its_slope(wins: list[list[float]]):
    pairs = count(Votes.of(wins))
    objective, q = Objective(pairs.a, pairs.b, pairs.wins, 3), np.array([0.8, -0.5, 0.1])
    value, gradient = objective(q)
    assert value == pytest.approx(slow_objective(pairs, q), rel=1e-9)
    for i in range(3):
        step = 1e-5 * np.eye(3)[i]
        slope = (objective(q + step)[0] - objective(q - step)[0]) / 2e-5
        assert gradient[i] == pytest.approx(slope, abs=1e-5)
    best = minimize(lambda at: slow_objective(pairs, at), np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-6})
    assert fit(pairs).q == pytest.approx(best.x - best.x.mean(), abs=1e-3)


@needs_data
def test_many_votes_are_computed_by_logarithms_and_few_the_same_way(rng: np.random.Generator):
    a, b = np.triu_indices(6, 1)
    wins = rng.integers(0, 40, (2, len(a))).astype(np.float64) + 1
    plain, logs = Objective(a, b, wins, 6), Objective(a, b, wins, 6)
    logs._many = True
    for q in (np.zeros(6), rng.normal(size=6)):
        value, gradient = plain(q)
        assert logs(q)[0] == pytest.approx(value, rel=1e-12)
        assert logs(q)[1] == pytest.approx(gradient, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("votes", [(450, 150), (300, 300), (4_000, 6_000), (600, 0)])
def test_any_number_of_votes_on_one_pair_gives_a_score(votes: tuple[int, int]):
    """Few items and many votes: the prior says next to nothing, so the share of the votes is the scale."""
    found = fit(Pairs(("a", "b"), np.array([0]), np.array([1]), np.array(votes, np.float64).reshape(2, 1)))
    assert np.isfinite(found.q).all()
    if min(votes):
        share = ndtr((found.q[0] - found.q[1]) / SIGMA)
        assert share == pytest.approx(votes[0] / sum(votes), abs=2e-3)
    else:
        assert found.q[0] > found.q[1]


@pytest.mark.skipif(not (DATA / "adthqa").is_dir(), reason="the shared data is absent")
def test_talking_heads_of_adthqa_are_those_of_pwcmp():
    folder = DATA / "adthqa"
    with (folder / "expected_jod.csv").open(newline="", encoding="utf-8") as stream:
        expected = list(csv.DictReader(stream))
    columns, compared = {"item_a": "method_a", "item_b": "method_b"}, 0
    for dimension in ("render", "lip", "head"):
        votes = read_votes(folder / "votes.csv", columns=columns, groups="clip", where={"dimension": dimension})
        found = scale_votes(votes, "jod", draws=0)
        for clip, scale in found.items():
            named = dict(zip(scale.items, scale.score, strict=True))
            for row in expected:
                if (row["dimension"], row["clip"]) == (dimension, clip):
                    assert named[row["method"]] == pytest.approx(float(row["jod"]), abs=1e-4), row
                    compared += 1
    assert compared == 3 * 6 * 4


# ---- few votes ----------------------------------------------------------------------------------------------------


def test_unanimous_pairs_stay_finite_in_jod_and_are_an_error_without_a_prior():
    wins = np.array([[0, 9, 6, 9], [0, 0, 7, 9], [3, 2, 0, 8], [0, 0, 1, 0]])
    score = jod(count(Votes.of(wins)), draws=0).score
    assert (np.diff(score) < 0).all()
    assert np.ptp(score) < 6
    wins[2, 0] = wins[2, 1] = 0  # now the first one never loses
    for method in (bradley_terry, thurstone, lambda pairs: jod(pairs, prior=False, draws=0)):
        with pytest.raises(TableError, match=r"no finite scores fit best: 1 item \(0\) won every comparison"):
            method(count(Votes.of(wins)))
    assert np.isfinite(bradley_terry(count(Votes.of(wins)), alpha=0.01).score).all()
    with pytest.raises(ValueError, match="alpha is at least 0"):
        bradley_terry(count(Votes.of(wins)), alpha=-1)


@pytest.mark.parametrize("votes", [5, 9, 30])
def test_where_all_pairs_are_unanimous_the_prior_of_jod_lets_go_and_that_is_told(votes: int):
    """pwcmp returns where its optimiser stopped on the plateau."""
    pairs = count(Votes.of(votes * np.triu(np.ones((3, 3)), 1)))
    with pytest.raises(TableError, match=r"no finite scores fit best: .* won too many comparisons.*without losing one"):
        jod(pairs, draws=0)
    assert jod(count(Votes.of(3 * np.triu(np.ones((3, 3)), 1))), draws=0).score == pytest.approx(
        [1.605, 0, -1.605], abs=1e-3
    )


def test_a_lone_vote_is_not_turned_round():
    """pwcmp gives one vote of a unanimous pair to the other side, and so all there is."""
    chain = np.zeros((5, 5))
    for i, j in pairwise(range(5)):
        chain[i, j] = 1
    assert (np.diff(fit(count(Votes.of(chain))).q) < 0).all()
    errors = []
    for seed in range(5):
        q = np.random.default_rng(seed).normal(0, 1.4, 16)
        found = fit(count(trials(q, 1, seed=seed)))
        assert found.finite
        errors.append(np.sqrt(np.mean((found.q - (q - q.mean())) ** 2)))
    assert np.mean(errors) < 1.4


@pytest.mark.parametrize("name", METHODS)
def test_parts_that_were_never_compared_are_refused_by_name(name: str):
    wins = np.zeros((5, 5))
    wins[0, 1] = wins[1, 0] = wins[2, 3] = wins[3, 4] = wins[4, 2] = 3
    pairs = count(Votes.of(wins, items=["a", "b", "c", "d", "e"]))
    assert parts(pairs) == [["c", "d", "e"], ["a", "b"]]
    with pytest.raises(TableError, match=r"2 parts .*3 items \(c, d, e\); 2 items \(a, b\).*--groups COLUMN.*--split"):
        METHODS[name](pairs)


def test_apart_gives_every_part_its_own_scores_and_observers():
    votes = trials(np.array([1.0, 0, -1]), 3, observers=4)
    other = replace(votes, items=("x", "y", "z"))
    joined = Votes(
        (*votes.items, *other.items),
        np.append(votes.a, other.a + 3),
        np.append(votes.b, other.b + 3),
        np.append(votes.votes_a, other.votes_a),
        np.append(votes.votes_b, other.votes_b),
        (*votes.observers, "p00", "p01", "p02", "p03"),
        np.append(votes.observer, votes.observer + 4),
    )
    found = apart({"g": joined, "whole": votes})
    assert {name: part.items for name, part in found.items()} == {
        "g part 1": ("a", "b", "c"),
        "g part 2": ("x", "y", "z"),
        "whole": ("a", "b", "c"),
    }
    assert found["g part 2"].observers == ("p00", "p01", "p02", "p03")
    scales = scale_votes(found, "jod", draws=0)
    assert scales["g part 1"].score == pytest.approx(scales["g part 2"].score)
    assert [row["group"] for row in rows(scales)] == ["g part 1"] * 3 + ["g part 2"] * 3 + ["whole"] * 3


def test_the_two_questions_before_any_scale():
    need_one_part(count(Votes.of([[0, 1], [0, 0]])))
    need_finite(count(Votes.of([[0, 1], [1, 0]])))
    with pytest.raises(TableError, match=r"1 item \(0\) won every comparison with the others, 1 item \(1\) lost"):
        need_finite(count(Votes.of([[0, 1], [0, 0]])))


# ---- intervals ----------------------------------------------------------------------------------------------------

Q = np.array([1.2, 0.5, 0.0, -0.6, -1.1])


def test_draws_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch):
    pairs = count(trials(Q, 2, observers=8))
    one = jod(pairs, draws=50, seed=3)
    monkeypatch.setattr(bootstrap, "PAYS", -1.0)  # start processes at once
    told: list[int] = []
    two = jod(pairs, draws=50, seed=3, processes=2, progress=told.append)
    assert sum(told) == 50
    assert (two.ci_low, two.ci_high) == (pytest.approx(one.ci_low), pytest.approx(one.ci_high))
    assert jod(pairs, draws=50, seed=4).ci_low != pytest.approx(one.ci_low)


def test_groups_share_the_draws_as_if_each_were_alone():
    groups = {name: trials(Q, 2, observers=6, seed=i) for i, name in enumerate("xy")}
    both = scale_votes(groups, "jod", draws=45, seed=2)
    for name, votes in groups.items():
        alone = jod(count(votes), draws=45, seed=2)
        assert both[name].ci_low == pytest.approx(alone.ci_low)


def test_observers_are_drawn_when_they_are_known_and_votes_otherwise():
    votes = trials(Q, 2, observers=8)
    assert "bootstrap draws over observers" in jod(count(votes), draws=20).intervals
    unknown = replace(votes, observers=(), observer=None)
    assert "over votes, each counted as independent" in jod(count(unknown), draws=20).intervals
    single = trials(Q, 4, observers=1)
    assert "over votes" in jod(count(single), draws=20).intervals
    assert jod(count(votes), draws=0).intervals == "none"


def test_people_who_differ_make_the_interval_wider_than_votes_do():
    """Half of the observers see the opposite: between them, not within them, is the doubt."""
    one, other = trials(Q, 3, observers=6, seed=1), trials(-Q, 3, observers=6, seed=2)
    votes = replace(
        one,
        **{k: np.append(getattr(one, k), getattr(other, k)) for k in ("a", "b", "votes_a", "votes_b")},
        observers=tuple(f"o{i:02}" for i in range(12)),
        observer=np.append(one.observer, other.observer + 6),
    )
    unknown = replace(votes, observers=(), observer=None)
    for method, options in ((jod, {"draws": 150}), (bradley_terry, {})):
        people, single = (method(count(v), **options).half_width.mean() for v in (votes, unknown))
        assert people > 1.5 * single


@pytest.mark.parametrize("name", METHODS)
def test_intervals_cover_the_truth_about_as_often_as_they_say(name: str):
    options = {"draws": 60} if name == "jod" else {}
    unit = {"jod": 1.0, "thurstone": 1 / SIGMA, "bradley-terry": 1.70 / SIGMA}[name]  # logit ≈ 1.70 probit
    inside = []
    for seed in range(15):
        scale = METHODS[name](count(replace(trials(Q, 30, seed=seed), observers=(), observer=None)), **options)
        truth = (Q - Q.mean()) * unit
        inside += ((scale.ci_low <= truth) & (truth <= scale.ci_high)).tolist()
    assert 0.86 <= np.mean(inside) <= 1.0


@needs_data
def test_bootstrap_intervals_are_about_those_of_pwcmp():
    with (DATA / "subjective" / "lukas_pairwise_votes.csv").open(newline="", encoding="utf-8") as stream:
        trial = [row for row in csv.DictReader(stream) if row["content"] == "barba"]
    with (DATA / "subjective" / "lukas_pairwise_expected_jod.csv").open(newline="", encoding="utf-8") as stream:
        expected = {row["stimulus"]: row for row in csv.DictReader(stream) if row["content"] == "barba"}
    items, people = sorted(expected), sorted({row["observer"] for row in trial})
    won = np.array([float(row["preference_a"]) for row in trial])
    number = {name: i for i, name in enumerate(items)}
    a, b = (np.array([number[row[f"stimulus_{side}"]] for row in trial]) for side in "ab")
    who = np.array([people.index(row["observer"]) for row in trial])
    scale = jod(count(Votes(tuple(items), a, b, won, 1 - won, tuple(people), who)), draws=300)
    low, high = (np.array([float(expected[item][f"boot_{end}"]) for item in items]) for end in ("low", "high"))
    assert np.abs(scale.ci_low - low).mean() < 0.06
    assert np.abs(scale.ci_high - high).mean() < 0.06


def test_a_draw_that_falls_into_parts_is_drawn_again_and_told():
    wins = np.zeros((6, 6))
    for i, j in pairwise(range(6)):
        wins[i, j], wins[j, i] = 1, 1
    scale = jod(count(Votes.of(wins)), draws=40)
    assert any("draws fell into parts and were drawn again" in note for note in scale.notes)
    assert np.isfinite(scale.ci_low).all()


def test_draws_have_the_mean_of_the_votes():
    votes = trials(Q, 4, observers=10)
    pairs = count(votes)
    found = fit_checked(pairs, prior=True, anchor=None)
    (draws,) = run_draws([sample(pairs, found, True, 0)], 400)
    assert draws.values.shape == (400, 5)
    assert draws.values.mean(axis=0) == pytest.approx(found.q, abs=0.12)


# ---- observers ----------------------------------------------------------------------------------------------------


@needs_data
def test_the_report_is_that_of_pwcmp():
    with (DATA / "subjective" / "tmo_video_expected_outliers.csv").open(newline="", encoding="utf-8") as stream:
        expected = {row["observer"]: row for row in csv.DictReader(stream) if row["content"] == "all"}
    with (DATA / "subjective" / "tmo_video_votes.csv").open(newline="", encoding="utf-8") as stream:
        trial = list(csv.DictReader(stream))
    items = sorted({row["stimulus_a"] for row in trial} | {row["stimulus_b"] for row in trial})
    people = sorted(expected)
    a, b = (np.array([items.index(row[f"stimulus_{side}"]) for row in trial]) for side in "ab")
    won = np.array([float(row["preference_a"]) for row in trial])
    who = np.array([people.index(row["observer"]) for row in trial])
    found = report(count(Votes(tuple(items), a, b, won, 1 - won, tuple(people), who)))
    for i, name in enumerate(people):
        assert found["log10_likelihood"][i] == pytest.approx(float(expected[name]["log10_likelihood"]), abs=2e-3), name
        assert found["distance"][i] == pytest.approx(float(expected[name]["dist_L"]), abs=0.05), name


def test_who_presses_the_other_key_stands_apart():
    votes = trials(1.5 * Q, 3, observers=12)
    votes.votes_a[votes.observer == 5], votes.votes_b[votes.observer == 5] = (
        votes.votes_b[votes.observer == 5].copy(),
        votes.votes_a[votes.observer == 5].copy(),
    )
    found = report(count(votes))
    assert [name for name, flag in zip(found["observer"], found["inspect"], strict=True) if flag] == ["o05"]
    assert int(np.argmin([float(str(a)) for a in found["agreement"]])) == 5
    assert examine_votes(bradley_terry(count(votes)), votes).facts["u"] < agreement(
        count(trials(1.5 * Q, 3, observers=12))
    )
    assert report(count(replace(votes, observers=(), observer=None))) == {}


def test_agreement_is_one_when_unanimous_and_nothing_when_even():
    assert agreement(count(Votes.of([[0, 8], [0, 0]]))) == 1
    assert agreement(count(Votes.of([[0, 500], [500, 0]]))) == pytest.approx(0, abs=2e-3)
    assert agreement(count(Votes.of([[0, 1], [1, 0]]))) == -1
    assert np.isnan(agreement(count(Votes.of([[0, 1], [0, 0]]))))


def test_ratings_agree_or_do_not():
    psi = np.linspace(1, 5, 20)[:, None]
    same, noise = Ratings.of(np.tile(psi, 6)), Ratings.of(np.random.default_rng(0).uniform(1, 5, (20, 6)))
    assert krippendorff_alpha(same) == 1
    assert split_half(same) == pytest.approx(1)
    assert abs(krippendorff_alpha(noise)) < 0.15
    assert split_half(noise) < 0.5
    assert np.isnan(krippendorff_alpha(Ratings.of(np.full((3, 3), 2.0))))
    assert np.isnan(split_half(Ratings.of(np.tile(psi, 3))))


def test_alpha_of_krippendorffs_own_example():
    """His data C (2011), interval metric: 0.849."""
    nan = np.nan
    votes = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, nan, nan, nan],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, nan, 3],
        [nan, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, nan],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, nan],
    ]
    assert krippendorff_alpha(Ratings.of(np.array(votes).T)) == pytest.approx(0.849, abs=5e-4)


def test_the_correlation_with_the_others_is_that_of_a_slow_loop():
    rng = np.random.default_rng(4)
    matrix = rng.uniform(1, 5, (15, 1)) + rng.normal(size=(15, 7))
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    found = correlation_with_others(Ratings.of(matrix))
    for i in range(7):
        own, others = matrix[:, i], np.nanmean(np.delete(matrix, i, axis=1), axis=1)
        there = np.isfinite(own)
        assert found[i] == pytest.approx(np.corrcoef(own[there], others[there])[0, 1])
    backwards = np.column_stack(
        [np.linspace(1, 5, 15)[:, None] + 0.1 * rng.normal(size=(15, 8)), np.linspace(5, 1, 15)]
    )
    assert np.flatnonzero(rating_report(Ratings.of(backwards))["inspect"]).tolist() == [8]


# ---- power --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sd", "half_width"), [(0.8, 0.25), (1.0, 0.5), (20.0, 3.0)])
def test_the_votes_that_are_needed_are_the_fewest(sd: float, half_width: float):
    n = ratings_needed(sd, half_width)

    def half(votes: int) -> float:
        matrix = np.random.default_rng(0).normal(size=votes)
        matrix = (matrix - matrix.mean()) / matrix.std(ddof=1) * sd
        return float(mos(Ratings.of(matrix[None])).half_width[0])

    assert half(n) <= half_width < half(n - 1)


def test_power_before_a_study_of_pairs_is_what_the_scale_says_after_it():
    """Fisher information of a full design against the intervals that Thurstone's model gives."""
    q = 1.4 * np.array([-1.28, -0.52, 0, 0.52, 1.28])
    repeats = comparisons_needed(5, 0.4, spread=1.4)
    scale = thurstone(count(replace(trials(q, repeats, seed=1), observers=(), observer=None)))
    assert float(np.median(scale.half_width)) * SIGMA == pytest.approx(0.4, rel=0.12)
    assert comparisons_needed(5, 0.2, spread=1.4) == pytest.approx(4 * repeats, abs=4)
    assert comparisons_needed(20, 0.4, spread=1.4) < repeats


def test_power_after_a_study():
    assert votes_for(0.1, np.array([10.0, 10, 10]), np.array([0.2, 0.2, np.nan])) == 40
    ratings = Ratings.of(3 + 0.7 * np.random.default_rng(0).normal(size=(200, 20)))
    assert typical_sd(ratings) == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ratings_needed(0, 1), "sd and half_width are positive"),
        (lambda: ratings_needed(1, 1e-9), "more than 10,000,000 votes"),
        (lambda: comparisons_needed(1, 1), "2 items or more and a positive width"),
        (lambda: votes_for(0, np.ones(1), np.ones(1)), "a positive width"),
        (lambda: votes_for(1, np.ones(1), np.full(1, np.nan)), "intervals to start from"),
    ],
)
def test_power_refuses_what_has_no_answer(call, message: str):
    with pytest.raises(ValueError, match=message):
        call()
