"""Blocks that MANIQA, DSL-FIQA and MoNet have in common.

Paper:    Yang et al., "MANIQA: Multi-dimension Attention Network for No-Reference Image Quality Assessment",
          CVPR Workshops 2022; Liu et al., "Swin Transformer", ICCV 2021
Code:     written from the papers, specs and key names; the Swin block is timm's
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TransposedAttention(nn.Module):
    """TAB: attention among channels. Each channel is one query, its values at all places of the picture."""

    def __init__(self, tokens: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.c_q, self.c_k, self.c_v = (nn.Linear(tokens, tokens) for _ in range(3))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, tokens) -> the same."""
        mixed = F.scaled_dot_product_attention(self.c_q(x), self.c_k(x), self.c_v(x))  # scale tokens ** -1/2
        # official quirk: transposed, then reshaped instead of transposed back, so channels and places are scrambled
        return x + self.drop(mixed.transpose(1, 2).reshape(-1, *x.shape[1:]))


class SwinLayer(nn.Module):
    """Two Swin blocks, the second with shifted windows, then a 3 x 3 convolution; no merging of patches."""

    def __init__(self, width: int, side: int, hidden: int, heads: int, window: int) -> None:
        from timm.models.swin_transformer import SwinTransformerBlock

        super().__init__()
        self.blocks = nn.Sequential(
            *(
                SwinTransformerBlock(
                    width, (side, side), heads, window_size=window, shift_size=shift, mlp_ratio=hidden / width
                )
                for shift in (0, window // 2)
            )
        )
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, side, side, width) -> the same."""
        return F.relu(self.conv(self.blocks(x).permute(0, 3, 1, 2))).permute(0, 2, 3, 1)


class ScaleSwin(nn.Module):
    """SSTB: Swin layers whose contribution is scaled before it is added."""

    def __init__(
        self,
        width: int,
        side: int,
        hidden: int,
        *,
        heads: int = 4,
        window: int = 4,
        layers: int = 2,
        scale: float = 0.8,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.layers = nn.ModuleList(SwinLayer(width, side, hidden, heads, window) for _ in range(layers))
        self.downsample = nn.Conv2d(width, width, 3, stride=2, padding=1)  # official quirk: in the weights, never used

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, side, side) -> the same."""
        x = x.permute(0, 2, 3, 1)
        for layer in self.layers:
            x = x + self.scale * layer(x)
        return x.permute(0, 3, 1, 2)


class AdaptiveMean(nn.Module):
    """Adaptive average pooling; enlarges, too, where the map is the smaller one."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.size = (height, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, height, width)."""
        if not torch.onnx.is_in_onnx_export():
            return F.adaptive_avg_pool2d(x, self.size)
        # the same as two products; the exporter knows only poolings whose windows do not overlap
        rows, columns = (_averages(int(length), n).to(x) for length, n in zip(x.shape[2:], self.size, strict=True))
        return rows @ x @ columns.T


def _averages(length: int, n: int) -> Tensor:
    """(n, length): row i averages the places from floor(i length / n) to ceil((i + 1) length / n)."""
    i, place = torch.arange(n)[:, None], torch.arange(length)[None]
    inside = (place >= i * length // n) & (place < -(-(i + 1) * length // n))
    return inside / inside.sum(1, keepdim=True)


def token_head(width: int, last: nn.Module) -> nn.Sequential:
    """Dual branch: score or weight of each place of the picture: (n, tokens, width) -> (n, tokens, 1)."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 1), last)


def weighted_mean(scores: Tensor, weights: Tensor) -> Tensor:
    """(n, tokens, 1) twice -> (n,)."""
    return ((scores * weights).sum(1) / weights.sum(1)).squeeze(1)


def vit_levels(vit: nn.Module, x: Tensor, blocks: Sequence[int]) -> list[Tensor]:
    """Outputs of some blocks of a timm ViT, counted from 0: (n, 3, h, w) -> one (n, tokens, width) per block.

    Without class token and final norm; blocks behind the last of these are not computed.
    """
    return cast("Any", vit).forward_intermediates(
        x, indices=list(blocks), norm=False, stop_early=True, output_fmt="NLC", intermediates_only=True
    )


def as_map(tokens: Tensor) -> Tensor:
    """(n, channels, side * side) -> (n, channels, side, side)."""
    side = int(tokens.shape[2] ** 0.5)
    return tokens.reshape(-1, tokens.shape[1], side, side)


def as_channels(levels: list[Tensor]) -> Tensor:
    """Levels of (n, tokens, width) -> (n, levels * width, tokens)."""
    return torch.cat(levels, 2).transpose(1, 2)
