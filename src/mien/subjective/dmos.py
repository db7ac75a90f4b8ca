"""DMOS: every vote relative to the same observer's vote for the hidden reference (ACR-HR).

Source:   ITU-T P.910, ACR with hidden reference: DV = V(PVS) - V(REF) + 5
Input:    ratings with the reference of each stimulus; missing votes and repetitions as in `mos.py`
Output:   mean DV on the scale of the votes; above the top of the scale where a stimulus beats its reference
Differs:  sureal subtracts the MOS of the reference. Without missing votes the scores are the same; its interval leaves
          out that people differ about the reference, or gains nothing from the pairing.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mien.subjective.mos import mean_of_votes
from mien.subjective.result import Scale
from mien.subjective.tables import Ratings, TableError, listed


def dmos(ratings: Ratings, *, level: float = 0.95, top: float = 5.0) -> Scale:
    """Mean differences from the hidden reference.

    Args:
        ratings: votes, with `reference`.
        level: of the intervals.
        top: score of a stimulus that looks like its reference; the top of the scale (5 for five levels).

    Returns:
        `n` counts the votes of observers who also rated the reference. The reference itself has `top`, with an interval
        of length 0.

    Raises:
        TableError: no reference is known, or a stimulus has none.
    """
    if ratings.reference is None:
        raise TableError(
            f"{ratings.source or 'ratings'}: dmos needs the column reference: 1 for the hidden reference of a content "
            "(column content), else 0; or the name of the reference of each stimulus"
        )
    if (ratings.reference < 0).any():
        names = [ratings.stimuli[j] for j in np.flatnonzero(ratings.reference < 0)]
        raise TableError(f"{ratings.source or 'ratings'}: no reference for {listed(names)}")
    beside = _of_reference(ratings)
    is_reference = ratings.reference[ratings.stimulus] == ratings.stimulus
    paired = np.isfinite(beside) | is_reference
    difference = np.where(is_reference, 0.0, ratings.score - beside)
    scale = mean_of_votes(
        replace(ratings, score=difference + top).keep(paired),
        method="dmos",
        unit=f"the scale of the votes; {top:g} = like its reference",
        level=level,
    )
    if paired.all():
        return scale
    lost = int(np.sum(~paired))
    note = f"{lost:,} votes of observers who did not rate the reference are left out"
    return replace(scale, notes=(note, *scale.notes))


def _of_reference(ratings: Ratings) -> npt.NDArray[np.float64]:
    """Beside each vote, the same observer's mean vote for the reference of the same stimulus (NaN = none)."""
    assert ratings.reference is not None
    people = len(ratings.observers)
    on_reference = ratings.reference[ratings.stimulus] == ratings.stimulus
    cells, number = np.unique((ratings.stimulus * people + ratings.observer)[on_reference], return_inverse=True)
    if not len(cells):
        return np.full(len(ratings.score), np.nan)
    mean = np.bincount(number, ratings.score[on_reference]) / np.bincount(number)
    wanted = ratings.reference[ratings.stimulus] * people + ratings.observer
    at = np.minimum(np.searchsorted(cells, wanted), len(cells) - 1)
    return np.where(cells[at] == wanted, mean[at], np.nan)
