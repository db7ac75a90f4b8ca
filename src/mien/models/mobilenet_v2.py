"""MobileNetV2: general picture features, which the teacher of the embedded judge begins with.

Paper:    Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018
Code:     written from the paper
Weights:  given by the user as an .npz of folded convolutions `NN.weight`, `NN.bias` in order of execution; none ship
Input:    (n, 3, s, s) float32 in [-1, 1], RGB
Output:   maps of the first layers, of each block and of the last layer; `pooled` makes (n, 5568) numbers of them
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (24, 24, 32, 32, 32, 64, 64, 64, 64, 96, 96, 96, 160, 160, 160, 320)
FEATURES = 2 * (16 + sum(WIDTHS) + 1280)
_STRIDED = (0, 2, 5, 12)  # blocks that halve the map
_FLOOR = 1e-5  # of a variance, whose root has no gradient at 0


class MobileNetV2(nn.Module):
    """See the head of this file.

    The file holds convolutions with their normalisation folded in. `begin` splits each again with the statistics of
    given pictures, so that training starts from the same function.
    """

    def __init__(self) -> None:
        """Build with random weights."""
        super().__init__()
        layers = [_Normalised(3, 32, 3, stride=2), _Normalised(32, 32, 3, groups=32), _Normalised(32, 16)]
        c_in = 16
        for block, c_out in enumerate(WIDTHS):
            wide = 6 * c_in
            stride = 2 if block in _STRIDED else 1
            layers += [
                _Normalised(c_in, wide),
                _Normalised(wide, wide, 3, stride=stride, groups=wide),
                _Normalised(wide, c_out),
            ]
            c_in = c_out
        self.layers = nn.ModuleList([*layers, _Normalised(c_in, 1280)])

    def forward(self, image: Tensor) -> list[Tensor]:
        """(n, c, h, w) of the first layers, of each block and of the last layer; c = 16, `WIDTHS`, 1280."""
        layers = list(self.layers)
        x = layers[2](layers[1](layers[0](image).clamp(0, 6)).clamp(0, 6))
        maps = [x]
        for block in range(len(WIDTHS)):
            expand, depthwise, project = layers[3 + 3 * block : 6 + 3 * block]
            y = project(depthwise(expand(x).clamp(0, 6)).clamp(0, 6))
            x = x + y if y.shape == x.shape else y
            maps.append(x)
        maps.append(layers[-1](x).clamp(0, 6))
        return maps

    def begin(self, weights: Path, image: Tensor) -> None:
        """Become the folded network of a file.

        Args:
            weights: .npz, see the head of this file.
            image: (n, 3, s, s) some hundred pictures, for the statistics of the normalisations.

        Raises:
            FileNotFoundError: no such file.
            KeyError: the file lacks a convolution.
        """
        with np.load(weights, allow_pickle=False) as file:
            arrays = [[file[f"{i:02d}.{part}"].astype(np.float32) for part in ("weight", "bias")] for i in range(52)]
        pairs = [(torch.from_numpy(weight), torch.from_numpy(bias)) for weight, bias in arrays]
        with torch.no_grad():
            for layer, pair in zip(self.layers, pairs, strict=True):
                cast("_Normalised", layer).unfold = pair
            self.eval()(image)


class _Normalised(nn.Module):
    """Convolution and batch norm; padded as TensorFlow's SAME, which begins at pixel 0 where a side is even."""

    def __init__(self, c_in: int, c_out: int, side: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, side, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(c_out)
        self.unfold: tuple[Tensor, Tensor] | None = None  #: weight and bias to become at the next picture

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c', h / stride, w / stride)."""
        if self.conv.kernel_size[0] == 3:
            first = 0 if self.conv.stride[0] == 2 and x.shape[-1] % 2 == 0 else 1
            x = F.pad(x, (first, 1, first, 1))
        if self.unfold is not None:
            self._become(x, *self.unfold)
        return self.norm(self.conv(x))

    def _become(self, x: Tensor, weight: Tensor, bias: Tensor) -> None:
        """Take folded weights; each filter gets the size that random ones have, and the normalisation undoes it."""
        size = (weight.square().mean((1, 2, 3)).sqrt() * (weight[0].numel() / 2) ** 0.5).clamp(min=1e-4).to(x.device)
        self.conv.weight.copy_(weight.to(x.device) / size[:, None, None, None])
        variance, mean = torch.var_mean(self.conv(x), (0, 2, 3), correction=0)
        assert self.norm.running_mean is not None and self.norm.running_var is not None
        self.norm.running_mean.copy_(mean)
        self.norm.running_var.copy_(variance)
        self.norm.weight.copy_(size * (variance + self.norm.eps).sqrt())
        self.norm.bias.copy_(bias.to(x.device) + size * mean)
        self.unfold = None


def pooled(maps: list[Tensor]) -> Tensor:
    """(n, 5568) float32: mean over each map, then its standard deviation."""
    variances, means = zip(*(torch.var_mean(m.flatten(2).float(), 2, correction=0) for m in maps), strict=True)
    return torch.cat([*means, *((v + _FLOOR).sqrt() for v in variances)], dim=1)
