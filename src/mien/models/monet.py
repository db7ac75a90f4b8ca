"""MoNet: several opinions about a portrait, then one about the opinions, and a guess of the scene.

Paper:    Chahine et al., "Deep Portrait Quality Assessment. A NTIRE 2024 Challenge Survey", CVPR Workshops 2024,
          arXiv 2404.11159, section 3.4; network of GMC-IQA, arXiv 2401.10511
Code:     written from the survey; the module MAL from the spec and key names of the same authors' code,
          chencn2020/MobileIQA@c74fec9; backbone and transformer block of timm
Weights:  none published; trained on PIQ23, challenge split
Input:    (n, 3, 384, 384) float32 RGB, -1..1, `preprocess` below; one centre crop of a picture
Output:   score (n,) float32, relative to the JOD of one scene, scale unknown; higher is better. Scene logits (n, 50)
Numbers:  PIQ23 scene split: SRCC 0.760, PLCC 0.791; hidden test: SRCC 0.357, PLCC 0.433 / ours: not measured

Ambiguous, read by us:
- Attention inside a MAL: as in the authors' MobileIQA (one self-attention as in SAGAN per level; MANIQA's transposed
  attention among places and among channels; both averaged, then the levels averaged).
- Basic features: tokens behind the ViT's blocks 3, 6, 9, 12 without class token and without the final norm.
- The MAL that integrates reads M = 5 opinions where the others read N = 4 levels.
- "A transformer block": one block of the backbone's kind (12 heads, MLP x 4, norm first).
- Convolutions: 768 -> 256 -> 128 -> 128 channels, stride 1, padded, ReLU after each, then the mean over the places. The
  survey gives kernels and the last width only. So read, everything has 407.4 M parameters, and 408.2 M with the norm
  and the classifier of the ViT, which nothing reads; the survey says 408 M. 768 -> 512 -> 256 -> 128 has 413.4 M.
- "A FC layer similar to the regression" for the scene: 128 -> 64 -> 50, beside the one for the score.
- Range of the input (that of the backbone), crop of 384 after the shorter side became 448.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.core.views import Center, InputView, ViewPreprocess
from mien.models.blocks import TransposedAttention, as_map, vit_levels

LEVELS = (2, 5, 8, 11)  #: blocks of the ViT, counted from 0


class SelfAttention(nn.Module):
    """Attention among the places of one map, added by a learnt amount that starts at zero (as in SAGAN)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qConv = nn.Conv2d(channels, channels // 8, 1)
        self.kConv = nn.Conv2d(channels, channels // 8, 1)
        self.vConv = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> the same."""
        q, k, v = (conv(x).flatten(2).transpose(1, 2) for conv in (self.qConv, self.kConv, self.vConv))
        attended = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        return x + self.gamma * attended.transpose(1, 2).reshape(-1, *x.shape[1:])


class MAL(nn.Module):
    """Multi-view attention learning: one opinion about `levels` maps of one picture."""

    def __init__(self, channels: int, levels: int, side: int) -> None:
        super().__init__()
        self.attention_module = nn.ModuleList(SelfAttention(channels) for _ in range(levels))
        self.channel_attention = TransposedAttention(levels * channels)
        self.feature_attention = TransposedAttention(levels * side**2)

    def forward(self, maps: Sequence[Tensor] | Tensor) -> Tensor:
        """`levels` of (n, channels, side, side) -> (n, channels, side * side)."""
        attended = [attention(x) for attention, x in zip(self.attention_module, maps, strict=True)]
        x = torch.cat(attended, 1).flatten(2)  # F of the paper: (n, levels * channels, places)
        levels, channels = len(attended), attended[0].shape[1]
        among_places = self.channel_attention(x.transpose(1, 2)).transpose(1, 2)
        # official quirk: the rows of F are ordered level by level, but read here as if channel by channel
        among_channels = self.feature_attention(x.reshape(-1, channels, levels * x.shape[2])).reshape(-1, *x.shape[1:])
        return ((among_places + among_channels) / 2).reshape(-1, levels, channels, x.shape[2]).mean(1)


class Judgement(NamedTuple):
    """About n pictures."""

    score: Tensor  #: (n,)
    scene: Tensor  #: logits (n, scenes)


class MoNet(nn.Module):
    """ViT -> features of four levels -> five opinions -> one opinion -> score and scene."""

    preprocess = ViewPreprocess(
        {"image": InputView(Center(384), resize_px=448, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))}
    )

    def __init__(self, opinions: int = 5, scenes: int = 50, image_px: int = 384, width: int = 768) -> None:
        import timm
        from timm.models.vision_transformer import Block

        super().__init__()
        side = image_px // 16
        self.vit = timm.create_model(
            "vit_base_patch16_384", pretrained=False, img_size=image_px, embed_dim=width, num_classes=0
        )
        self.vit.norm = nn.Identity()  # behind the last feature
        self.MALs = nn.ModuleList(MAL(width, len(LEVELS), side) for _ in range(opinions))
        self.fusion_mal = MAL(width, opinions, side)
        self.transformer = Block(width, num_heads=12, qkv_bias=True)
        self.cnn = nn.Sequential(
            nn.Conv2d(width, 256, 5, padding=2), nn.ReLU(),
            nn.Conv2d(256, 128, 3, padding=1), nn.ReLU(),
            nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.fc_score = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))
        self.fc_scene = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, scenes))

    def forward(self, x: Tensor) -> Judgement:
        """(n, 3, 384, 384) -> scores and scenes."""
        levels = [as_map(level.transpose(1, 2)) for level in vit_levels(self.vit, x, LEVELS)]
        opinions = [as_map(mal(levels)) for mal in self.MALs]
        tokens = self.transformer(self.fusion_mal(opinions).transpose(1, 2))
        seen = self.cnn(as_map(tokens.transpose(1, 2)))
        return Judgement(self.fc_score(seen).squeeze(1), self.fc_scene(seen))

    def judge(self, image: Tensor) -> Tensor:
        """(n, v, 3, 384, 384), v views of each picture -> (n,), mean of the scores over the views."""
        return self(image.flatten(0, 1)).score.reshape(image.shape[:2]).mean(1)
