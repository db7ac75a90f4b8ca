"""LIQE: the sentences, when they are encoded, and what an exported network keeps of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mien.models.export import write
from mien.models.judging import PublishedJudge
from mien.models.liqe import DISTORTIONS, LIQE, QUALITIES, SCENES, judgement, prompts

FIXTURE = Path(__file__).parents[1] / "fixtures" / "parity" / "liqe.json"


def tiny(seed: int = 0, **config: Any) -> LIQE:
    torch.manual_seed(seed)
    net = LIQE(out=8, patch_px=112, image_width=16, image_layers=1, text_width=8, text_layers=1, **config)
    return net.eval()


@pytest.fixture
def windows() -> Tensor:
    return torch.randn(2, 15, 3, 224, 224, generator=torch.Generator().manual_seed(1))


def test_the_sentences_are_the_authors_tokens() -> None:
    official = json.loads(FIXTURE.read_text(encoding="utf-8"))["prompt_tokens"]
    ours = prompts()
    assert ours.shape == (495, max(map(len, official)))
    assert [row[: len(tokens)] for row, tokens in zip(ours.tolist(), official, strict=True)] == official
    assert all(not any(row[len(tokens) :]) for row, tokens in zip(ours.tolist(), official, strict=True))


def test_one_certain_sentence_gives_its_quality_scene_and_distortion() -> None:
    logits = torch.zeros(1, 495)
    logits[0, (3 * len(SCENES) + 2) * len(DISTORTIONS) + 5] = 100.0
    found = judgement(logits)
    assert found.quality.item() == pytest.approx(4)
    names = [list(of)[int(p.argmax())] for of, p in zip((QUALITIES, SCENES, DISTORTIONS), found[1:], strict=True)]
    assert names == ["good", "human", "contrast"]
    assert judgement(torch.zeros(1, 495)).quality.item() == pytest.approx(3)


@torch.inference_mode()
def test_windows_are_averaged_before_the_softmax_and_pictures_do_not_mix(windows: Tensor) -> None:
    net = tiny()
    each = torch.stack([net.logits(windows[:, v : v + 1]) for v in range(15)])
    torch.testing.assert_close(net.logits(windows), each.mean(0), rtol=1e-4, atol=1e-5)
    judged = net.judge(windows)
    assert judged.shape == (2,) and (judged > 1).all() and (judged < 5).all()
    torch.testing.assert_close(net.judge(windows[1:]), judged[1:])
    torch.testing.assert_close(judged, judgement(each.mean(0)).quality)


@torch.inference_mode()
def test_with_fewer_than_fifteen_windows_the_first_counts_alone(windows: Tensor) -> None:
    net = tiny()
    assert torch.equal(net.judge(windows[:, :14]), net.judge(windows[:, :1]))
    assert not torch.equal(net.judge(windows), net.judge(windows[:, :1]))


def test_the_sentences_are_encoded_once_for_every_set_of_weights(windows: Tensor) -> None:
    net, calls = tiny(), []
    net.transformer.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        first = net.judge(windows[:, :1])
        once = len(calls)
        assert torch.equal(net.judge(windows[:, :1]), first) and len(calls) == once > 0
    with torch.no_grad():
        net.text_projection.mul_(-1)
    with torch.inference_mode():
        assert not torch.equal(net.judge(windows[:, :1]), first) and len(calls) == 2 * once
    other = tiny(seed=3)
    net.load_state_dict(other.state_dict())
    with torch.inference_mode():
        assert torch.equal(net.judge(windows[:, :1]), other.judge(windows[:, :1])) and len(calls) == 3 * once


def test_the_encoded_sentences_are_not_among_the_weights() -> None:
    net = tiny()
    net.load_state_dict(net.state_dict())
    assert net.text_features.shape == (495, 8)
    assert "text_features" not in net.state_dict()


def test_in_training_the_gradient_reaches_every_parameter(windows: Tensor) -> None:
    net = tiny().train()
    net(windows[:1, :2]).quality.sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0] == []


def test_pictures_scored_before_training_do_not_stop_it(windows: Tensor) -> None:
    net = tiny()
    with torch.inference_mode():
        net.judge(windows)
    net(windows[:1, :1]).quality.sum().backward()
    assert net.visual.proj is not None and net.visual.proj.grad is not None
    assert net.text_projection.grad is None  # encoded before: a constant in evaluation mode


def test_the_published_class_sees_the_top_left_window_only(rng: np.random.Generator) -> None:
    picture = Image.fromarray(rng.integers(0, 256, (240, 520, 3), dtype=np.uint8))
    everywhere, corner = (net.preprocess(picture)["image"] for net in (tiny(), tiny(only_first_window=True)))
    assert everywhere.shape == (10, 3, 224, 224) and corner.shape == (1, 3, 224, 224)
    assert np.array_equal(corner, LIQE.full_size(picture)["image"][:1])


def test_only_a_picture_with_both_sides_long_is_made_smaller(rng: np.random.Generator) -> None:
    panorama = Image.fromarray(rng.integers(0, 256, (300, 1100, 3), dtype=np.uint8))
    large = panorama.resize((1100, 900))
    view = LIQE.preprocess.inputs["image"]
    pixels = np.asarray(panorama)
    found = view.pixels(panorama)
    assert np.array_equal(found[0], pixels[:224, :224])
    assert np.array_equal(found[1], pixels[:224, 96 : 96 + 224]) and len(found) == 15  # 38 at stride 48, every second
    assert not np.array_equal(view.pixels(large)[0], np.asarray(large)[:224, :224])


def test_an_exported_network_holds_the_sentences_as_a_constant(tmp_path: Path) -> None:
    import onnx
    import onnxruntime

    net = tiny()
    net.load_state_dict(net.state_dict())
    write(PublishedJudge("liqe@0", net.preprocess, (1.0, 5.0), lambda batch: batch, net), tmp_path / "liqe.onnx")
    graph = onnx.load(tmp_path / "liqe.onnx").graph
    constants = [a.t for node in graph.node if node.op_type == "Constant" for a in node.attribute]
    shapes = {tuple(of.dims) for of in (*graph.initializer, *constants)}
    assert (16, 3, 112, 112) in shapes and (49408, 8) not in shapes
    assert {(495, 8), (8, 495)} & shapes
    for n in (1, 3):
        image = torch.randn(n, 15, 3, 224, 224)
        (found,) = onnxruntime.InferenceSession(tmp_path / "liqe.onnx").run(None, {"image": image.numpy()})
        with torch.inference_mode():
            np.testing.assert_allclose(np.asarray(found), net.judge(image).numpy(), rtol=1e-4)
