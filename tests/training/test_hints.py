"""What a teaching finder has in mind: where it is read, and what it costs not to have it in mind, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from faces import tiny_finder  # noqa: E402
from mien.core.errors import ModelError  # noqa: E402
from mien.faces.find import EMBEDDED, FOLDER, Finder  # noqa: E402
from mien.models.finder_net import FinderNet  # noqa: E402
from mien.runtime.model_file import open_session  # noqa: E402
from mien.training.hints import Hint, exposed, hint_loss, maps_of  # noqa: E402


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A finder of red things whose heads are named as YuNet's are: its one map is how red a place is."""
    return tiny_finder.write(tmp_path / "red.onnx", rgb=False, heads=True)


def test_the_maps_that_the_heads_read_become_outputs(network: Path) -> None:
    answers = Finder(open_session(exposed(network), 1, network), "red").answers
    pixels = np.random.default_rng(1).integers(0, 256, (2, 64, 96, 3), np.uint8)
    told = [answers(one) for one in pixels]
    maps = maps_of(told)
    assert maps is not None
    for stride, found in zip((8, 16, 32), maps, strict=True):
        red = pixels[..., 0].reshape(2, 64 // stride, stride, 96 // stride, stride).mean((2, 4)) / 255
        assert np.allclose(found.numpy(), red[:, None], atol=1e-5)
    before = Finder.load(network, threads=1).answers(pixels[0])
    assert all(np.array_equal(told[0][name], values) for name, values in before.items())


def test_another_network_is_refused() -> None:
    with pytest.raises(ModelError, match="is not YuNet"):
        exposed(FOLDER / EMBEDDED)


def test_a_teacher_without_maps_gives_no_hints() -> None:
    assert Hint.of(Finder.load(threads=1).answers, FinderNet()) is None


def test_a_hint_fits_the_network_and_the_teacher(network: Path) -> None:
    answers = Finder(open_session(exposed(network), 1, network), "red").answers
    net = FinderNet()
    hint = Hint.of(answers, net)
    assert hint is not None
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    theirs = maps_of([answers(one) for one in pixels.numpy()])
    assert theirs is not None
    mine = hint(net.features(pixels))
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
