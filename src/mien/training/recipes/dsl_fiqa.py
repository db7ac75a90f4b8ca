"""DSL-FIQA, second stage: quality of a face from its degradation and its landmarks; the degradation encoder is frozen.

Paper:    Chen et al., "DSL-FIQA", CVPR 2024, arXiv 2406.09622; settings of the released code
Run:      mien train dsl-fiqa --data FOLDER --dataset gfiqa20k --start FOLDER (with DE.pt, or with DE.pt and IQA.pt)
Numbers:  GFIQA-20k: SRCC paper 0.9740, PLCC 0.9745 / ours: not measured, no pictures here
Open:     the first stage (dual-set training of the encoder) is in no released script and its mapping is unverified; our
          reading of its loss is `mien.losses.degradation_contrast.dual_set_loss`. Landmarks are no part of the tables
          that mien reads: the landmark channel sees zeros, here and at test. Labels are scaled to 0..1 by the training
          part (the authors scale the validation part by its own range). Their mirror images are upside down by mistake;
          ours are mirrored
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

from torch import Tensor, nn

from mien.core.errors import ModelError
from mien.core.views import InputView, Random, ViewPreprocess
from mien.losses.regression import charbonnier_loss
from mien.models import zoo
from mien.models.dsl_fiqa import DSLFIQA
from mien.training.crops import Mirror, TrainViews
from mien.training.recipe import Batch, Optimizer, Recipe, Tensors
from mien.training.schedule import CosineWave

HALF = (0.5, 0.5, 0.5)


def network(**sizes: Any) -> nn.Module:
    """The encoder does not learn."""
    net = cast("DSLFIQA", zoo.build("dsl-fiqa", **sizes))
    net.DE.requires_grad_(False)
    return net


def forward(net: nn.Module, views: Tensors, batch: Batch) -> Tensors:
    """One crop of each picture; the statistics of the encoder stay, too."""
    net = cast("DSLFIQA", net)
    net.DE.eval()
    x = views["image"].flatten(0, 1)
    return {"score": net(x, x.new_zeros(len(x), net.slots))[:, None]}


def loss(outputs: Tensors, batch: Batch) -> Tensors:
    """√(e² + 10⁻⁶)."""
    return {"charbonnier": charbonnier_loss(outputs["score"][:, 0], batch.label)}


def begin(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """From `DE.*` alone, or from both parts."""
    own = net.state_dict()
    encoder = {key: value for key, value in weights.items() if key.startswith("DE.")}
    if missing := [key for key, _ in net.named_parameters() if key.startswith("DE.") and key not in encoder]:
        raise ModelError(f"these are no weights of DSL-FIQA's degradation encoder: {missing[0]} is missing")
    whole = any(key.startswith("IQA.") for key in weights)
    zoo.load_official(net, weights if whole else {**own, **encoder})


RECIPE = Recipe(
    name="dsl-fiqa",
    paper="DSL-FIQA, arXiv 2406.09622",
    network=network,
    views=TrainViews({"image": InputView(Random(384, 1), mean=HALF, std=HALF)}, (Mirror(),)),
    preprocess=DSLFIQA.preprocess,
    loss=loss,
    forward=forward,
    labels="unit",
    epochs=500,
    batch=16,
    optimizer=Optimizer("adam", 1e-5, weight_decay=1e-5, schedule=CosineWave(50, "step")),
    begin=begin,
    start="the degradation encoder of the first stage, and ImageNet for the ViT",
)
QUICK = replace(
    RECIPE,
    network=partial(network, image_px=192, width=48, slots=5),
    views=TrainViews({"image": InputView(Random(192, 1), resize_px=200, mean=HALF, std=HALF)}, (Mirror(),)),
    preprocess=ViewPreprocess({"image": InputView(Random(192, 1), resize_px=200, mean=HALF, std=HALF)}),
    epochs=1,
    batch=4,
)
