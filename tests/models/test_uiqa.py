"""UIQA: what the parity fixture does not show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mien.models import zoo
from mien.models.uiqa import UIQA

LOOKS = ("aesthetics", "distortion", "saliency")


@pytest.fixture(scope="module")
def net() -> UIQA:
    torch.manual_seed(0)
    net = zoo.build("uiqa")
    assert isinstance(net, UIQA)
    return net


@pytest.fixture
def views() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    return {look: torch.randn(2, 2, 3, 32, 32, generator=rng) for look in LOOKS}


@torch.inference_mode()
def test_views_of_one_picture_are_paired_by_position_and_averaged(net: UIQA, views: dict[str, torch.Tensor]) -> None:
    each = torch.stack([net(*(views[look][:, v] for look in LOOKS)).squeeze(1) for v in range(2)])
    assert (each[0] - each[1]).abs().min() > 1e-5
    torch.testing.assert_close(net.judge(**views), each.mean(0), rtol=1e-4, atol=1e-5)


def test_the_three_looks_have_weights_of_their_own(net: UIQA) -> None:
    assert sum(p.numel() for p in net.parameters()) == zoo.card("uiqa")["parameters"]  # shared ones count once


def test_the_gradient_reaches_every_parameter(net: UIQA, views: dict[str, torch.Tensor]) -> None:
    net.zero_grad()
    net(*(views[look][0, :1] for look in LOOKS)).sum().backward()
    unreached = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    net.zero_grad()
    assert unreached == []


def test_one_picture_is_looked_at_in_three_ways_and_always_the_same_ways(rng: np.random.Generator) -> None:
    picture = Image.fromarray(rng.integers(0, 256, (900, 700, 3), dtype=np.uint8))
    first, second = UIQA.preprocess(picture), UIQA.preprocess(picture)
    assert list(first) == list(LOOKS)
    for look in LOOKS:
        assert first[look].shape == (1, 3, 480, 480)
        assert np.array_equal(first[look], second[look])
    pixels = np.asarray(picture)
    raw = {look: view.pixels(picture)[0] for look, view in UIQA.preprocess.inputs.items()}
    assert np.array_equal(raw["saliency"], pixels[210:690, 110:590])
    assert raw["distortion"].std() > 2 * raw["aesthetics"].std() > 0  # noise survives in raw patches, not in a resize


def test_beside_a_small_picture_the_saliency_look_is_black(rng: np.random.Generator) -> None:
    picture = Image.fromarray(rng.integers(100, 256, (300, 700, 3), dtype=np.uint8))
    saliency = UIQA.preprocess.inputs["saliency"].pixels(picture)[0]
    assert (saliency[:90] == 0).all() and (saliency[390:] == 0).all()
    assert (saliency[90:390] >= 100).all()
