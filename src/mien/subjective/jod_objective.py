"""The objective of JOD scaling and its gradient, in time that grows with pairs x exponents instead of pairs x pairs.

With p = Φ((q_i - q_j) / 1.4826), D votes for i and D' for j, sums over all *ordered* pairs that were compared:

    minus  Σ log p^D (1-p)^D'  +  log(prior + 0.1),      prior(pair) = Σ_z a(pair, z) / Σ_pairs a(·, z)

a(pair, z) = p^k (1-p)^l is the likelihood of the distance of `pair` under the k : l votes of pair z, where one vote of
a unanimous pair goes to the other side; of a single vote only half, for pwcmp turns it round, and where most pairs have
one vote its scores run away. pwcmp computes the matrix a, and adds 0.01 · mean(q)², which only puts the mean at 0. Here
votes that are equal are taken together, and with the powers P = p^e, Q = (1-p)^e of the exponents in use, all sums over
pairs and over votes are products of small matrices: Σ_pairs a = P Qᵀ, prior = columns of (W P) ∘ Q. Where a pair has so
many votes that powers leave the range of a float, the same is computed by way of logarithms, vote by vote.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import log_ndtr, ndtr

from mien.subjective.tables import sums

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

SIGMA = 1.4826  #: Φ(1 / 1.4826) = 0.75
TOO_WIDE = 5.0  #: JOD between camps: one vote in 2,700 would be an upset, and the prior has let go
_FLOOR = 0.1  # added to the prior, as in pwcmp
_MANY = 200  # votes on a pair from which logarithms are taken: 2 ** -200, squared, is still far inside the range
_LOG_SQRT_2PI = 0.5 * float(np.log(2 * np.pi))


class Workspace:
    """Memory that is used again and again: fresh pages cost more than the arithmetic. One for each thread."""

    def __init__(self) -> None:
        self._flat: dict[str, Array] = {}

    def __call__(self, name: str, *shape: int) -> Array:
        """An array of this shape, with whatever was in it."""
        size = int(np.prod(shape))
        if name not in self._flat or len(self._flat[name]) < size:
            self._flat[name] = np.empty(size + size // 4)
        return self._flat[name][:size].reshape(shape)


class Objective:
    """The objective for one set of votes; call it with scores."""

    def __init__(
        self, a: Indices, b: Indices, wins: Array, size: int, *, prior: bool = True, workspace: Workspace | None = None
    ) -> None:
        """Prepare.

        Args:
            a, b: (C,) numbers of the items of each pair, each pair once.
            wins: (2, C) votes for a and for b, at least one > 0.
            size: number of items.
            prior: with the prior on distances.
            workspace: memory to use.
        """
        self._a, self._b, self._wins, self._size = a, b, wins, size
        self._new = workspace or Workspace()
        self._exponents, self._weight = _softened(wins) if prior else (np.empty(0), np.empty((0, 0)))
        self._many = wins.sum(axis=0).max(initial=0.0) > _MANY

    def __call__(self, q: Array) -> tuple[float, Array]:
        """(value, (N,) gradient)."""
        x = (q[self._a] - q[self._b]) / SIGMA
        log_p, log_q = _log_both(x)
        bell = np.exp(-0.5 * x * x - _LOG_SQRT_2PI)
        with np.errstate(over="ignore"):
            for_a, for_b = bell * np.exp(-log_p), bell * np.exp(-log_q)  # φ/Φ(x), φ/Φ(-x)
        won, lost = self._wins
        value = -2 * float(won @ log_p + lost @ log_q)
        slope = 2 * (lost * for_b - won * for_a)
        if len(self._exponents):
            prior, up, down = (self._prior_in_logs if self._many else self._prior)(log_p, log_q)
            value -= 2 * float(np.log(prior + _FLOOR).sum())
            slope -= for_a * up - for_b * down
        slope /= SIGMA
        return value, sums(self._a, slope, self._size) - sums(self._b, slope, self._size)

    def torn(self, q: Array) -> bool:
        """Whether two camps lie so far apart that only the lack of a single upset can have sent them there."""
        order = np.sort(q)
        for gap in np.flatnonzero(np.diff(order) > TOO_WIDE):
            upper = q > order[gap]
            down, up = upper[self._a] & ~upper[self._b], upper[self._b] & ~upper[self._a]
            if not (self._wins[1][down].any() or self._wins[0][up].any()):
                return True
        return False

    def _prior(self, log_p: Array, log_q: Array) -> tuple[Array, Array, Array]:
        """(prior of each pair, and the slope of Σ log(prior + 0.1) along log p and against log q, both orders)."""
        e, c = self._exponents, len(log_p)
        power_p, power_q = self._new("P", len(e), c), self._new("Q", len(e), c)
        np.exp(np.multiply(e[:, None], log_p, out=power_p), out=power_p)
        np.exp(np.multiply(e[:, None], log_q, out=power_q), out=power_q)
        total = power_p @ power_q.T
        total += total.T
        share = self._weight / np.where(self._weight > 0, total, 1.0)
        spread_p, spread_q = self._new("WP", len(e), c), self._new("WQ", len(e), c)
        np.matmul(share, power_p, out=spread_p)
        np.matmul(share, power_q, out=spread_q)
        scratch = self._new("scratch", len(e), c)
        prior = np.ones(len(e)) @ np.multiply(spread_p, power_q, out=scratch)
        pull = 2 / (prior + _FLOOR)
        # what a pair adds to the sums Σ_pairs a of all votes lowers the prior of all pairs
        taken = np.multiply(power_p, pull, out=scratch) @ power_q.T
        taken += taken.T
        taken *= share / np.where(self._weight > 0, total, 1.0)
        spread_p *= pull
        spread_p -= np.matmul(taken, power_p, out=scratch)
        spread_q *= pull
        spread_q -= np.matmul(taken, power_q, out=scratch)
        spread_p *= power_q
        spread_q *= power_p
        return prior, e @ spread_q, e @ spread_p

    def _prior_in_logs(self, log_p: Array, log_q: Array) -> tuple[Array, Array, Array]:
        """What `_prior` gives, however many votes there are; slower."""
        rows, columns = np.nonzero(self._weight)
        weight, k, n = self._weight[rows, columns], self._exponents[rows], self._exponents[columns]
        forth, back = np.outer(k, log_p) + np.outer(n, log_q), np.outer(n, log_p) + np.outer(k, log_q)
        largest = np.maximum(forth.max(axis=1), back.max(axis=1))[:, None]
        forth, back = np.exp(forth - largest), np.exp(back - largest)
        total = (forth.sum(axis=1) + back.sum(axis=1))[:, None]
        forth, back = forth / total, back / total
        prior = weight @ forth
        pull = 2 / (prior + _FLOOR)
        taken = weight * (forth @ pull)  # as in `_prior`
        up = pull * ((weight * k) @ forth) - (taken * k) @ forth - (taken * n) @ back
        down = pull * ((weight * n) @ forth) - (taken * n) @ forth - (taken * k) @ back
        return prior, up, down


def _softened(wins: Array) -> tuple[Array, Array]:
    """(exponents in use, (E, E) how many ordered pairs have so many votes for and against, symmetric)."""
    won, lost = wins
    moved = np.minimum((won + lost) / 2, 1.0)
    first = np.where(lost == 0, won - moved, np.where(won == 0, moved, won))
    second = np.where(lost == 0, moved, np.where(won == 0, lost - moved, lost))
    exponents, number = np.unique(np.concatenate([first, second]), return_inverse=True)
    size, k, n = len(exponents), number[: len(first)], number[len(first) :]
    cells = np.concatenate([k * size + n, n * size + k])
    return exponents, np.bincount(cells, minlength=size * size).reshape(size, size).astype(np.float64)


def _log_both(x: Array) -> tuple[Array, Array]:
    """log Φ(x) and log Φ(-x); one is expensive, the other follows from it."""
    far = np.abs(x)
    below = log_ndtr(-far) if far.max(initial=0.0) > 30 else np.log(ndtr(-far))
    above = np.log1p(-np.exp(below))
    return np.where(x < 0, below, above), np.where(x < 0, above, below)
