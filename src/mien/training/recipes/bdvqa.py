"""BDVQA: one Swin Transformer, learned from pairs of portraits of one scene by order and by squared error.

Paper:    NTIRE 2024 portrait survey, arXiv 2404.11159, section 3.2 (team BDVQA)
Run:      mien train bdvqa --data FOLDER --dataset piq23
Numbers:  PIQ23 test: SRCC 0.849, PLCC 0.866 / ours: not measured, no pictures here
Open:     this is one member; the published size means about four, whose mean is the entry. Epochs, batch, schedule and
          weight decay are not said: 20, 16 pairs, half a cosine, 0.01. Range of the random crop and rotation: half to
          all of the area (the usual 8 % would hide what is judged), 10 degrees. The loss is read symmetrically
          (`mien.losses.ranking.merged_ranking_loss`; `literal=True` is as printed)
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from mien.core.views import InputView, Random, ViewPreprocess
from mien.losses.ranking import merged_ranking_loss
from mien.models import zoo
from mien.models.bdvqa import BDVQA
from mien.training.crops import Area, Mirror, TrainViews, Turn
from mien.training.order import Pairs
from mien.training.parts import Split
from mien.training.recipe import Batch, Optimizer, Recipe, Tensors, begin_parts
from mien.training.schedule import Cosine

CHANGES = (Turn(10.0), Area(0.5), Mirror())


def loss(outputs: Tensors, batch: Batch) -> Tensors:
    """Both terms with weight 1."""
    return {"merged": merged_ranking_loss(outputs["score"][:, 0], batch.label)}


RECIPE = Recipe(
    name="bdvqa",
    paper="BDVQA, NTIRE 2024 portrait survey, arXiv 2404.11159",
    network=partial(zoo.build, "bdvqa", members=1),
    views=TrainViews({"image": InputView(Random(384, 1), resize_px=384)}, CHANGES),
    preprocess=BDVQA.preprocess,
    loss=loss,
    order=Pairs(),
    split=Split(share=0.1, per_scene=True),
    relative=True,
    epochs=20,
    batch=32,
    optimizer=Optimizer("adamw", 2e-5, weight_decay=0.01, schedule=Cosine()),
    select=("srcc_inside",),
    begin=partial(begin_parts, parts=("members.0.swin",)),
    start="ImageNet (timm's swin_large_patch4_window12_384)",
)
QUICK = replace(
    RECIPE,
    network=partial(
        zoo.build,
        "bdvqa",
        members=1,
        hidden=16,
        img_size=64,
        window_size=2,
        embed_dim=8,
        depths=(1, 1, 1, 1),
        num_heads=(1, 1, 2, 2),
    ),
    views=TrainViews({"image": InputView(Random(64, 1), resize_px=64)}, CHANGES),
    preprocess=ViewPreprocess({"image": InputView(Random(64, 2), resize_px=72)}),
    epochs=1,
    batch=8,
)
