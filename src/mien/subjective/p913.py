"""P.913: subtract each observer's bias, then BT.500 screening, then the mean.

Source:   ITU-T P.913, 12.4
Input:    ratings; missing votes and repetitions as in `mos.py`
Output:   bias-free MOS on the scale of the votes; bias and screening of every observer
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from mien.subjective.bt500 import after_screening
from mien.subjective.mos import moments
from mien.subjective.result import Scale
from mien.subjective.tables import Ratings, sums

Array = npt.NDArray[np.float64]


def bias(ratings: Ratings) -> Array:
    """(I,) mean distance of each observer's votes from the MOS of their stimuli."""
    _, mean, _ = moments(ratings)
    distance = ratings.score - mean[ratings.stimulus]
    return sums(ratings.observer, distance, len(ratings.observers)) / ratings.given


def p913(ratings: Ratings, *, level: float = 0.95) -> Scale:
    """Mean opinion scores after bias removal and screening.

    Args:
        ratings: votes on any scale.
        level: of the intervals.
    """
    offset = bias(ratings)
    unbiased = replace(ratings, score=ratings.score - offset[ratings.observer])
    return after_screening(unbiased, method="p913", level=level, extra={"bias": offset.tolist()})
