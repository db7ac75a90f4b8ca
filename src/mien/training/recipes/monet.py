"""MoNet: a score by squared error, and the scene beside it.

Paper:    NTIRE 2024 portrait survey, arXiv 2404.11159, section 3.4
Run:      mien train monet --data FOLDER --dataset piq23
Numbers:  PIQ23 test: SRCC 0.760, PLCC 0.791 / ours: not measured, no pictures here
Open:     weight of the scene term: 0.1; crops: a random square of 384 after the shorter side became 448, mirrored half
          of the time; JOD as they are. The cosine has its period of 50 epochs over 100, so it rises again
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch.nn.functional as F
from torch import nn

from mien.core.views import Center, InputView, Random, ViewPreprocess
from mien.losses.scenes import scene_cross_entropy
from mien.models import zoo
from mien.models.monet import MoNet
from mien.training.crops import Mirror, TrainViews
from mien.training.parts import Split
from mien.training.recipe import Batch, Optimizer, Recipe, Tensors, begin_parts
from mien.training.schedule import CosineWave

HALF = (0.5, 0.5, 0.5)


def forward(net: nn.Module, views: Tensors, batch: Batch) -> Tensors:
    """One crop of each picture."""
    said = net(views["image"].flatten(0, 1))
    return {"score": said.score[:, None], "scene": said.scene}


def loss(outputs: Tensors, batch: Batch) -> Tensors:
    """Score and scene."""
    return {
        "mse": F.mse_loss(outputs["score"][:, 0], batch.label),
        "scene": 0.1 * scene_cross_entropy(outputs["scene"], batch.scene),
    }


RECIPE = Recipe(
    name="monet",
    paper="MoNet, NTIRE 2024 portrait survey, arXiv 2404.11159",
    network=partial(zoo.build, "monet"),
    views=TrainViews({"image": InputView(Random(384, 1), resize_px=448, mean=HALF, std=HALF)}, (Mirror(),)),
    preprocess=MoNet.preprocess,
    loss=loss,
    forward=forward,
    split=Split(share=0.1, per_scene=True),
    relative=True,
    scenes=50,
    epochs=100,
    batch=11,
    optimizer=Optimizer("adam", 1e-5, weight_decay=1e-5, schedule=CosineWave(50)),
    select=("srcc_inside",),
    begin=partial(begin_parts, parts=("vit",)),
    start="ImageNet (timm's vit_base_patch16_384)",
)
QUICK = replace(
    RECIPE,
    network=partial(zoo.build, "monet", opinions=2, scenes=3, image_px=64, width=48),
    views=TrainViews({"image": InputView(Random(64, 1), resize_px=72, mean=HALF, std=HALF)}, (Mirror(),)),
    preprocess=ViewPreprocess({"image": InputView(Center(64), resize_px=72, mean=HALF, std=HALF)}),
    scenes=3,
    epochs=1,
    batch=8,
)
