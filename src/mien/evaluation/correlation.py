"""SRCC, PLCC, KRCC, RMSE and MAE: pure functions without hidden epsilon. Their intervals are in `resampling.py`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]
Metric = Callable[[npt.ArrayLike, npt.ArrayLike], float]


def plcc(predicted: npt.ArrayLike, mos: npt.ArrayLike) -> float:
    """Pearson linear correlation (PLCC), without any fit.

    Args:
        predicted: (n,) scores of a model.
        mos: (n,) mean opinion scores.

    Returns:
        In [-1, 1].

    Raises:
        ValueError: lengths differ, n < 3, a value is not finite, or one side is constant (undefined).
    """
    return _pearson(*_paired(predicted, mos))


def srcc(predicted: npt.ArrayLike, mos: npt.ArrayLike) -> float:
    """Spearman rank-order correlation (SRCC); ties share their mean rank. Arguments and errors as in `plcc`."""
    x, y = _paired(predicted, mos)
    return _pearson(stats.rankdata(x), stats.rankdata(y))


def krcc(predicted: npt.ArrayLike, mos: npt.ArrayLike) -> float:
    """Kendall rank-order correlation (KRCC), τ-b. Arguments and errors as in `plcc`."""
    x, y = _paired(predicted, mos)
    return float(np.asarray(stats.kendalltau(x, y, variant="b"))[0])


def rmse(predicted: npt.ArrayLike, mos: npt.ArrayLike) -> float:
    """Root of the mean squared difference, in the units of the opinions; >= 0."""
    x, y = _paired(predicted, mos, constant_allowed=True)
    return float(np.sqrt(np.mean((x - y) ** 2)))


def mae(predicted: npt.ArrayLike, mos: npt.ArrayLike) -> float:
    """Mean absolute difference, in the units of the opinions; >= 0."""
    x, y = _paired(predicted, mos, constant_allowed=True)
    return float(np.mean(np.abs(x - y)))


METRICS: dict[str, Metric] = {"srcc": srcc, "plcc": plcc, "krcc": krcc, "rmse": rmse, "mae": mae}


def inside_groups(
    metric: Metric, predicted: npt.ArrayLike, mos: npt.ArrayLike, groups: npt.ArrayLike
) -> dict[str, float]:
    """The metric inside each group, in the order of the group names.

    Raises:
        ValueError: as the metric does, with the name of the group.
    """
    x, y, g = np.asarray(predicted), np.asarray(mos), np.asarray(groups).astype(str)
    result = {}
    for name in np.unique(g).tolist():
        inside = g == name
        try:
            result[name] = metric(x[inside], y[inside])
        except ValueError as error:
            raise ValueError(f"group {name}: {error}") from error
    return result


def _pearson(x: Array, y: Array) -> float:
    x, y = x - x.mean(), y - y.mean()
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def _paired(predicted: npt.ArrayLike, mos: npt.ArrayLike, *, constant_allowed: bool = False) -> tuple[Array, Array]:
    x, y = np.asarray(predicted, np.float64), np.asarray(mos, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"need two lists of one length, not shapes {x.shape} and {y.shape}")
    if len(x) < 3 and not constant_allowed:
        raise ValueError(f"a correlation needs at least 3 rows, not {len(x)}")
    if len(x) == 0:
        raise ValueError("no rows")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a value is missing or not finite")
    if not constant_allowed and (np.ptp(x) == 0 or np.ptp(y) == 0):
        raise ValueError("one side is constant: its correlation is undefined")
    return x, y
