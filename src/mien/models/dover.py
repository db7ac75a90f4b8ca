"""DOVER: quality of a video from two sides: how well it is recorded and compressed, and how well it is composed.

Paper:    Wu et al., "Exploring Video Quality Assessment on User Generated Contents from Aesthetic and Technical
          Perspectives", ICCV 2023
Code:     written from the paper, spec and key names of VQAssessment/DOVER@f1ddc96
Weights:  DOVER.pth, licence unknown: ask the authors; trained on the overall opinions of LSVQ (DOVER++ also on the
          aesthetic and technical ones of DIVIDE-3k)
Input:    technical (n, 3, 32, 224, 224), 3 clips of fragments; aesthetic (n, 3, 32, 224, 224), 32 squeezed frames;
          float32 RGB, ImageNet statistics, `preprocess` below
Output:   (n,) float32, overall quality 0..1, higher is better; both sides alone are raw and unbounded
Numbers:  PLCC of the README: LSVQ test 0.889, 1080p 0.830, LIVE-VQC 0.855, KoNViD-1k 0.883 / ours: not measured, no
          weights here
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.core.clips import ClipView, Squeeze, StretchClips, StretchFrames, VideoFragments, VideoPreprocess
from mien.models.fast_vqa import QualityHead, VideoSwin, mean_score

WIDTHS, DEPTHS = (96, 192, 384, 768), (3, 3, 9, 3)  # ConvNeXt-T
TEMPORAL_KERNELS = (1, 3, 1)  #: of the blocks of a stage, over and over: "131"

# overall = sigmoid(sum of weight * (raw - mean) / std)
TECHNICAL_MEAN, TECHNICAL_STD, TECHNICAL_WEIGHT = 0.1107, 0.07355, 0.6104
AESTHETIC_MEAN, AESTHETIC_STD, AESTHETIC_WEIGHT = -0.08285, 0.03774, 0.3896


class Maps(NamedTuple):
    """A score for each place of both views."""

    technical: Tensor  #: (n, 1, t / 2, h / 32, w / 32)
    aesthetic: Tensor  #: likewise


class Scores(NamedTuple):
    """Quality of n videos, by name: the authors' two scripts order the sides differently."""

    technical: Tensor  #: (n,) raw
    aesthetic: Tensor  #: (n,) raw
    overall: Tensor  #: (n,) 0..1


class ChannelNorm(nn.LayerNorm):
    """LayerNorm of the channels at each place: (n, c, t, h, w) -> the same."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: D102 - the class says it
        return super().forward(input.permute(0, 2, 3, 4, 1)).permute(0, 4, 1, 2, 3)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7 x 7 over `frames` frames, then an MLP at each place, scaled and added."""

    def __init__(self, width: int, frames: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))
        self.dwconv = nn.Conv3d(width, width, (frames, 7, 7), padding=(frames // 2, 3, 3), groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pwconv1 = nn.Linear(width, 4 * width)
        self.pwconv2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, t, h, w) -> the same."""
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 4, 1))
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + y.permute(0, 4, 1, 2, 3)


class ConvNeXt3D(nn.Module):
    """ConvNeXt, tiny, inflated to see time: in its stem, and in every block of three frames."""

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv3d(3, WIDTHS[0], (2, 4, 4), (2, 4, 4)), ChannelNorm(WIDTHS[0], eps=1e-6))
        halve = [
            nn.Sequential(ChannelNorm(narrow, eps=1e-6), nn.Conv3d(narrow, wide, (1, 2, 2), (1, 2, 2)))
            for narrow, wide in pairwise(WIDTHS)
        ]
        self.downsample_layers = nn.ModuleList([stem, *halve])
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNeXtBlock(width, TEMPORAL_KERNELS[i % 3]) for i in range(depth)))
            for width, depth in zip(WIDTHS, DEPTHS, strict=True)
        )
        self.norm = ChannelNorm(WIDTHS[-1], eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, t, h, w) -> (n, 768, t / 2, h / 32, w / 32)."""
        for downsample, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(downsample(x))
        return self.norm(x)


class DOVER(nn.Module):
    """Two backbones, two heads, and a fixed sum."""

    preprocess = VideoPreprocess(
        {
            # both samplers are random in the authors' tests too, so their numbers cannot be met to the last digit
            "technical": ClipView(StretchClips(3, frames=32, interval=2), VideoFragments(7, aligned_frames=32)),
            "aesthetic": ClipView(StretchFrames(32, interval=2), Squeeze(224)),
        }
    )

    def __init__(self) -> None:
        super().__init__()
        self.technical_backbone = VideoSwin()
        self.aesthetic_backbone = ConvNeXt3D()
        self.technical_head = QualityHead()
        self.aesthetic_head = QualityHead()

    def forward(self, views: Mapping[str, Tensor]) -> Maps:
        """`technical` and `aesthetic`, (n, 3, t, h, w) each -> a map of scores for each."""
        return Maps(
            self.technical_head(self.technical_backbone(views["technical"])),
            self.aesthetic_head(self.aesthetic_backbone(views["aesthetic"])),
        )

    def scores(self, technical: Tensor, aesthetic: Tensor) -> Scores:
        """(n, v, 3, t, h, w) each, v clips of each video -> means over clips and maps, and their fusion."""
        maps = self({"technical": technical.flatten(0, 1), "aesthetic": aesthetic.flatten(0, 1)})
        return fuse(mean_score(maps.technical, technical), mean_score(maps.aesthetic, aesthetic))

    def judge(self, technical: Tensor, aesthetic: Tensor) -> Tensor:
        """(n, v, 3, t, h, w) each -> (n,) overall quality, 0..1."""
        return self.scores(technical, aesthetic).overall


def fuse(technical: Tensor, aesthetic: Tensor) -> Scores:
    """Raw scores (n,) of both sides -> both and the overall quality."""
    t = (technical - TECHNICAL_MEAN) / TECHNICAL_STD
    a = (aesthetic - AESTHETIC_MEAN) / AESTHETIC_STD
    return Scores(technical, aesthetic, torch.sigmoid(TECHNICAL_WEIGHT * t + AESTHETIC_WEIGHT * a))
