"""mien's own small network from random weights: for anybody with one table of pictures and scores.

Paper:    none; the losses are those of the judge that ships with mien, without a teacher
Learns:   quality from the opinions; sharpness, exposure, noise and compression, and the order of degraded views, from
          degradations whose strength is known; and how far off it is
Network:  `mien.models.judge_net.JudgeNet` at 256 px, 1.9 M parameters; the model that comes out needs no torch
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import cast

import numpy as np
from PIL import Image
from torch import Tensor, nn

from mien.core.preprocess import Preprocess
from mien.core.types import ATTRIBUTES
from mien.data.degradations import attribute_strengths, degrade, random_chain
from mien.losses.attributes import attribute_loss
from mien.losses.ranking import margin_ranking
from mien.losses.regression import laplace_nll, plcc_loss
from mien.models.judge_net import JudgeNet
from mien.training.crops import Area, Arrays, Change, Looks, Mirror
from mien.training.parts import Split
from mien.training.recipe import Batch, Optimizer, Recipe, Tensors
from mien.training.schedule import Cosine
from mien.training.self_training import SelfTraining

KINDS = ("blur", "motion", "downscale", "noise", "dark", "bright", "jpeg", "webp")
CLEAN_FROM = 0.75  #: pictures rated above this count as free of faults
LEAD = 0.3  #: lead of a view over one that is degraded by 1 more, in parts of the range of the opinions


@dataclass(frozen=True)
class Ladder:
    """A picture as it is, and the same degraded a little and more."""

    size_px: int
    changes: Sequence[Change] = (Mirror(), Area(0.6))

    def __call__(self, looks: Looks, rng: np.random.Generator) -> Arrays:
        """Views (3, s, s, 3) uint8, and "lost" (3, 4), the strength that each attribute has suffered."""
        picture = self._shrunk(looks["image"])
        for change in self.changes:
            picture = change(picture, rng)
        steps = random_chain(rng, kinds=KINDS, most=2)
        seed, weaker = int(rng.integers(2**32)), float(rng.uniform(0.2, 0.7))
        rungs = [tuple(replace(step, strength=share * step.strength) for step in steps) for share in (0, weaker, 1)]
        square = (self.size_px, self.size_px)
        views = [degrade(picture, rung, seed=seed).resize(square, Image.Resampling.BILINEAR) for rung in rungs]
        lost = [[attribute_strengths(rung)[name] for name in ATTRIBUTES] for rung in rungs]
        return {"image": np.stack([np.asarray(v) for v in views]), "lost": np.array(lost, np.float32)}

    def _shrunk(self, picture: Image.Image) -> Image.Image:
        """Twice the size of a view: finer faults would vanish in it, and cost time."""
        factor = min(picture.size) // (2 * self.size_px)
        return picture.reduce(factor) if factor > 1 else picture


def forward(net: nn.Module, views: Tensors, batch: Batch) -> Tensors:
    """All rungs of all pictures: (n, 3, ...)."""
    n = len(views["image"])
    out = net(views["image"].flatten(0, 1))
    seen = {"quality": out.quality, "spread": out.spread, "attributes": out.attributes}
    return {name: value.unflatten(0, (n, -1)) for name, value in seen.items()} | {"lost": views["lost"]}


def loss(outputs: Tensors, batch: Batch) -> Tensors:
    """Opinions on the views as they are; order, reasons and spread."""
    quality, lost = outputs["quality"], outputs["lost"]
    plain, label = quality[:, 0], batch.label
    error = (plain - label).abs().detach()
    return {
        "mse": 10 * (plain - label).square().mean(),
        "plcc": plcc_loss(plain, label),
        "ladder": _ladder(quality, lost.amax(2)),
        "attributes": 4 * attribute_loss(outputs["attributes"], lost, (label >= CLEAN_FROM)[:, None]),
        "spread": 0.1 * laplace_nll(error, outputs["spread"][:, 0]),
    }


def judge(net: nn.Module, views: Tensors) -> Tensors:
    """Quality, spread and attributes of whole pictures (n, s, s, 3)."""
    out = cast("JudgeNet", net)(views["image"])
    return {"quality": out.quality, "spread": out.spread, "attributes": 100 * out.attributes}


def _ladder(quality: Tensor, strength: Tensor) -> Tensor:
    """Each rung leads the next by the difference in strength."""
    lead = LEAD * (strength[:, [1, 2, 2]] - strength[:, [0, 1, 0]])
    return margin_ranking(quality[:, [0, 1, 0]], quality[:, [1, 2, 2]], lead)


RECIPE = Recipe(
    name="judge-net",
    paper="none: mien's own network and losses",
    network=partial(JudgeNet, teacher_features=1),
    views=Ladder(256),
    preprocess=Preprocess(size_px=256),
    loss=loss,
    forward=forward,
    judge=judge,
    split=Split(share=0.2),
    labels="unit",
    epochs=30,
    batch=24,
    optimizer=Optimizer("adamw", 2e-3, weight_decay=0.02, schedule=Cosine(warmup=0.05), clip=2.0),
    ema=0.999,
    bf16=False,
    seed=1,
    calibrate=True,
)

TINY = partial(JudgeNet, stem=4, widths=(4, 8, 8, 8), depths=(0, 0, 0, 0), hidden=16, teacher_features=1)
QUICK = replace(
    RECIPE,
    network=TINY,
    views=Ladder(32),
    preprocess=Preprocess(size_px=32),
    epochs=2,
    batch=8,
    optimizer=replace(RECIPE.optimizer, learning_rate=5e-3),  # few steps
    ema=0.9,
)

#: for pictures that nobody rated: a wider network labels them, see `mien.training.self_training`
SELF_TRAINING = SelfTraining(
    name="judge-net",
    paper="the two stages of Efficient-FIQA, with mien's own networks",
    teacher=replace(
        RECIPE,
        name="judge-net-teacher",
        network=partial(JudgeNet, stem=24, widths=(48, 128, 192, 256), hidden=384, teacher_features=1),
    ),
    student=RECIPE,
)
QUICK_SELF_TRAINING = replace(SELF_TRAINING, teacher=replace(QUICK, name="judge-net-teacher"), student=QUICK)
