"""RQ-Net: one transformer for two looks, nine views with one set of fragments, scores of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mien.core.views import Fragments, InputView, ViewPreprocess, Windows
from mien.models.export import write
from mien.models.judging import PublishedJudge
from mien.models.rq_net import RQNet


def tiny(**config: Any) -> RQNet:
    torch.manual_seed(0)
    return RQNet(image_px=32, patch_px=8, width=64, layers=2, heads=4, hidden=16, **config).eval()


@pytest.fixture
def looks() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(2, 9, 3, 32, 32, generator=rng), torch.randn(2, 1, 3, 32, 32, generator=rng)


@torch.inference_mode()
def test_nine_views_share_the_fragments_and_their_scores_are_averaged(looks: tuple[Tensor, Tensor]) -> None:
    net, (whole, local) = tiny(), looks
    each = torch.cat([net(whole[:, v], local[:, 0]) for v in range(9)], 1)
    assert each.std(1).min() > 1e-4
    found = net.judge(whole, local)
    torch.testing.assert_close(found, each.mean(1), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(net.judge(whole, local.expand(-1, 9, -1, -1, -1)), found, rtol=1e-4, atol=1e-6)


@torch.inference_mode()
def test_the_score_of_a_picture_does_not_depend_on_the_others(looks: tuple[Tensor, Tensor]) -> None:
    net, (whole, local) = tiny(), looks
    torch.testing.assert_close(net.judge(whole[1:], local[1:]), net.judge(whole, local)[1:], rtol=1e-4, atol=1e-6)


@torch.inference_mode()
def test_both_looks_count_and_are_not_exchangeable(looks: tuple[Tensor, Tensor]) -> None:
    net, (whole, local) = tiny(), looks
    found = net.judge(whole, local)
    assert (net.judge(whole, local.flip(0)) - found).abs().max() > 1e-4
    assert (net.judge(whole.flip(0), local) - found).abs().max() > 1e-4
    assert (net(local[:, 0], whole[:, 0]) - net(whole[:, 0], local[:, 0])).abs().max() > 1e-4


@torch.inference_mode()
def test_the_grid_tokens_count_beside_the_class_token() -> None:
    net = tiny()
    tokens = torch.randn(1, 1, 17, 64)
    other = tokens.clone()
    other[:, :, 3] *= -1
    assert (net.blocks[0](other, tokens) - net.blocks[0](tokens, tokens)).abs().max() > 1e-4
    assert (net.blocks[0](tokens, other) - net.blocks[0](tokens, tokens)).abs().max() > 1e-4


def test_the_gradient_reaches_every_parameter_of_three_scores(looks: tuple[Tensor, Tensor]) -> None:
    net, (whole, local) = tiny(scores=3), looks
    scores = net(whole[:, 0], local[:, 0])
    assert scores.shape == (2, 3)
    scores.sum().backward()
    unreached = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    # a constant added to all keys changes no attention
    assert all(n.endswith(".key.bias") for n in unreached)


@torch.inference_mode()
def test_the_last_score_is_the_judgement(looks: tuple[Tensor, Tensor]) -> None:
    net, (whole, local) = tiny(scores=3), looks
    expected = torch.stack([net(whole[:, v], local[:, 0])[:, 2] for v in range(9)]).mean(0)
    torch.testing.assert_close(net.judge(whole, local), expected, rtol=1e-4, atol=1e-6)


def test_the_views_are_corners_sides_and_centre_and_raw_pieces(rng: np.random.Generator) -> None:
    picture = Image.fromarray(rng.integers(0, 256, (300, 500, 3), dtype=np.uint8))
    views = RQNet.preprocess.inputs
    small = np.asarray(picture.resize((244, 244), Image.Resampling.BILINEAR))
    corners = [(top, left) for top in (0, 10, 20) for left in (0, 10, 20)]
    found = views["whole"].pixels(picture)
    assert len(found) == 9
    for crop, (top, left) in zip(found, corners, strict=True):
        assert np.array_equal(crop, small[top : top + 224, left : left + 224])
    pieces = views["local"].pixels(picture)[0]
    assert pieces.shape == (224, 224, 3)
    cell = np.asarray(picture)[42 * 2 : 42 * 3, 71 * 3 : 71 * 4]  # third row, fourth column of 7 x 7
    windows = np.lib.stride_tricks.sliding_window_view(cell, (32, 32), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    assert (windows == pieces[64:96, 96:128]).all((2, 3, 4)).any()


def test_the_exported_judgement_is_the_same_for_any_number_of_pictures(
    looks: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    import onnxruntime

    net = tiny()
    small = {"whole": InputView(Windows(32, 9, stride_px=4), resize_px=(40, 40)), "local": InputView(Fragments(4, 8))}
    write(
        PublishedJudge("rq-net@0", ViewPreprocess(small), (0.0, 1.0), lambda batch: batch, net), tmp_path / "net.onnx"
    )
    whole, local = (torch.cat([x, x[:1] + 1]) for x in looks)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (found,) = session.run(None, {"whole": whole.numpy(), "local": local.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(np.asarray(found), net.judge(whole, local).numpy(), rtol=1e-3, atol=1e-5)
