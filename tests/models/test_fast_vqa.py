"""FAST-VQA: what the parity fixtures do not show."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from mien.models import fast_vqa, zoo  # noqa: E402
from mien.models.fast_vqa import FAST_VQA_M, FastVQA, SwinBlock, fast_vqa_m  # noqa: E402


@pytest.fixture(scope="module")
def net() -> FastVQA:
    torch.manual_seed(0)
    net = zoo.build("fast-vqa")
    assert isinstance(net, FastVQA)
    return net


def clips(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_a_judgement_is_the_mean_over_the_maps_of_all_clips(net: FastVQA) -> None:
    fragments = clips(2, 3, 3, 8, 32, 64)
    each = torch.stack([net({"fragments": fragments[:, v]}).mean((1, 2, 3, 4)) for v in range(3)])
    assert each.std(0).min() > 1e-5
    torch.testing.assert_close(net.judge(fragments), each.mean(0), rtol=1e-4, atol=1e-6)


@torch.inference_mode()
def test_rescaled_judgements_keep_their_order_and_are_half_at_the_mean() -> None:
    raw = fast_vqa_m().eval()
    rescaled = fast_vqa_m(FAST_VQA_M).eval()
    rescaled.load_state_dict(raw.state_dict())
    fragments = clips(4, 1, 3, 4, 32, 32)
    before, after = raw.judge(fragments), rescaled.judge(fragments)
    torch.testing.assert_close(torch.logit(after) * 0.030781006 + 0.023889644, before, rtol=1e-4, atol=1e-5)


def test_the_gradient_reaches_every_parameter(net: FastVQA) -> None:
    net.zero_grad()
    net.judge(clips(1, 1, 3, 8, 96, 96)).sum().backward()  # windows of 3 tokens reach across cells of 8
    unreached = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    net.zero_grad()
    assert unreached == []


def test_cut_windows_join_to_the_same_map() -> None:
    x = clips(2, 4, 6, 8, 5)
    cut = fast_vqa._cut(x, (2, 3, 4))
    assert torch.equal(cut[0], x[0, :2, :3, :4].reshape(24, 5))
    assert torch.equal(fast_vqa._joined(cut, (2, 3, 4), (4, 6, 8)), x)


@torch.inference_mode()
@pytest.mark.parametrize(("place", "rows", "columns"), [((0, 0), (0, 2), (0, 2)), ((3, 7), (2, 6), (6, 8))])
def test_moved_windows_join_neighbours_only(place: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]):
    torch.manual_seed(0)
    block = SwinBlock(12, 3, (1, 4, 4), gated=False).eval()
    windows = fast_vqa._windows((2, 8, 8), (1, 4, 4), (0, 2, 2), False, False, torch.device("cpu"))
    x = clips(1, 2, 8, 8, 12)
    changed = x.clone()
    changed[0, 1, *place] += clips(12)
    differs = (block(x, windows) != block(changed, windows)).any(4)[0]
    expected = torch.zeros(2, 8, 8, dtype=torch.bool)
    expected[1, slice(*rows), slice(*columns)] = True
    assert torch.equal(differs, expected)


@torch.inference_mode()
def test_a_map_that_is_no_multiple_of_the_window_keeps_its_size() -> None:
    block = SwinBlock(12, 3, (2, 4, 4), gated=False).eval()
    windows = fast_vqa._windows((3, 6, 5), (2, 4, 4), (1, 2, 2), False, False, torch.device("cpu"))
    assert block(clips(1, 3, 6, 5, 12), windows).shape == (1, 3, 6, 5, 12)


def test_the_gate_counts_the_cells_between_two_tokens() -> None:
    windows = fast_vqa._windows((2, 14, 14), (2, 7, 7), (0, 0, 0), False, True, torch.device("cpu"))
    assert windows.gate is not None and windows.gate.shape == (4, 1, 98, 98)
    tokens = list(product(range(2), range(7), range(7)))  # of the first window; a cell is 2 x 2 tokens
    expected = [[abs(a[1] // 2 - b[1] // 2) + abs(a[2] // 2 - b[2] // 2) for b in tokens] for a in tokens]
    assert windows.gate[0, 0].tolist() == expected
    assert windows.gate.max() == 6  # beyond 1, as released


def test_the_bias_depends_on_the_distance_of_two_tokens_only() -> None:
    index = fast_vqa._position_index((2, 3, 4))
    places = np.array(list(product(range(2), range(3), range(4))))
    distances: dict[int, tuple[int, ...]] = {}
    for i, j in np.ndindex(24, 24):
        assert distances.setdefault(int(index[i, j]), tuple(places[i] - places[j])) == tuple(places[i] - places[j])
    assert len(distances) == 3 * 5 * 7 == index.max() + 1


@pytest.mark.parametrize(
    ("window", "video", "expected"),
    [
        ((8, 7, 7), (32, 224, 224), (8, 7, 7)),
        ((4, 4, 4), (16, 128, 128), (2, 2, 2)),
        ((8, 7, 7), (16, 96, 128), (4, 3, 4)),
        ((8, 7, 7), (2, 16, 448), (1, 1, 7)),
    ],
)
def test_elastic_windows_shrink_with_the_clip(window: tuple, video: tuple, expected: tuple) -> None:
    assert fast_vqa._resized(window, video) == expected


def test_a_video_becomes_four_clips_of_fragments(net: FastVQA) -> None:
    video = np.zeros((3, 240, 240, 3), np.uint8)
    assert net.preprocess(video)["fragments"].shape == (4, 3, 32, 224, 224)
    assert fast_vqa_m().preprocess(video)["fragments"].shape == (4, 3, 16, 128, 128)


def test_the_authors_benchmark_takes_every_second_frame(net: FastVQA) -> None:
    frames = net.preprocess.indices(640)["fragments"]
    assert (np.diff(frames, axis=1) == 2).all()
    assert (np.diff(frames[:, 0]) > 0).all()
