"""Measures: each number on a drawn face against its definition."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from PIL import Image

from faces.drawn import face_at, portrait, projected
from mien.core.errors import UsageError
from mien.core.types import Face
from mien.faces.measures import MEASURES, FaceMeasures, background_gradient, components, measure
from mien.faces.ofiq import COMPONENTS
from mien.faces.pose import Pose

FACE = face_at(200, 150, 60)
PICTURE = portrait(400, 420, FACE)


def test_every_field_has_its_unit_and_every_component_exists() -> None:
    assert tuple(MEASURES) == tuple(f.name for f in fields(FaceMeasures))
    assert {m.component for m in MEASURES.values()} - {""} <= COMPONENTS.keys()


def test_sizes_and_margins() -> None:
    found = measure(PICTURE, FACE, [FACE])
    chin = 1.73 * np.linalg.norm(np.mean(FACE.landmarks[3:], axis=0) - np.mean(FACE.landmarks[:2], axis=0))
    assert found.inter_eye_px == pytest.approx(60, abs=0.1)
    assert found.head_size == pytest.approx(chin / 420)
    assert found.left_margin == pytest.approx(170 / 60, abs=0.01)  # the eye on the left is at 170
    assert found.right_margin == pytest.approx(170 / 60, abs=0.01)
    assert found.margin_above == pytest.approx(150 / chin)
    assert found.margin_below == pytest.approx(270 / chin)
    assert (found.n_faces, found.second_face) == (1, 0)


def test_a_turned_head_has_the_eye_distance_of_a_frontal_one() -> None:
    face = projected(Pose(40, 0, 0), scale=60)
    box = (251.0, 150.0, 371.0, 310.0)
    found = measure(portrait(600, 500, FACE), Face(box, face.landmarks, 1.0))
    assert found.yaw == pytest.approx(40)
    assert found.inter_eye_px == pytest.approx(60)


def test_others_in_the_picture() -> None:
    small = face_at(50, 60, 30)
    found = measure(PICTURE, FACE, [FACE, small])
    assert found.n_faces == 2
    assert found.second_face == pytest.approx(0.25)
    alone = measure(PICTURE, FACE)
    assert (alone.n_faces, alone.second_face) == (None, None)  # nobody counted


def test_blur_in_relation_to_the_face() -> None:
    stripes = Image.fromarray(np.tile(np.repeat([60, 190], 20), 10)[None].repeat(420, 0).astype(np.uint8)).convert(
        "RGB"
    )
    found = measure(stripes, FACE)
    assert found.blur_px is not None and found.blur_percent == pytest.approx(100 * found.blur_px / 60, rel=0.01)


def test_what_five_landmarks_do_not_show_is_unknown() -> None:
    found = measure(PICTURE, FACE)
    assert (found.eyes_covered, found.mouth_covered) == (None, None)


def test_components_are_ofiqs_names_and_mapping() -> None:
    found = components(FaceMeasures(inter_eye_px=70.0, yaw=60.0, over_exposed=0.03))
    assert (found["InterEyeDistance"], found["HeadPoseYaw"], found["OverExposurePrevention"]) == (50, 25, 25)
    assert found["HeadPoseRoll"] is None
    assert "Sharpness" not in found  # our blur is not OFIQ's forest


def test_landmarks_in_one_place_are_refused() -> None:
    with pytest.raises(UsageError, match="all lie in one place"):
        measure(PICTURE, Face(FACE.box, ((5.0, 5.0),) * 5, 1.0))


# ---- background


def test_an_even_wall_has_no_gradient_and_the_face_is_not_seen() -> None:
    assert background_gradient(PICTURE, FACE) == pytest.approx(0.0, abs=1e-9)


def test_a_busy_wall_has(rng: np.random.Generator) -> None:
    pixels = np.asarray(PICTURE).copy()
    pixels[:, :60] = rng.integers(0, 256, (420, 60, 1))
    found = background_gradient(Image.fromarray(pixels), FACE)
    assert found is not None and found > 3


def test_what_is_below_the_chin_is_no_background(rng: np.random.Generator) -> None:
    pixels = np.asarray(PICTURE).copy()
    pixels[280:] = rng.integers(0, 256, (140, 400, 3))  # the chin is at about 258
    assert background_gradient(Image.fromarray(pixels), FACE) == pytest.approx(0.0, abs=1e-9)


def test_a_face_that_fills_the_picture_has_no_background() -> None:
    close = PICTURE.crop((110, 60, 290, 300))
    face = Face((30, 0, 150, 162), tuple((x - 110, y - 60) for x, y in FACE.landmarks), 1.0)
    assert background_gradient(close, face) is None


def test_whatever_a_finder_says_no_number_is_nan_and_nothing_breaks(rng: np.random.Generator) -> None:
    """Faces of all sizes, half outside, upside down, in profile, with landmarks that are noise."""
    picture = Image.fromarray(rng.integers(0, 256, (90, 120, 3), dtype=np.uint8))
    for _ in range(15):
        apart = float(np.exp(rng.uniform(0, 5)))
        face = face_at(*rng.uniform(-30, 150, 2), apart, degrees=rng.uniform(-180, 180))
        noisy = np.array(face.landmarks) + rng.normal(0, rng.choice([0.0, 0.1, 0.6]) * apart, (5, 2))
        face = Face(face.box, tuple(map(tuple, noisy.tolist())), 1.0)
        found = measure(picture, face, [face])
        values = [getattr(found, name) for name in MEASURES]
        assert np.isfinite([value for value in values if value is not None]).all()
        assert all(value is None or 0 <= value <= 100 for value in components(found).values())
