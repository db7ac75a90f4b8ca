"""What an explanation promises: the score of the row, maps that are means over parts, the same every time."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from conftest import blobs
from mien.core.errors import ModelError, UnreadableImageError
from mien.core.types import ATTRIBUTES
from mien.runtime.explain import GRID, PART, Explanation, explain, part_boxes
from mien.runtime.judge import Judge

PORTRAIT = Path(__file__).parents[2] / "examples" / "portraits" / "portrait.jpg"


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge.load(threads=1)


@pytest.fixture(scope="module")
def why(judge: Judge) -> Explanation:
    return explain(PORTRAIT, model=judge)


@pytest.mark.parametrize("size", [(8, 8), (333, 1000), (1001, 64)])
def test_parts_are_halves_that_cover_every_pixel(size: tuple[int, int]) -> None:
    covered = np.zeros(size[::-1], int)
    for left, upper, right, lower in part_boxes(size):
        assert (right - left, lower - upper) == tuple(round(side * PART / GRID) for side in size)
        covered[upper:lower, left:right] += 1
    assert covered.min() == 1 and covered.max() == PART**2
    assert len(part_boxes(size)) == (GRID - PART + 1) ** 2


def test_the_score_is_that_of_the_row(why: Explanation) -> None:
    assert why.score.score == pytest.approx(mien.score(PORTRAIT).score, abs=1e-4)
    assert why.score.path == str(PORTRAIT)


def test_maps_cover_the_picture_in_single_precision(why: Explanation) -> None:
    assert tuple(why.attributes) == ATTRIBUTES
    for values in (why.map, *why.attributes.values()):
        assert (values.shape, values.dtype) == ((GRID, GRID), np.float32)
        assert np.isfinite(values).all()
    assert why.method == "parts-4/8"


def test_a_place_is_the_mean_of_the_parts_that_cover_it_against_the_whole(judge: Judge, why: Explanation) -> None:
    """An independent loop: each part cut out of the picture and scored as a picture."""
    with Image.open(PORTRAIT) as picture:
        parts = [(box, mien.Scorer(judge).score(picture.crop(box))) for box in part_boxes(picture.size)]
    side = picture.width / GRID
    for place in ((0, 0), (3, 4), (7, 7), (2, 6)):
        y, x = ((i + 0.5) * side for i in place)
        over = [row for (left, upper, right, lower), row in parts if left <= x < right and upper <= y < lower]
        points = [100 * (row.raw - why.score.raw) for row in over]  # type: ignore[operator]
        assert why.map[place] == pytest.approx(np.mean(points), abs=1e-3)
        assert why.attributes["noise"][place] == pytest.approx(np.mean([row.noise for row in over]), abs=1e-3)


def test_it_says_the_same_every_time(judge: Judge, why: Explanation) -> None:
    again = explain(PORTRAIT, model=judge)
    assert np.array_equal(again.map, why.map)
    assert all(np.array_equal(again.attributes[name], why.attributes[name]) for name in ATTRIBUTES)


@pytest.mark.parametrize("side", ["left", "right", "upper", "lower"])
def test_a_fault_in_one_half_is_where_the_map_says(judge: Judge, side: str) -> None:
    """Noise in one half of a portrait: that half has the lower score and the lower attribute."""
    with Image.open(PORTRAIT) as opened:
        pixels = np.asarray(opened.convert("RGB"), np.float32)
    noisy = np.clip(pixels + np.random.default_rng(0).normal(0, 40, pixels.shape), 0, 255)
    half = {"left": np.s_[:, :256], "right": np.s_[:, 256:], "upper": np.s_[:256], "lower": np.s_[256:]}[side]
    pixels[half] = noisy[half]
    why = explain(pixels.astype(np.uint8), model=judge)
    places = {"left": np.s_[:, :4], "right": np.s_[:, 4:], "upper": np.s_[:4], "lower": np.s_[4:]}
    opposite = {"left": "right", "right": "left", "upper": "lower", "lower": "upper"}[side]
    for values in (why.map, why.attributes["noise"]):
        assert values[places[side]].mean() < values[places[opposite]].mean() - 5


def test_the_picture_is_upright(judge: Judge) -> None:
    with Image.open(PORTRAIT) as opened:
        upright = opened.convert("RGB").crop((0, 0, 500, 300))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    upright.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
    assert np.array_equal(explain(file.getvalue(), model=judge).map, explain(upright, model=judge).map)


def test_a_picture_that_cannot_be_read_or_judged_is_an_error(tiny_judge: Path) -> None:
    with pytest.raises(UnreadableImageError):
        explain(b"", model=tiny_judge)
    half_black = np.asarray(blobs(1, 200, 200)).copy()
    half_black[:120, :120] = 0  # the tiny judge answers NaN to a part that is wholly black
    with pytest.raises(ModelError, match="a part of the picture has no score, so there is no map"):
        explain(half_black, model=tiny_judge)


def test_it_is_at_the_front_door() -> None:
    assert mien.explain is explain and mien.Explanation is Explanation
