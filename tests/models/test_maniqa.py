"""MANIQA in a small size: what the parity fixture does not show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from mien.core.views import InputView, Random, ViewPreprocess  # noqa: E402
from mien.models import export  # noqa: E402
from mien.models.judging import Arrays, PublishedJudge  # noqa: E402
from mien.models.maniqa import MANIQA  # noqa: E402

UNUSED = (
    "vit.blocks.10.",
    "vit.blocks.11.",
    "vit.norm.",
    "vit.head.",
    "swintransformer1.down",
    "swintransformer2.down",
)


@pytest.fixture(scope="module")
def net() -> MANIQA:
    torch.manual_seed(0)
    return MANIQA(image_px=64, width=48).eval()


@pytest.fixture(scope="module")
def views() -> torch.Tensor:
    return torch.randn(2, 3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def test_a_pictures_score_is_the_mean_over_its_crops(net: MANIQA, views: torch.Tensor) -> None:
    one_by_one = torch.stack([torch.cat([net(crop[None]) for crop in picture]).mean() for picture in views])
    torch.testing.assert_close(net.judge(views), one_by_one)
    torch.testing.assert_close(net.judge(views.flip(1)), one_by_one)


def test_gradients_reach_everything_but_what_the_authors_never_use(net: MANIQA, views: torch.Tensor) -> None:
    net.zero_grad()
    net(views[0]).sum().backward()
    reached = {name: parameter.grad is not None for name, parameter in net.named_parameters()}
    assert {name for name, yes in reached.items() if not yes} == {n for n in reached if n.startswith(UNUSED)}


def test_a_place_of_no_weight_does_not_count(net: MANIQA) -> None:
    tokens = torch.randn(1, 64, 24, generator=torch.Generator().manual_seed(2))
    scores, weights = net.fc_score(tokens).flatten(), net.fc_weight(tokens).flatten()
    assert bool((scores >= 0).all())
    torch.testing.assert_close(net.pool(tokens)[0], torch.tensor(np.average(scores.detach(), weights=weights.detach())))


def test_twenty_crops_at_full_resolution() -> None:
    view = MANIQA.preprocess.inputs["image"]
    pixels = np.random.default_rng(0).integers(0, 256, (230, 300, 3), dtype=np.uint8)
    crops = view(Image.fromarray(pixels))
    assert crops.shape == (20, 3, 224, 224)
    assert len({crop.tobytes() for crop in crops}) > 10
    corner = view(Image.fromarray(pixels), [[6, 76]])
    np.testing.assert_allclose(corner[0].transpose(1, 2, 0), pixels[6:, 76:] / 127.5 - 1, atol=1e-6)


@pytest.mark.slow
def test_the_onnx_file_gives_the_same_scores_for_any_number_of_pictures(net: MANIQA, tmp_path: Path) -> None:
    @torch.inference_mode()
    def network(batch: Arrays) -> Arrays:
        return {"quality": net.judge(torch.from_numpy(batch["image"])).numpy()}

    judge = PublishedJudge("small", ViewPreprocess({"image": InputView(Random(64, n=2))}), (0, 1), network, net)
    with torch.inference_mode():
        export.write(judge, tmp_path / "small.onnx")  # written with two pictures, asked for one at a time
        assert export.largest_difference(judge, tmp_path / "small.onnx", 2) <= 1e-4
