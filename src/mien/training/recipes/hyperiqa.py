"""HyperIQA: 25 crops of each picture, and a hyper network that learns ten times faster than its backbone.

Paper:    Su et al., "Blindly Assess Image Quality in the Wild Guided by a Self-Adaptive Hyper Network", CVPR 2020;
          settings of the released code
Run:      mien train hyperiqa --data FOLDER --dataset koniq10k --start resnet50.pth
Numbers:  PIQ23 scene split, widened to 1344 px: SRCC 0.740 of the NTIRE 2024 survey / ours: not measured
Kept:     Adam is made anew each epoch, so that its moments are forgotten; the backbone keeps its rate
Open:     the authors report the median of 10 random splits: repeat with --seed
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch.nn.functional as F

from mien.core.views import InputView, Random, ViewPreprocess
from mien.models import zoo
from mien.models.hyperiqa import HyperIQA
from mien.training.crops import Mirror, TrainViews
from mien.training.order import Shuffled
from mien.training.recipe import Batch, Optimizer, Recipe, Tensors, begin_parts
from mien.training.schedule import Constant, Moment


@dataclass(frozen=True, slots=True)
class HyperRate:
    """Ten times the rate of the backbone, a tenth after every 6 epochs; the ten is dropped after epoch 8."""

    def __call__(self, now: Moment) -> float:
        """10, then 1, then 0.1 (epochs 9 to 11), then 0.01."""
        return (10.0 if now.epoch <= 8 else 1.0) * 0.1 ** (now.epoch // 6)


def loss(outputs: Tensors, batch: Batch) -> Tensors:
    """Every crop has the label of its picture."""
    return {"mae": F.l1_loss(outputs["score"][:, 0], batch.label)}


RECIPE = Recipe(
    name="hyperiqa",
    paper="HyperIQA, CVPR 2020",
    network=partial(zoo.build, "hyperiqa"),
    views=TrainViews({"image": InputView(Random(224, 1), resize_px=(512, 384))}, (Mirror(),)),
    preprocess=HyperIQA.preprocess,
    loss=loss,
    order=Shuffled(repeat=25),
    epochs=16,
    batch=96,
    optimizer=Optimizer(
        "adam", 2e-5, weight_decay=5e-4, schedule=HyperRate(), rates={"res.": (1.0, Constant())}, forget=True
    ),
    begin=partial(begin_parts, parts=("res",), fresh=("lda",)),
    start="ImageNet (torchvision's resnet50)",
)
QUICK = replace(
    RECIPE,
    views=TrainViews({"image": InputView(Random(224, 1), resize_px=224)}, (Mirror(),)),
    preprocess=ViewPreprocess({"image": InputView(Random(224, 1), resize_px=224)}),
    order=Shuffled(repeat=1),
    epochs=1,
    batch=4,
)
