"""Ratings: BT.500 screening, P.913, P.910, z-scores and DMOS; missing votes, repetitions, intervals."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mien.subjective.bt500 import bt500, screen
from mien.subjective.dmos import dmos
from mien.subjective.mos import mos, t_quantile
from mien.subjective.p910 import fit, islands, p910
from mien.subjective.p913 import bias, p913
from mien.subjective.tables import Ratings, TableError, read_ratings
from mien.subjective.zscore import zscore

DATA = Path(__file__).parents[3] / "shared" / "data" / "subjective"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/subjective")


@pytest.fixture
def matrix(rng: np.random.Generator) -> np.ndarray:
    """Votes of 25 honest observers for 30 stimuli."""
    return rng.uniform(1.5, 4.5, (30, 1)) + rng.choice([-0.5, 0.5], (30, 25)) + 0.05 * rng.normal(size=(30, 25))


# ---- BT.500 -------------------------------------------------------------------------------------------------------


def by_the_book(matrix: np.ndarray) -> tuple[list[int], list[int]]:
    """P and Q of each observer, vote by vote."""
    above, below = [0] * matrix.shape[1], [0] * matrix.shape[1]
    for votes in matrix:
        mean, spread = votes.mean(), votes.std()
        kurtosis = ((votes - mean) ** 4).mean() / spread**4
        limit = (2 if 2 <= kurtosis <= 4 else np.sqrt(20)) * spread
        for i, vote in enumerate(votes):
            above[i] += int(vote >= mean + limit)
            below[i] += int(vote <= mean - limit)
    return above, below


def test_screening_counts_what_the_book_counts(matrix: np.ndarray):
    votes = np.clip(np.round(matrix + 0.8 * np.random.default_rng(1).normal(size=matrix.shape)), 1, 5)
    found = screen(Ratings.of(votes))
    above, below = by_the_book(votes)
    assert sum(above) > 0 and sum(below) > 0
    assert (found.above.tolist(), found.below.tolist()) == (above, below)


def test_who_is_wild_in_both_directions_goes_and_who_is_one_sided_stays(matrix: np.ndarray):
    both, up = matrix.copy(), matrix.copy()
    both[:, 3] += np.where(np.arange(30) % 2, 9, -9)
    up[:, 3] += 9
    for votes, rejected in ((matrix, []), (both, [3]), (up, [])):
        assert np.flatnonzero(screen(Ratings.of(votes)).rejected).tolist() == rejected
    scale = bt500(Ratings.of(both))
    assert scale.notes[0] == "screening left out 1 observer (o03)"
    assert scale.n.tolist() == [24] * 30
    assert scale.score == pytest.approx(np.delete(both, 3, axis=1).mean(axis=1))
    assert list(scale.observers["rejected"]) == [i == 3 for i in range(25)]


def test_nobody_with_an_outlying_vote_is_no_division_by_zero():
    found = screen(Ratings.of(np.array([[1.0, 2, 3], [2, 3, 4]])))
    assert found.share.tolist() == [0, 0, 0]
    assert np.isnan(found.balance).all()
    assert not found.rejected.any()
    assert list(bt500(Ratings.of(np.array([[1.0, 2, 3], [2, 3, 4]]))).observers["one_sidedness"]) == [None] * 3


def test_a_stimulus_on_which_all_agree_makes_nobody_an_outlier(matrix: np.ndarray):
    """sureal counts such votes as outlying on both sides."""
    matrix[:15] = 3.0
    found = screen(Ratings.of(matrix))
    assert (found.above + found.below <= screen(Ratings.of(matrix[15:])).above + found.below).all()
    assert not screen(Ratings.of(np.full((10, 6), 4.0))).rejected.any()


def test_the_share_is_of_the_votes_that_were_given(matrix: np.ndarray):
    """sureal divides by all presentations, so whoever rated little could do as they liked."""
    matrix[:, 3] += np.where(np.arange(30) % 2, 9, -9)
    matrix[4:, 3] = np.nan
    found = screen(Ratings.of(matrix))
    assert found.share[3] == pytest.approx((found.above[3] + found.below[3]) / 4)
    assert found.rejected[3]


def test_when_the_rule_meets_everybody_all_are_kept():
    rng = np.random.default_rng(0)
    votes = np.where(rng.random((200, 2)) < 0.5, 1.0, 5.0)
    found = screen(Ratings.of(np.tile(votes, (1, 1))))
    assert found.all_met or not found.rejected.all()
    assert not (found.all_met and found.rejected.any())


@needs_data
@pytest.mark.parametrize("name", ["nflx_public", "nflx_public_4outliers", "vqeghd3"])
@pytest.mark.parametrize(("method", "model"), [(bt500, "BT500"), (p913, "P913")])
def test_the_observers_that_sureal_rejects_are_rejected(name: str, method, model: str):
    with (DATA / f"{name}_expected_observers.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["model"] == model]
    found = method(read_ratings(DATA / f"{name}_ratings.csv")[""]).observers
    assert dict(zip(found["observer"], found["rejected"], strict=True)) == {
        row["observer"]: row["rejected"] == "1" for row in rows
    }
    if name == "nflx_public_4outliers":
        assert any(found["rejected"])


# ---- P.913 and P.910 ----------------------------------------------------------------------------------------------


@needs_data
@pytest.mark.parametrize("name", ["nflx_public", "nflx_public_4outliers", "vqeghd3", "vqeg_frtv1_625_low"])
def test_bias_and_inconsistency_are_those_of_sureal_with_their_intervals(name: str):
    with (DATA / f"{name}_expected_observers.csv").open(newline="", encoding="utf-8") as stream:
        rows = {row["observer"]: row for row in csv.DictReader(stream) if row["model"] == "P910"}
    found = p910(read_ratings(DATA / f"{name}_ratings.csv")[""]).observers
    assert list(found["observer"]) == sorted(rows)
    for i, observer in enumerate(found["observer"]):
        row = rows[str(observer)]
        assert found["bias"][i] == pytest.approx(float(row["bias"]), abs=1e-6)
        assert found["inconsistency"][i] == pytest.approx(float(row["inconsistency"]), abs=1e-6)
        low, high = float(str(found["bias_low"][i])), float(str(found["bias_high"][i]))
        assert (high - low) / 2 == pytest.approx(1.959964 * float(row["bias_std"]), rel=1e-4)


def test_a_constant_added_to_an_observer_changes_their_bias_alone(matrix: np.ndarray):
    before = fit(Ratings.of(matrix))
    matrix[:, 7] += 2.5
    after = fit(Ratings.of(matrix))
    assert after.psi - after.psi.mean() == pytest.approx(before.psi - before.psi.mean(), abs=1e-6)
    assert after.nu == pytest.approx(before.nu, abs=1e-6)
    moved = after.delta - before.delta
    assert moved[7] - moved[0] == pytest.approx(2.5, abs=1e-6)
    assert np.delete(moved, 7) == pytest.approx(moved[0], abs=1e-6)
    assert after.delta.mean() == pytest.approx(0, abs=1e-12)


def test_who_clicks_at_random_is_inconsistent_and_hardly_counts(matrix: np.ndarray):
    alone = fit(Ratings.of(matrix)).psi
    wild = np.column_stack([matrix, np.random.default_rng(3).uniform(1, 5, 30)])
    model = fit(Ratings.of(wild))
    assert model.nu.argmax() == 25
    assert model.nu[25] > 2 * np.sort(model.nu)[-2]
    assert np.abs(model.psi - alone).max() < 0.4 * np.abs(wild.mean(axis=1) - alone).max() + 0.02


def test_a_vote_that_is_missing_is_left_out_and_few_votes_are_as_many_by_another_way(matrix: np.ndarray):
    """The sparse way gives what the dense one does."""
    rng = np.random.default_rng(2)
    matrix[rng.random(matrix.shape) < 0.3] = np.nan
    some = Ratings.of(matrix)
    around = replace(some, stimuli=(*some.stimuli, "rest"), observers=(*some.observers, *(f"x{i}" for i in range(300))))
    others = Ratings(
        around.stimuli,
        around.observers,
        np.append(some.stimulus, np.full(300, 30)),
        np.append(some.observer, np.arange(25, 325)),
        np.append(some.score, rng.normal(3, 1, 300)),
    )
    dense, sparse = fit(some), fit(others)
    assert sparse.psi[:30] - sparse.psi[:30].mean() == pytest.approx(dense.psi - dense.psi.mean(), abs=1e-6)
    assert sparse.nu[:25] == pytest.approx(dense.nu, abs=1e-6)


def test_parts_without_a_common_observer_are_told():
    matrix = np.full((4, 4), np.nan)
    matrix[:2, :2] = [[1, 2], [3, 5]]
    matrix[2:, 2:] = [[4, 4], [2, 1]]
    assert islands(Ratings.of(matrix)) == 2
    assert any("fall into 2 parts without a common observer" in note for note in p910(Ratings.of(matrix)).notes)


def test_p913_takes_the_bias_away_before_it_screens(matrix: np.ndarray):
    shifted = matrix + np.linspace(-1, 1, 25)
    plain, free = mos(Ratings.of(shifted)), p913(Ratings.of(shifted))
    assert free.score == pytest.approx(plain.score)  # everybody rated everything
    assert free.half_width.mean() < 0.8 * plain.half_width.mean()
    assert list(free.observers["bias"]) == pytest.approx(bias(Ratings.of(shifted)).tolist())


# ---- missing votes and repetitions --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [mos, bt500, p913, p910, zscore])
def test_every_method_takes_gaps_and_repetitions(method):
    rng = np.random.default_rng(0)
    cube = rng.uniform(1, 5, (8, 1, 1)) + 0.3 * rng.normal(size=(8, 6, 2))
    cube[rng.random(cube.shape) < 0.25] = np.nan
    scale = method(Ratings.of(cube))
    assert scale.n.tolist() == np.isfinite(cube).sum(axis=(1, 2)).tolist()
    assert list(scale.observers["n"]) == np.isfinite(cube).sum(axis=(0, 2)).tolist()
    assert np.isfinite(scale.score).all()
    assert (scale.ci_low < scale.score).all() and (scale.score < scale.ci_high).all()


def test_the_interval_is_students_and_a_lone_vote_has_none():
    votes = np.array([[1.0, 2, 4, np.nan], [3, np.nan, np.nan, np.nan]])
    scale = mos(Ratings.of(votes))
    assert scale.half_width[0] == pytest.approx(4.302653 * np.std([1, 2, 4], ddof=1) / np.sqrt(3), rel=1e-6)
    assert [row["ci_low"] is None for row in scale.rows()] == [False, True]
    assert scale.notes == ("1 stimuli have a single vote: no interval",)
    assert np.isnan(t_quantile(0.95, [0, 1])).all()


def test_the_order_of_rows_and_the_level_of_the_interval(matrix: np.ndarray):
    ratings = Ratings.of(matrix)
    order = np.random.default_rng(0).permutation(len(ratings.score))
    mixed = replace(
        ratings, stimulus=ratings.stimulus[order], observer=ratings.observer[order], score=ratings.score[order]
    )
    assert p910(mixed).score == pytest.approx(p910(ratings).score, abs=1e-12)
    for method in (mos, p910):
        assert (method(ratings, level=0.99).half_width > method(ratings, level=0.9).half_width).all()


# ---- z-scores and DMOS --------------------------------------------------------------------------------------------


def test_z_scores_forget_how_an_observer_uses_the_scale(matrix: np.ndarray):
    before = zscore(Ratings.of(matrix)).score
    matrix[:, 2] = 10 * matrix[:, 2] - 70
    assert zscore(Ratings.of(matrix)).score == pytest.approx(before, abs=1e-9)


def test_who_gives_one_vote_only_has_no_z_score(matrix: np.ndarray):
    matrix[:, 4] = 3
    scale = zscore(Ratings.of(matrix))
    assert scale.notes[0] == "all votes of 1 observer (o04) are the same: no z-score, left out"
    assert scale.n.tolist() == [24] * 30
    with pytest.raises(TableError, match="no observer has two different votes"):
        zscore(Ratings.of(np.full((3, 2), 4.0)))


def test_dmos_is_relative_to_the_same_observers_vote_for_the_reference():
    votes = np.array([[5.0, 4, 3], [3, 3, 2], [5, 5, np.nan]])
    ratings = replace(Ratings.of(votes), reference=np.array([0, 0, 0]))
    scale = dmos(ratings)
    assert scale.score.tolist() == pytest.approx([5, 5 - 4 / 3, 5.5])
    assert scale.half_width[0] == 0
    lost = np.array([[np.nan, 4.0], [3, 3]])
    scale = dmos(replace(Ratings.of(lost), reference=np.array([0, 0])))
    assert scale.notes[0] == "1 votes of observers who did not rate the reference are left out"
    assert scale.score[1] == 4
