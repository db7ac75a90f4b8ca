"""UIQA: three looks at a 4K photograph, learned from pairs of different opinion.

Paper:    Sun et al., "Assessing UHD Image Quality from Aesthetics, Distortions, and Saliency", ECCV AIM 2024,
          arXiv 2409.00749; settings of the released code
Run:      mien train uiqa --data FOLDER --dataset uhd-iqa --start FILE
Numbers:  UHD-IQA test: SRCC paper 0.846, PLCC 0.798 / ours: not measured, no pictures here
Open:     the first stage (aesthetics on AVA, with sums of votes as labels) has no published weights of its terms and is
          not here; `--start` takes weights of torchvision's swin_t, or the authors' checkpoint. The batch of 12 is read
          as 12 pairs
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch.nn.functional as F

from mien.core.views import Center, Fragments, InputView, Random, ViewPreprocess
from mien.losses.fidelity import pair_fidelity_loss
from mien.models import zoo
from mien.models.uiqa import UIQA
from mien.training.crops import TrainViews
from mien.training.order import Pairs
from mien.training.parts import Split
from mien.training.recipe import Batch, Optimizer, Recipe, Tensors, begin_parts
from mien.training.schedule import Steps


def loss(outputs: Tensors, batch: Batch) -> Tensors:
    """Soft labels Φ(ΔMOS), and 0.1 times the squared errors of both of a pair."""
    score = outputs["score"][:, 0]
    (q1, q2), (y1, y2) = score.reshape(-1, 2).T, batch.label.reshape(-1, 2).T
    return {
        "pairs": pair_fidelity_loss(q1, q2, y1, y2, convention="code"),
        "mse": 0.1 * (F.mse_loss(q1, y1) + F.mse_loss(q2, y2)),
    }


RECIPE = Recipe(
    name="uiqa",
    paper="UIQA, arXiv 2409.00749",
    network=partial(zoo.build, "uiqa"),
    views=TrainViews(
        {
            "aesthetics": InputView(Random(480, 1), resize_px=512),
            "distortion": InputView(Fragments(grid=15)),
            "saliency": InputView(Center(480)),
        }
    ),
    preprocess=UIQA.preprocess,
    loss=loss,
    order=Pairs(different=True),
    split=Split(share=0.2, seed=1000),
    epochs=100,
    batch=24,
    optimizer=Optimizer("adam", 1e-5, weight_decay=1e-7, schedule=Steps(every=10, factor=0.9)),
    seed=1000,
    select=("srcc", "plcc_fitted", "krcc", "-rmse_fitted", "-mae_fitted"),
    begin=partial(
        begin_parts, parts=[f"{look}_feature_extraction" for look in ("aesthetics", "distortion", "saliency")]
    ),
    start="ImageNet, then aesthetics of AVA",
)
QUICK = replace(
    RECIPE,
    network=partial(zoo.build, "uiqa", embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=[2, 2]),
    views=TrainViews(
        {
            "aesthetics": InputView(Random(64, 1), resize_px=68),
            "distortion": InputView(Fragments(grid=2)),
            "saliency": InputView(Center(64)),
        }
    ),
    preprocess=ViewPreprocess(
        {
            "aesthetics": InputView(Center(64), resize_px=68),
            "distortion": InputView(Fragments(grid=2)),
            "saliency": InputView(Center(64)),
        }
    ),
    epochs=1,
    batch=8,
)
