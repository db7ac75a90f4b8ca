"""Efficient-FIQA: what the parity fixtures do not show."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from mien.core.errors import ModelError
from mien.models import zoo
from mien.models.efficient_fiqa import Student, Teacher


@pytest.fixture(scope="module")
def student() -> Student:
    torch.manual_seed(0)
    net = zoo.build("efficient-fiqa-student")
    assert isinstance(net, Student)
    return net


@pytest.fixture
def views() -> torch.Tensor:
    return torch.randn(2, 3, 3, 64, 96, generator=torch.Generator().manual_seed(1))


@torch.inference_mode()
def test_a_picture_of_several_views_gets_their_mean(student: Student, views: torch.Tensor) -> None:
    each = torch.stack([student(picture).squeeze(1) for picture in views])
    assert each.std(1).min() > 1e-5
    torch.testing.assert_close(student.judge(views), each.mean(1))


@torch.inference_mode()
def test_the_score_is_not_clipped_to_the_range_of_the_labels(student: Student, views: torch.Tensor) -> None:
    before = student(views[0])
    last = student.quality[1].bias
    last += 7.0
    try:
        torch.testing.assert_close(student(views[0]), before + 7.0)
    finally:
        last -= 7.0


def test_the_gradient_reaches_every_parameter(student: Student, views: torch.Tensor) -> None:
    student.zero_grad()
    student(views[0]).sum().backward()
    unreached = [n for n, p in student.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    student.zero_grad()
    assert unreached == []


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"epoch": torch.tensor(3), "model_state_dict": s}])
@pytest.mark.parametrize("prefix", ["", "module."])
@torch.inference_mode()
def test_checkpoints_of_the_test_and_of_the_training_script_load(student, views, wrap, prefix) -> None:
    saved = {prefix + key: value.clone() for key, value in student.state_dict().items()}
    fresh = zoo.load_official(Student(), wrap(saved))
    assert torch.equal(fresh(views[0]), student(views[0]))


def test_weights_with_the_head_of_timm_are_refused(student: Student) -> None:
    state = {**student.state_dict(), "feature_extraction.head.norm.weight": torch.ones(168)}
    with pytest.raises(ModelError, match=r"1 are unexpected: feature_extraction\.head\.norm\.weight"):
        zoo.load_official(student, state)


@pytest.mark.parametrize(("network", "side"), [(Student, 352), (Teacher, 448)])
@pytest.mark.parametrize("size", [(500, 413), (90, 120)])
def test_the_whole_short_side_is_seen(network: type[Student | Teacher], side: int, size: tuple[int, int]) -> None:
    stripes = np.zeros((size[1], size[0], 3), np.uint8)
    long = int(size[0] > size[1])  # axis of the array that is cut
    stripes.swapaxes(0, long)[: size[long == 0] // 4] = 255  # the first quarter along the long side
    view = network.preprocess(Image.fromarray(stripes))["image"]
    assert view.shape == (1, 3, side, side)
    white = (view[0, 0] > 0).mean()
    cut = (1 - min(size) / max(size)) / 2  # of the long side, at each end
    assert white == pytest.approx((0.25 - cut) / (1 - 2 * cut), abs=0.01)
