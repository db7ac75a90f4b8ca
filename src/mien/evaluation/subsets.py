"""Metrics of pictures that come from several subsets: pooled, inside each, and how sure either is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from mien.evaluation.correlation import METRICS, inside_groups
from mien.evaluation.resampling import CHUNK, Array, Indices, Resampled, counts_of_draws, interval


def subset_report(
    predicted: npt.ArrayLike,
    mos: npt.ArrayLike,
    groups: npt.ArrayLike,
    *,
    metrics: Sequence[str] = ("srcc", "plcc"),
    draws: int = 1000,
    seed: int = 0,
) -> dict[str, dict[str, float | list[float]]]:
    """Each metric pooled, inside each group and as the mean over groups, with 95 % bootstrap intervals.

    The bootstrap draws rows inside each group, so that its size stays.

    Args:
        predicted: (n,) scores of a model.
        mos: (n,) mean opinion scores.
        groups: (n,) names.
        metrics: names of `correlation.METRICS`.
        draws: resamples.
        seed: of the draws.

    Returns:
        {metric: {"pooled": value, "pooled_ci": [low, high], "mean_inside": ..., "mean_inside_ci": ..., group: ...}}

    Raises:
        ValueError: as the metrics do, with the name of the group.
    """
    x, y, g = np.asarray(predicted, np.float64), np.asarray(mos, np.float64), np.asarray(groups).astype(str)
    inside = {metric: inside_groups(METRICS[metric], x, y, g) for metric in metrics}
    parts = [np.flatnonzero(g == name) for name in np.unique(g)]
    pooled, mean_inside = _drawn(x, y, parts, metrics, draws, seed)
    return {
        metric: {
            "pooled": METRICS[metric](x, y),
            "pooled_ci": _ends(pooled[metric]),
            "mean_inside": float(np.mean(list(inside[metric].values()))),
            "mean_inside_ci": _ends(mean_inside[metric]),
            **inside[metric],
        }
        for metric in metrics
    }


def _drawn(
    x: Array, y: Array, parts: Sequence[Indices], metrics: Sequence[str], draws: int, seed: int
) -> tuple[dict[str, Array], dict[str, Array]]:
    """(draws,) of each metric, pooled and as the mean over the groups; NaN where it is undefined in any group."""
    rows = np.concatenate(parts)
    whole, each = Resampled(x[rows], y[rows]), [Resampled(x[part], y[part]) for part in parts]
    pooled: dict[str, list[Array]] = {metric: [] for metric in metrics}
    mean_inside: dict[str, list[Array]] = {metric: [] for metric in metrics}
    for counts in _counts([len(part) for part in parts], draws, np.random.default_rng(seed)):
        together = whole.of(np.hstack(counts), metrics)
        apart = [part.of(own, metrics) for part, own in zip(each, counts, strict=True)]
        for metric in metrics:
            pooled[metric].append(together[metric])
            mean_inside[metric].append(np.mean([found[metric] for found in apart], axis=0))
    return (
        {metric: np.concatenate(found) for metric, found in pooled.items()},
        {metric: np.concatenate(found) for metric, found in mean_inside.items()},
    )


def _counts(sizes: Sequence[int], draws: int, rng: np.random.Generator) -> Iterator[list[Array]]:
    """How often each row of each group is in each draw, in chunks: for each group (draws of the chunk, rows)."""
    most = max(1, CHUNK // sum(sizes))
    for start in range(0, draws, most):
        chunk = min(most, draws - start)
        yield [np.concatenate(list(counts_of_draws(size, chunk, rng))) for size in sizes]


def _ends(values: Array) -> list[float]:
    ends = interval(values)
    if ends is None:
        raise ValueError("too few different values: no resample has a defined correlation")
    return list(ends)
