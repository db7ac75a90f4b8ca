"""SEM-HyperIQA and FULL-HyperIQA: HyperIQA on whole portraits, rescaled by what the scene asks for.

Paper:    Chahine et al., "An Image Quality Assessment Dataset for Portraits", CVPR 2023; "Generalized Portrait Quality
          Assessment", arXiv 2402.09178
Run:      mien train full-hyperiqa --data FOLDER --dataset piq23 --start resnet50.pth
Numbers:  NTIRE 2024, PIQ23 test: SRCC SEM 0.749, FULL 0.778 / ours: not measured, no pictures here
Open:     loss, rates, epochs, batch and crop are in neither paper. Decided here: mean absolute error of the rescaled
          score, cross-entropy of the scene with weight 1, the true scene while training; Adam 1e-5 for the ResNet and
          1e-4 for the rest, 30 epochs, batches of 8; a random square of 1344 px after the shorter side became 1344
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch.nn.functional as F
from torch import nn

from mien.core.views import Center, InputView, Random, ViewPreprocess
from mien.losses.scenes import scene_cross_entropy
from mien.models import zoo
from mien.training.crops import Mirror, TrainViews
from mien.training.parts import Split
from mien.training.recipe import Batch, Optimizer, Recipe, Tensors, begin_parts
from mien.training.schedule import Constant


def forward(net: nn.Module, views: Tensors, batch: Batch) -> Tensors:
    """One view of each picture, with its true scene where all are known."""
    scene = batch.scene if bool((batch.scene >= 0).all()) else None
    said = net(views["image"].flatten(0, 1), scene)
    return {"score": said["quality"], "scene": said["class"]}


def loss(outputs: Tensors, batch: Batch) -> Tensors:
    """The opinion in its scene, and the scene."""
    return {
        "mae": F.l1_loss(outputs["score"][:, 0], batch.label),
        "scene": scene_cross_entropy(outputs["scene"], batch.scene),
    }


SEM = Recipe(
    name="sem-hyperiqa",
    paper="SEM-HyperIQA, CVPR 2023",
    network=partial(zoo.build, "sem-hyperiqa"),
    views=TrainViews({"image": InputView(Random(1344, 1), resize_px=1344)}, (Mirror(),)),
    preprocess=ViewPreprocess({"image": InputView(Center(1344), resize_px=1344)}),
    loss=loss,
    forward=forward,
    split=Split(share=0.1, per_scene=True),
    relative=True,
    scenes=50,
    epochs=30,
    batch=8,
    optimizer=Optimizer("adam", 1e-4, rates={"hyperNet.res.": (0.1, Constant())}),
    select=("srcc_inside",),
    begin=partial(begin_parts, parts=("hyperNet.res",), fresh=("lda",)),
    start="ImageNet (torchvision's resnet50)",
)
FULL = replace(
    SEM, name="full-hyperiqa", paper="FULL-HyperIQA, arXiv 2402.09178", network=partial(zoo.build, "full-hyperiqa")
)
_SMALL = {
    "views": TrainViews({"image": InputView(Random(224, 1), resize_px=224)}, (Mirror(),)),
    "preprocess": ViewPreprocess({"image": InputView(Center(224), resize_px=224)}),
    "scenes": 3,
    "epochs": 1,
    "batch": 4,
}
QUICK_SEM = replace(SEM, network=partial(zoo.build, "sem-hyperiqa", patch_px=224, scenes=3), **_SMALL)
QUICK_FULL = replace(FULL, network=partial(zoo.build, "full-hyperiqa", patch_px=224, scenes=3), **_SMALL)
