"""JOD: just-objectionable differences, with a prior on distances that keeps unanimous pairs finite.

Model:    P(i preferred to j) = Φ((q_i - q_j) / 1.4826), so that 1 JOD means that 75 % prefer the better one
Source:   Perez-Ortiz and Mantiuk 2017 (arXiv 1712.03686); the objective of pwcmp's pw_scale (commit 07876b2) with the
          "gaussian" prior: see `jod_objective.py`
Input:    votes of one group; missing pairs and repetitions are fine, a tie is half a vote for either side
Output:   q in JOD, mean 0 (or `anchor` at 0); percentile bootstrap over observers, or over votes when nobody knows who
          voted
Differs:  pwcmp links parts that were never compared through their best items; here they are refused. It returns where
          its optimiser stopped when no finite scores fit best; here that is an error. It needs whole numbers of votes.
          Its prior turns a pair's only vote round; here such a pair is even (see `jod_objective.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve

from mien.subjective.bootstrap import Draws, Sample, run_draws
from mien.subjective.jod_objective import SIGMA, Objective, Workspace
from mien.subjective.one_thread import one_thread
from mien.subjective.paired_likelihood import laplacian
from mien.subjective.pairs import Pairs, need_finite, need_one_part
from mien.subjective.result import Scale, percent
from mien.subjective.tables import TableError, listed
from mien.subjective.thurstone import PROBIT

Array = npt.NDArray[np.float64]

TOO_FAR = 30.0  #: JOD between two items that no votes can tell; a fit that comes so far runs away
_ROUGH, _DRAW = 0.1, 5e-3  # JOD: where the guess of the Hessian is renewed; what is close enough for a draw
_ROUNDS = 500
_ARMIJO = 1e-4


@dataclass(frozen=True, slots=True)
class Fit:
    """Where the minimisation ended.

    Attributes:
        q: (N,) scores, mean 0.
        finite: False when the scores ran away, or stopped where the prior no longer holds them.
        value: of the objective.
        evaluations: of the objective.
    """

    q: Array
    finite: bool
    value: float
    evaluations: int


def minimise(objective: Objective, start: Array, inverse: Array, *, tolerance: float) -> Fit:
    """BFGS from a good first guess of the inverse Hessian.

    Args:
        objective: of one set of votes.
        start: (N,) scores.
        inverse: (N, N) first guess; is changed.
        tolerance: JOD; the last step is shorter than that for every item.
    """
    q = start
    value, gradient = objective(q)
    evaluations = 1
    for _ in range(_ROUNDS):
        step = -(inverse @ gradient)
        slope = float(gradient @ step)
        longest = float(np.abs(step).max())
        assert np.isfinite(longest), "the gradient of the JOD objective is not finite"
        if slope >= 0 or longest < tolerance:
            break
        size = min(1.0, 2.0 / longest)
        while True:
            after, gradient_after = objective(q + size * step)
            evaluations += 1
            if after <= value + _ARMIJO * size * slope or size * longest < 1e-3 * tolerance:
                break
            size /= 2 if np.isfinite(after) else 8
        moved, turned = size * step, gradient_after - gradient
        q, value, gradient = q + moved, after, gradient_after
        _update(inverse, moved, turned)
        if np.ptp(q) > TOO_FAR:
            return Fit(q - q.mean(), False, value, evaluations)
    return Fit(q - q.mean(), not objective.torn(q), value, evaluations)


def _update(inverse: Array, moved: Array, turned: Array) -> None:
    """The BFGS formula for the inverse, in place; nothing where the curvature along the step is not positive."""
    curvature = float(moved @ turned)
    if curvature <= 1e-12 * float(np.sqrt((moved @ moved) * (turned @ turned))):
        return
    across = inverse @ turned
    scale = (1 + float(turned @ across) / curvature) / curvature
    mixed = moved * (scale / 2) - across / curvature
    change = np.outer(mixed, moved)
    inverse += change
    inverse += change.T


def likelihood_inverse(pairs: Pairs, q: Array) -> Array:
    """Inverse Hessian of the likelihood alone at `q`; the direction that moves all scores is left out."""
    x = (q[pairs.a] - q[pairs.b]) / SIGMA
    size, bend = len(q), pairs.wins[0] * PROBIT.bend(x) + pairs.wins[1] * PROBIT.bend(-x)
    information = laplacian(pairs.a, pairs.b, bend * 2 / SIGMA**2, size)
    level = float(np.trace(information)) / size
    return cho_solve(cho_factor(information + level / size), np.eye(size)) - 1 / (level * size)


@one_thread()
def fit(pairs: Pairs, *, prior: bool = True, tolerance: float = 1e-8) -> Fit:
    """Scores of one connected group, from equal scores on, as pwcmp starts."""
    objective = Objective(pairs.a, pairs.b, pairs.wins, len(pairs.items), prior=prior)
    start = np.zeros(len(pairs.items))
    rough = minimise(objective, start, likelihood_inverse(pairs, start), tolerance=_ROUGH)
    if not rough.finite:
        return rough
    return minimise(objective, rough.q, likelihood_inverse(pairs, rough.q), tolerance=tolerance)


@one_thread()
def fit_near(pairs: Pairs, q: Array, *, tolerance: float = 1e-7, workspace: Workspace | None = None) -> Fit:
    """Scores of one connected group, from scores that are nearly right on."""
    objective = Objective(pairs.a, pairs.b, pairs.wins, len(pairs.items), workspace=workspace)
    return minimise(objective, q, likelihood_inverse(pairs, q), tolerance=tolerance)


def jod(
    pairs: Pairs,
    *,
    prior: bool = True,
    anchor: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    processes: int | None = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> Scale:
    """Scores in JOD with bootstrap intervals.

    Args:
        pairs: votes of one group.
        prior: with the prior on distances; without it this is Thurstone's model in other units.
        anchor: name of the item that has score 0; without it the mean is 0.
        draws: of the bootstrap; 0 = no intervals. Whole observers are drawn when they are known, else votes. A draw
            that falls into parts is drawn again.
        seed: of the draws.
        level: of the intervals.
        processes: that draw; None = one for each core. More than one need `if __name__ == "__main__":` in a script.
        progress: is called with the number of draws that were finished since the last call.

    Raises:
        TableError: the items fall into parts; no finite scores fit best; there is no item `anchor`.
    """
    fitted = fit_checked(pairs, prior=prior, anchor=anchor)
    (drawn,) = run_draws([sample(pairs, fitted, prior, seed)], draws, processes=processes, progress=progress)
    return with_intervals(pairs, fitted, drawn, anchor=anchor, level=level)


def fit_checked(pairs: Pairs, *, prior: bool, anchor: str | None) -> Fit:
    """The first step of `jod`, with its errors."""
    need_one_part(pairs)
    if not prior:
        need_finite(pairs)
    _number(pairs, anchor)
    found = fit(pairs, prior=prior)
    if not found.finite:
        raise _runs_away(pairs, found.q)
    return found


def sample(pairs: Pairs, found: Fit, prior: bool, seed: int) -> Sample:
    """The second step of `jod`: what is drawn, for `run_draws`."""
    return Sample(pairs, _Refit(found.q, likelihood_inverse(pairs, found.q), prior), seed)


def with_intervals(pairs: Pairs, found: Fit, drawn: Draws, *, anchor: str | None, level: float) -> Scale:
    """The last step of `jod`."""
    zero = _number(pairs, anchor)
    low, high = _interval(drawn.values if zero is None else drawn.values - drawn.values[:, [zero]], level)
    return Scale(
        pairs.items,
        found.q - (found.q[zero] if zero is not None else 0.0),
        low,
        high,
        pairs.n,
        "jod",
        "JOD; 1 = 75 % prefer it",
        _how(drawn, level),
        notes=tuple(_notes(drawn, anchor)),
    )


def _number(pairs: Pairs, anchor: str | None) -> int | None:
    if anchor is None:
        return None
    if anchor not in pairs.items:
        raise TableError(f"{pairs.source or 'votes'}: no item {anchor!r}; there is {listed(pairs.items, 'item')}")
    return pairs.items.index(anchor)


@dataclass(frozen=True, slots=True)
class _Refit:
    """Scores of a draw; starts from the fit to all votes, and from the inverse Hessian there."""

    q: Array
    inverse: Array
    prior: bool

    def __call__(self, pairs: Pairs, wins: Array) -> Array:
        voted = wins.sum(axis=0) > 0
        if not hasattr(_local, "workspace"):
            _local.workspace = Workspace()
        objective = Objective(
            pairs.a[voted],
            pairs.b[voted],
            wins[:, voted],
            len(pairs.items),
            prior=self.prior,
            workspace=_local.workspace,
        )
        again = minimise(objective, self.q, self.inverse.copy(), tolerance=_DRAW)
        return again.q if again.finite else np.full(len(again.q), np.nan)


_local = threading.local()


def _interval(values: Array, level: float) -> tuple[Array, Array]:
    usable = values[np.isfinite(values).all(axis=1)]
    if len(usable) < 2:
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    low, high = np.quantile(usable, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def _runs_away(pairs: Pairs, q: Array) -> TableError:
    order = np.argsort(q)
    gap = int(np.argmax(np.diff(q[order])))
    above = [pairs.items[i] for i in order[gap + 1 :]]
    return TableError(
        f"{pairs.source or 'votes'}: no finite scores fit best: {listed(above, 'item')} won too many comparisons with "
        "the others without losing one. Ask for more votes on pairs that are close, or take bradley-terry with --alpha"
    )


def _how(drawn: Draws, level: float) -> str:
    if not len(drawn.values):
        return "none"
    what = "observers" if drawn.over == "observers" else "votes, each counted as independent"
    return f"{percent(level)}, percentiles of {len(drawn.values):,} bootstrap draws over {what}"


def _notes(drawn: Draws, anchor: str | None) -> list[str]:
    notes = [] if anchor is None else [f"{anchor} is at 0"]
    lost = int(np.sum(~np.isfinite(drawn.values).all(axis=1)))
    if lost:
        notes.append(f"{lost:,} of {len(drawn.values):,} draws had no finite scores: the intervals are too short")
    if drawn.drawn_again > 0.05 * len(drawn.values):
        notes.append(f"{drawn.drawn_again:,} draws fell into parts and were drawn again: votes are few for the items")
    return notes
