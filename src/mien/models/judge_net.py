"""JudgeNet: overall quality, its spread, and four reasons, at the cost of a glance.

Paper:    none; it is distilled as in Efficient-FIQA (arXiv 2507.15709), by function matching (arXiv 2106.05237)
Code:     written here
Weights:  runtime/judges/, trained by recipes/embedded_judge.py from random weights
Input:    (n, s, s, 3) of 0..255, RGB, the whole picture squashed to a square, 256 px for the one that ships;
          normalisation is inside
Output:   quality (n,) on the scale of the opinions 0..1, higher is better; spread (n,) > 0, grows with the
          expected error; attributes (n, 4) in 0..1, 1 = no visible fault, in the order of `core.types.ATTRIBUTES`

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
        floor: float = 1e-5,
    ) -> None:
        """Build with random weights.

        Args:
            stem: channels at half the side.
            widths: channels of the stages, each at half the side of the one before.
            depths: residual blocks in each stage.
            hidden: numbers in the embedding.
            teacher_features: see `Judgement`.
            floor: added to each variance before its root; the larger, the less a flat picture (burnt-out sky) answers
                to the rounding of grey levels.
        """
        super().__init__()
        self.widths, self.floor = widths, floor
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
        return self.read(self.embedding(self.maps(image)))

    def maps(self, image: Tensor) -> list[Tensor]:
        """What each stage sees: (n, s, s, 3) of 0..255 -> (n, c, s / 4, s / 4), then half the side each."""
        x = self.stem((image.permute(0, 3, 1, 2).float() - 127.5) / 64.0)
        seen = []
        for stage in self.stages:
            x = stage(x)
            seen.append(x)
        return seen

    def embedding(self, maps: list[Tensor]) -> Tensor:
        """What all outputs are read from: mean and deviation of each map -> (n, hidden) float."""
        pooled = []
        for x in maps:
            variance, mean = torch.var_mean(x.flatten(2).float(), 2, correction=0)
            pooled += [mean, (variance + self.floor).sqrt()]
        return self.embed(torch.cat(pooled, dim=1))

    def read(self, embedding: Tensor) -> Judgement:
        """See the head of this file."""
        return Judgement(
            quality=self.quality(embedding).squeeze(1),
            spread=F.softplus(self.spread(embedding)).squeeze(1) + 1e-3,
            attributes=torch.sigmoid(self.attributes(embedding)),
            features=self.features(embedding),
        )
