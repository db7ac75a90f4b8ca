"""Error versus discard: does rejecting the pictures of lowest quality lower the false non-matches of a recogniser?

Quality of a pair: the lower one of its two pictures. Two are a match when their similarity is at least the threshold.
FNMR: share of the mated pairs that do not match; FMR: share of the non-mated pairs that do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.integrate import trapezoid

from mien.core.errors import UsageError
from mien.evaluation.protocol import Protocol
from mien.evaluation.resampling import counts_of_draws
from mien.evaluation.result import Bootstrap, Computed
from mien.evaluation.tables import Comparisons

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_SHOWN = 101  #: points of the curve in a result


@dataclass(frozen=True, slots=True)
class Curve:
    """FNMR after the pairs of lowest quality are gone.

    Attributes:
        discarded: (k,) share of the pairs that is discarded, from 0 on.
        fnmr: (k,) of the pairs that remain.
        pauc: area under the steps from 0 to the limit.
        ideal: area of max(0, (e0 - r) / (1 - r)), the same steps: the least that is possible.
        random: area when quality says nothing: e0 times the limit.
    """

    discarded: Array
    fnmr: Array
    pauc: float
    ideal: float
    random: float

    @property
    def relative(self) -> float:
        """0 = ideal, 1 = as good as random, above 1 = worse."""
        return (self.pauc - self.ideal) / (self.random - self.ideal)


def threshold_at_fmr(non_mated: npt.ArrayLike, fmr: float) -> float:
    """The lowest threshold with an FMR of at most `fmr`.

    Raises:
        ValueError: fewer non-mated pairs than 1 / fmr, which cannot resolve it.
    """
    scores = np.sort(np.asarray(non_mated, np.float64))
    if len(scores) * fmr < 1 - 1e-9:
        raise ValueError(f"an FMR of {fmr:g} needs at least {round(1 / fmr):,} non-mated pairs, not {len(scores):,}")
    allowed = int(np.floor(len(scores) * fmr + 1e-9))
    return float(np.nextafter(scores[-allowed - 1], np.inf)) if allowed < len(scores) else float(scores[0])


def threshold_at_fnmr(mated: npt.ArrayLike, fnmr: float) -> float:
    """The highest threshold with an FNMR of at most `fnmr` on all mated pairs.

    Raises:
        ValueError: no mated pairs.
    """
    scores = np.sort(np.asarray(mated, np.float64))
    if not len(scores):
        raise ValueError("no mated pairs")
    return float(scores[min(int(np.floor(len(scores) * fnmr + 1e-9)), len(scores) - 1)])


def curve(quality: npt.ArrayLike, failed: npt.ArrayLike, *, limit: float, counts: Array | None = None) -> Curve:
    """The curve at a fixed threshold; pairs of equal quality go together on average (any order of them).

    Args:
        quality: (n,) of the mated pairs, higher is better; only the order counts.
        failed: (n,) whether each pair is a false non-match.
        limit: largest share that is discarded, in (0, 1).
        counts: (n,) how often each pair counts; once each without.

    Raises:
        ValueError: lengths differ, no pairs, or a limit outside (0, 1).
    """
    q, f = np.asarray(quality, np.float64), np.asarray(failed, np.float64)
    if q.ndim != 1 or q.shape != f.shape or not len(q) or not 0 < limit < 1:
        raise ValueError("need two lists of one length, not empty, and a limit between 0 and 1")
    _, codes = np.unique(q, return_inverse=True)
    return _curve(codes, f, np.ones(len(q)) if counts is None else counts, limit)


def _curve(codes: npt.NDArray[np.intp], failed: Array, counts: Array, limit: float) -> Curve:
    size = np.concatenate([[0.0], np.cumsum(np.bincount(codes, counts))])
    gone = np.concatenate([[0.0], np.cumsum(np.bincount(codes, counts * failed))])
    n, failures = size[-1], gone[-1]
    k = np.arange(int(np.floor(limit * n + 1e-9)) + 1)
    fnmr = (failures - np.interp(k, size, gone)) / (n - k)
    width = np.diff(np.concatenate([k / n, [limit]]))  # each step reaches to the next number of pairs
    ideal = np.maximum(0.0, failures - k) / (n - k)
    return Curve(k / n, fnmr, float(fnmr @ width), float(ideal @ width), float(failures / n * limit))


def discard(scores: Mapping[str, float], pairs: Comparisons, protocol: Protocol, how: Bootstrap) -> Computed:
    """The curve, its area and the intervals of a protocol of comparisons; see `evaluate.evaluate`.

    Raises:
        UsageError: no mated or too few non-mated pairs, or no false non-match at the threshold.
    """
    order = np.lexsort((np.array(pairs.b), np.array(pairs.a)))
    quality = np.array([min(scores[pairs.a[i]], scores[pairs.b[i]]) for i in order])
    similarity, mated = pairs.similarity[order], pairs.mated[order]
    if not mated.any():
        raise UsageError(f"{pairs.source or protocol.name}: no mated pairs")
    try:
        threshold = _threshold(similarity, mated, protocol.settings)
    except ValueError as error:
        raise UsageError(f"{pairs.source or protocol.name}: {error}") from error
    failed = similarity[mated] < threshold
    if not failed.any() or failed.all():
        which = "every" if failed.any() else "no"
        raise UsageError(f"{which} mated pair fails at the threshold {threshold:g}: quality cannot change that")
    if protocol.settings["threshold"] == "each step":
        return _reestimated(quality, similarity, mated, protocol)
    return _fixed(quality[mated], failed, threshold, int(np.sum(~mated)), protocol, how)


def _threshold(similarity: Array, mated: Flags, settings: Mapping[str, float | str]) -> float:
    if settings["start"] == "fmr":
        return threshold_at_fmr(similarity[~mated], float(settings["at"]))
    return threshold_at_fnmr(similarity[mated], float(settings["at"]))


def _fixed(
    quality: Array, failed: Flags, threshold: float, non_mated: int, protocol: Protocol, how: Bootstrap
) -> Computed:
    limit = float(protocol.settings["limit"])
    found = curve(quality, failed, limit=limit)
    total = _values(found, protocol)
    drawn: list[list[float]] = []
    codes, fails = np.unique(quality, return_inverse=True)[1], failed.astype(np.float64)
    rng = np.random.default_rng((how.seed, 0))
    for chunk in counts_of_draws(len(quality), how.draws, rng):
        drawn += [list(_values(_curve(codes, fails, counts, limit), protocol).values()) for counts in chunk]
    samples = dict(zip(total, np.array(drawn).T, strict=True)) if drawn else {}
    at = np.linspace(0, limit, _SHOWN)
    extras: dict[str, Any] = {
        "threshold": threshold,
        "mated": len(quality),
        "non_mated": non_mated,
        "fnmr_start": float(found.fnmr[0]),
        "pauc_ideal": found.ideal,
        "pauc_random": found.random,
        "curve": {"discarded": at.tolist(), "fnmr": [_at(found, r) for r in at]},
    }
    told = f"{how.draws:,} draws, seed {how.seed}, percentiles; mated pairs drawn with replacement, threshold fixed"
    notes = ("pairs that share a person are not independent: the true intervals are wider",) if drawn else ()
    return Computed(total, samples, {}, extras, resampling=told if drawn else "none", notes=notes)


def _at(found: Curve, share: float) -> float:
    """FNMR of the step that holds this share."""
    return float(found.fnmr[np.searchsorted(found.discarded, share + 1e-9, side="right") - 1])


def _values(found: Curve, protocol: Protocol) -> dict[str, float]:
    if found.random == found.ideal:  # a draw without a false non-match
        relative = float("nan")
    else:
        relative = found.relative
    known = {"pauc": found.pauc, "pauc_relative": relative}
    return {m: known[m] if m in known else _at(found, float(m.partition("@")[2])) for m in protocol.metrics}


def _reestimated(quality: Array, similarity: Array, mated: Flags, protocol: Protocol) -> Computed:
    """The threshold is found again on the pairs that remain, at every step; trapezoids. Equal qualities stay together.

    Raises:
        UsageError: the pairs that remain at a step cannot resolve the FMR, or hold no mated one.
    """
    limit, step = float(protocol.settings["limit"]), float(protocol.settings["step"])
    rising = np.sort(quality)
    steps, fnmr = [], []
    for r in np.arange(0, limit + step / 2, step):
        kept = quality >= rising[min(int(np.floor(r * len(rising) + 1e-9)), len(rising) - 1)]
        try:
            threshold = _threshold(similarity[kept], mated[kept], protocol.settings)
        except ValueError as error:
            raise UsageError(f"after {r:.0%} of the pairs are discarded: {error}") from error
        if not (kept & mated).any():
            raise UsageError(f"after {r:.0%} of the pairs are discarded no mated one remains")
        steps.append(float(r))
        fnmr.append(float(np.mean(similarity[kept & mated] < threshold)))
    notes = ("no intervals: the threshold moves with every step",)
    extras = {"curve": {"discarded": steps, "fnmr": fnmr}}
    return Computed({"pauc": float(trapezoid(fnmr, steps))}, {}, {}, extras, resampling="none", notes=notes)
