"""Do predictions choose as people do? Two-alternative forced choice (2AFC) on pairs with counted votes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from mien.core.errors import UsageError
from mien.evaluation.protocol import Protocol
from mien.evaluation.resampling import CHUNK, resample_groups
from mien.evaluation.result import Bootstrap, Computed, Estimate, Group
from mien.evaluation.tables import Votes

Array = npt.NDArray[np.float64]


def soft_2afc(preferred: npt.ArrayLike, votes_a: npt.ArrayLike, votes_b: npt.ArrayLike) -> Array:
    """Share of the voters who agree with each choice.

    Args:
        preferred: (n,) sign of the choice: > 0 for a, < 0 for b, 0 for none (which earns one half).
        votes_a: (n,) people who preferred a.
        votes_b: (n,) people who preferred b; each pair has at least one vote.

    Returns:
        (n,) in [0, 1].
    """
    sign, a, b = (np.asarray(v, np.float64) for v in (preferred, votes_a, votes_b))
    return np.where(sign > 0, a, np.where(sign < 0, b, (a + b) / 2)) / (a + b)


def hard_2afc(preferred: npt.ArrayLike, votes_a: npt.ArrayLike, votes_b: npt.ArrayLike) -> Array:
    """1 where the choice is that of the majority, 0 where it is not; one half for no choice, or no majority."""
    sign, a, b = (np.asarray(v, np.float64) for v in (preferred, votes_a, votes_b))
    return (1 + np.sign(sign) * np.sign(a - b)) / 2


def choices(scores: Mapping[str, float], votes: Votes, protocol: Protocol, how: Bootstrap) -> Computed:
    """Soft and hard 2AFC per group and over all pairs; the bootstrap draws whole groups, or pairs without groups."""
    order = np.lexsort((np.array(votes.b), np.array(votes.a)))
    a, b = votes.votes_a[order], votes.votes_b[order]
    groups = None if votes.groups is None else np.array(votes.groups)[order]
    if protocol.pooling != "rows" and groups is None:
        raise UsageError(f"{protocol.name} needs the column {protocol.group} in the votes")
    preferred = np.array([scores[votes.a[i]] - scores[votes.b[i]] for i in order])
    points = {"soft": soft_2afc(preferred, a, b), "hard": hard_2afc(preferred, a, b)}
    points = {metric: points[metric] for metric in protocol.metrics}
    codes = np.arange(len(a)) if groups is None or how.resample == "rows" else np.unique(groups, return_inverse=True)[1]
    extras = {
        "ceiling_soft": float(np.mean(np.maximum(a, b) / (a + b))),
        "ties": int(np.sum(preferred == 0)),
        **_prior([votes.a[i] for i in order], [votes.b[i] for i in order], a, b),
    }
    return Computed(
        {metric: float(values.mean()) for metric, values in points.items()},
        _draws(points, codes, how),
        _by_group(points, groups),
        extras,
        resampling=_resampling(how, protocol, int(codes.max()) + 1),
    )


def _draws(points: Mapping[str, Array], codes: npt.NDArray[np.intp], how: Bootstrap) -> dict[str, Array]:
    """Means over pairs when clusters of pairs are drawn with replacement."""
    clusters = int(codes.max()) + 1
    if not how.draws or clusters < 2:
        return {}
    sizes = np.bincount(codes)
    drawn = resample_groups(clusters, draws=how.draws, seed=(how.seed, 1))
    step = max(1, CHUNK // clusters)
    parts = [drawn[start : start + step] for start in range(0, how.draws, step)]
    totals = np.concatenate([sizes[part].sum(axis=1) for part in parts])
    return {
        metric: np.concatenate([np.bincount(codes, values)[part].sum(axis=1) for part in parts]) / totals
        for metric, values in points.items()
    }


def _by_group(points: Mapping[str, Array], groups: npt.NDArray[np.str_] | None) -> dict[str, Group]:
    if groups is None:
        return {}
    return {
        name: Group(
            int(np.sum(groups == name)), {m: Estimate(float(v[groups == name].mean())) for m, v in points.items()}
        )
        for name in np.unique(groups).tolist()
    }


def _prior(a: list[str], b: list[str], votes_a: Array, votes_b: Array) -> dict[str, float]:
    """Always the method with more votes in all: what a metric must beat. Only for items named METHOD/CLIP."""
    if not all("/" in name for name in (*a, *b)):
        return {}
    first, second = ([name.rsplit("/", 1)[0] for name in side] for side in (a, b))
    won: dict[str, float] = {}
    for methods, votes in ((first, votes_a), (second, votes_b)):
        for method, count in zip(methods, votes.tolist(), strict=True):
            won[method] = won.get(method, 0.0) + count
    sign = np.array([won[m] - won[n] for m, n in zip(first, second, strict=True)])
    return {
        "method_prior_soft": float(soft_2afc(sign, votes_a, votes_b).mean()),
        "method_prior_hard": float(hard_2afc(sign, votes_a, votes_b).mean()),
    }


def _resampling(how: Bootstrap, protocol: Protocol, clusters: int) -> str:
    if not how.draws or clusters < 2:
        return "none"
    what = f"whole {protocol.group}s" if how.resample == "groups" else "pairs"
    return f"{how.draws:,} draws, seed {how.seed}, percentiles; {what} drawn with replacement ({clusters:,})"
