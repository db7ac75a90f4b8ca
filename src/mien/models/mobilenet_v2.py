"""MobileNetV2: general picture features, here the eyes of the teacher.

Paper:    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018
Code:     written from the paper
Weights:  given by the user as an .npz of folded convolutions `NN.weight`, `NN.bias` in order of execution; none ship
Input:    (n, 3, s, s) float32 in [-1, 1], RGB
Output:   (n, 5568) float32: mean, then standard deviation over the map, of each block's output and of the last layer
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)
FEATURES = 2 * (16 + sum(WIDTHS) + 1280)
_STRIDED = (0, 2, 5, 12)  # blocks that halve the map


class MobileNetV2Features(nn.Module):
    """Pooled block outputs of a frozen MobileNetV2 1.0."""

    def __init__(self, weights: Path) -> None:
        """Read the folded convolutions.

        Raises:
            FileNotFoundError: no such file.
            KeyError: the file lacks a convolution.
        """
        super().__init__()
        with np.load(weights, allow_pickle=False) as file:
            for i in range(52):
                for part in ("weight", "bias"):
                    array = file[f"{i:02d}.{part}"].astype(np.float32)
                    self.register_buffer(f"c{i:02d}_{part}", torch.from_numpy(array))
        for i in (0, *(4 + 3 * block for block in _STRIDED)):
            # TensorFlow's SAME begins at pixel 0 where a side is even, not at -1: a 4 x 4 kernel that begins with zeros
            self.register_buffer(f"c{i:02d}_even", F.pad(self.get_buffer(f"c{i:02d}_weight"), (1, 0, 1, 0)))

    def forward(self, image: Tensor) -> Tensor:
        """See the head of this file."""
        return pooled(self.maps(image))

    def maps(self, image: Tensor) -> list[Tensor]:
        """Outputs of the first layers, of each block and of the last layer: (n, c, h, w); c = 16, `WIDTHS`, 1280."""
        maps = []
        x = self._conv(image, 0, stride=2)
        x = self._conv(self._conv(x, 1, depthwise=True), 2, linear=True)
        maps.append(x)
        for block in range(len(WIDTHS)):
            first = 3 + 3 * block
            y = self._conv(x, first)
            y = self._conv(y, first + 1, stride=2 if block in _STRIDED else 1, depthwise=True)
            y = self._conv(y, first + 2, linear=True)
            x = x + y if block and block not in _STRIDED and WIDTHS[block] == WIDTHS[block - 1] else y
            maps.append(x)
        maps.append(self._conv(x, 51))
        return maps

    def _conv(self, x: Tensor, i: int, *, stride: int = 1, depthwise: bool = False, linear: bool = False) -> Tensor:
        weight, bias = self.get_buffer(f"c{i:02d}_weight"), self.get_buffer(f"c{i:02d}_bias")
        groups, padding = int(weight.shape[0]) if depthwise else 1, int(weight.shape[-1]) // 2
        if stride == 2 and int(x.shape[-1]) % 2 == 0:
            weight = self.get_buffer(f"c{i:02d}_even")
        x = F.conv2d(x, weight, bias, stride, padding, groups=groups)
        return x if linear else x.clamp(0, 6)


def pooled(maps: list[Tensor]) -> Tensor:
    """(n, 5568) float32 of `MobileNetV2Features.maps`; see the head of this file."""
    variances, means = zip(*(torch.var_mean(m.flatten(2).float(), 2, correction=0) for m in maps), strict=True)
    return torch.cat([*means, *(v.sqrt() for v in variances)], dim=1)
