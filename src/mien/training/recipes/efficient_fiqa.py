"""Efficient-FIQA: a Swin-B teacher, and an EdgeNeXt-XXS student that learns from its labels.

Paper:    Sun et al., "Efficient Face Image Quality Assessment via Self-training and Knowledge Distillation",
          ICCV VQualA 2025, arXiv 2507.15709; settings of the released code
Run:      mien distill efficient-fiqa --data labels.csv --u1 FOLDER --u2 FOLDER; each half alone: mien train NAME
Numbers:  student, VQualA 2025 test: (SRCC + PLCC) / 2 paper 0.9664 / ours: not measured, no data here
Open:     what both begin from: `--start` takes ImageNet weights (torchvision's swin_b, timm's edgenext_xx_small), or
          the authors' checkpoints. The challenge's student saw 288 px, the released code 352; we take 352
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch.nn.functional as F

from mien.core.views import Center, InputView, Random, ViewPreprocess
from mien.losses.regression import plcc_loss
from mien.models import zoo
from mien.models.efficient_fiqa import Student, Teacher
from mien.training.crops import TrainViews
from mien.training.parts import Split
from mien.training.recipe import Batch, Optimizer, Recipe, Tensors, begin_parts
from mien.training.schedule import Steps
from mien.training.self_training import SelfTraining

PAPER = "Efficient-FIQA, arXiv 2507.15709"


def loss(outputs: Tensors, batch: Batch) -> Tensors:
    """Equal weights; the correlation is taken over the mixture of labelled and pseudo-labelled pictures."""
    score = outputs["score"][:, 0]
    return {"mse": F.mse_loss(score, batch.label), "plcc": plcc_loss(score, batch.label)}


def views(size_px: int) -> TrainViews:
    """No mirror images."""
    return TrainViews({"image": InputView(Random(size_px, 1), resize_px=size_px)})


STUDENT = Recipe(
    name="efficient-fiqa-student",
    paper=PAPER,
    network=partial(zoo.build, "efficient-fiqa-student"),
    views=views(352),
    preprocess=Student.preprocess,
    loss=loss,
    split=Split(share=0.2, seed=42),
    epochs=30,
    batch=32,
    optimizer=Optimizer("adamw", 1e-4, weight_decay=1e-6, schedule=Steps(every=10, factor=0.1)),
    seed=42,
    select=("srcc", "plcc_fitted"),
    begin=partial(begin_parts, parts=("feature_extraction",)),
    start="not said",
)
TEACHER = replace(
    STUDENT,
    name="efficient-fiqa-teacher",
    network=partial(zoo.build, "efficient-fiqa-teacher"),
    views=views(448),
    preprocess=Teacher.preprocess,
    select=("srcc",),
    begin=partial(begin_parts, parts=("feature_extraction.feature_extraction",)),
    start="a network trained for picture or video quality (a comment in the code)",
)
SELF_TRAINING = SelfTraining("efficient-fiqa", PAPER, TEACHER, STUDENT)

SMALL = ViewPreprocess({"image": InputView(Center(64), resize_px=64)})
QUICK_STUDENT = replace(STUDENT, views=views(64), preprocess=SMALL, epochs=1, batch=8)
QUICK_TEACHER = replace(
    TEACHER,
    network=partial(
        zoo.build,
        "efficient-fiqa-teacher",
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=[2, 2],
    ),
    views=views(64),
    preprocess=SMALL,
    epochs=1,
    batch=8,
)
QUICK_SELF_TRAINING = replace(SELF_TRAINING, teacher=QUICK_TEACHER, student=QUICK_STUDENT)
