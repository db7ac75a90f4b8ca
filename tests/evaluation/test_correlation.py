"""One SRCC in the project: equal to SciPy, undefined where it is undefined."""

import numpy as np
import pytest
from scipy import stats

from mien.evaluation.correlation import inside_groups, krcc, mae, plcc, rmse, srcc


@pytest.mark.parametrize("seed", range(100))
def test_equal_to_scipy_with_ties(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 8, (2, int(rng.integers(5, 60)))).astype(float)
    x[0], y[0] = 9, 9  # never constant
    assert srcc(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-9)
    assert plcc(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-9)
    assert krcc(x, y) == pytest.approx(stats.kendalltau(x, y).statistic, abs=1e-9)


@pytest.mark.parametrize("rising", [np.exp, np.cbrt, lambda x: 3 * x - 7])
def test_srcc_sees_only_the_order(rising):
    x, y = np.random.default_rng(0).normal(size=(2, 50))
    assert srcc(rising(x), y) == pytest.approx(srcc(x, y), abs=1e-12)


def test_a_perfect_ranking_is_exactly_one():
    assert srcc([1, 2, 3], [10, 20, 70]) == 1.0
    assert srcc([3, 2, 1], [10, 20, 70]) == -1.0


def test_rmse_and_mae_by_hand():
    assert rmse([1, 2], [1, 4]) == pytest.approx(np.sqrt(2))
    assert mae([1, 2], [1, 4]) == 1


@pytest.mark.parametrize("metric", [srcc, plcc, krcc])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1, 1, 1], [1, 2, 3], "constant"),
        ([1, 2], [1, 2], "at least 3"),
        ([1, 2, np.nan], [1, 2, 3], "not finite"),
        ([1, 2, 3], [1, 2], "one length"),
    ],
)
def test_undefined_cases_raise(metric, x, y, message):
    with pytest.raises(ValueError, match=message):
        metric(x, y)


def test_an_undefined_group_is_named():
    with pytest.raises(ValueError, match="group b: one side is constant"):
        inside_groups(srcc, [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 4, 4], ["a", "a", "a", "b", "b", "b"])
