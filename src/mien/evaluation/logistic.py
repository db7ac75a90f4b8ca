"""The logistic maps from predictions to opinions that some laboratories fit before PLCC, RMSE and MAE.

    4 parameters   q' = β2 + (β1 - β2) / (1 + exp(-(q - β3) / |β4|))
    5 parameters   q' = β1 (1/2 - 1 / (1 + exp(β2 (q - β3)))) + β4 q + β5

A fit has seen the labels of its rows. Fit it on a split that is not evaluated, and name that split beside the numbers.
The map of 5 parameters need not be monotone; SRCC and KRCC are therefore always those of the predictions themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.special import expit

Array = npt.NDArray[np.float64]
_Limits = Callable[[Array, Array], tuple[list[float], list[float]]]  # standardised columns -> lowest, highest

_STEEPEST = 12.0  #: log of the steepest slope, in standard deviations; beyond it the map is a step
_GENTLE = (0.5, 20.0)  #: limits of |β4| of a map for other rows, in standard deviations of the predictions


@dataclass(frozen=True, slots=True)
class Logistic:
    """A fitted map: call it with predictions. `parameters` are β1, β2, ... of the formula above."""

    method: str
    parameters: tuple[float, ...]
    rmse: float  #: on the rows of the fit, in the units of the labels
    n: int  #: rows of the fit

    def __call__(self, predicted: npt.ArrayLike) -> Array:
        """Map (n,) predictions to the units of the labels."""
        return METHODS[self.method].curve(np.asarray(predicted, np.float64), self.parameters)


@dataclass(frozen=True, slots=True)
class _Method:
    curve: Callable[[Array, Sequence[float]], Array]
    starts: Callable[[Array, Array], list[list[float]]]
    size: int  # parameters
    original: Callable[[Sequence[float]], Sequence[float]]  # parameters that are searched -> β of `curve`


def fit(method: str, predicted: npt.ArrayLike, mos: npt.ArrayLike) -> Logistic:
    """Least squares of `mos` on `predicted`, from several starts; the best is taken.

    Args:
        method: "logistic4" or "logistic5".
        predicted: (n,) predictions, any unit; the fit does not depend on it.
        mos: (n,) opinions.

    Raises:
        ValueError: unknown method, lengths differ, a value is not finite, or fewer different predictions than
            parameters and one more.
    """
    if method not in METHODS:
        raise ValueError(f"no fit {method!r}: {', '.join(METHODS)}")
    kind = METHODS[method]
    return _fit(kind, method, *_columns(method, predicted, mos))


def fit_for_others(predicted: npt.ArrayLike, mos: npt.ArrayLike) -> Logistic:
    """A map of 4 parameters for pictures that nobody rated, whose predictions may lie between and beyond those here.

    The free fit to a weak judge is often a step between two predictions, or has an end far outside the opinions: good
    for these rows, and useless or absurd for the next ones. Here both ends stay within the opinions, the middle within
    the predictions, and |β4| is at least half of their standard deviation, so that the order is kept.

    Args:
        predicted: (n,) predictions, any unit; the fit does not depend on it.
        mos: (n,) opinions.

    Raises:
        ValueError: as `fit`, or all opinions are the same.
    """
    x, y = _columns("logistic4", predicted, mos)
    if np.ptp(y) == 0:
        raise ValueError(f"all {len(y)} opinions are the same, {y[0]:g}")
    return _fit(METHODS["logistic4"], "logistic4", x, y, _gentle)


def _gentle(u: Array, v: Array) -> tuple[list[float], list[float]]:
    """Limits of what is searched for `fit_for_others`."""
    slopes = sorted(-np.log(_GENTLE))
    return [v.min(), v.min(), u.min(), slopes[0]], [v.max(), v.max(), u.max(), slopes[1]]


def _columns(method: str, predicted: npt.ArrayLike, mos: npt.ArrayLike) -> tuple[Array, Array]:
    x, y = np.asarray(predicted, np.float64), np.asarray(mos, np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"need two lists of one length, not shapes {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a value is missing or not finite")
    needed, different = METHODS[method].size + 1, len(np.unique(x))
    if different < needed:
        raise ValueError(f"{method} needs at least {needed} different predictions, not {different}")
    return x, y


def _fit(kind: _Method, method: str, x: Array, y: Array, limits: _Limits | None = None) -> Logistic:
    centre_x, scale_x = x.mean(), x.std()
    centre_y, scale_y = y.mean(), y.std() or 1.0
    u, v = (x - centre_x) / scale_x, (y - centre_y) / scale_y
    how: dict[str, Any] = {"method": "lm"} if limits is None else {"method": "trf", "bounds": limits(u, v)}
    fits = [least_squares(lambda p: kind.curve(u, kind.original(p)) - v, s, **how) for s in kind.starts(u, v)]
    best = min(fits, key=lambda found: found.cost)
    beta = _in_units(method, kind.original(best.x), centre_x, scale_x, centre_y, scale_y)
    rmse = float(np.sqrt(np.mean((kind.curve(x, beta) - y) ** 2)))
    return Logistic(method, beta, rmse, len(x))


def _in_units(
    method: str, beta: Sequence[float], centre_x: float, scale_x: float, centre_y: float, scale_y: float
) -> tuple[float, ...]:
    """β of standardised columns as β of the columns themselves."""
    if method == "logistic4":
        b1, b2, b3, b4 = beta
        found = centre_y + scale_y * b1, centre_y + scale_y * b2, centre_x + scale_x * b3, scale_x * b4
    else:
        b1, b2, b3, b4, b5 = beta
        slope = scale_y * b4 / scale_x
        level = centre_y + scale_y * b5 - slope * centre_x
        found = scale_y * b1, b2 / scale_x, centre_x + scale_x * b3, slope, level
    return tuple(float(b) for b in found)


def _curve4(q: Array, beta: Sequence[float]) -> Array:
    b1, b2, b3, b4 = beta
    return b2 + (b1 - b2) * expit((q - b3) / abs(b4))


def _starts4(u: Array, v: Array) -> list[list[float]]:
    """Both directions, at the mean of the predictions, with two slopes (|β4| = 0.5 and 1 standard deviation)."""
    ends = [v.max(), v.min()]
    return [[*order, 0.0, log_slope] for order in (ends, ends[::-1]) for log_slope in (np.log(2.0), 0.0)]


def _curve5(q: Array, beta: Sequence[float]) -> Array:
    b1, b2, b3, b4, b5 = beta
    return b1 * (0.5 - expit(-b2 * (q - b3))) + b4 * q + b5


def _starts5(u: Array, v: Array) -> list[list[float]]:
    slope = float(np.mean(u * v))
    return [[np.ptp(v), 1.0, 0.0, 0.0, 0.0], [-np.ptp(v), 1.0, 0.0, 0.0, 0.0], [0.1, 1.0, 0.0, slope, 0.0]]


METHODS: dict[str, _Method] = {
    "logistic4": _Method(
        _curve4,
        _starts4,
        4,
        lambda p: (p[0], p[1], p[2], float(np.exp(-_STEEPEST * np.tanh(p[3] / _STEEPEST)))),
    ),
    "logistic5": _Method(_curve5, _starts5, 5, lambda p: p),
}
