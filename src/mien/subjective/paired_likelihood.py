"""Maximum likelihood for paired comparisons: what Bradley-Terry and Thurstone share.

Both say P(i preferred to j) = F(θ_i - θ_j) with log F concave, so Newton's method finds the one maximum. Intervals are
those of the distances from the mean of all items: from the information matrix when nobody knows who voted; where
observers are known, from how their contributions differ (sandwich), because the votes of one person belong together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array
from scipy.special import ndtri

from mien.subjective.mos import t_quantile
from mien.subjective.one_thread import one_thread
from mien.subjective.pairs import Pairs, need_finite, need_one_part
from mien.subjective.result import Scale, percent
from mien.subjective.tables import sums

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

FEWEST = 5  #: observers; fewer do not show how people differ
_ROUNDS, _CLOSE_ENOUGH = 100, 1e-10


@dataclass(frozen=True, slots=True)
class Link:
    """log F(x), its slope and minus its curvature, elementwise."""

    log: Callable[[Array], Array]
    slope: Callable[[Array], Array]
    bend: Callable[[Array], Array]


@one_thread()
def scale_by(link: Link, pairs: Pairs, *, method: str, unit: str, alpha: float, level: float) -> Scale:
    """Scores with mean 0 and their intervals.

    Args:
        link: the model.
        pairs: votes of one group.
        method: name of the method.
        unit: of its scores.
        alpha: weight of the penalty alpha · Σ θ², which keeps scores finite and pulls them to 0; 0 = none.
        level: of the intervals.

    Raises:
        TableError: the items fall into parts; or no finite scores fit best and alpha is 0.
        ValueError: alpha is negative.
    """
    if alpha < 0:
        raise ValueError(f"alpha is at least 0, not {alpha}")
    need_one_part(pairs)
    if alpha == 0:
        need_finite(pairs)
    theta = maximum(link, pairs, alpha=alpha)
    if pairs.by_observer is not None and len(pairs.observers) >= FEWEST:
        se = _between_observers(link, pairs, theta, alpha)
        quantile = float(t_quantile(level, len(pairs.observers)))
        how = "Student t, sandwich over observers"
    else:
        se = np.sqrt(np.diagonal(_inverse(_information(link, pairs, theta, alpha))))
        quantile = float(ndtri((1 + level) / 2))
        how = "normal, information matrix (every vote counted as independent)"
    notes = (f"a penalty of {alpha:g} · Σ θ² pulls the scores to 0",) if alpha else ()
    half = quantile * se
    return Scale(
        pairs.items,
        theta,
        theta - half,
        theta + half,
        pairs.n,
        method,
        unit,
        f"{percent(level)}, {how}",
        se,
        notes=notes,
    )


def maximum(link: Link, pairs: Pairs, *, alpha: float = 0.0) -> Array:
    """(N,) the scores that fit best, mean 0; damped Newton.

    Args:
        link: the model.
        pairs: one connected group; with alpha = 0 one that `need_finite` lets pass.
        alpha: weight of the penalty.
    """
    theta = np.zeros(len(pairs.items))
    value = _objective(link, pairs, theta, alpha)
    for _ in range(_ROUNDS):
        gradient = _gradient(link, pairs, theta, alpha)
        step = cho_solve(cho_factor(_information(link, pairs, theta, alpha)), gradient)
        step -= step.mean()
        size = 1.0
        while (after := _objective(link, pairs, theta + size * step, alpha)) < value - 1e-12 * abs(value):
            size /= 2
        theta, value = theta + size * step, after
        if np.abs(step).max() < _CLOSE_ENOUGH:
            break
    return theta - theta.mean()


def _objective(link: Link, pairs: Pairs, theta: Array, alpha: float) -> float:
    x = theta[pairs.a] - theta[pairs.b]
    return float(pairs.wins[0] @ link.log(x) + pairs.wins[1] @ link.log(-x) - alpha * theta @ theta)


def _gradient(link: Link, pairs: Pairs, theta: Array, alpha: float) -> Array:
    x = theta[pairs.a] - theta[pairs.b]
    pull = pairs.wins[0] * link.slope(x) - pairs.wins[1] * link.slope(-x)
    size = len(theta)
    return sums(pairs.a, pull, size) - sums(pairs.b, pull, size) - 2 * alpha * theta


def _information(link: Link, pairs: Pairs, theta: Array, alpha: float) -> Array:
    """Minus the Hessian, and 1 more on the direction that moves all scores: nothing is known about that one."""
    x = theta[pairs.a] - theta[pairs.b]
    bend = pairs.wins[0] * link.bend(x) + pairs.wins[1] * link.bend(-x)
    matrix = laplacian(pairs.a, pairs.b, bend, len(theta))
    matrix[np.diag_indices_from(matrix)] += 2 * alpha
    return matrix + _level(matrix) / len(theta)


def _level(matrix: Array) -> float:
    return float(np.trace(matrix)) / len(matrix)


def _inverse(information: Array) -> Array:
    """Covariance of the distances from the mean."""
    inverse = cho_solve(cho_factor(information), np.eye(len(information)))
    return inverse - inverse.mean()  # rows of ones are an eigenvector of both


def laplacian(a: Indices, b: Indices, weight: Array, size: int) -> Array:
    """(size, size) the matrix of the quadratic form Σ w (θ_a - θ_b)²."""
    cells = np.concatenate([a * size + b, b * size + a])
    matrix = -sums(cells, np.tile(weight, 2), size * size).reshape(size, size)
    matrix[np.diag_indices_from(matrix)] = -matrix.sum(axis=1)
    return matrix


def _between_observers(link: Link, pairs: Pairs, theta: Array, alpha: float) -> Array:
    """Standard errors from the contributions of the observers to the gradient."""
    assert pairs.by_observer is not None
    x = theta[pairs.a] - theta[pairs.b]
    c, size = len(pairs.a), len(theta)
    pull = np.concatenate([link.slope(x), -link.slope(-x)])
    rows = np.tile(np.arange(2 * c), 2)
    items = np.concatenate([pairs.a, pairs.a, pairs.b, pairs.b])
    towards = csr_array((np.concatenate([pull, -pull]), (rows, items)), shape=(2 * c, size))
    contributions: Any = pairs.by_observer @ towards
    moved: Array = contributions @ _inverse(_information(link, pairs, theta, alpha))
    people = len(pairs.observers)
    return np.sqrt((moved**2).sum(axis=0) * people / (people - 1))
