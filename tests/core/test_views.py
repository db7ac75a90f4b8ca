"""Views: where each crop is taken, how pictures are resized and padded, and that a card says all of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mien.core.errors import UsageError
from mien.core.views import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Center,
    Five,
    Fragments,
    InputView,
    Random,
    ViewPreprocess,
    Whole,
    Windows,
)


@pytest.fixture
def picture(rng: np.random.Generator) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (50, 70, 3), dtype=np.uint8))


CROPS = [Whole(), Center(20), Five(20), Random(20, n=3), Windows(20, n=4, stride_px=8), Fragments(2, 10)]


def kind(crop: object) -> str:
    return type(crop).__name__


@pytest.mark.parametrize(
    ("size", "resize_px", "expected"),
    [
        ((70, 50), 25, (35, 25)),
        ((50, 70), 25, (25, 35)),
        ((413, 500), 352, (352, 426)),  # 426.15 is cut, not rounded
        ((500, 413), 352, (426, 352)),
        ((50, 50), 80, (80, 80)),
        ((70, 50), (20, 40), (40, 20)),  # (height, width), whatever the shape was
        ((70, 50), None, (70, 50)),
    ],
)
def test_an_int_is_the_new_short_side_and_a_pair_is_height_and_width(size, resize_px, expected) -> None:
    pixels = InputView(Whole(), resize_px=resize_px).pixels(Image.new("RGB", size))
    assert pixels.shape[2:0:-1] == expected


def test_pillow_resizes_the_bytes_with_the_filter_that_is_named(picture: Image.Image) -> None:
    for name, filter_ in {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}.items():
        found = InputView(Whole(), resize_px=30, interpolation=name).pixels(picture)[0]
        assert np.array_equal(found, np.asarray(picture.resize((42, 30), filter_)))


@pytest.mark.parametrize(("start", "width"), [(50, 42), (51, 70)])
def test_a_picture_with_a_side_below_the_threshold_keeps_its_size(picture: Image.Image, start, width) -> None:
    assert InputView(Whole(), resize_px=30, resize_from_px=start).pixels(picture).shape[2] == width


@pytest.mark.parametrize(
    ("crop", "expected"),
    [
        (Whole(), [(0, 0)]),
        (Center(20), [(15, 25)]),
        (Center(21), [(14, 24)]),  # 14.5 and 24.5 go to the even neighbour
        (Center(19), [(16, 26)]),  # 15.5 and 25.5 likewise
        (Five(20), [(0, 0), (0, 50), (30, 0), (30, 50), (15, 25)]),
        (Windows(30, n=3, stride_px=20), [(0, 0), (0, 40), (20, 20)]),  # of six, every second
        (Windows(30, n=3, stride_px=20, ends=True), [(0, 0), (0, 40), (20, 40)]),  # of six: 0, 2.5, 5
        (
            Windows(30, n=9, stride_px=20),
            [(t, left) for t in (0, 20) for left in (0, 20, 40)],
        ),  # no more than there are
        (Windows(30, n=9, stride_px=20, long_stride_px=40, long_from_px=70), [(0, 0), (0, 40)]),
        (Windows(50, n=2, stride_px=20, long_stride_px=40, long_from_px=71), [(0, 0), (0, 20)]),
    ],
)
def test_crops_are_taken_at_their_places(picture: Image.Image, crop, expected) -> None:
    assert crop.positions(50, 70).tolist() == [list(place) for place in expected]
    views, pixels = InputView(crop).pixels(picture), np.asarray(picture)
    height, width = views.shape[1:3]
    assert all(
        np.array_equal(v, pixels[t : t + height, x : x + width]) for v, (t, x) in zip(views, expected, strict=True)
    )


def test_random_crops_stay_inside_reach_both_ends_and_repeat_with_their_seed() -> None:
    places = Random(48, n=200, seed=1).positions(50, 70)
    assert set(places[:, 0]) == {0, 1, 2}
    assert set(places[:, 1]) == set(range(23))
    assert np.array_equal(places, Random(48, n=200, seed=1).positions(50, 70))
    assert not np.array_equal(places, Random(48, n=200, seed=2).positions(50, 70))
    assert Random(50, n=2).positions(50, 50).tolist() == [[0, 0], [0, 0]]


def test_a_centre_crop_of_a_small_picture_is_padded_with_black_the_odd_pixel_below_and_right() -> None:
    found = InputView(Center(20)).pixels(Image.new("RGB", (15, 30), "white"))[0]
    assert np.array_equal(np.flatnonzero(found[0, :, 0]), np.arange(2, 17))
    assert (found[:, 2:17] == 255).all()
    below = InputView(Center(20)).pixels(Image.new("RGB", (30, 17), "white"))[0]
    assert np.array_equal(np.flatnonzero(below[:, 0, 0]), np.arange(1, 18))


@pytest.mark.parametrize("crop", [Five(51), Random(51, n=2), Windows(51, n=2, stride_px=8)], ids=kind)
def test_a_picture_smaller_than_a_crop_is_refused(picture: Image.Image, crop) -> None:
    with pytest.raises(UsageError, match="70 x 50 pixels is smaller than a crop of 51"):
        InputView(crop)(picture)


def test_given_positions_replace_the_own_ones(picture: Image.Image) -> None:
    pixels = np.asarray(picture)
    found = InputView(Random(20, n=9)).pixels(picture, [(3, 4), (30, 50)])
    assert np.array_equal(found, [pixels[3:23, 4:24], pixels[30:50, 50:70]])
    offsets = np.zeros((2, 2, 2), int)
    offsets[:, 1, 0] = 7, 9  # the lower left cell begins at (25, 0)
    fragments = InputView(Fragments(2, 10)).pixels(picture, offsets)[0]
    assert np.array_equal(fragments[10:, :10], pixels[32:42, 9:19])
    assert np.array_equal(fragments[:10, 10:], pixels[:10, 35:45])


def test_values_are_normalised_channel_by_channel() -> None:
    colour = Image.new("RGB", (8, 6), (255, 51, 0))
    expected = (np.array([1.0, 0.2, 0.0]) - IMAGENET_MEAN) / IMAGENET_STD
    found = InputView(Whole())(colour)
    assert (found.shape, found.dtype) == ((1, 3, 6, 8), np.float32)
    np.testing.assert_allclose(found[0, :, 3, 4], expected, rtol=1e-6)
    plain = InputView(Whole(), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), bgr=True)(colour)
    np.testing.assert_allclose(plain[0, :, 3, 4], [-1.0, -0.6, 1.0], rtol=1e-6)


@pytest.mark.parametrize("crop", CROPS, ids=kind)
def test_the_same_picture_gives_the_same_views_and_a_card_gives_the_same_preparation(picture, crop) -> None:
    made = ViewPreprocess(
        {
            "face": InputView(crop, resize_px=45, resize_from_px=12, interpolation="bicubic", bgr=True),
            "other": InputView(Whole(), resize_px=(20, 30), mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0)),
        }
    )
    again = ViewPreprocess.from_dict(json.loads(json.dumps(made.to_dict())))
    assert again == made
    assert again.id == made.id
    first, second = made(picture), again(picture)
    assert list(first) == ["face", "other"]
    assert all(np.array_equal(first[name], second[name]) for name in first)


CHANGES = [
    {"resize_px": 33},
    {"resize_px": (32, 32)},
    {"resize_from_px": 1},
    {"interpolation": "bicubic"},
    {"mean": (0.5, 0.5, 0.5)},
    {"std": (0.5, 0.5, 0.5)},
    {"bgr": True},
    {"crop": Random(20, n=3, seed=1)},
    {"crop": Random(20, n=4)},
    {"crop": Random(21, n=3)},
    {"crop": Center(20)},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_every_setting_changes_the_id(change: dict[str, object]) -> None:
    view = InputView(Random(20, n=3), resize_px=32)
    first = ViewPreprocess({"face": view}).id
    assert ViewPreprocess({"face": replace(view, **change)}).id != first
    assert ViewPreprocess({"portrait": view}).id != first


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"inputs": {"face": {}}},
        {"inputs": {"face": {"crop": {"kind": "spiral"}}}},
        {"inputs": {"face": {"crop": {"kind": "center"}}}},
        {"inputs": {"face": {"crop": {"kind": "whole"}, "blur": 3}}},
    ],
    ids=str,
)
def test_an_unknown_description_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="not a description of views"):
        ViewPreprocess.from_dict(wrong)
