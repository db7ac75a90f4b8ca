"""SAR: the whole portrait, the face, or both in each step; a yardstick for each scene.

Paper:    NTIRE 2024 portrait survey, arXiv 2404.11159, section 3.5 (team SECE-SYSU)
Run:      mien train sar --data labels.csv (with x1, y1, x2, y2 of the face) --start CLIP.pt
Numbers:  PIQ23 test: SRCC 0.828, PLCC 0.855 / ours: not measured, no pictures here
Open:     weight of the scene term: 1. "Initial 1e-5, warm-up to 1e-4, cosine to 0 over 30 cycles" contradicts itself:
          we rise from 1e-5 to 1e-4 over a twentieth of the steps and fall once. Patches are cut after the shorter side
          became 512. A picture without the edges of its face is shown whole in their place, as where no face is found
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import cast

import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from mien.core.views import Box, InputView, Random, ViewPreprocess
from mien.losses.scenes import scene_cross_entropy
from mien.models import clip, zoo
from mien.models.clip import CLIP_MEAN, CLIP_STD
from mien.models.sar import SAR, face_square
from mien.training.crops import Looks, Mirror, TrainViews
from mien.training.parts import Split
from mien.training.recipe import Batch, Optimizer, Recipe, Tensors, begin_whole
from mien.training.schedule import Cosine

WHOLE_ONLY, FACE_ONLY = 0.3, 0.3  #: shares of the steps; the rest sees both


def look(picture: Image.Image, box: Box | None, names: Sequence[str]) -> Looks:
    """The face is cut from its square."""
    return {"whole": picture, "face": face_square(picture, box)}


def forward(net: nn.Module, views: Tensors, batch: Batch) -> Tensors:
    """One patch of each; the true scene's yardstick where all scenes are known."""
    whole, face = (views[name].flatten(0, 1) for name in ("whole", "face"))
    scene = batch.scene if bool((batch.scene >= 0).all()) else None
    said = net(
        None if WHOLE_ONLY <= batch.chance < WHOLE_ONLY + FACE_ONLY else whole,
        None if batch.chance < WHOLE_ONLY else face,
        scene=scene,
    )
    return {"score": said.score[:, None], "scene": said.scene}


def loss(outputs: Tensors, batch: Batch) -> Tensors:
    """Huber with parameter 0.2, and the scene."""
    return {
        "huber": F.huber_loss(outputs["score"][:, 0], batch.label, delta=0.2),
        "scene": scene_cross_entropy(outputs["scene"], batch.scene),
    }


def begin(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """From a CLIP, or from a checkpoint of the whole network."""
    if any(key.startswith("whole_regressors.") for key in weights):
        begin_whole(net, weights)
    else:
        clip.start_from(cast("SAR", net).visual, weights)


RECIPE = Recipe(
    name="sar",
    paper="SAR, NTIRE 2024 portrait survey, arXiv 2404.11159",
    network=partial(zoo.build, "sar"),
    views=TrainViews(
        dict.fromkeys(("whole", "face"), InputView(Random(224, 1), resize_px=512, mean=CLIP_MEAN, std=CLIP_STD)),
        (Mirror(),),
    ),
    preprocess=SAR.preprocess,
    loss=loss,
    forward=forward,
    look=look,
    split=Split(share=0.1, per_scene=True),
    relative=True,
    scenes=50,
    epochs=80,
    batch=16,
    optimizer=Optimizer("adamw", 1e-4, weight_decay=1e-5, schedule=Cosine(warmup=0.05, begin=0.1)),
    select=("srcc_inside",),
    begin=begin,
    start="ten blocks of CLIP ViT-B/16, six of them frozen",
)
_SMALL: dict[str, InputView] = dict.fromkeys(
    ("whole", "face"), InputView(Random(32, 1), resize_px=40, mean=CLIP_MEAN, std=CLIP_STD)
)
QUICK = replace(
    RECIPE,
    network=partial(zoo.build, "sar", scenes=3, image_px=32, patch_px=8, width=64, layers=4, frozen=1),
    views=TrainViews(_SMALL, (Mirror(),)),
    preprocess=ViewPreprocess(_SMALL),
    scenes=3,
    epochs=1,
    batch=8,
)
