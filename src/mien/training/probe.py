"""Does a judge know its degradations? Pictures it never saw, each kind, rising strength."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.core.types import ATTRIBUTES
from mien.data.degradations import ATTRIBUTE_OF, KINDS, Degradation, degrade
from mien.evaluation.correlation import srcc

#: (n, s, s, 3) uint8 -> quality (n,) and attributes (n, 4)
JudgeViews = Callable[[npt.NDArray[np.uint8]], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]


@dataclass(frozen=True)
class KindReport:
    """What one kind of degradation does to the judge's numbers."""

    ordered: float  #: share of pairs whose strengths differ by `apart` or more where the stronger one scores lower
    mean_drop: float  #: mean fall of the quality from strength 0 to 1, on the scale of the opinions
    attribute_srcc: dict[str, float]  #: attribute -> SRCC between 1 - strength and the attribute, pooled over pictures


def probe(
    judge: JudgeViews,
    pictures: Sequence[Image.Image],
    size_px: int,
    *,
    strengths: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0),
    apart: float = 0.5,
) -> dict[str, KindReport]:
    """Degrade each picture by each kind at each strength and look whether the judge follows.

    Args:
        judge: of prepared views.
        pictures: mode RGB, not used in training.
        size_px: side of a view.
        strengths: rising, from 0.
        apart: difference that counts as clearly stronger.

    Returns:
        A report for each kind of `mien.data.degradations.KINDS`.
    """
    return {kind: _report(judge, kind, pictures, size_px, strengths, apart) for kind in KINDS}


def _report(
    judge: JudgeViews,
    kind: str,
    pictures: Sequence[Image.Image],
    size_px: int,
    strengths: tuple[float, ...],
    apart: float,
) -> KindReport:
    quality, attributes = [], []
    for i, picture in enumerate(pictures):
        ladder = [degrade(picture, (Degradation(kind, s),), seed=i) for s in strengths]
        views = np.stack([np.asarray(p.resize((size_px, size_px), Image.Resampling.BILINEAR)) for p in ladder])
        q, a = judge(views)
        quality.append(q)
        attributes.append(a)
    q, a = np.stack(quality), np.stack(attributes)
    worse, better = zip(
        *((i, j) for i in range(len(strengths)) for j in range(i) if strengths[i] - strengths[j] >= apart), strict=True
    )
    ordered = float(np.mean(q[:, list(worse)] < q[:, list(better)]))
    target = np.tile(1 - np.array(strengths), len(pictures))
    follows = {name: srcc(a[:, :, k].ravel(), target) for k, name in enumerate(ATTRIBUTES)}
    return KindReport(ordered, float(np.mean(q[:, 0] - q[:, -1])), follows)


def own_attribute(reports: dict[str, KindReport]) -> dict[str, bool]:
    """Whether each kind moves its own attribute more than any other."""
    return {
        kind: max(report.attribute_srcc, key=lambda name: report.attribute_srcc[name]) == ATTRIBUTE_OF[kind]
        for kind, report in reports.items()
    }
