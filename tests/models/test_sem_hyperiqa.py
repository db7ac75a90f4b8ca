"""SEM-HyperIQA and FULL-HyperIQA: what the parity fixtures do not show."""

from __future__ import annotations

from typing import cast

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from mien.models import zoo
from mien.models.sem_hyperiqa import SceneHyperIQA, _bins

SCENES = 4


def build(name: str, **config: int) -> SceneHyperIQA:
    torch.manual_seed(0)
    net = cast("SceneHyperIQA", zoo.build(name, patch_px=224, scenes=SCENES, **config))
    with torch.no_grad():
        cast("nn.Linear", net.rescaleNet.layers[-1]).weight.mul_(10)  # scenes that differ visibly
    return net


@pytest.fixture(scope="module")
def full() -> SceneHyperIQA:
    return build("full-hyperiqa")


@pytest.fixture(scope="module")
def two_patches() -> SceneHyperIQA:
    return build("sem-hyperiqa", patches=2)


@pytest.fixture
def pictures() -> Tensor:
    rng = torch.Generator().manual_seed(1)
    return torch.randn(4, 3, 224, 224, generator=rng) * torch.tensor([0.2, 1.0, 2.0, 4.0])[:, None, None, None]


@torch.inference_mode()
def test_full_is_the_mean_over_scenes_weighted_by_their_probabilities(full: SceneHyperIQA, pictures: Tensor) -> None:
    found = full(pictures[:2])
    likely = found["class"].softmax(1)
    in_scene = [full(pictures[:2], torch.full((2,), scene))["quality"][:, 0] for scene in range(SCENES)]
    expected = sum(likely[:, scene] * quality for scene, quality in enumerate(in_scene))
    assert torch.stack(in_scene).std(0).min() > 1e-3
    torch.testing.assert_close(found["quality"][:, 0], expected, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_only_the_likeliest_scenes_count(full: SceneHyperIQA, pictures: Tensor) -> None:
    logits, quality = torch.tensor([[3.0, 1.0, 2.0, 0.0]]), torch.tensor([0.7])
    each = torch.stack([full._rescaled(quality, logits, torch.tensor([scene])) for scene in range(SCENES)])[:, 0]
    likely = logits.softmax(1)[0]
    for top, kept in ((1, [0]), (2, [0, 2]), (3, [0, 2, 1])):
        full.top = top
        try:
            found = full._rescaled(quality, logits, None)
        finally:
            full.top = SCENES
        torch.testing.assert_close(found[0], (likely[kept] * each[kept]).sum() / likely[kept].sum())


@torch.inference_mode()
def test_with_a_certain_scene_sem_and_full_are_the_same(full: SceneHyperIQA) -> None:
    logits, quality = torch.tensor([[0.0, 0.0, 200.0, 0.0]]), torch.tensor([0.7])
    certain = full._rescaled(quality, logits, torch.tensor([2]))
    torch.testing.assert_close(full._rescaled(quality, logits, None), certain)
    full.top = 0  # SEM
    try:
        torch.testing.assert_close(full._rescaled(quality, logits, None), certain)
    finally:
        full.top = SCENES


@torch.inference_mode()
def test_judge_keeps_pictures_apart_and_forward_mixes_them_as_the_authors_do(two_patches, pictures) -> None:
    alone = [two_patches(pictures[:2]), two_patches(pictures[2:])]
    expected = torch.cat([one["quality"][:, 0] for one in alone])
    judged = two_patches.judge(pictures.reshape(2, 2, 3, 224, 224))
    torch.testing.assert_close(judged, expected, rtol=1e-4, atol=1e-5)

    mixed = two_patches(pictures)
    torch.testing.assert_close(mixed["class"], torch.cat([one["class"] for one in alone]), rtol=1e-4, atol=1e-5)
    every = two_patches._patches(pictures)[0]
    torch.testing.assert_close(mixed["preQuality"][:, 0], torch.stack([every[[0, 2]].mean(), every[[1, 3]].mean()]))
    assert (mixed["quality"][:, 0] - expected).abs().max() > 1e-5


@torch.inference_mode()
def test_more_views_than_patches_are_judged_in_groups_and_averaged(two_patches, pictures) -> None:
    groups = two_patches.judge(pictures.reshape(2, 2, 3, 224, 224))
    torch.testing.assert_close(two_patches.judge(pictures[None]), groups.mean(0, keepdim=True), rtol=1e-4, atol=1e-5)
    with pytest.raises(RuntimeError):
        two_patches.judge(pictures[None, :3])


def test_a_picture_becomes_as_many_patches_as_the_network_reads(full, two_patches) -> None:
    picture = Image.new("RGB", (300, 500))
    assert full.preprocess(picture)["image"].shape == (1, 3, 224, 224)
    assert two_patches.preprocess(picture)["image"].shape == (2, 3, 224, 224)


@pytest.mark.parametrize(("width", "n"), [(7, 4), (14, 6), (42, 50), (14, 14)])
def test_the_bins_are_an_adaptive_pooling(width: int, n: int) -> None:
    h = torch.randn(2, 5, 3, width, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(h.mean(2) @ _bins(width, n), F.adaptive_avg_pool2d(h, (1, n))[:, :, 0])


def test_the_gradient_reaches_every_parameter(full: SceneHyperIQA, pictures: Tensor) -> None:
    full.zero_grad()
    found = full(pictures[1:2])
    (found["quality"] + found["class"].sum()).sum().backward()
    unreached = [n for n, p in full.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    full.zero_grad()
    assert unreached == []


@pytest.mark.parametrize("name", ["sem-hyperiqa", "full-hyperiqa"])
def test_the_default_has_the_published_number_of_parameters(name: str) -> None:
    with torch.device("meta"):
        net = zoo.build(name)
    assert sum(p.numel() for p in net.parameters()) == zoo.card(name)["parameters"] == 145_266_841


def test_more_likeliest_scenes_than_scenes_are_refused() -> None:
    with pytest.raises(ValueError, match="5 likeliest scenes out of 4"):
        zoo.build("full-hyperiqa", patch_px=224, scenes=4, top=5)
