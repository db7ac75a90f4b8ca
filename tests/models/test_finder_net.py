"""FinderNet: its answers are what the decoder of the runtime reads, in any size; its cost stays near YuNet's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

torch = pytest.importorskip("torch")

from mien.faces.find import decode  # noqa: E402
from mien.models.finder_net import NAMES, STRIDES, FinderNet, places  # noqa: E402
from mien.runtime.cost import count  # noqa: E402
from mien.training.finder import export  # noqa: E402

YUNET_MACS = 135_598_400  # of yunet_n_320_320.onnx, counted in the same way


@pytest.fixture(scope="module")
def net() -> FinderNet:
    """Random weights with statistics that are not the initial ones, so that folding them is tested."""
    torch.manual_seed(0)
    made = FinderNet().train()
    with torch.no_grad():
        for _ in range(3):
            made(torch.randint(0, 256, (2, 96, 64, 3), dtype=torch.uint8))
    return made.eval()


@pytest.fixture(scope="module")
def file(net: FinderNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "finder.onnx"
    export(net, path)
    return path


def run(file: Path, pixels: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(file)
    return dict(zip(NAMES, session.run(list(NAMES), {"image": pixels}), strict=True))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160), (160, 32)])
def test_the_file_answers_what_the_network_does_at_every_size(
    net: FinderNet, file: Path, height: int, width: int, rng: np.random.Generator
) -> None:
    pixels = rng.integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    with torch.no_grad():
        answers = net(torch.from_numpy(pixels))
    confidence = (answers.cls.sigmoid() * answers.obj.sigmoid()).sqrt()
    for i in range(2):
        found = decode({name: v[i : i + 1] for name, v in run(file, pixels).items()}, width, 0.0)
        assert np.allclose(found.confidence, confidence[i], atol=2e-3)  # weights of the file have half precision
        assert np.allclose(found.boxes, answers.boxes[i], atol=0.25)
        assert np.allclose(found.landmarks, answers.landmarks[i], atol=0.25)


def test_there_is_an_answer_for_each_place_row_by_row() -> None:
    assert places(2, 3, 8).tolist() == [[0, 0], [8, 0], [16, 0], [0, 8], [8, 8], [16, 8]]
    with torch.no_grad():
        answers = FinderNet().eval()(torch.zeros((1, 64, 96, 3), dtype=torch.uint8))
    assert answers.boxes.shape == (1, sum(64 * 96 // s**2 for s in STRIDES), 4)


def test_a_place_looks_at_its_own_surroundings(net: FinderNet) -> None:
    """A change in one corner moves the answers of places there, and at stride 8 not those of the far corner."""
    grey = torch.full((1, 320, 320, 3), 90, dtype=torch.uint8)
    other = grey.clone()
    other[:, :16, :16] = 255
    with torch.no_grad():
        one, two = (net.maps(net.features(image))[0] for image in (grey, other))
        moved = (one - two).abs().amax(1)[0]
    assert float(moved[0, 0]) > 0
    assert int(moved.argmax()) // 40 < 12 and int(moved.argmax()) % 40 < 12


def test_it_is_small_and_costs_about_as_much_as_yunet(file: Path, tmp_path: Path) -> None:
    assert file.stat().st_size <= 500_000
    fixed = onnx.load(file)
    for dim, value in zip(fixed.graph.input[0].type.tensor_type.shape.dim, (1, 320, 320, 3), strict=True):
        dim.dim_value = value
    for output in fixed.graph.output:
        output.type.tensor_type.ClearField("shape")
    onnx.save(fixed, tmp_path / "fixed.onnx")
    assert count(tmp_path / "fixed.onnx").macs <= 1.1 * YUNET_MACS  # plain ones, which take less time each
