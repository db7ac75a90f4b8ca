"""Counts instead of copies: every draw equals SciPy on the copied rows, and the draws do not depend on the chunks."""

import numpy as np
import pytest
from scipy import stats

from mien.evaluation import concordance, resampling
from mien.evaluation.concordance import WeightedConcordance
from mien.evaluation.correlation import METRICS, mae, rmse
from mien.evaluation.resampling import Resampled, bootstrap_pairs, counts_of_draws, interval, resample_groups


def tied_table(seed):
    """Two columns with many ties or few, never constant."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 60))
    x, y = rng.integers(0, int(rng.choice([2, 5, 30, 10_000])), (2, n)).astype(float)
    x[0], y[0] = -1, -1
    return x, y, rng


@pytest.mark.parametrize("block", range(20))
def test_draws_equal_scipy_on_1000_tables_with_ties(block):
    for seed in range(50 * block, 50 * block + 50):
        x, y, rng = tied_table(seed)
        counts = next(counts_of_draws(len(x), 1, rng))
        drawn = {metric: values[0] for metric, values in Resampled(x, y).of(counts, list(METRICS)).items()}
        rows = np.repeat(np.arange(len(x)), counts[0].astype(int))
        assert drawn["rmse"] == pytest.approx(rmse(x[rows], y[rows]), abs=1e-9)
        assert drawn["mae"] == pytest.approx(mae(x[rows], y[rows]), abs=1e-9)
        if np.ptp(x[rows]) == 0 or np.ptp(y[rows]) == 0:
            assert np.isnan([drawn["srcc"], drawn["plcc"], drawn["krcc"]]).all()
            continue
        assert drawn["srcc"] == pytest.approx(stats.spearmanr(x[rows], y[rows]).statistic, abs=1e-9)
        assert drawn["plcc"] == pytest.approx(stats.pearsonr(x[rows], y[rows]).statistic, abs=1e-9)
        assert drawn["krcc"] == pytest.approx(stats.kendalltau(x[rows], y[rows]).statistic, abs=1e-9)


@pytest.mark.parametrize("n", [129, 500, 1111])
def test_merging_halves_counts_the_same_inversions_as_scipy(n, rng):
    x, y = rng.integers(0, 200, (2, n)).astype(float)
    counts = next(counts_of_draws(n, 2, rng))
    for draw, tau in enumerate(Resampled(x, y).of(counts, ["krcc"])["krcc"]):
        rows = np.repeat(np.arange(n), counts[draw].astype(int))
        assert tau == pytest.approx(stats.kendalltau(x[rows], y[rows]).statistic, abs=1e-12)


def test_merges_and_blocks_agree(rng, monkeypatch):
    x, y = rng.normal(size=(2, 100))
    counts = next(counts_of_draws(100, 11, rng))
    whole = WeightedConcordance(x, y).discordant(counts)
    monkeypatch.setattr(concordance, "BLOCK", 4)
    assert WeightedConcordance(x, y).discordant(counts).tolist() == whole.tolist()


def test_the_draws_do_not_depend_on_the_chunks(rng, monkeypatch):
    x, y = rng.normal(size=(2, 40))
    whole = bootstrap_pairs(x, y, tuple(METRICS), draws=50, seed=3)
    monkeypatch.setattr(resampling, "CHUNK", 7 * 40)
    chunked = bootstrap_pairs(x, y, tuple(METRICS), draws=50, seed=3)
    for metric in METRICS:
        assert chunked[metric] == pytest.approx(whole[metric], abs=1e-12)


def test_two_submissions_see_the_same_resamples(rng):
    x, y, labels = rng.normal(size=(3, 50))
    assert bootstrap_pairs(2 * x + 1, labels, draws=30)["plcc"] == pytest.approx(
        bootstrap_pairs(x, labels, draws=30)["plcc"], abs=1e-12
    )
    assert not np.allclose(bootstrap_pairs(x, labels, draws=30)["plcc"], bootstrap_pairs(y, labels, draws=30)["plcc"])


def test_a_far_outlier_does_not_cost_digits(rng):
    x, y = rng.normal(size=(2, 20))
    x[0] = 1e9
    counts = next(counts_of_draws(20, 40, rng))
    for draw, value in enumerate(Resampled(x, y).of(counts, ["plcc"])["plcc"]):
        rows = np.repeat(np.arange(20), counts[draw].astype(int))
        assert value == pytest.approx(stats.pearsonr(x[rows], y[rows]).statistic, abs=1e-9)


def test_only_plcc_rmse_and_mae_see_the_fit(rng):
    x, y = rng.normal(size=(2, 30))
    raw, fitted = (bootstrap_pairs(x, y, tuple(METRICS), draws=20, fitted=f) for f in (None, np.exp(-x)))
    for metric in METRICS:
        assert np.allclose(raw[metric], fitted[metric]) == (metric in ("srcc", "krcc"))


def test_the_interval_of_srcc_covers_the_truth():
    """150 tables of a known correlation: about 95 of 100 intervals hold it (4 standard errors: 0.88)."""
    rng = np.random.default_rng(5)
    rho, held = 0.6, 0
    truth = 6 / np.pi * np.arcsin(rho / 2)  # SRCC of two normals
    for seed in range(150):
        x, e = rng.normal(size=(2, 60))
        low, high = interval(bootstrap_pairs(x, rho * x + 0.8 * e, ["srcc"], draws=150, seed=seed)["srcc"])
        held += low <= truth <= high
    assert 0.88 < held / 150 < 1


def test_groups_are_drawn_whole():
    drawn = resample_groups(5, draws=400, seed=1)
    assert drawn.shape == (400, 5)
    assert set(np.unique(drawn)) == set(range(5))


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="no metric 'r2': srcc"):
        bootstrap_pairs([1, 2, 3], [1, 2, 3], ["r2"], draws=2)


def test_no_defined_draw_has_no_interval():
    assert interval(np.array([np.nan, np.nan])) is None
