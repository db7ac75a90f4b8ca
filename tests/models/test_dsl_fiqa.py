"""DSL-FIQA in a small size: what the parity fixture does not show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from mien.core.errors import ModelError  # noqa: E402
from mien.core.views import InputView, Random, ViewPreprocess  # noqa: E402
from mien.models import export  # noqa: E402
from mien.models.dsl_fiqa import DSLFIQA, join, landmark_vector, positional_encoding  # noqa: E402
from mien.models.judging import Arrays, PublishedJudge  # noqa: E402
from mien.models.zoo import load_official  # noqa: E402

POINTS = np.array([[10.0, 20.0], [50.0, 60.0], [90.0, 95.0], [120.0, 30.0]])
UNUSED = (
    "DE.mlp.", "IQA.testmlp.", "IQA.swintransformer1.down", "IQA.swintransformer2.down",
    "IQA.vit.blocks.10.", "IQA.vit.blocks.11.", "IQA.vit.norm.", "IQA.vit.head.",
)  # fmt: skip


@pytest.fixture(scope="module")
def net() -> DSLFIQA:
    torch.manual_seed(0)
    return DSLFIQA(image_px=192, width=48, slots=5).eval()


@pytest.fixture(scope="module")
def views() -> torch.Tensor:
    return torch.randn(2, 2, 3, 192, 192, generator=torch.Generator().manual_seed(1))


def test_the_landmark_vector_holds_scaled_indices_of_what_is_inside() -> None:
    vector = landmark_vector(POINTS, top=0, left=0, size_px=100, slots=6)  # 0, 1, 2 are inside; padded with 4 + 1
    np.testing.assert_allclose(vector, [-1, -0.6, -0.2, 1, 1, 1], atol=1e-6)
    assert vector.dtype == np.float32


def test_moving_a_landmark_counts_only_when_it_leaves_the_crop() -> None:
    def vector(x: float, y: float) -> list[float]:
        return landmark_vector([(50, 50), (x, y)], top=10, left=20, size_px=100, slots=3).tolist()

    assert vector(20, 10) == vector(119.5, 109.5) == vector(60, 60)
    assert vector(19.5, 60) == vector(60, 9.5) == vector(120, 60) == vector(60, 110) != vector(60, 60)


def test_a_crop_without_landmarks_is_minus_one_throughout() -> None:
    assert set(landmark_vector(POINTS, top=400, left=400).tolist()) == {-1.0}
    assert landmark_vector([], top=0, left=0).shape == (500,)


def test_more_landmarks_than_slots_are_drawn_without_repetition_and_the_same_each_time() -> None:
    many = np.full((40, 2), 5.0)
    first, again = (landmark_vector(many, top=0, left=0, slots=10) for _ in range(2))
    assert np.array_equal(first, again)
    assert len(set(first.tolist())) == 10
    assert not np.array_equal(first, landmark_vector(many, top=0, left=0, slots=10, seed=1))


def test_the_encoding_lists_a_block_per_wave() -> None:
    x = torch.tensor([[0.1, -0.2]])
    encoded = positional_encoding(x)
    assert encoded.shape == (1, 42)
    torch.testing.assert_close(encoded[:, :6], torch.cat([x, x.sin(), x.cos()], 1))
    torch.testing.assert_close(encoded[:, -2:], (512 * x).cos())


@torch.inference_mode()
def test_a_faces_score_is_the_mean_over_its_crops_and_their_landmarks(net: DSLFIQA, views: torch.Tensor) -> None:
    landmarks = torch.rand(2, 2, 5, generator=torch.Generator().manual_seed(2)) * 2 - 1
    one_by_one = [[net(views[i, v, None], landmarks[i, v, None]).item() for v in range(2)] for i in range(2)]
    torch.testing.assert_close(net.judge(views, landmarks), torch.tensor(one_by_one).mean(1))


@torch.inference_mode()
def test_landmarks_that_nobody_looked_for_read_zero_and_landmarks_count(net: DSLFIQA, views: torch.Tensor) -> None:
    face = views[:1]
    torch.testing.assert_close(net.judge(face), net.judge(face, torch.zeros(1, 2, 5)))
    assert not torch.equal(net.judge(face), net.judge(face, -torch.ones(1, 2, 5)))


@torch.inference_mode()
def test_degradations_count(net: DSLFIQA, views: torch.Tensor) -> None:
    crop, landmarks = views[0, :1], torch.zeros(1, 5)
    degradation, _ = net.DE(crop)
    assert not torch.equal(net.IQA(crop, degradation, landmarks), net.IQA(crop, -degradation, landmarks))


def test_gradients_reach_everything_but_what_the_authors_never_use(net: DSLFIQA, views: torch.Tensor) -> None:
    net.zero_grad()
    net(views[0], torch.zeros(2, 5)).sum().backward()
    unreached = {name for name, p in net.named_parameters() if p.grad is None}
    names = [name for name, _ in net.named_parameters()]
    net.zero_grad()
    assert unreached == {n for n in names if n.startswith(UNUSED) or n.endswith("task_query")}


def test_the_two_official_files_make_one_network_and_one_file_does_not(net: DSLFIQA) -> None:
    de, iqa = net.DE.state_dict(), net.IQA.state_dict()
    torch.manual_seed(3)
    other = DSLFIQA(image_px=192, width=48, slots=5)
    load_official(other, join(de, iqa))
    assert all(torch.equal(value, other.state_dict()[key]) for key, value in net.state_dict().items())
    with pytest.raises(ModelError, match=r"DE\.E\.0\.weight"):
        load_official(other, iqa)


@pytest.mark.slow
def test_the_onnx_file_gives_the_same_scores_for_any_number_of_pictures(net: DSLFIQA, tmp_path: Path) -> None:
    @torch.inference_mode()
    def network(batch: Arrays) -> Arrays:
        return {"quality": net.judge(torch.from_numpy(batch["image"])).numpy()}

    judge = PublishedJudge("small", ViewPreprocess({"image": InputView(Random(192, n=2))}), (0, 1), network, net)
    with torch.inference_mode():
        export.write(judge, tmp_path / "small.onnx")  # written with two pictures, asked for one at a time
        assert export.largest_difference(judge, tmp_path / "small.onnx", 2) <= 1e-4
