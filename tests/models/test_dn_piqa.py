"""DN-PIQA: how crops are paired, what the face branch is shown, and the names of its Swin Transformers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mien.models.dn_piqa import DNPIQA, face_crop

SIZES = {"img_size": 64, "window_size": 2, "embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)}


@pytest.fixture(scope="module")
def net() -> DNPIQA:
    torch.manual_seed(0)
    return DNPIQA(**SIZES).eval()


@pytest.fixture
def seen() -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(1)
    views = {name: torch.randn(2, 5, 3, 64, 64, generator=rng) for name in ("overall", "face")}
    return {**views, "liqe": torch.randn(2, 495, generator=rng)}


@torch.inference_mode()
def test_crops_are_paired_by_position_and_share_one_liqe_vector(net: DNPIQA, seen: dict[str, Tensor]) -> None:
    each = [net(seen["overall"][:, k], seen["face"][:, k], seen["liqe"]) for k in range(5)]
    found = net.judge(**seen)
    torch.testing.assert_close(found, torch.cat(each, 1).mean(1), rtol=1e-4, atol=1e-6)
    alone = net.judge(**{name: x[1:] for name, x in seen.items()})
    torch.testing.assert_close(alone, found[1:], rtol=1e-4, atol=1e-6)
    reordered = net.judge(seen["overall"], seen["face"].flip(1), seen["liqe"])
    assert (reordered - found).abs().max() > 1e-7  # the head is not linear


@torch.inference_mode()
def test_picture_face_and_liqe_all_count_and_have_weights_of_their_own(net: DNPIQA, seen: dict[str, Tensor]) -> None:
    found = net.judge(**seen)
    for name in seen:
        assert (net.judge(**{**seen, name: seen[name].flip(0)}) - found).abs().max() > 1e-5
    assert (net.judge(seen["face"], seen["overall"], seen["liqe"]) - found).abs().max() > 1e-5


def test_the_gradient_reaches_every_parameter(net: DNPIQA, seen: dict[str, Tensor]) -> None:
    net.zero_grad()
    net.judge(**seen).sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


def test_the_halving_ends_a_stage_in_the_names_of_the_checkpoint(net: DNPIQA) -> None:
    names = [name for name in net.state_dict() if "downsample.reduction" in name]
    stages = [f"layers.{stage}.downsample.reduction.weight" for stage in range(3)]
    overall, face = "feature_extraction.feature_extraction.", "feature_extraction_face." + "feature_extraction." * 2
    assert names == [prefix + stage for prefix in (overall, face) for stage in stages]


def test_the_box_of_the_face_grows_by_twenty_pixels_into_black() -> None:
    picture = Image.new("RGB", (100, 80), "white")
    crop = face_crop(picture, (10.0, 30.0, 50.0, 70.0))
    assert crop.size == (80, 80)
    pixels = np.asarray(crop)[..., 0]
    assert not pixels[:, :10].any() and not pixels[70:].any()
    assert (pixels[:70, 10:] == 255).all()
    assert face_crop(picture, (30, 30, 50, 50), margin_px=0).size == (20, 20)


def test_without_a_face_the_whole_picture_takes_its_place(rng: np.random.Generator) -> None:
    picture = Image.fromarray(rng.integers(0, 256, (500, 600, 3), dtype=np.uint8))
    assert face_crop(picture, None) is picture
    views = DNPIQA.preprocess(picture)
    assert views["face"].shape == (5, 3, 384, 384)
    assert np.array_equal(views["face"], views["overall"])
