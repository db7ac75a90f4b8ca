"""BT.500 screening: observers who disagree with the others in both directions are left out, then MOS.

Source:   ITU-R BT.500-14, A1-2.3.1
Input:    ratings; missing votes and repetitions as in `mos.py`
Output:   MOS of the observers who stay; P, Q and both criteria for every observer
Differs:  sureal divides P + Q by all presentations, missing ones included, and counts a vote that agrees with all
          others as an outlier on both sides when a stimulus has no spread at all; here, neither.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from mien.subjective.mos import mean_of_votes, moments
from mien.subjective.result import Scale
from mien.subjective.tables import Ratings, listed

Array = npt.NDArray[np.float64]

SHARE, BALANCE = 0.05, 0.3  #: more outlying votes than the one, less one-sided than the other: rejected
NORMAL, OTHER = 2.0, np.sqrt(20.0)  #: standard deviations for normal votes (kurtosis 2 to 4), and for others
_EXACTLY = 1e-9  # a vote that lies on a limit lies on it whatever the last digit says: four equal votes and a fifth


@dataclass(frozen=True, slots=True)
class Screening:
    """What the rule says about each observer.

    Attributes:
        above: (I,) P, votes at least k standard deviations above the mean of their stimulus.
        below: (I,) Q, votes as far below.
        share: (I,) (P + Q) / votes of the observer.
        balance: (I,) |P - Q| / (P + Q); NaN when both are 0.
        rejected: (I,)
        all_met: the rule met everybody, so nobody is rejected.
    """

    above: npt.NDArray[np.int64]
    below: npt.NDArray[np.int64]
    share: Array
    balance: Array
    rejected: npt.NDArray[np.bool_]
    all_met: bool


def screen(ratings: Ratings) -> Screening:
    """Apply the rule once; BT.500 does not repeat it."""
    n, mean, squares = moments(ratings)
    distance = ratings.score - mean[ratings.stimulus]
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = squares / n
        kurtosis = np.bincount(ratings.stimulus, distance**4, len(n)) / n / variance**2
    normal = (kurtosis >= 2 - _EXACTLY) & (kurtosis <= 4 + _EXACTLY)
    limit = np.where(normal, NORMAL, OTHER) * np.sqrt(variance) * (1 - _EXACTLY)
    limit = np.where(variance > 1e-12 * np.maximum(mean**2, 1e-300), limit, np.inf)[ratings.stimulus]
    people = len(ratings.observers)
    above = np.bincount(ratings.observer, distance >= limit, people).astype(np.int64)
    below = np.bincount(ratings.observer, distance <= -limit, people).astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (above + below) / ratings.given
        balance = np.abs(above - below) / (above + below)
    rejected = (share > SHARE) & (balance < BALANCE)
    all_met = bool(rejected.all())
    return Screening(above, below, share, balance, rejected & (not all_met), all_met)


def bt500(ratings: Ratings, *, level: float = 0.95) -> Scale:
    """MOS after BT.500 screening.

    Args:
        ratings: votes on any scale.
        level: of the intervals.
    """
    return after_screening(ratings, method="bt500", level=level)


def after_screening(
    ratings: Ratings, *, method: str, level: float, extra: dict[str, list[object]] | None = None
) -> Scale:
    """Screen, then the mean of the votes that stay; `extra` are more columns about the observers."""
    found = screen(ratings)
    observers: dict[str, list[object]] = {"observer": list(ratings.observers), "n": ratings.given.tolist()}
    observers |= extra or {}
    observers |= {
        "above": found.above.tolist(),
        "below": found.below.tolist(),
        "outlying_share": found.share.tolist(),
        "one_sidedness": [None if np.isnan(b) else b for b in found.balance.tolist()],
        "rejected": found.rejected.tolist(),
    }
    kept = ratings.keep(~found.rejected[ratings.observer])
    scale = mean_of_votes(kept, method=method, unit="the scale of the votes", level=level, observers=observers)
    notes = list(scale.notes)
    if found.rejected.any():
        names = [ratings.observers[i] for i in np.flatnonzero(found.rejected)]
        notes.insert(0, f"screening left out {listed(names, 'observer')}")
    if found.all_met:
        notes.insert(0, "the screening rule met every observer, so nobody is left out")
    return replace(scale, notes=tuple(notes), facts={"rejected": float(found.rejected.sum())})
