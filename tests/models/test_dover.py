"""DOVER: what the parity fixture does not show."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from mien.models import zoo  # noqa: E402
from mien.models.dover import DOVER, ConvNeXtBlock, fuse  # noqa: E402


@pytest.fixture(scope="module")
def net() -> DOVER:
    torch.manual_seed(0)
    net = zoo.build("dover")
    assert isinstance(net, DOVER)
    for block in (m for m in net.modules() if isinstance(m, ConvNeXtBlock)):
        torch.nn.init.ones_(block.gamma)
    return net


@pytest.fixture
def views() -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(1)
    return {
        "technical": torch.randn(2, 3, 3, 4, 32, 32, generator=rng),
        "aesthetic": torch.randn(2, 1, 3, 6, 32, 64, generator=rng),
    }


@torch.inference_mode()
def test_each_side_is_the_mean_over_its_own_clips(net: DOVER, views: dict[str, Tensor]) -> None:
    found = net.scores(**views)
    each = []
    for v in range(3):
        each.append(net({"technical": views["technical"][:, v], "aesthetic": views["aesthetic"][:, 0]}))
    technical = torch.stack([maps.technical.mean((1, 2, 3, 4)) for maps in each])
    assert technical.std(0).min() > 1e-5
    torch.testing.assert_close(found.technical, technical.mean(0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.aesthetic, each[0].aesthetic.mean((1, 2, 3, 4)), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(net.judge(**views), found.overall)


@torch.inference_mode()
def test_a_side_is_found_by_its_name_and_sees_its_own_view_only(net: DOVER, views: dict[str, Tensor]) -> None:
    ordered = {name: view[:, 0] for name, view in views.items()}
    turned = dict(reversed(ordered.items())) | {"aesthetic": ordered["aesthetic"] + 1}
    assert torch.equal(net(ordered).technical, net(turned).technical)
    assert not torch.equal(net(ordered).aesthetic, net(turned).aesthetic)


def test_the_sum_weighs_the_technical_side_more() -> None:
    middle = fuse(torch.tensor([0.1107]), torch.tensor([-0.08285])).overall
    technical = fuse(torch.tensor([0.1107 + 0.07355]), torch.tensor([-0.08285])).overall
    aesthetic = fuse(torch.tensor([0.1107]), torch.tensor([-0.08285 + 0.03774])).overall
    assert middle.item() == pytest.approx(0.5)
    assert torch.logit(technical).item() == pytest.approx(0.6104, rel=1e-4)
    assert torch.logit(aesthetic).item() == pytest.approx(0.3896, rel=1e-4)


def test_a_result_has_its_sides_by_name() -> None:
    scores = fuse(torch.tensor([1.0]), torch.tensor([2.0]))
    assert (scores.technical.item(), scores.aesthetic.item()) == (1.0, 2.0)
    assert scores._fields == ("technical", "aesthetic", "overall")


def test_one_block_in_three_sees_three_frames(net: DOVER) -> None:
    frames = [[block.dwconv.kernel_size[0] for block in stage] for stage in cast("Any", net.aesthetic_backbone.stages)]
    assert frames == [[1, 3, 1], [1, 3, 1], [1, 3, 1] * 3, [1, 3, 1]]


def test_the_gradient_reaches_every_parameter(net: DOVER) -> None:
    net.zero_grad()
    rng = torch.Generator().manual_seed(2)
    views = {name: torch.randn(1, 3, 4, 64, 64, generator=rng) for name in ("technical", "aesthetic")}
    maps = net(views)
    (maps.technical.sum() + maps.aesthetic.sum()).backward()
    unreached = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    net.zero_grad()
    assert unreached == []


def test_a_video_becomes_three_clips_and_one_of_single_frames() -> None:
    views = DOVER.preprocess(np.zeros((2, 240, 224, 3), np.uint8))
    assert {name: view.shape for name, view in views.items()} == {
        "technical": (3, 3, 32, 224, 224),
        "aesthetic": (1, 3, 32, 224, 224),
    }
