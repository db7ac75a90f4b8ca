"""HyperIQA: what the parity fixture does not show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from mien.models import zoo
from mien.models.hyperiqa import HyperIQA


@pytest.fixture(scope="module")
def net() -> HyperIQA:
    torch.manual_seed(0)
    net = zoo.build("hyperiqa")
    assert isinstance(net, HyperIQA)
    return net


@pytest.fixture
def crops() -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(2, 3, 224, 224, generator=rng) * torch.tensor([0.2, 2.0])[:, None, None, None]


@torch.inference_mode()
def test_each_crop_is_judged_by_the_five_layers_written_for_it(net: HyperIQA, crops: torch.Tensor) -> None:
    written = net.write(crops)
    expected = []
    for i in range(2):
        x = written.content[i]
        for layer, (weight, bias) in enumerate(zip(written.target.weights, written.target.biases, strict=True)):
            x = F.linear(x, weight[i], bias[i])
            x = torch.sigmoid(x) if layer < 4 else x
        expected.append(x[0])
    judged = net(crops)
    torch.testing.assert_close(judged, torch.stack(expected))
    exchanged = written.target(written.content.roll(1, 0))  # the network of one crop, the content of another
    assert (exchanged - judged).abs().max() > 1e-5


@torch.inference_mode()
def test_a_picture_gets_the_mean_of_the_scores_that_its_crops_get_alone(net, crops) -> None:
    alone = torch.cat([net(crop[None]) for crop in crops])
    assert alone.std() > 1e-5
    torch.testing.assert_close(net.judge(crops[None]), alone.mean(0, keepdim=True), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net.judge(crops[:, None]), alone, rtol=1e-4, atol=1e-5)


def test_the_gradient_reaches_every_parameter_through_the_written_layers(net: HyperIQA, crops: torch.Tensor) -> None:
    net.zero_grad()
    net(crops).sum().backward()
    unreached = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    net.zero_grad()
    assert unreached == []


def test_a_landscape_is_squeezed_into_a_portrait_before_25_crops() -> None:
    ramp = np.zeros((100, 768, 3), np.uint8)
    ramp[:, :384] = 255
    (view,) = HyperIQA.preprocess.inputs.values()
    squeezed = view.pixels(Image.fromarray(ramp), [(0, 0), (288, 160)])
    assert squeezed.shape == (2, 224, 224, 3)
    assert (squeezed[:, 0, :, 0] > 127).mean(1).tolist() == [192 / 224, 32 / 224]  # the edge stands at 192 of 384
    assert len(view(Image.fromarray(ramp))) == 25


@pytest.mark.parametrize("patch_px", [0, 100, 225, -224])
def test_an_input_that_is_no_multiple_of_224_is_refused(patch_px: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of 224 pixels, not {patch_px}"):
        HyperIQA(patch_px)
