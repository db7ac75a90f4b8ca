"""Does a judge know its degradations? Pictures it never saw, each kind, rising strength."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from mien.core.types import ATTRIBUTES
from mien.data.degradations import Degradation, degrade
from mien.evaluation.correlation import srcc
from mien.training.ladders import JUDGE_KINDS

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
        A report for each kind of `mien.training.ladders.JUDGE_KINDS`.
    """
    return {kind: _report(judge, kind, pictures, size_px, strengths, apart) for kind in JUDGE_KINDS}


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


@dataclass(frozen=True)
class ChangeReport:
    """How far a change that no eye notices moves the quality, on the scale of the opinions."""

    mean: float
    p95: float
    largest: float


def steadiness(
    quality: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]], pictures: Sequence[Image.Image], size_px: int
) -> dict[str, ChangeReport]:
    """Mirror, shift and re-save pictures, and see how far the quality moves.

    Args:
        quality: (n, s, s, 3) uint8 views -> (n,).
        pictures: mode RGB, at least 16 px.
        size_px: side of a view.

    Returns:
        A report for each change: "mirrored", "shifted" (4 pixels cut from the left and 3 from the top), "jpeg95" (saved
        once more at quality 95).
    """

    def seen(change: Callable[[Image.Image], Image.Image]) -> npt.NDArray[np.float32]:
        square = (size_px, size_px)
        views = [np.asarray(change(p).resize(square, Image.Resampling.BILINEAR)) for p in pictures]
        return np.concatenate([quality(np.stack(views[i : i + 100])) for i in range(0, len(views), 100)])

    before = seen(lambda picture: picture)
    reports = {}
    for name, change in CHANGES.items():
        moved = np.abs(seen(change) - before)
        reports[name] = ChangeReport(float(moved.mean()), float(np.quantile(moved, 0.95)), float(moved.max()))
    return reports


def _saved_again(picture: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=95)
    with Image.open(stream) as decoded:
        return decoded.convert("RGB")


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "mirrored": ImageOps.mirror,
    "shifted": lambda picture: picture.crop((4, 3, picture.width, picture.height)),
    "jpeg95": _saved_again,
}
