"""MOS: the mean opinion score, with a Student t interval.

Source:   ITU-T P.800, P.910; ITU-R BT.500 prints 1.96 s / √n, which is too narrow for few votes.
Input:    ratings; missing votes are left out, repetitions are votes like any other
Output:   mean of the votes for each stimulus, on the scale of the votes
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from mien.subjective.result import Scale, percent
from mien.subjective.tables import Ratings, sums

Array = npt.NDArray[np.float64]


def mos(ratings: Ratings, *, level: float = 0.95) -> Scale:
    """Mean opinion scores.

    Args:
        ratings: votes on any scale.
        level: of the intervals.

    Returns:
        `se` is s / √n with the sample standard deviation s; the interval is t(n - 1) · se. A single vote has a score
        without an interval.
    """
    return mean_of_votes(ratings, method="mos", unit="the scale of the votes", level=level)


def mean_of_votes(
    ratings: Ratings, *, method: str, unit: str, level: float, observers: dict[str, list[object]] | None = None
) -> Scale:
    """The mean of the votes for each stimulus and its t interval; other methods end here, too."""
    n, mean, spread = moments(ratings)
    with np.errstate(divide="ignore", invalid="ignore"):
        se = np.where(n > 1, np.sqrt(spread / (n - 1)) / np.sqrt(n), np.nan)
    half = t_quantile(level, n) * se
    notes = [f"{np.sum(n == 1):,} stimuli have a single vote: no interval"] if (n == 1).any() else []
    if (n == 0).any():
        notes.append(f"{np.sum(n == 0):,} stimuli have no vote left: no score")
    return Scale(
        ratings.stimuli,
        mean,
        mean - half,
        mean + half,
        n,
        method,
        unit,
        f"{percent(level)}, Student t over the votes",
        se,
        observers or {"observer": list(ratings.observers), "n": ratings.given.tolist()},
        notes=tuple(notes),
    )


def moments(ratings: Ratings) -> tuple[npt.NDArray[np.int64], Array, Array]:
    """(votes, mean, sum of squared distances from the mean) of each stimulus; NaN mean without votes."""
    n = ratings.n
    with np.errstate(invalid="ignore"):
        mean = sums(ratings.stimulus, ratings.score, len(n)) / n
        mean += sums(ratings.stimulus, ratings.score - mean[ratings.stimulus], len(n)) / n  # the last digit
    distance = ratings.score - mean[ratings.stimulus]
    return n, mean, sums(ratings.stimulus, distance**2, len(n))


def t_quantile(level: float, n: npt.ArrayLike) -> Array:
    """Two-sided quantile of Student's t with n - 1 degrees of freedom; NaN for n < 2."""
    degrees = np.asarray(n, np.float64) - 1
    return np.where(degrees > 0, stdtrit(np.maximum(degrees, 1), (1 + level) / 2), np.nan)
