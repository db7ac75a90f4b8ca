"""MobileIQA's student in a small size: what the parity fixture does not show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from mien.core.views import InputView, ViewPreprocess, Whole  # noqa: E402
from mien.models import export  # noqa: E402
from mien.models.judging import Arrays, PublishedJudge  # noqa: E402
from mien.models.mobileiqa import LocalDistortionAware, MobileIQAStudent  # noqa: E402


@pytest.fixture(scope="module")
def net() -> MobileIQAStudent:
    torch.manual_seed(0)
    net = MobileIQAStudent(opinions=2, side=6)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.endswith("gamma"):
                parameter.fill_(0.5)  # else the self-attention of a fresh MAL does nothing
    return net.eval()


@torch.inference_mode()
def test_the_input_may_have_any_shape_and_the_score_is_between_0_and_1(net: MobileIQAStudent) -> None:
    for height, width in ((32, 96), (96, 64)):
        score = net(torch.randn(2, 3, height, width))
        assert score.shape == (2,)
        assert bool(((score > 0) & (score < 1)).all())


@torch.inference_mode()
def test_a_pictures_score_is_the_mean_over_its_views(net: MobileIQAStudent) -> None:
    views = torch.randn(2, 2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    each = torch.stack([net(views[:, v]) for v in range(2)])
    assert (each[0] - each[1]).abs().min() > 1e-7
    torch.testing.assert_close(net.judge(views), each.mean(0))


def test_the_gradient_reaches_every_parameter(net: MobileIQAStudent) -> None:
    net.zero_grad()
    net(torch.randn(2, 3, 64, 64)).sum().backward()
    unreached = [name for name, p in net.named_parameters() if p.grad is None]
    net.zero_grad()
    assert unreached == []


def test_every_stage_of_the_backbone_moves_the_score(net: MobileIQAStudent) -> None:
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    before = net(x).item()
    for stage in range(1, 6):
        module = net.get_submodule(f"LDA{stage}")
        hook = module.register_forward_hook(lambda _m, _x, y: 3 * y)
        assert net(x).item() != before, stage
        hook.remove()


def test_places_are_averaged_behind_the_activation() -> None:
    torch.manual_seed(0)
    level = LocalDistortionAware(4, side=2)
    x = torch.randn(1, 4, 6, 8)
    inner = torch.nn.functional.gelu(level.cnn1(x))
    corner = level.cnn2(inner[:, :, :3, :4].mean((2, 3), keepdim=True))
    torch.testing.assert_close(level(x)[:, :, :1, :1], corner)


def test_pictures_of_any_shape_become_one_size() -> None:
    view = MobileIQAStudent.preprocess.inputs["image"]
    for size in ((300, 500), (500, 300)):
        assert view(Image.new("RGB", size)).shape == (1, 3, 1231, 1907)


@pytest.mark.slow
def test_the_onnx_file_gives_the_same_scores_for_any_number_of_pictures(net: MobileIQAStudent, tmp_path: Path) -> None:
    @torch.inference_mode()
    def network(batch: Arrays) -> Arrays:
        return {"quality": net.judge(torch.from_numpy(batch["image"])).numpy()}

    # maps of 32 x 44, 16 x 22, 8 x 11, 4 x 6 and 2 x 3 become 6 x 6: pooling windows that overlap, and enlargement
    preprocess = ViewPreprocess({"image": InputView(Whole(), resize_px=(64, 88))})
    judge = PublishedJudge("small", preprocess, (0, 1), network, net)
    with torch.inference_mode():
        export.write(judge, tmp_path / "small.onnx")  # written with two pictures, asked for one at a time
        assert export.largest_difference(judge, tmp_path / "small.onnx", 2) <= 1e-5
    answers = [network({"image": preprocess(picture)["image"][None]})["quality"] for picture in export.pictures(2)]
    assert np.ptp(answers) > 1e-4  # else the line above would compare constants
