"""The logistic fits: known maps come back, units do not matter, and too few rows are refused."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from mien.evaluation.logistic import fit, fit_for_others


def logistic4(q, b1, b2, b3, b4):
    return b2 + (b1 - b2) / (1 + np.exp(-(q - b3) / np.abs(b4)))


def logistic5(q, b1, b2, b3, b4, b5):
    return b1 * (0.5 - 1 / (1 + np.exp(b2 * (q - b3)))) + b4 * q + b5


def test_a_curve_of_four_parameters_comes_back():
    q = np.linspace(0, 10, 60)
    found = fit("logistic4", q, logistic4(q, 90, 10, 4, 1.5))
    assert found.parameters == pytest.approx((90, 10, 4, 1.5), rel=1e-4)
    assert found.rmse < 1e-4 and found.n == 60


def test_a_curve_of_five_parameters_comes_back():
    q = np.linspace(-3, 3, 80)
    y = logistic5(q, 4, 2, 0.5, 0.3, 1)
    assert fit("logistic5", q, y)(q) == pytest.approx(y, abs=1e-4)


@pytest.mark.parametrize("method", ["logistic4", "logistic5"])
@pytest.mark.parametrize("direction", [1, -1])
def test_units_of_the_predictions_do_not_matter(method, direction, rng):
    q = rng.normal(size=100)
    y = direction * np.tanh(q) + 0.1 * rng.normal(size=100)
    there = fit(method, q, y)
    elsewhere = fit(method, 1e4 * q - 77, y)
    assert elsewhere(1e4 * q - 77) == pytest.approx(there(q), abs=1e-3)
    assert there.rmse < 0.15


def test_never_worse_than_scipy_from_the_start_of_the_specification(rng):
    q = rng.normal(size=200)
    y = 50 + 20 * np.tanh(q - 0.3) + rng.normal(size=200)
    beta, _ = curve_fit(logistic4, q, y, p0=(y.max(), y.min(), q.mean(), 0.5), maxfev=10_000)
    assert fit("logistic4", q, y).rmse <= np.sqrt(np.mean((logistic4(q, *beta) - y) ** 2)) + 1e-6


def test_the_map_of_four_parameters_is_monotone(rng):
    q = rng.normal(size=50)
    mapped = fit("logistic4", q, q + rng.normal(size=50))(np.linspace(-9, 9, 500))
    assert (np.diff(mapped) >= 0).all()


@pytest.mark.parametrize(
    ("method", "x", "y", "message"),
    [
        ("logistic3", [1, 2], [1, 2], "no fit 'logistic3'"),
        ("logistic4", [1, 2, 3, 4], [1, 2, 3, 4], "at least 5 different predictions, not 4"),
        ("logistic5", [1, 1, 1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6, 7], "at least 6 different predictions, not 5"),
        ("logistic4", [1, 2, np.nan], [1, 2, 3], "not finite"),
        ("logistic4", [1, 2], [1, 2, 3], "one length"),
    ],
)
def test_what_cannot_be_fitted_is_refused(method, x, y, message):
    with pytest.raises(ValueError, match=message):
        fit(method, x, y)


@pytest.mark.parametrize("direction", [1, -1])
def test_a_map_for_others_is_the_free_one_where_that_is_well_behaved(direction, rng):
    q = rng.normal(size=200)
    y = 3 + direction * np.tanh(q) + 0.1 * rng.normal(size=200)
    assert fit_for_others(q, y)(q) == pytest.approx(fit("logistic4", q, y)(q), abs=0.05)
    assert fit_for_others(1e4 * q - 77, y)(1e4 * q - 77) == pytest.approx(fit_for_others(q, y)(q), abs=1e-3)


def test_a_map_for_others_keeps_their_order_where_the_free_one_is_a_step():
    q, y = np.arange(40.0), np.repeat([2.0, 3.0], 20)
    others = np.arange(22, 32, 0.5)
    assert len(set(np.round(fit("logistic4", q, y)(others), 6))) == 1
    assert (np.diff(np.round(fit_for_others(q, y)(others), 6)) > 0).all()


@pytest.mark.parametrize("seed", range(20))
def test_a_map_for_others_is_in_the_range_of_the_opinions_however_weak_the_judge(seed):
    rng = np.random.default_rng(seed)
    q, y = rng.normal(size=40), rng.integers(1, 6, size=40).astype(float)
    mapped = fit_for_others(q, y)(np.linspace(-9, 9, 50))
    assert mapped.min() >= 1 and mapped.max() <= 5
    assert len(set(np.round(fit_for_others(q, y)(rng.normal(size=20)), 6))) == 20


def test_a_map_for_others_needs_different_opinions():
    with pytest.raises(ValueError, match="all 6 opinions are the same, 3"):
        fit_for_others(np.arange(6), np.full(6, 3.0))
