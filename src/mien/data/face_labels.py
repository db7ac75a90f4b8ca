"""Labels of faces: mirrored with their picture, and steadier than a single look of a finder gives them.

A finder's landmarks move by several percent of the eye distance when it looks at another size of the same picture. The
median of several looks moves less, so it is the better thing to learn from and to measure against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from mien.core.types import Face, Point

MIRRORED = [1, 0, 2, 4, 3]  #: landmarks of the mirrored face: what was the right eye is the left one
LOOKS_PX = (144, 192, 256, 320, 416)  #: sizes at which a finder looks at a portrait; two such sets differ by 2.4 %

Box = tuple[float, float, float, float]
Find = Callable[[Image.Image], Sequence[Face]]


def mirrored(face: Face, width_px: float) -> Face:
    """The face in the mirrored picture: what was the right eye is the left one."""
    x1, y1, x2, y2 = face.box
    right_eye, left_eye, nose, mouth_right, mouth_left = ((width_px - x, y) for x, y in face.landmarks)
    turned = (left_eye, right_eye, nose, mouth_left, mouth_right)
    return replace(face, box=(width_px - x2, y1, width_px - x1, y2), landmarks=turned)


def consensus(looks: Sequence[Find], picture: Image.Image, known: Face) -> Face:
    """A known face as several looks see it, at the picture and at its mirror image.

    Args:
        looks: finders that look at different sizes.
        picture: upright.
        known: its face; what overlaps it by 0.4 and more is the same one.

    Returns:
        The median of boxes and landmarks, with the known confidence; the known face where less than half of the looks
        see it.
    """
    mirror = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    seen = []
    for look in looks:
        for faces in (look(picture), [mirrored(face, picture.width) for face in look(mirror)]):
            best = max(faces, key=lambda face: overlap(face.box, known.box), default=None)
            if best is not None and overlap(best.box, known.box) >= 0.4:
                seen.append(best)
    if len(seen) < len(looks):
        return known
    box, points = (np.median([getattr(face, name) for face in seen], axis=0) for name in ("box", "landmarks"))
    return Face(four(box), five(points), known.confidence)


def shared_area(one: Box, other: Box) -> float:
    """Area of the intersection."""
    w, h = (min(one[k + 2], other[k + 2]) - max(one[k], other[k]) for k in (0, 1))
    return max(0.0, w) * max(0.0, h)


def overlap(one: Box, other: Box) -> float:
    """Intersection over union; 0 where both are empty."""
    shared = shared_area(one, other)
    areas = [max(0.0, b[2] - b[0]) * max(0.0, b[3] - b[1]) for b in (one, other)]
    return shared / whole if (whole := sum(areas) - shared) > 0 else 0.0


def four(box: Any) -> Box:
    """A box as plain numbers."""
    x1, y1, x2, y2 = (float(v) for v in box)
    return x1, y1, x2, y2


def five(points: Any) -> tuple[Point, Point, Point, Point, Point]:
    """Landmarks as plain numbers."""
    a, b, c, d, e = ((float(x), float(y)) for x, y in points)
    return a, b, c, d, e
