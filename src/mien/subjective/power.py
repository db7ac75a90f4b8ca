"""How many votes an interval costs: before a study from what is known about such votes, after it from its own spread.

An interval of half the length costs four times the votes, whatever the method; the rest is what one vote is worth.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from mien.subjective.jod_objective import SIGMA
from mien.subjective.mos import moments, t_quantile
from mien.subjective.tables import Ratings

Array = npt.NDArray[np.float64]

MOST = 10**7  #: votes that are looked at


def ratings_needed(sd: float, half_width: float, *, level: float = 0.95) -> int:
    """Votes for one stimulus so that its t interval is at most ± `half_width`.

    Args:
        sd: standard deviation of the votes for a stimulus; 0.7 to 0.9 is usual on five levels.
        half_width: wanted, in the unit of `sd`.
        level: of the interval.

    Raises:
        ValueError: an argument is not positive, or no number of votes up to 10,000,000 suffices.
    """
    if not (sd > 0 and half_width > 0):
        raise ValueError(f"sd and half_width are positive, not {sd} and {half_width}")
    low, high = 1, 2
    while _half_width(sd, high, level) > half_width:
        low, high = high, 2 * high
        if high > MOST:
            raise ValueError(f"more than {MOST:,} votes for ± {half_width:g}")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _half_width(sd, middle, level) <= half_width else (middle, high)
    return high


def _half_width(sd: float, n: int, level: float) -> float:
    return float(t_quantile(level, n)) * sd / math.sqrt(n)


def typical_sd(ratings: Ratings) -> float:
    """Root mean square of the standard deviations of the votes for a stimulus, for `ratings_needed`."""
    n, _, squares = moments(ratings)
    return math.sqrt(float(squares[n > 1].sum()) / float(np.sum(n[n > 1] - 1)))


def comparisons_needed(items: int, half_width: float, *, spread: float = 0.0, level: float = 0.95) -> int:
    """Votes on each pair of a full design so that a typical JOD interval is at most ± `half_width`.

    From the information in the votes; the prior of JOD scaling and differences between people are left out, so people
    who disagree make it more.

    Args:
        items: compared, each with each other one.
        half_width: wanted, JOD, of the distance from the mean of all items.
        spread: standard deviation of the true scores, JOD; votes on pairs that are far apart tell little.
        level: of the interval.

    Raises:
        ValueError: fewer than 2 items, or a width that is not positive.
    """
    if items < 2 or not half_width > 0:
        raise ValueError(f"2 items or more and a positive width, not {items} and {half_width}")
    q = spread * ndtri((np.arange(items) + 0.5) / items)
    x = (q[:, None] - q) / SIGMA
    bell = np.exp(-(x**2)) / (2 * np.pi)
    share = 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    weight = bell / (share * (1 - share)) / SIGMA**2
    np.fill_diagonal(weight, 0.0)
    information = np.diag(weight.sum(axis=1)) - weight
    one_vote = np.sqrt(np.diagonal(np.linalg.pinv(information)))
    z = float(ndtri((1 + level) / 2))
    return max(1, math.ceil((z * float(np.median(one_vote)) / half_width) ** 2 - 1e-9))


def votes_for(half_width: float, n: Array, half_widths: Array) -> int:
    """Votes for a typical item so that its interval is ± `half_width`, from intervals that were found.

    Args:
        half_width: wanted.
        n: (n,) votes behind each interval.
        half_widths: (n,) found; NaN where there is none.

    Raises:
        ValueError: the width is not positive, or there is no interval.
    """
    known = np.isfinite(half_widths) & (half_widths > 0)
    if not half_width > 0 or not known.any():
        raise ValueError("a positive width, and intervals to start from")
    return math.ceil(float(np.median(n[known] * (half_widths[known] / half_width) ** 2)) - 1e-9)
