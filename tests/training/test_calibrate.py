"""Intervals hold what they promise, on data that obey their assumption and on data that do not."""

import numpy as np
import pytest

from mien.training.calibrate import coverage, interval_factor, population_quantiles


def test_the_interval_covers_new_draws_at_its_level():
    rng = np.random.default_rng(0)
    spread = rng.uniform(0.05, 0.3, 4000)
    error = np.abs(rng.laplace(0, spread))
    factor = interval_factor(error[:2000], spread[:2000], 0.9)
    assert np.mean(error[2000:] <= factor * spread[2000:]) == pytest.approx(0.9, abs=0.03)


def test_coverage_is_counted_on_the_other_half():
    rng = np.random.default_rng(1)
    spread = rng.uniform(0.05, 0.3, 1000)
    held, sd = coverage(np.abs(rng.normal(0, spread)), spread, 0.9)
    assert held == pytest.approx(0.9, abs=0.015)
    assert 0 < sd < 0.03


def test_a_constant_of_the_predictions_comes_from_the_half_that_calibrates():
    rng = np.random.default_rng(3)
    spread = rng.uniform(0.05, 0.3, 1000)
    error = rng.normal(0, spread)
    held, sd = coverage(error + 0.4, spread, 0.9, levelled=True)
    assert (held, sd) == pytest.approx(coverage(error, spread, 0.9, levelled=True))  # whatever the constant is
    assert held == pytest.approx(0.9, abs=0.015) and sd > 0


def test_a_larger_level_is_a_wider_interval():
    rng = np.random.default_rng(2)
    error, spread = rng.uniform(0, 1, 200), np.ones(200)
    assert interval_factor(error, spread, 0.95) > interval_factor(error, spread, 0.8)


def test_too_few_pictures_are_refused():
    with pytest.raises(ValueError, match="5 pictures are too few for a 90% interval"):
        interval_factor(np.ones(5), np.ones(5), 0.9)


def test_signed_errors_are_refused():
    with pytest.raises(ValueError, match="below 0"):
        interval_factor(np.linspace(-1, 1, 40), np.ones(40), 0.9)


def test_population_quantiles_rise_from_the_smallest_to_the_largest():
    quantiles = population_quantiles([0.3, 0.1, 0.9])
    assert (len(quantiles), quantiles[0], quantiles[50], quantiles[100]) == (101, 0.1, 0.3, 0.9)
    assert quantiles == sorted(quantiles)
