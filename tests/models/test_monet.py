"""MoNet in a small size: what the survey says, and the parity fixture of its attention module does not show."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from mien.core.views import Center, InputView, ViewPreprocess  # noqa: E402
from mien.models import export, zoo  # noqa: E402
from mien.models.judging import Arrays, PublishedJudge  # noqa: E402
from mien.models.monet import MAL, MoNet  # noqa: E402


@pytest.fixture(scope="module")
def net() -> MoNet:
    torch.manual_seed(0)
    return MoNet(opinions=2, scenes=3, image_px=64, width=48).eval()


def test_the_whole_network_has_the_size_that_the_survey_reports() -> None:
    with torch.device("meta"):
        parameters = sum(p.numel() for p in MoNet().parameters())
    assert parameters == zoo.card("monet")["parameters"]
    assert parameters == pytest.approx(408e6, rel=0.002)


@torch.inference_mode()
def test_a_picture_gets_a_score_and_logits_of_scenes(net: MoNet) -> None:
    judgement = net(torch.randn(2, 3, 64, 64))
    assert judgement.score.shape == (2,)
    assert judgement.scene.shape == (2, 3)


@torch.inference_mode()
def test_a_pictures_score_is_the_mean_over_its_views(net: MoNet) -> None:
    views = torch.randn(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    each = torch.stack([net(views[:, v]).score for v in range(2)])
    assert (each[0] - each[1]).abs().min() > 1e-7
    torch.testing.assert_close(net.judge(views), each.mean(0))


def test_the_gradient_of_the_score_reaches_all_but_the_scene_head(net: MoNet) -> None:
    net.zero_grad()
    net(torch.randn(2, 3, 64, 64)).score.sum().backward()
    unreached = {name for name, p in net.named_parameters() if p.grad is None}
    moved = {i for i in range(2) if net.MALs[i].channel_attention.c_v.weight.grad.abs().max() > 0}
    net.zero_grad()
    assert unreached == {name for name, _ in net.named_parameters() if name.startswith("fc_scene.")}
    assert moved == {0, 1}


def test_opinions_differ_from_the_start(net: MoNet) -> None:
    first, second = (mal.state_dict() for mal in net.MALs)
    assert not [name for name in first if torch.equal(first[name], second[name]) and not name.endswith("gamma")]


def test_the_features_are_those_behind_blocks_3_6_9_and_12(net: MoNet) -> None:
    x, seen = torch.randn(1, 3, 64, 64), []
    hooks = [block.register_forward_hook(lambda _m, _x, y: seen.append(y)) for block in net.vit.blocks]
    hooks.append(net.MALs[1].register_forward_hook(lambda _m, x, _y: seen.append(x[0])))
    net(x)
    for hook in hooks:
        hook.remove()
    *blocks, levels = seen
    assert len(blocks) == 12
    for level, block in zip(levels, (3, 6, 9, 12), strict=True):
        assert torch.equal(level[0, :, 1, 2], blocks[block - 1][0, 1 + 4 * 1 + 2])  # row 1, column 2 behind the class


def test_a_fresh_self_attention_passes_its_map_on_and_opens_with_gamma() -> None:
    torch.manual_seed(0)
    attention, x = MAL(16, 1, 3).attention_module[0], torch.randn(1, 16, 3, 3)
    assert torch.equal(attention(x), x)
    with torch.no_grad():
        attention.gamma.fill_(2.0)
    q, k, v = (conv(x)[0].flatten(1) for conv in (attention.qConv, attention.kConv, attention.vConv))
    slow = torch.stack([(q[:, place] @ k).softmax(0) @ v.T for place in range(9)], 1)
    torch.testing.assert_close(attention(x)[0].flatten(1), x[0].flatten(1) + 2 * slow)


def test_attention_among_places_does_not_care_which_place_is_where() -> None:
    torch.manual_seed(0)
    mal, maps = MAL(8, 2, 2), [torch.randn(1, 8, 2, 2) for _ in range(2)]
    seen: list[torch.Tensor] = []
    mal.channel_attention.register_forward_hook(lambda _m, x, _y: seen.append(x[0]))
    mal(maps)
    mal([x.flip(3) for x in maps])
    assert torch.equal(seen[1], seen[0].unflatten(1, (2, 2)).flip(2).flatten(1, 2))  # tokens are places, level by level
    assert torch.equal(seen[0][0, :, :8], maps[0][0].flatten(1).T)


@pytest.mark.slow
def test_the_onnx_file_gives_the_same_scores_for_any_number_of_pictures(net: MoNet, tmp_path: Path) -> None:
    @torch.inference_mode()
    def network(batch: Arrays) -> Arrays:
        return {"quality": net.judge(torch.from_numpy(batch["image"])).numpy()}

    judge = PublishedJudge("small", ViewPreprocess({"image": InputView(Center(64))}), (0, 1), network, net)
    with torch.inference_mode():
        export.write(judge, tmp_path / "small.onnx")  # written with two pictures, asked for one at a time
        assert export.largest_difference(judge, tmp_path / "small.onnx", 2) <= 1e-4
