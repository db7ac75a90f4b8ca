"""What a teaching finder has in mind: where it is read, and what it costs not to have it in mind, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from mien.core.errors import ModelError  # noqa: E402
from mien.faces.find import Finder  # noqa: E402
from mien.models.finder_net import FinderNet  # noqa: E402
from mien.runtime.model_file import open_session  # noqa: E402
from mien.training.hints import Hint, exposed, hint_loss, maps_of  # noqa: E402


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Three maps of two channels, read by heads that are named as YuNet's are."""
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    rng = np.random.default_rng(0)
    nodes, weights, outputs = [], [], []
    for level, stride in enumerate((8, 16, 32)):
        name = f"bbox_head.multi_level_cls.{level}.conv1.weight"
        for weight, shape in ((f"w{level}", (2, 3, stride, stride)), (name, (1, 2, 1, 1))):
            weights.append(onnx.numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), weight))
        nodes.append(make.make_node("Conv", ["input", f"w{level}"], [f"map{level}"], strides=[stride, stride]))
        nodes.append(make.make_node("Conv", [f"map{level}", name], [f"cls_{stride}"]))
        outputs.append(make.make_tensor_value_info(f"cls_{stride}", kind, None))
    image = make.make_tensor_value_info("input", kind, ["n", 3, "h", "w"])
    model = make.make_model(
        make.make_graph(nodes, "yunet", [image], outputs, weights), opset_imports=[make.make_opsetid("", 17)]
    )
    model.ir_version = 8
    path = tmp_path / "yunet.onnx"
    onnx.save(model, path)
    return path


def test_the_maps_that_the_heads_read_become_outputs(network: Path) -> None:
    look = Finder(open_session(exposed(network), 1, network), "yunet").answers
    pixels = np.random.default_rng(1).integers(0, 256, (2, 64, 96, 3), np.uint8)
    told = [look(one) for one in pixels]
    maps = maps_of(told)
    assert maps is not None
    assert [tuple(m.shape) for m in maps] == [(2, 2, 8, 12), (2, 2, 4, 6), (2, 2, 2, 3)]
    heads = {w.name: onnx.numpy_helper.to_array(w) for w in onnx.load(network).graph.initializer}
    for level, stride in enumerate((8, 16, 32)):
        weight = heads[f"bbox_head.multi_level_cls.{level}.conv1.weight"].reshape(2)
        for i in range(2):  # the head, applied to the map by hand
            expected = np.tensordot(weight, maps[level][i].numpy(), 1)
            assert np.allclose(told[i][f"cls_{stride}"][0, 0], expected, rtol=1e-4, atol=1e-3)


def test_another_network_is_refused() -> None:
    from mien.faces.find import EMBEDDED, FOLDER

    with pytest.raises(ModelError, match="is not YuNet"):
        exposed(FOLDER / EMBEDDED)


def test_a_teacher_without_maps_gives_no_hints() -> None:
    look = Finder.load(threads=1).answers
    assert Hint.of(look, FinderNet()) is None


def test_a_hint_fits_the_network_and_the_teacher(network: Path) -> None:
    look = Finder(open_session(exposed(network), 1, network), "yunet").answers
    net = FinderNet()
    hint = Hint.of(look, net)
    assert hint is not None
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    theirs = maps_of([look(one) for one in pixels.numpy()])
    assert theirs is not None
    mine = hint(net.looks(pixels))
    assert [m.shape for m in mine] == [t.shape for t in theirs]


def test_the_loss_is_the_mean_of_two_means() -> None:
    """One stride, two channels; by hand. What the teacher sees weighs as much as all that it does not see."""
    theirs = torch.tensor([[[[1.0, 3.0, 1.0, 3.0]], [[0.0, 0.0, 8.0, 8.0]]]])
    standard = torch.tensor([[[[-1.0, 1.0, -1.0, 1.0]], [[-1.0, -1.0, 1.0, 1.0]]]])
    mine = standard + torch.tensor([[[[2.0, 1.0, 3.0, 9.0]], [[0.0, 1.0, 3.0, 9.0]]]])  # errors 2, 1, 9, 81
    seen, counts = torch.tensor([[True, False, False, False]]), torch.tensor([[True, True, True, False]])
    assert float(hint_loss([mine], [theirs], seen, counts)) == pytest.approx((2 + 5) / 2, rel=0.01)
    nothing = torch.zeros_like(seen)
    assert float(hint_loss([mine], [theirs], nothing, nothing)) == 0


def test_scale_and_shift_of_a_channel_do_not_matter() -> None:
    theirs = torch.randn(3, 4, 5, 5)
    mine, yes = torch.randn(3, 4, 5, 5), torch.ones(3, 25, dtype=torch.bool)
    factor = torch.tensor([2.0, 3.0, 5.0, 40.0])[:, None, None]
    one, other = (float(hint_loss([mine], [t], yes, yes)) for t in (theirs, factor * theirs - 7))
    assert one == pytest.approx(other, rel=0.01)
