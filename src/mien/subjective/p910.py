"""P.910 Annex E: true scores, the bias and the inconsistency of every observer, found together.

Model:    u_ij = ψ_j + Δ_i + ν_i ε: vote of observer i for stimulus j; ε is standard normal
Source:   ITU-T P.910 Annex E = P.913 12.6; Li et al., "A simple model for subject behavior", 2020 (arXiv 2004.02067)
Input:    ratings; missing votes and repetitions as in `mos.py`
Output:   ψ on the scale of the votes, biases with mean 0, inconsistency ν in the same unit
Note:     the standard error of ψ_j is 1 / √(Σ_i 1/ν_j²) with ν_j the spread of the residuals *of the stimulus*, as in
          the reference implementation, although the model has one spread for each observer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import chdtri, ndtri

from mien.subjective.result import Scale, percent
from mien.subjective.tables import Ratings, sums

Array = npt.NDArray[np.float64]

ROUNDS, CLOSE_ENOUGH = 1000, 1e-8  #: of the reference implementation: at most so many; norm of the change of ψ
_DENSE = 10  # at least one cell in so many has a vote: a dense matrix is quicker
_EPSILON = 1e-8  # of the reference implementation: keeps the weight of an observer without inconsistency finite


@dataclass(frozen=True, slots=True)
class Model:
    """The fitted model.

    Attributes:
        psi: (J,) true scores.
        delta: (I,) biases.
        nu: (I,) inconsistencies.
        nu_stimulus: (J,) spread of the residuals of each stimulus.
        rounds: of the alternating projection.
        converged: whether the change became small enough.
    """

    psi: Array
    delta: Array
    nu: Array
    nu_stimulus: Array
    rounds: int
    converged: bool


class _Cells:
    """Votes summed up by stimulus and observer, so that one round is a few products with two matrices."""

    def __init__(self, ratings: Ratings) -> None:
        self.centre = float(ratings.score.mean())  # sums of squares lose no digits around it
        score = ratings.score - self.centre
        self.total, self.count = _matrix(ratings, score), _matrix(ratings, np.ones(len(score)))
        self.total_t, self.count_t = self.total.T, self.count.T
        stimuli, people = self.total.shape
        each, all_of_them = np.ones(people), np.ones(stimuli)
        self.n_stimulus, self.n_observer = self.count @ each, self.count_t @ all_of_them
        self.of_stimulus, self.of_observer = self.total @ each, self.total_t @ all_of_them
        self.squares_stimulus = sums(ratings.stimulus, score**2, stimuli)
        self.squares_observer = sums(ratings.observer, score**2, people)

    def bias(self, psi: Array) -> Array:
        """Mean residual of each observer."""
        return (self.of_observer - self.count_t @ psi) / self.n_observer

    def inconsistency(self, psi: Array) -> Array:
        """Variance of the residuals of each observer."""
        squares = self.squares_observer - 2 * (self.total_t @ psi) + self.count_t @ psi**2
        mean = (self.of_observer - self.count_t @ psi) / self.n_observer
        return np.maximum(squares / self.n_observer - mean**2, 0)

    def spread(self, delta: Array) -> Array:
        """Variance of the residuals of each stimulus."""
        squares = self.squares_stimulus - 2 * (self.total @ delta) + self.count @ delta**2
        mean = (self.of_stimulus - self.count @ delta) / self.n_stimulus
        return np.maximum(squares / self.n_stimulus - mean**2, 0)

    def weighted(self, weight: Array, delta: Array) -> Array:
        """Weighted mean of the votes of each stimulus, free of bias."""
        return (self.total @ weight - self.count @ (weight * delta)) / (self.count @ weight)


def _matrix(ratings: Ratings, values: Array) -> Any:
    """(J, I) sums of the values of each stimulus and observer; sparse when most cells are empty."""
    stimuli, people = len(ratings.stimuli), len(ratings.observers)
    if len(values) * _DENSE >= stimuli * people:
        return sums(ratings.stimulus * people + ratings.observer, values, stimuli * people).reshape(stimuli, people)
    matrix = csr_array((values, (ratings.stimulus, ratings.observer)), shape=(stimuli, people))
    matrix.sum_duplicates()
    return matrix


def fit(ratings: Ratings) -> Model:
    """Alternating projection, step by step as the standard has it."""
    cells = _Cells(ratings)
    psi = cells.of_stimulus / cells.n_stimulus
    delta = cells.bias(psi)
    variance, spread = cells.inconsistency(psi), cells.spread(delta)
    rounds, change = 0, np.inf
    while rounds < ROUNDS and change >= CLOSE_ENOUGH:
        rounds += 1
        before, variance = psi, cells.inconsistency(psi)
        spread = cells.spread(delta)
        psi = cells.weighted(1 / (variance + _EPSILON), delta)
        delta = cells.bias(psi)
        change = float(np.linalg.norm(psi - before))
    shift = delta.mean()
    return Model(
        psi + cells.centre + shift,
        delta - shift,
        np.sqrt(variance),
        np.sqrt(spread),
        rounds,
        change < CLOSE_ENOUGH,
    )


def p910(ratings: Ratings, *, level: float = 0.95) -> Scale:
    """Scores, biases and inconsistencies.

    Args:
        ratings: votes on any scale; every stimulus has at least one.
        level: of the intervals.

    Returns:
        Scores with normal intervals. In `observers`: bias and inconsistency with their intervals (normal; χ²).
    """
    model = fit(ratings)
    z = float(ndtri((1 + level) / 2))
    n = ratings.n
    se = np.where(n > 1, model.nu_stimulus / np.sqrt(n), np.nan)
    given = ratings.given
    bias_half = z * model.nu / np.sqrt(given)
    tail = (1 - level) / 2
    observers: dict[str, list[object]] = {
        "observer": list(ratings.observers),
        "n": given.tolist(),
        "bias": model.delta.tolist(),
        "bias_low": (model.delta - bias_half).tolist(),
        "bias_high": (model.delta + bias_half).tolist(),
        "inconsistency": model.nu.tolist(),
        "inconsistency_low": (model.nu * np.sqrt(given / chdtri(given, tail))).tolist(),
        "inconsistency_high": (model.nu * np.sqrt(given / chdtri(given, 1 - tail))).tolist(),
    }
    return Scale(
        ratings.stimuli,
        model.psi,
        model.psi - z * se,
        model.psi + z * se,
        n,
        "p910",
        "the scale of the votes",
        f"{percent(level)}, normal, spread of the residuals of each stimulus",
        se,
        observers,
        {"rounds": float(model.rounds)},
        tuple(_notes(ratings, model, int(np.sum(n == 1)))),
    )


def _notes(ratings: Ratings, model: Model, lone: int) -> list[str]:
    notes = []
    if not model.converged:
        notes.append(f"not converged after {ROUNDS} rounds")
    if (parts := islands(ratings)) > 1:
        notes.append(
            f"the votes fall into {parts} parts without a common observer or stimulus: biases between them cannot be "
            "told from quality"
        )
    if lone:
        notes.append(f"{lone:,} stimuli have a single vote: no interval")
    return notes


def islands(ratings: Ratings) -> int:
    """Parts of the votes that share neither an observer nor a stimulus with one another."""
    stimuli, people = len(ratings.stimuli), len(ratings.observers)
    busiest = ratings.stimulus[ratings.observer == int(np.argmax(ratings.given))]
    if np.bincount(busiest, minlength=stimuli).all():
        return 1  # somebody rated everything
    links = csr_array(
        (np.ones(len(ratings.score)), (ratings.stimulus, ratings.observer + stimuli)),
        shape=(stimuli + people, stimuli + people),
    )
    return int(connected_components(links, directed=False)[0])
