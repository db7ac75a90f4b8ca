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

    def forward(self, image: Tensor) -> Tensor:
        """See the head of this file."""
        maps = []
        x = self._conv(image, 0, stride=2)
        x = self._conv(self._conv(x, 1, depthwise=True), 2, linear=True)
        maps.append(x)
        for block in range(len(WIDTHS)):
            first = 3 + 3 * block
            y = self._conv(x, first)
            y = self._conv(y, first + 1, stride=2 if block in _STRIDED else 1, depthwise=True)
            y = self._conv(y, first + 2, linear=True)
            x = x + y if y.shape == x.shape else y
            maps.append(x)
        maps.append(self._conv(x, 51))
        means = [m.float().mean((2, 3)) for m in maps]
        deviations = [m.float().std((2, 3), correction=0) for m in maps]
        return torch.cat(means + deviations, dim=1)

    def _conv(self, x: Tensor, i: int, *, stride: int = 1, depthwise: bool = False, linear: bool = False) -> Tensor:
        weight, bias = self.get_buffer(f"c{i:02d}_weight"), self.get_buffer(f"c{i:02d}_bias")
        x = F.conv2d(
            _pad_same(x, weight.shape[-1], stride), weight, bias, stride, groups=x.shape[1] if depthwise else 1
        )
        return x if linear else x.clamp(0, 6)


def _pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Padding as TensorFlow's SAME: the odd pixel goes to the bottom and right."""
    if kernel == 1:
        return x
    pads = []
    for side in (x.shape[3], x.shape[2]):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads)
