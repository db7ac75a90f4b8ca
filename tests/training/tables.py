"""A table of blurred pictures, and a recipe so small that a run takes a second."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from PIL import ImageFilter
from torch import Tensor, nn

from mien.core.views import Center, InputView, Random, ViewPreprocess
from mien.training.crops import Mirror, TrainViews
from mien.training.recipe import Batch, Optimizer, Recipe, Tensors
from mien.training.schedule import Cosine
from synthetic import picture

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


def write_table(root: Path, n: int = 40, *, first: int = 0, score: bool = True, scenes: int = 0) -> Path:
    """n pictures and labels.csv; the score falls from 5 to 1 with blur."""
    root.mkdir(parents=True, exist_ok=True)
    rows = ["path" + (",score" if score else "") + (",scene" if scenes else "")]
    for i in range(first, first + n):
        picture(i, (64, 48)).filter(ImageFilter.GaussianBlur(i % 5)).save(root / f"p{i}.png")
        cells = [f"p{i}.png", *([f"{5 - i % 5 + 0.01 * (i % 7):.2f}"] if score else [])]
        rows.append(",".join([*cells, *([f"s{i % scenes}"] if scenes else [])]))
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root / "labels.csv"


class Small(nn.Module):
    """Without batch statistics, so that every division of a batch gives the same."""

    def __init__(self, dropout: float = 0.2) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Conv2d(8, 8, 3, 2), nn.ReLU())
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 1)."""
        seen = self.body(x).flatten(2)
        return self.head(self.drop(torch.cat([seen.mean(2), seen.std(2)], 1)))

    def judge(self, image: Tensor) -> Tensor:
        """(n, v, 3, h, w) -> (n,)."""
        return self(image.flatten(0, 1)).reshape(image.shape[:2]).mean(1)


def loss(outputs: Tensors, batch: Batch) -> Tensors:
    from mien.losses.regression import plcc_loss

    score = outputs["score"][:, 0]
    return {"mse": (score - batch.label).square().mean(), "plcc": plcc_loss(score, batch.label)}


RECIPE = Recipe(
    name="small",
    paper="none",
    network=Small,
    views=TrainViews({"image": InputView(Random(32, 1), resize_px=36, mean=MEAN, std=STD)}, (Mirror(),)),
    preprocess=ViewPreprocess({"image": InputView(Center(32), resize_px=36, mean=MEAN, std=STD)}),
    loss=loss,
    epochs=3,
    batch=8,
    optimizer=Optimizer("adamw", 1e-2, schedule=Cosine(warmup=0.1)),
    ema=0.9,
)
PLAIN = replace(RECIPE, network=lambda: Small(0.0), ema=None)  # nothing that differs between processes
