"""Thurstone's Case V: P(i preferred to j) = Φ(θ_i - θ_j).

Source:   Thurstone, Psychological Review 1927; Tsukida and Gupta, "How to analyze paired comparison data", 2011
Input:    votes of one group, as in `bradley_terry.py`
Output:   θ in standard deviations of a difference, mean 0; 0.6745 means that 75 % prefer the better one
Same as:  sureal's THURSTONE_MLE, which stops early, and whose standard errors weigh every vote as a win.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr

from mien.subjective.paired_likelihood import Link, scale_by
from mien.subjective.pairs import Pairs
from mien.subjective.result import Scale

Array = npt.NDArray[np.float64]

_LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)


def mills(x: Array) -> Array:
    """φ(x) / Φ(x), without underflow far below 0."""
    return np.exp(-0.5 * x**2 - _LOG_SQRT_2PI - log_ndtr(x))


PROBIT = Link(log_ndtr, mills, lambda x: mills(x) * (x + mills(x)))


def thurstone(pairs: Pairs, *, alpha: float = 0.0, level: float = 0.95) -> Scale:
    """Scores in standard deviations; arguments and errors as `paired_likelihood.scale_by`."""
    unit = "standard deviations of a difference; 0.6745 = 75 % prefer it"
    return scale_by(PROBIT, pairs, method="thurstone", unit=unit, alpha=alpha, level=level)
