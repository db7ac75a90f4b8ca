"""Bootstrap without copies: a draw is how often each row counts, and all draws of a chunk are computed together.

Ranks of a resample come from running sums of the counts over the sorted values, so nothing is sorted per draw; see
`concordance.py` for Kendall's τ-b. Every draw equals what SciPy gives for the copied rows (tests: to 1e-9).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mien.evaluation.concordance import WeightedConcordance, times
from mien.evaluation.correlation import METRICS, plcc

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

CHUNK = 1 << 16  #: counts that are held at a time; bounds the memory whatever the number of draws
_CANCELLED = 1e-6  #: of the variance of all rows; below it sums of squares lose digits, and a draw is done directly


class Resampled:
    """Metrics of resamples of one table, prepared once for all draws."""

    def __init__(self, x: npt.ArrayLike, y: npt.ArrayLike) -> None:
        """Sort both sides.

        Args:
            x: (n,) predictions, finite.
            y: (n,) labels, finite.
        """
        self.x, self.y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        self._ranks_x, self._ranks_y = _WeightedRanks(self.x), _WeightedRanks(self.y)
        self._concordance: WeightedConcordance | None = None

    def of(self, counts: Array, metrics: Sequence[str]) -> dict[str, Array]:
        """The metrics of draws.

        Args:
            counts: (draws, n), how often each row is in each draw; every draw has the same sum.
            metrics: names of `correlation.METRICS`.

        Returns:
            {metric: (draws,)}; NaN where a correlation is undefined because one side of the draw is constant.
        """
        tied_x = tied_y = None
        if {"srcc", "krcc"} & set(metrics):
            tied_x, tied_y = self._ranks_x.together(counts), self._ranks_y.together(counts)
        result = {}
        for metric in metrics:
            match metric:
                case "srcc" if tied_x is not None and tied_y is not None:
                    result[metric] = self._srcc(counts, tied_x, tied_y)
                case "krcc" if tied_x is not None and tied_y is not None:
                    result[metric] = self._krcc(counts, tied_x, tied_y)
                case "plcc":
                    result[metric] = self._plcc(counts)
                case "rmse":
                    result[metric] = np.sqrt(_mean(counts, (self.x - self.y) ** 2))
                case "mae":
                    result[metric] = _mean(counts, np.abs(self.x - self.y))
                case _:
                    raise ValueError(f"no metric {metric!r}: {', '.join(METRICS)}")
        return result

    def _srcc(self, counts: Array, tied_x: Array, tied_y: Array) -> Array:
        n = counts.sum(axis=1)
        twice_x, twice_y = self._ranks_x.twice_ranks(tied_x), self._ranks_y.twice_ranks(tied_y)
        twice_x *= counts
        covariance = np.einsum("ci,ci->c", twice_x, twice_y) - n * (n + 1) ** 2  # of doubled ranks: whole numbers
        spread_x, spread_y = ((n**3 - np.einsum("ci,ci->c", t * t, t)) / 3 for t in (tied_x, tied_y))
        return _ratio(covariance, spread_x * spread_y)

    def _krcc(self, counts: Array, tied_x: Array, tied_y: Array) -> Array:
        if self._concordance is None:
            self._concordance = WeightedConcordance(self.x, self.y)
        n = counts.sum(axis=1)
        pairs = n * (n - 1) / 2
        ties_x, ties_y = ((np.einsum("ci,ci->c", t, t) - n) / 2 for t in (tied_x, tied_y))
        both = self._concordance.tied(counts)
        balance = pairs - ties_x - ties_y + both - 2 * self._concordance.discordant(counts)
        return _ratio(balance, (pairs - ties_x) * (pairs - ties_y))

    def _plcc(self, counts: Array) -> Array:
        x, y = _standard(self.x), _standard(self.y)
        n = counts.sum(axis=1)
        mean_x, mean_y, xx, yy, xy = times(counts, np.stack([x, y, x * x, y * y, x * y], axis=1)).T / n
        spread_x, spread_y = xx - mean_x**2, yy - mean_y**2
        result = _ratio(xy - mean_x * mean_y, spread_x * spread_y)
        for draw in np.flatnonzero(np.minimum(spread_x, spread_y) < _CANCELLED):
            rows = np.repeat(np.arange(len(x)), counts[draw].astype(np.intp))
            try:
                result[draw] = plcc(self.x[rows], self.y[rows])
            except ValueError:
                result[draw] = np.nan
        return result


class _WeightedRanks:
    """Average ranks of one column when its rows count several times."""

    def __init__(self, values: Array) -> None:
        unique, self._codes = np.unique(values, return_inverse=True)
        self._order = np.argsort(self._codes, kind="stable")
        starts = np.searchsorted(self._codes[self._order], np.arange(len(unique)))
        self._starts = starts if len(unique) < len(values) else None

    def together(self, counts: Array) -> Array:
        """How often each value is in each draw, values rising: (draws, number of values)."""
        ordered = counts[:, self._order]
        return ordered if self._starts is None else np.add.reduceat(ordered, self._starts, axis=1)

    def twice_ranks(self, together: Array) -> Array:
        """Twice the average rank of each row, (draws, n), whole numbers."""
        twice = 2 * np.cumsum(together, axis=1)
        twice -= together
        twice += 1
        return twice[:, self._codes]


def counts_of_draws(n: int, draws: int, rng: np.random.Generator) -> Iterator[Array]:
    """How often each of n rows is in each draw of n rows with replacement, in chunks (at most `CHUNK` / n draws, n).

    The draws do not depend on the size of the chunks.
    """
    size = max(1, CHUNK // n)
    for start in range(0, draws, size):
        chunk = min(size, draws - start)
        rows = rng.integers(0, n, (chunk, n))
        rows += np.arange(chunk)[:, None] * n
        yield np.bincount(rows.ravel(), minlength=chunk * n).reshape(chunk, n).astype(np.float64)


def bootstrap_pairs(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    metrics: Sequence[str] = ("srcc", "plcc", "krcc"),
    *,
    draws: int = 10_000,
    seed: int | Sequence[int] = 0,
    fitted: npt.ArrayLike | None = None,
) -> dict[str, Array]:
    """The metrics of resampled rows. Equal n, draws and seed give the same resamples, whatever the values are.

    Args:
        x: (n,) predictions.
        y: (n,) labels.
        metrics: names of `correlation.METRICS`.
        draws: resamples of n rows with replacement.
        seed: of the draws; a sequence of whole numbers >= 0 is one seed.
        fitted: (n,) predictions that PLCC, RMSE and MAE see instead of x.

    Returns:
        {metric: (draws,)}, NaN where a draw is undefined.
    """
    rng = np.random.default_rng(seed)
    order = Resampled(x, y)
    linear = order if fitted is None else Resampled(fitted, y)
    values: dict[str, list[Array]] = {metric: [] for metric in metrics}
    for counts in counts_of_draws(len(order.x), draws, rng):
        for metric, drawn in order.of(counts, [m for m in metrics if m in ("srcc", "krcc")]).items():
            values[metric].append(drawn)
        for metric, drawn in linear.of(counts, [m for m in metrics if m not in ("srcc", "krcc")]).items():
            values[metric].append(drawn)
    return {metric: np.concatenate(parts) if parts else np.empty(0) for metric, parts in values.items()}


def resample_groups(groups: int, *, draws: int = 10_000, seed: int | Sequence[int] = 0) -> Indices:
    """Whole groups drawn with replacement: (draws, groups) numbers of groups."""
    return np.random.default_rng(seed).integers(0, groups, (draws, groups))


def interval(values: Array, level: float = 0.95) -> tuple[float, float] | None:
    """Percentile interval of draws; undefined draws (NaN) are left out. None when no draw is defined."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _mean(counts: Array, values: Array) -> Array:
    return times(counts, values[:, None])[:, 0] / counts.sum(axis=1)


def _ratio(covariance: Array, spreads: Array) -> Array:
    """covariance / sqrt(spreads), NaN where a side is constant."""
    result = np.full(len(covariance), np.nan)
    defined = spreads > 0
    result[defined] = np.clip(covariance[defined] / np.sqrt(spreads[defined]), -1.0, 1.0)
    return result


def _standard(values: Array) -> Array:
    centred = values - values.mean()
    scale = np.abs(centred).max()
    if scale == 0:
        return centred
    centred /= scale  # before squaring, so that nothing overflows
    return centred / np.sqrt(np.mean(centred**2))
