"""Found faces against known ones: who was found, what was found for nothing, and how well.

A found face belongs to the known one that it overlaps most, of those that nobody more confident has taken, when that is
enough.
What lies on a region to ignore counts neither for nor against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.types import Face

Box = tuple[float, float, float, float]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Matched:
    """One picture, compared."""

    confidence: Floats  #: (n,) of the faces found, without the ignored ones, most confident first
    right: npt.NDArray[np.bool_]  #: (n,) whether it is a known face
    found: npt.NDArray[np.bool_]  #: (m,) of the known faces, in their order
    landmark_error: Floats  #: (m,) mean distance of the landmarks in parts of the eye distance; nan where not found
    by: Floats  #: (m,) confidence with which each was found, 0 where it was not


def match(
    found: Sequence[Face],
    known: Sequence[Face],
    *,
    ignored: Sequence[Box] = (),
    size: tuple[int, int] | None = None,
    iou: float = 0.5,
) -> Matched:
    """Compare the faces of one picture.

    Args:
        found: by a finder, in any order.
        known: the truth.
        ignored: regions in which a face is neither right nor wrong.
        size: width and height; boxes are cut there first, because finders disagree about what sticks out.
        iou: intersection over union that a pair needs.
    """
    faces = sorted(found, key=lambda face: -face.confidence)
    overlap = overlaps([face.box for face in faces], [face.box for face in known], size=size)
    passed = overlaps([face.box for face in faces], ignored, size=size, of_first=True)
    taken = np.zeros(len(known), bool)
    error, by = np.full(len(known), np.nan), np.zeros(len(known))
    confidence, right = [], []
    for i, face in enumerate(faces):
        free = np.where(taken, 0.0, overlap[i])
        best = int(free.argmax()) if len(known) else -1
        hit = best >= 0 and free[best] >= iou
        if hit:
            taken[best], by[best] = True, face.confidence
            error[best] = landmark_error(face, known[best])
        elif (passed[i] >= 0.5).any():
            continue
        confidence.append(face.confidence)
        right.append(hit)
    return Matched(np.array(confidence, float), np.array(right, bool), taken, error, by)


def overlaps(
    first: Sequence[Box], second: Sequence[Box], *, size: tuple[int, int] | None = None, of_first: bool = False
) -> Floats:
    """(n, m) intersection over union, or over the area of the first where `of_first`; boxes without an area give 0."""
    a, b = (np.array(boxes, float).reshape(-1, 4) for boxes in (first, second))
    if size is not None:
        a, b = (np.clip(boxes, 0, np.tile(size, 2)) for boxes in (a, b))
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(2)
    area_a, area_b = ((boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (a, b))
    whole = np.broadcast_to(area_a[:, None], shared.shape) if of_first else area_a[:, None] + area_b[None] - shared
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)


def landmark_error(found: Face, known: Face) -> float:
    """Normalised mean error: mean distance of the five points over the known distance between the eyes."""
    apart = np.hypot(*(np.array(found.landmarks) - np.array(known.landmarks)).T).mean()
    eyes = np.hypot(*np.subtract(known.landmarks[1], known.landmarks[0]))
    return float(apart / eyes) if eyes > 0 else float("nan")


def recall(pictures: Sequence[Matched], least: float = 0.0) -> float:
    """Part of the known faces that were found with a confidence of at least `least`; nan where none is known."""
    by = np.concatenate([m.by for m in pictures]) if pictures else np.zeros(0)
    return float((by >= max(least, 1e-12)).mean()) if len(by) else float("nan")


def precision(pictures: Sequence[Matched], least: float = 0.0) -> float:
    """Part of the faces found, of at least that confidence, that are known; nan where nothing was found."""
    right = np.concatenate([m.right[m.confidence >= least] for m in pictures]) if pictures else np.zeros(0)
    return float(right.mean()) if len(right) else float("nan")


def false_faces(pictures: Sequence[Matched], least: float = 0.0) -> float:
    """Faces found for nothing in one picture, on average."""
    return float(np.mean([(~m.right & (m.confidence >= least)).sum() for m in pictures]))


def average_precision(pictures: Sequence[Matched]) -> float:
    """Area under precision over recall, precision being made to fall (PASCAL VOC 2010); nan where no face is known.

    A finder should be asked for everything above a very low confidence.
    """
    total = sum(len(m.found) for m in pictures)
    if not total:
        return float("nan")
    confidence = np.concatenate([m.confidence for m in pictures])
    right = np.concatenate([m.right for m in pictures])[np.argsort(-confidence, kind="stable")]
    hits = np.cumsum(right)
    falling = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    return float(falling[right].sum() / total)


def confidence_at(pictures: Sequence[Matched], false_per_picture: float) -> float:
    """Lowest confidence from which at most so many faces a picture are found for nothing, on average.

    Where even all of them are fewer, 0; finders with scales of their own can be compared at it.
    """
    wrong = np.sort(np.concatenate([m.confidence[~m.right] for m in pictures]))[::-1]
    allowed = int(false_per_picture * len(pictures))
    return 0.0 if len(wrong) <= allowed else float(np.nextafter(wrong[allowed], 2.0))
