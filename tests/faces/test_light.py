"""Light and colour: on faces of known pixels, OFIQ's formulas by hand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from faces.drawn import SKIN, face_at, portrait
from mien.core.types import Face
from mien.faces.light import light_of, luminance

FACE = face_at(150, 120, 60)


def linear(value: int) -> float:
    v = value / 255
    return v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4


def grey(level: int) -> tuple[int, int, int]:
    return (level, level, level)


def test_luminance_is_linear_in_light_and_rounded() -> None:
    pixels = np.array([[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]], np.uint8)
    assert luminance(pixels).tolist() == [0, 255, 54, 182, 18, 55]  # 0.2126, 0.7152, 0.0722; 255 * 0.2159


def test_an_even_face() -> None:
    light = light_of(portrait(300, 320, FACE), FACE)
    y = round(255 * (0.2126 * linear(200) + 0.7152 * linear(150) + 0.0722 * linear(120))) / 255
    assert light.mean == pytest.approx(y)
    assert (light.variance, light.dynamic_range) == pytest.approx((0.0, 0.0))
    assert (light.under_exposed, light.over_exposed) == (0.0, 0.0)
    assert (light.overlap, light.balance, light.skin_colour) == (1.0, 1.0, 0.0)


def test_half_a_face_in_the_dark() -> None:
    picture = portrait(300, 320, FACE, skin=grey(10), other_half=grey(255))
    light = light_of(picture, FACE)
    assert light.under_exposed == pytest.approx(0.5, abs=0.02)
    assert light.over_exposed == pytest.approx(0.5, abs=0.02)
    assert light.mean == pytest.approx(0.5, abs=0.02)
    assert light.variance == pytest.approx(0.25, abs=0.01)
    assert light.dynamic_range == pytest.approx(1.0, abs=0.1)  # two values, one bit
    assert light.overlap == 0.0
    assert light.balance == pytest.approx(1 / 255, abs=1e-6)  # luminance 1 and 255
    assert light.skin_colour is None  # a grey picture has no colour to judge


def test_the_darker_cheek_may_be_either() -> None:
    one = light_of(portrait(300, 320, FACE, skin=(100, 75, 60), other_half=SKIN), FACE)
    other = light_of(portrait(300, 320, FACE, skin=SKIN, other_half=(100, 75, 60)), FACE)
    assert one.balance == pytest.approx(other.balance)
    assert one.balance is not None and one.balance < 0.3


def test_a_colour_cast_is_a_distance_from_skin() -> None:
    assert light_of(portrait(300, 320, FACE, skin=(150, 150, 220)), FACE).skin_colour == 100.0  # b is negative
    red = light_of(portrait(300, 320, FACE, skin=(220, 60, 50)), FACE).skin_colour
    # CIELAB of (220, 60, 50) under D65: a = 60.7, b = 43.2; the box ends at 25 and 35
    assert red == pytest.approx(np.hypot(60.7 - 25, 43.2 - 35), abs=1.0)


@pytest.mark.parametrize("degrees", [-90.0, 25.0, 90.0])
def test_tilted_heads_are_measured_upright(degrees: float) -> None:
    face = face_at(150, 150, 50, degrees=degrees)
    straight = face_at(150, 150, 50)
    picture = portrait(300, 300, straight, skin=(100, 75, 60), other_half=SKIN)
    turned = picture.rotate(-degrees, center=(150, 150), resample=Image.Resampling.BICUBIC)
    expected = light_of(picture, straight)
    found = light_of(turned, face)
    assert found.mean == pytest.approx(expected.mean, abs=0.01)
    assert found.balance == pytest.approx(expected.balance, abs=0.02)


def test_what_lies_outside_the_picture_is_not_dark() -> None:
    """The lower third of the face is cut off; the rest is even."""
    cut = portrait(300, 320, FACE).crop((0, 0, 300, 190))
    light = light_of(cut, FACE)
    assert light.under_exposed == 0.0
    assert light.variance == pytest.approx(0.0)


def test_a_face_of_which_little_is_left_tells_nothing() -> None:
    light = light_of(portrait(300, 320, FACE).crop((0, 0, 300, 125)), FACE)
    assert light.mean is None and light.under_exposed is None and light.overlap is None
    beside = Face(FACE.box, tuple((x - 150, y) for x, y in FACE.landmarks), 1.0)  # one cheek beyond the left edge
    assert light_of(portrait(300, 320, FACE), beside).overlap is None
