"""Labels of faces: what a mirror swaps, and the median of several looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from mien.core.types import Face
from mien.data.face_labels import Find, consensus, mirrored, overlap

FACE = Face((60, 40, 140, 150), ((80, 80), (120, 80), (100, 100), (84, 126), (116, 126)), 0.9)
LEFT = Image.fromarray(np.full((200, 300, 3), 60, np.uint8) + np.linspace(0, 90, 300, dtype=np.uint8)[None, :, None])


def moved(face: Face, x: float) -> Face:
    points = [(px + x, py) for px, py in face.landmarks]
    x1, y1, x2, y2 = face.box
    return Face((x1 + x, y1, x2 + x, y2), tuple(points), face.confidence)  # type: ignore[arg-type]


def look(shift: float, *others: Face) -> Find:
    """Sees the face where it is in the picture or in its mirror image, and `shift` to the right of it."""

    def find(picture: Image.Image) -> Sequence[Face]:
        straight = picture.getpixel((0, 0)) < picture.getpixel((299, 0))  # type: ignore[operator]
        return [*others, moved(FACE if straight else mirrored(FACE, 300), shift)]

    return find


def blind(picture: Image.Image) -> Sequence[Face]:
    return []


def test_a_mirrored_face_swaps_what_has_a_side() -> None:
    assert mirrored(FACE, 200) == FACE
    other = mirrored(FACE, 300)
    assert other.box == (160, 40, 240, 150)
    assert other.landmarks == ((180, 80), (220, 80), (200, 100), (184, 126), (216, 126))
    assert mirrored(other, 300) == FACE


def test_what_one_look_adds_to_the_right_its_mirror_takes_away() -> None:
    assert consensus([look(6.0)], LEFT, FACE) == FACE


def test_a_look_that_is_far_off_does_not_move_the_median() -> None:
    steady = consensus([look(0.0), look(0.0), look(15.0)], LEFT, FACE)
    assert steady.box == pytest.approx(FACE.box)


def test_other_faces_are_not_taken_for_the_known_one() -> None:
    neighbour = moved(FACE, 90.0)
    assert consensus([look(0.0, neighbour)], LEFT, FACE) == FACE


def test_a_face_that_most_looks_miss_keeps_its_label() -> None:
    known = moved(FACE, 3.0)
    assert consensus([look(0.0), blind], LEFT, known).box == pytest.approx(FACE.box)
    assert consensus([look(0.0), blind, blind], LEFT, known) == known


def test_overlap_is_intersection_over_union() -> None:
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (20, 0, 30, 10)) == overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0
