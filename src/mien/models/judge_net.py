"""JudgeNet: overall quality, its spread, and four reasons, at the cost of a glance.

Paper:    none; the distillation follows Efficient-FIQA (arXiv 2507.15709), the network is ours
Code:     written here
Weights:  runtime/judges/, trained by recipes/embedded_judge.py from random weights
Input:    (n, 256, 256, 3) uint8, RGB, the whole picture squashed to a square; normalisation is inside
Output:   quality (n,) on the scale of the opinions 0..1, higher is better; spread (n,) > 0, expected absolute error on
          the same scale; attributes (n, 4) in 0..1, 1 = no visible fault, in the order of `core.types.ATTRIBUTES`

Plain 3x3 convolutions: on a CPU they run at several times the arithmetic rate of depthwise ones, so at equal
milliseconds this network is larger than a MobileNet, and it trains three times faster.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Judgement(NamedTuple):
    """What the network says of n views; see the head of this file."""

    quality: Tensor
    spread: Tensor
    attributes: Tensor
    features: Tensor  #: (n, d) guess of the teacher's features; for training only


class ConvBlock(nn.Sequential):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.first = ConvBlock(c, c)
        self.second = nn.Sequential(nn.Conv2d(c, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        return F.relu(x + self.second(self.first(x)))


class JudgeNet(nn.Module):
    """See the head of this file."""

    def __init__(
        self,
        stem: int = 16,
        widths: tuple[int, ...] = (24, 64, 128, 192),
        depths: tuple[int, ...] = (1, 1, 2, 1),
        hidden: int = 256,
        teacher_features: int = 192,
    ) -> None:
        super().__init__()
        self.stem = ConvBlock(3, stem, 2)
        inputs = (stem, *widths)
        self.stages = nn.ModuleList(
            nn.Sequential(ConvBlock(a, b, 2), *(Residual(b) for _ in range(depth)))
            for a, b, depth in zip(inputs, widths, depths, strict=False)
        )
        self.embed = nn.Sequential(nn.Linear(2 * sum(widths), hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True))
        self.quality = nn.Linear(hidden, 1)
        self.spread = nn.Linear(hidden, 1)
        self.attributes = nn.Linear(hidden, 4)
        self.features = nn.Linear(hidden, teacher_features)

    def forward(self, image: Tensor) -> Judgement:
        """See the head of this file."""
        e = self.embedding(image)
        return Judgement(
            quality=self.quality(e).squeeze(1),
            spread=F.softplus(self.spread(e)).squeeze(1) + 1e-3,
            attributes=torch.sigmoid(self.attributes(e)),
            features=self.features(e),
        )

    def embedding(self, image: Tensor) -> Tensor:
        """What all outputs are read from: (n, s, s, 3) uint8 -> (n, hidden) float."""
        x = (image.permute(0, 3, 1, 2).float() - 127.5) / 64.0
        x = self.stem(x)
        pooled = []
        for stage in self.stages:
            x = stage(x)
            variance, mean = torch.var_mean(x.flatten(2).float(), 2, correction=0)
            pooled += [mean, (variance + 1e-5).sqrt()]
        return self.embed(torch.cat(pooled, dim=1))
