"""BDVQA: all stages of each member count, members are averaged, and the two of a pair do not see each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mien.models.bdvqa import BDVQA


def tiny(members: int = 2) -> BDVQA:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"img_size": 64, "window_size": 2, "embed_dim": 8, "depths": (1, 1, 2, 1)}
    return BDVQA(members=members, hidden=16, num_heads=(1, 1, 2, 2), **sizes).eval()


@pytest.fixture
def views() -> Tensor:
    return torch.randn(2, 3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_views_and_members_are_averaged(views: Tensor) -> None:
    net = tiny()
    each = torch.stack([member(views[:, v]).squeeze(1) for v in range(3) for member in net.members])
    assert each.std(0).min() > 1e-4
    torch.testing.assert_close(net.judge(views), each.mean(0), rtol=1e-4, atol=1e-6)


@torch.inference_mode()
def test_the_pictures_of_a_pair_go_through_one_network_and_do_not_see_each_other(views: Tensor) -> None:
    net = tiny()
    pair = net(views[:, 0])
    torch.testing.assert_close(net(views[:, 0].flip(0)), pair.flip(0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(net(views[1:, 0]), pair[1:], rtol=1e-4, atol=1e-6)
    assert (pair[0] - pair[1]).abs().item() > 1e-5


@torch.inference_mode()
@pytest.mark.parametrize("stage", range(4))
def test_every_stage_counts(stage: int, views: Tensor) -> None:
    net = tiny(members=1)
    (member,) = net.members
    before = net(views[:, 0])
    widths = [8, 16, 32, 64]
    first = sum(widths[:stage])
    member.head[0].weight[:, first : first + widths[stage]] = 0
    assert (net(views[:, 0]) - before).abs().max() > 1e-4
    member.head[0].weight.zero_()
    assert net(views[:, 0]).std() < 1e-6


def test_the_gradient_reaches_every_parameter(views: Tensor) -> None:
    net = tiny()
    net(views[:, 0]).sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


def test_members_share_nothing() -> None:
    one, four = (sum(p.numel() for p in tiny(n).parameters()) for n in (1, 4))
    assert four == 4 * one


def test_eighteen_crops_are_the_same_at_every_call(rng: np.random.Generator) -> None:
    picture = Image.fromarray(rng.integers(0, 256, (450, 640, 3), dtype=np.uint8))
    first, second = (BDVQA.preprocess(picture)["image"] for _ in range(2))
    assert first.shape == (18, 3, 384, 384)
    assert np.array_equal(first, second)
    assert len({view.tobytes() for view in first}) > 9
