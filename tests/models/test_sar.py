"""SAR: yardsticks of scenes, the gate between picture and face, what is frozen, and the square around a face."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mien.core.views import InputView, ViewPreprocess, Windows
from mien.models.clip import CLIP, start_from
from mien.models.export import write
from mien.models.judging import PublishedJudge
from mien.models.sar import SAR, face_square


def tiny(**config: Any) -> SAR:
    torch.manual_seed(0)
    sizes = {"scenes": 5, "image_px": 32, "patch_px": 8, "width": 64, "layers": 4, "frozen": 2}
    return SAR(**{**sizes, **config}).eval()


@pytest.fixture
def patches() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(2, 4, 3, 32, 32, generator=rng), torch.randn(2, 4, 3, 32, 32, generator=rng)


@torch.inference_mode()
def test_another_order_of_the_scenes_with_their_yardsticks_changes_no_score(patches: tuple[Tensor, Tensor]) -> None:
    net, order = tiny(), torch.tensor([3, 0, 4, 1, 2])
    found = net.judge(*patches)
    for layer in (net.scene_class, net.whole_regressors, net.face_regressors):
        layer.weight.copy_(layer.weight[order])
        layer.bias.copy_(layer.bias[order])
    torch.testing.assert_close(net.judge(*patches), found)
    net.scene_class.bias.copy_(10 * torch.arange(5.0))
    assert (net.judge(*patches) - found).abs().max() > 1e-3


@torch.inference_mode()
def test_pairs_of_patches_are_judged_alone_and_averaged(patches: tuple[Tensor, Tensor]) -> None:
    net, (whole, face) = tiny(), patches
    each = torch.stack([net(whole[:, v], face[:, v]).score for v in range(4)])
    assert each.std(0).min() > 1e-5
    found = net.judge(whole, face)
    torch.testing.assert_close(found, each.mean(0), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(net.judge(whole[1:], face[1:]), found[1:], rtol=1e-4, atol=1e-6)


@torch.inference_mode()
def test_the_gate_stands_between_picture_and_face(patches: tuple[Tensor, Tensor]) -> None:
    net, (whole, face) = tiny(), (patches[0][:, 0], patches[1][:, 0])
    scene = torch.tensor([1, 3])
    both, by_whole, by_face = net(whole, face, scene=scene), net(whole, scene=scene), net(face=face, scene=scene)
    assert ((both.gate > 0) & (both.gate < 1)).all()
    assert by_whole.gate.tolist() == [1, 1] and by_face.gate.tolist() == [0, 0]
    torch.testing.assert_close(both.score, both.gate * by_whole.score + (1 - both.gate) * by_face.score)
    swapped = net(face, whole, scene=scene)
    assert (swapped.score - both.score).abs().max() > 1e-4
    with pytest.raises(ValueError, match="of the face, or both"):
        net()


@torch.inference_mode()
def test_a_true_scene_chooses_its_yardstick_and_a_guess_weights_all(patches: tuple[Tensor, Tensor]) -> None:
    net, (whole, face) = tiny(), (patches[0][:, 0], patches[1][:, 0])
    in_each = torch.stack([net(whole, face, scene=torch.full((2,), s)).score for s in range(5)], 1)
    assert in_each.std(1).min() > 1e-3
    guessed = net(whole, face)
    torch.testing.assert_close(guessed.score, (guessed.scene.softmax(1) * in_each).sum(1))
    assert guessed.scene.shape == (2, 5)


@torch.inference_mode()
def test_the_scene_is_guessed_from_the_whole_picture(patches: tuple[Tensor, Tensor]) -> None:
    net, (whole, face) = tiny(), (patches[0][:, 0], patches[1][:, 0])
    torch.testing.assert_close(net(whole, face).scene, net(whole).scene)
    assert (net(face=face).scene - net(whole).scene).abs().max() > 1e-4


def test_the_gradient_reaches_all_but_the_frozen_blocks(patches: tuple[Tensor, Tensor]) -> None:
    net, (whole, face) = tiny(), patches
    found = net(whole[:, 0], face[:, 0], scene=torch.tensor([0, 4]))
    (found.score.sum() + torch.nn.functional.cross_entropy(found.scene, torch.tensor([0, 4]))).backward()
    reached = {n for n, p in net.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    start = ("conv1", "class_embedding", "positional_embedding", "ln_pre", "transformer.resblocks.0.", "transformer.resblocks.1.")  # fmt: skip # noqa: E501
    frozen = {n for n, _ in net.named_parameters() if n.startswith(tuple(f"visual.{name}" for name in start))}
    assert frozen and not frozen & reached
    assert {n for n, _ in net.named_parameters()} - frozen == reached


def test_the_first_blocks_of_a_clip_are_its_start() -> None:
    clip = CLIP(8, image_px=32, patch_px=8, image_width=64, image_layers=6, vocabulary=4, text_width=8, text_layers=1)
    net = tiny()
    start_from(net.visual, clip.state_dict())
    last = net.visual.transformer.resblocks[3].state_dict()
    expected = clip.visual.transformer.resblocks[3].state_dict()
    assert all(torch.equal(last[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("box", "corner", "side"),
    [
        ((300, 200, 400, 350), (94, 19), 512),  # a small face: the least size around its middle
        ((10, 5, 110, 105), (0, 0), 512),  # moved inside
        ((200, 100, 800, 600), (200, 50), 600),  # its longer edge
        ((950, 650, 990, 690), (488, 188), 512),
    ],
)
def test_a_face_gets_a_square_of_512_pixels_or_more(
    box: tuple[int, int, int, int], corner: tuple[int, int], side: int, rng: np.random.Generator
) -> None:
    picture = Image.fromarray(rng.integers(1, 256, (700, 1000, 3), dtype=np.uint8))
    x, y = corner
    assert np.array_equal(np.asarray(face_square(picture, box)), np.asarray(picture)[y : y + side, x : x + side])


def test_a_picture_smaller_than_the_square_stands_in_black_and_none_is_cut_without_a_face() -> None:
    picture = Image.new("RGB", (600, 400), "white")
    pixels = np.asarray(face_square(picture, (250, 150, 350, 250)))[..., 0]
    assert pixels.shape == (512, 512)
    assert (pixels[56:456] == 255).all() and not pixels[:56].any() and not pixels[456:].any()
    assert face_square(picture, None) is picture


def test_thirty_patches_of_each_are_paired(rng: np.random.Generator) -> None:
    picture = Image.fromarray(rng.integers(0, 256, (400, 300, 3), dtype=np.uint8))
    views = SAR.preprocess(picture)
    assert [(name, view.shape) for name, view in views.items()] == [
        ("whole", (30, 3, 224, 224)),
        ("face", (30, 3, 224, 224)),
    ]
    assert len({view.tobytes() for view in views["whole"]}) == 30


def test_the_exported_judgement_is_the_same_for_any_number_of_pictures(
    patches: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    import onnxruntime

    net = tiny()
    view = InputView(Windows(32, 4, stride_px=8, ends=True), resize_px=64)
    judge = PublishedJudge("sar@0", ViewPreprocess({"whole": view, "face": view}), (0.0, 1.0), lambda batch: batch, net)
    write(judge, tmp_path / "net.onnx")
    whole, face = (torch.cat([x, x[:1] + 1]) for x in patches)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (found,) = session.run(None, {"whole": whole.numpy(), "face": face.numpy()})
    with torch.inference_mode():
        np.testing.assert_allclose(np.asarray(found), net.judge(whole, face).numpy(), rtol=1e-3, atol=1e-5)
