"""Training pictures: what chance may change, and what inputs share."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from synthetic import picture

pytest.importorskip("torch")
from mien.core.views import Center, Fragments, InputView, Random
from mien.training.crops import Area, Mirror, TrainViews, Turn

VIEW = InputView(Random(32, 2))


def views(changes=(), **inputs) -> TrainViews:
    return TrainViews(inputs, changes)


def test_random_crops_are_drawn_anew_and_others_stay():
    photo = picture(0)
    made = views(image=VIEW, pieces=InputView(Fragments(2, 16)), middle=InputView(Center(32)))
    looks = dict.fromkeys(made.inputs, photo)
    a, b = made(looks, np.random.default_rng(0)), made(looks, np.random.default_rng(1))
    assert not np.array_equal(a["image"], b["image"])
    assert not np.array_equal(a["pieces"], b["pieces"])
    assert np.array_equal(a["middle"], b["middle"])
    assert a["image"].shape == (2, 3, 32, 32)


def test_a_crop_is_a_window_of_the_picture():
    photo = picture(0)
    whole = InputView(Random(32, 1)).pixels(photo, [(0, 0)])
    assert whole.shape == (1, 32, 32, 3)
    crop = views(image=InputView(Random(32, 1)))({"image": photo}, np.random.default_rng(3))["image"][0]
    pixels = np.asarray(photo, np.float32).transpose(2, 0, 1) / 255
    mean, std = (np.array(v, np.float32)[:, None, None] for v in (VIEW.mean, VIEW.std))
    windows = np.lib.stride_tricks.sliding_window_view((pixels - mean) / std, (3, 32, 32))[0]
    assert (np.abs(windows - crop).max((2, 3, 4)) < 1e-5).any()


def test_inputs_that_see_one_picture_are_mirrored_together():
    photo = picture(0, (64, 64))
    made = views((Mirror(0.5),), a=InputView(Center(64)), b=InputView(Center(64)))
    results = [made({"a": photo, "b": photo}, np.random.default_rng(seed)) for seed in range(20)]
    assert all(np.array_equal(r["a"], r["b"]) for r in results)
    assert len({r["a"].tobytes() for r in results}) == 2
    other = picture(1, (64, 64))
    mirrored = [
        np.array_equal(r[name], InputView(Center(64))(ImageOps.mirror(shown)))
        for r in (made({"a": photo, "b": other}, np.random.default_rng(seed)) for seed in range(20))
        for name, shown in (("a", photo), ("b", other))
    ]
    assert mirrored[::2] == mirrored[1::2]


def test_a_turned_picture_has_no_black_corners():
    white = Image.new("RGB", (90, 60), "white")
    for seed in range(20):
        turned = Turn(15.0)(white, np.random.default_rng(seed))
        assert np.asarray(turned).min() > 250
        assert turned.width / turned.height == pytest.approx(1.5, abs=0.1)


def test_a_window_has_its_share_of_the_area():
    for seed in range(20):
        window = Area(0.5)(picture(0, (200, 100)), np.random.default_rng(seed))
        assert 0.48 <= window.width * window.height / 20_000 <= 1.0
        assert window.width / window.height == pytest.approx(2, abs=0.05)
