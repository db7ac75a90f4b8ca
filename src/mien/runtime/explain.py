"""Why a picture has its score: the judge scores every part of it by itself, and the map says where it scores lower.

What this is. The picture is cut into overlapping parts of half its width and half its height, and the same judge scores
each as if it were a picture. A place of the map is the mean over all parts that cover it. Nothing is painted into the
picture, so the judge never sees an edge or a patch that nobody photographed; and a part is seen at twice the
magnification of the whole, so faults that vanish when the whole is squashed to a small square show up here.

What it is not. The values do not add up to the score, and they do not prove what the network looked at. A part with
little in it (a wall, the sky, a dark background) may score low by itself without being a fault of the picture. A fault
smaller than a part is smeared over it.

Why not the usual occlusion map: `benchmarks/explain.py` puts a known fault into one region of a picture and counts how
often each map finds it. Covering or blurring patches of the whole picture does so as often as chance; so does the score
of the parts. The attributes of the parts find blur, noise and JPEG blocks, darkness hardly.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mien.core.decode import Source, decode
from mien.core.errors import ModelError
from mien.core.types import ATTRIBUTES, Score
from mien.runtime.judge import Judge
from mien.runtime.scorer import Scorer

GRID = 8  #: places of the map along each side
PART = 4  #: places that a part covers along each side

Map = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A score and where it comes from. Maps are (`GRID`, `GRID`), rows from top to bottom, evenly over the picture."""

    score: Score  #: the row of the whole picture, as `mien.score` gives it
    map: Map  #: points of the score: parts that cover this place, by themselves, minus the whole; negative = worse
    attributes: Mapping[str, Map] = field(default_factory=dict)
    """For each of `ATTRIBUTES` that the judge knows: 0..100 of the parts that cover this place, 100 = no fault."""
    method: str = f"parts-{PART}/{GRID}"  #: how the maps were made; they compare only when it is equal


def explain(source: Source, *, model: str | os.PathLike[str] | Judge | None = None) -> Explanation:
    """Say where a picture scores lower than as a whole, and in which attribute. Deterministic.

    Args:
        source: a path, the bytes of a file, a PIL image, or an (h, w, 3) uint8 RGB array.
        model: as for `mien.Scorer`; None for the embedded judge.

    Raises:
        UnreadableImageError: there is no picture.
        ModelError: the model is unknown, or gave no usable number for the picture or a part of it.
    """
    judge = model if isinstance(model, Judge) else _embedded() if model is None else Judge.load(model)
    whole = Scorer(judge).score(source)
    picture = decode(source)
    rows = [row for box in part_boxes(picture.pixels.size) for row in judge([judge.prepare(picture.pixels.crop(box))])]
    if failed := next((row for row in rows if row.status != "ok"), None):
        raise ModelError(f"a part of the picture has no score, so there is no map: {failed.error}")
    points = _over_the_picture([_points(judge, row) - _points(judge, whole) for row in rows])
    known = [name for name in ATTRIBUTES if getattr(whole, name) is not None]
    return Explanation(whole, points, {name: _over_the_picture([getattr(row, name) for row in rows]) for name in known})


@lru_cache(maxsize=1)
def _embedded() -> Judge:
    return Judge.load()


def part_boxes(size: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """The parts of a picture: left, upper, right, lower in whole pixels, row by row.

    Args:
        size: width and height of the picture, at least `GRID` each.
    """
    (lefts, width), (uppers, height) = (_stretches(side) for side in size)
    return [(left, upper, left + width, upper + height) for upper in uppers for left in lefts]


def _stretches(side_px: int) -> tuple[list[int], int]:
    """Where parts begin along one side, and how long they are."""
    length = round(side_px * PART / GRID)
    steps = GRID - PART
    return [round((side_px - length) * i / steps) for i in range(steps + 1)], length


def _points(judge: Judge, row: Score) -> float:
    """The score without its limits, so that two parts beyond them still differ."""
    low, high = judge.scale.raw_range
    assert row.raw is not None
    return 100.0 * (row.raw - low) / (high - low)


def _over_the_picture(values: list[float]) -> Map:
    """For each place the mean over the parts that cover it; `values` in the order of `part_boxes`."""
    steps = GRID - PART + 1
    total, count = np.zeros((GRID, GRID)), np.zeros((GRID, GRID))
    for i, value in enumerate(values):
        y, x = divmod(i, steps)
        total[y : y + PART, x : x + PART] += value
        count[y : y + PART, x : x + PART] += 1
    return (total / count).astype(np.float32)
