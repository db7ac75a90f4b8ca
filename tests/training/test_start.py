"""A student that begins where an earlier edition ended gives that edition's numbers, also while it trains."""

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from mien.core.errors import MissingExtraError  # noqa: E402
from mien.models.judge_net import JudgeNet  # noqa: E402
from mien.training import student  # noqa: E402
from mien.training.export import export  # noqa: E402
from mien.training.start import begin_with  # noqa: E402

WIDTHS, DEPTHS = (8, 16), (1, 2)


def network(depths=DEPTHS, widths=WIDTHS):
    return JudgeNet(stem=8, widths=widths, depths=depths, hidden=16, teacher_features=4)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (24, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def earlier(tmp_path, pixels):
    """A network whose normalisations have seen something, and its file."""
    torch.manual_seed(0)
    net = network()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    for _ in range(20):
        net(torch.from_numpy(pixels))
    export(net.eval(), tmp_path / "earlier.onnx", 32)
    return net, tmp_path / "earlier.onnx"


def test_the_same_network_gives_the_same_numbers(earlier, pixels):
    old, file = earlier
    torch.manual_seed(9)
    net = network()
    begin_with(net, file, DEPTHS, pixels)
    assert net.training
    found, expected = student.predict(net.eval(), pixels), student.predict(old, pixels)
    assert found.quality.numpy() == pytest.approx(expected.quality.numpy(), abs=3e-3)  # stored in half precision
    assert found.attributes.numpy() == pytest.approx(expected.attributes.numpy(), abs=3e-3)


def test_training_begins_with_the_same_maps(earlier, pixels):
    """A batch that looks like the views of the start is normalised by about the statistics that were put in."""
    old, file = earlier
    net = network()
    begin_with(net, file, DEPTHS, pixels)
    with torch.no_grad():
        trained, plain = net.maps(torch.from_numpy(pixels))[-1], old.maps(torch.from_numpy(pixels))[-1]
    assert (trained - plain).abs().mean() < 0.01 * plain.abs().mean()


def test_a_shallower_network_takes_the_blocks_that_it_has(earlier, pixels):
    old, file = earlier
    net = network(depths=(0, 1))
    begin_with(net, file, DEPTHS, pixels)
    first = net.state_dict()["stages.1.1.first.0.weight"]
    assert torch.allclose(first, old.state_dict()["stages.1.1.first.0.weight"] * folded(old), atol=2e-3)


def folded(old):
    """What the exporter multiplies into that convolution."""
    norm = old.stages[1][1].first[1]
    return (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None, None, None].detach()


def test_a_missing_onnx_is_named(earlier, pixels, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r'needs an extra: pip install "mien\[train\]"'):
        begin_with(network(), earlier[1], DEPTHS, pixels)


def test_a_file_of_another_network_is_refused(earlier, pixels):
    with pytest.raises(ValueError, match=r"earlier.onnx is no judge of the widths \(8, 24\) and the depths \(1, 2\)"):
        begin_with(network(widths=(8, 24)), earlier[1], DEPTHS, pixels)
    with pytest.raises(ValueError, match=r"the depths \(1, 1\)"):
        begin_with(network(depths=(1, 1)), earlier[1], (1, 1), pixels)
