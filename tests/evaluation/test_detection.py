"""Found faces against known ones: who counts, in which order, and what the numbers are of a picture done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mien.core.types import Face
from mien.evaluation import detection
from mien.evaluation.detection import Matched, match


def face(x: float, y: float, side: float = 10.0, confidence: float = 0.9, shift: float = 0.0) -> Face:
    x += shift
    points = ((x + 3, y + 3), (x + 7, y + 3), (x + 5, y + 5), (x + 3, y + 8), (x + 7, y + 8))
    return Face((x, y, x + side, y + side), points, confidence)


def test_each_known_face_is_found_once_and_by_the_most_confident() -> None:
    once, twice = face(0, 0, confidence=0.6), face(0, 0, confidence=0.8, shift=1)
    seen = match([once, twice], [face(0, 0)])
    assert seen.confidence.tolist() == [0.8, 0.6]
    assert seen.right.tolist() == [True, False]
    assert seen.by.tolist() == [0.8]


def test_a_face_goes_to_the_known_one_that_it_fits_best() -> None:
    known = [face(0, 0), face(3, 0)]
    seen = match([face(2.9, 0)], known)
    assert seen.found.tolist() == [False, True]
    assert match([face(2.9, 0), face(0.1, 0)], known).found.all()


def test_half_of_the_union_is_enough_and_less_is_not() -> None:
    third = 10 / 3  # two thirds of each are shared: 2/3 / (4/3) is a half
    assert match([face(0, 0, shift=third - 1e-6)], [face(0, 0)]).found.all()
    assert not match([face(0, 0, shift=third + 1e-6)], [face(0, 0)]).found.any()


def test_what_lies_on_a_region_to_ignore_counts_neither_way() -> None:
    region = (48.0, 48.0, 100.0, 100.0)
    assert match([face(50, 50)], [], ignored=[region]).confidence.tolist() == []
    assert match([face(50, 50)], [face(50, 50)], ignored=[region]).right.tolist() == [True]
    assert match([face(42, 50)], [], ignored=[region]).right.tolist() == [False]  # 40 % of it lie there


def test_boxes_are_cut_at_the_picture_before_they_are_compared() -> None:
    sticking_out = Face((-10, 0, 10, 10), face(0, 0).landmarks, 0.9)
    assert not match([face(0, 0)], [Face((-15, 0, 10, 10), face(0, 0).landmarks, 1)]).found.any()
    assert match([sticking_out], [face(0, 0)], size=(100, 100)).found.all()


def slow_overlap(a: tuple[float, ...], b: tuple[float, ...], of_first: bool) -> float:
    w, h = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    whole = areas[0] if of_first else sum(areas) - w * h
    return w * h / whole if whole > 0 else 0.0


@pytest.mark.parametrize("of_first", [False, True])
def test_overlaps_equal_the_loop(of_first: bool, rng: np.random.Generator) -> None:
    corner, side = rng.integers(0, 9, (2, 12, 2)).astype(float)
    boxes = [tuple(b) for b in np.concatenate([corner, corner + side], 1).tolist()]  # some without an area
    table = detection.overlaps(boxes[:5], boxes[5:], of_first=of_first)  # type: ignore[arg-type]
    assert table.tolist() == [[pytest.approx(slow_overlap(a, b, of_first)) for b in boxes[5:]] for a in boxes[:5]]


def test_landmarks_are_measured_in_eye_distances() -> None:
    assert detection.landmark_error(face(0, 0, shift=2), face(0, 0)) == pytest.approx(0.5)  # eyes are 4 apart
    assert math.isnan(match([], [face(0, 0)]).landmark_error[0])


@pytest.fixture
def pictures() -> list[Matched]:
    """Four known faces; 0.9 right, 0.8 wrong, 0.7 right, 0.6 wrong, 0.5 right, and one that nobody found."""
    first = match([face(0, 0, confidence=0.9), face(50, 0, confidence=0.8)], [face(0, 0), face(0, 50)])
    second = match(
        [face(0, 0, confidence=0.7), face(90, 0, confidence=0.6), face(50, 0, confidence=0.5)],
        [face(0, 0), face(50, 0)],
    )
    return [first, second]


def test_numbers_at_a_confidence(pictures: list[Matched]) -> None:
    assert detection.recall(pictures) == 3 / 4
    assert detection.recall(pictures, 0.7) == 2 / 4
    assert detection.precision(pictures) == 3 / 5
    assert detection.precision(pictures, 0.7) == pytest.approx(2 / 3)
    assert detection.false_faces(pictures) == 1.0
    assert detection.false_faces(pictures, 0.7) == 0.5


def test_average_precision_is_the_area_done_by_hand(pictures: list[Matched]) -> None:
    assert detection.average_precision(pictures) == pytest.approx((1 + 2 / 3 + 3 / 5) / 4)
    perfect = [match([face(0, 0)], [face(0, 0)])]
    assert detection.average_precision(perfect) == 1.0
    falling = [match([face(0, 0, confidence=0.9), face(50, 0, confidence=0.8)], [face(50, 0)])]
    assert detection.average_precision(falling) == 0.5


def test_the_confidence_that_leaves_so_many_false_faces(pictures: list[Matched]) -> None:
    for allowed in (0.0, 0.5, 1.0):
        least = detection.confidence_at(pictures, allowed)
        assert detection.false_faces(pictures, least) <= allowed
    assert 0.8 < detection.confidence_at(pictures, 0.0) < 0.8 + 1e-9
    assert 0.6 < detection.confidence_at(pictures, 0.5) < 0.6 + 1e-9
    assert detection.confidence_at(pictures, 1.0) == 0.0


def test_what_is_not_defined_is_nan() -> None:
    nobody = [match([], [])]
    assert math.isnan(detection.recall(nobody)) and math.isnan(detection.precision(nobody))
    assert math.isnan(detection.average_precision(nobody))
    assert detection.false_faces(nobody) == 0
