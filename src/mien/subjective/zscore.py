"""z-scores: every observer's votes get mean 0 and standard deviation 1, then the mean.

Source:   van Dijk, Martens and Watson 1995; sureal's ZS_MOS is the same
Input:    ratings; missing votes and repetitions as in `mos.py`. Fair only where everybody rated about the same stimuli.
Output:   mean z-score of each stimulus, 0 = an average stimulus, 1 = one standard deviation of an observer above it
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mien.subjective.mos import mean_of_votes
from mien.subjective.result import Scale
from mien.subjective.tables import Ratings, TableError, listed


def zscore(ratings: Ratings, *, level: float = 0.95) -> Scale:
    """Mean z-scores.

    Args:
        ratings: votes on any scale.
        level: of the intervals.

    Returns:
        Observers whose votes are all the same have no z-score: they are left out, and a note names them.

    Raises:
        TableError: nobody is left.
    """
    people = len(ratings.observers)
    mean = np.bincount(ratings.observer, ratings.score, people) / ratings.given
    distance = ratings.score - mean[ratings.observer]
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(np.bincount(ratings.observer, distance**2, people) / (ratings.given - 1))
    usable = spread > 1e-12 * np.maximum(np.abs(mean), 1e-300)
    if not usable.any():
        raise TableError(f"{ratings.source or 'ratings'}: no observer has two different votes, so there is no z-score")
    z = replace(ratings, score=distance / np.where(usable, spread, 1)[ratings.observer])
    observers: dict[str, list[object]] = {
        "observer": list(ratings.observers),
        "n": ratings.given.tolist(),
        "mean": mean.tolist(),
        "sd": [float(s) if np.isfinite(s) else None for s in spread],
        "left_out": (~usable).tolist(),
    }
    kept = z.keep(usable[z.observer])
    scale = mean_of_votes(
        kept, method="zscore", unit="standard deviations of an observer", level=level, observers=observers
    )
    if usable.all():
        return scale
    names = [ratings.observers[i] for i in np.flatnonzero(~usable)]
    note = f"all votes of {listed(names, 'observer')} are the same: no z-score, left out"
    return replace(scale, notes=(note, *scale.notes))
