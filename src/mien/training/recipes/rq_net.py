"""RQ-Net: quality relative to others of the scene, from batches of 4 scenes with 32 pictures each.

Paper:    NTIRE 2024 portrait survey, arXiv 2404.11159, section 3.1 (team Xidian IPPL, winner)
Run:      stage 1: mien train rq-net --out general --start CLIP.pt --data A --dataset spaq --data B --dataset bid ...
          stage 2: mien train rq-net --out piq --start general/best.pt --data FOLDER --dataset piq23
Numbers:  an ensemble of four, PIQ23 test: SRCC 0.820 / ours: not measured, no pictures here
Open:     epochs are not said: 20. Their second way to stage 1 (faces with three scores) and the bagging of four are not
          here: outputs have no scale, so bagging needs a choice of its own. Mirrored is the picture, so both looks are.
          A data set without scenes is one scene, as in the survey
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import cast

from torch import Tensor, nn

from mien.core.views import Fragments, InputView, Random, ViewPreprocess
from mien.losses.scenes import scale_shift_invariant_loss
from mien.models import clip, zoo
from mien.models.clip import CLIP_MEAN, CLIP_STD
from mien.models.rq_net import RQNet
from mien.training.crops import Mirror, TrainViews
from mien.training.order import Scenes
from mien.training.parts import Split
from mien.training.recipe import Batch, Optimizer, Recipe, Tensors, begin_whole
from mien.training.schedule import Cosine


def views(crop_px: int, resize_px: int, grid: int) -> TrainViews:
    """The whole picture squeezed to a square and cropped, and raw pieces of it."""
    return TrainViews(
        {
            "whole": InputView(Random(crop_px, 1), resize_px=(resize_px, resize_px), mean=CLIP_MEAN, std=CLIP_STD),
            "local": InputView(Fragments(grid=grid), mean=CLIP_MEAN, std=CLIP_STD),
        },
        (Mirror(),),
    )


def loss(outputs: Tensors, batch: Batch) -> Tensors:
    """Opinions count up to scale and shift of their scene."""
    scenes = batch.group * (2 + int(batch.scene.max())) + batch.scene + 1
    return {"relative": scale_shift_invariant_loss(outputs["score"][:, 0], batch.label, scenes)}


def begin(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """From a CLIP, or from a checkpoint of stage 1."""
    if any(key.startswith("blocks.") for key in weights):
        begin_whole(net, weights)
    else:
        clip.start_from(cast("RQNet", net).visual, weights)


RECIPE = Recipe(
    name="rq-net",
    paper="RQ-Net, NTIRE 2024 portrait survey, arXiv 2404.11159",
    network=partial(zoo.build, "rq-net"),
    views=views(224, 244, 7),
    preprocess=RQNet.preprocess,
    loss=loss,
    order=Scenes(per_batch=4),
    split=Split(share=0.1, per_scene=True),
    relative=True,
    epochs=20,
    batch=128,
    optimizer=Optimizer("adam", 1e-5, weight_decay=1e-5, schedule=Cosine(), clip=1.0),
    select=("srcc_inside",),
    begin=begin,
    start="CLIP ViT-B/16",
)
QUICK = replace(
    RECIPE,
    network=partial(zoo.build, "rq-net", image_px=64, patch_px=16, width=64, layers=2, heads=4, hidden=16),
    views=views(64, 70, 2),
    preprocess=ViewPreprocess(
        {
            "whole": InputView(Random(64, 1), resize_px=(70, 70), mean=CLIP_MEAN, std=CLIP_STD),
            "local": InputView(Fragments(grid=2), mean=CLIP_MEAN, std=CLIP_STD),
        }
    ),
    order=Scenes(per_batch=2),
    epochs=1,
    batch=8,
)
