"""FinderNet: faces with five landmarks, in the bad picture too.

Paper:    none; the answers follow YuNet (Wu et al., 2023), so that one decoder reads both; the network is ours
Code:     written here
Weights:  faces/finders/, trained by recipes/face_finder.py from random weights
Input:    (n, h, w, 3) uint8, RGB, h and w multiples of 32; normalisation is inside
Output:   for strides 8, 16, 32: see the head of `mien.faces.find`

Plain 3x3 convolutions that reach an eighth of the side in three steps: they hold three times the weights of YuNet's
depthwise ones, which work at half the side, and take onnxruntime less time (`benchmarks/faces.py`).
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STRIDES = (8, 16, 32)
NAMES = tuple(f"{name}_{stride}" for name in ("cls", "obj", "bbox", "kps") for stride in STRIDES)
_PARTS = (1, 1, 4, 10)  # numbers of cls, obj, bbox, kps for a place
_RARE = -4.6  # logit of 1 %: most places are no face
_MEAN_FACE = (-0.22, -0.11, 0.22, -0.11, 0.0, 0.08, -0.19, 0.24, 0.19, 0.24)  # landmarks, in sides of the box


class Answers(NamedTuple):
    """What the network says of n pictures at a places, all strides one after the other, each row by row."""

    cls: Tensor  #: (n, a) logit: how well the box will fit
    obj: Tensor  #: (n, a) logit: whether there is a face
    boxes: Tensor  #: (n, a, 4) x1, y1, x2, y2 in pixels
    landmarks: Tensor  #: (n, a, 5, 2) pixels


class Features(NamedTuple):
    """The last maps before the answers, (n, neck, h / S, w / S) for each stride S."""

    faces: list[Tensor]
    points: list[Tensor]


class ConvBlock(nn.Sequential):
    """3x3 convolution, batch norm, ReLU."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__(nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(inplace=True))


class Residual(nn.Module):
    """Two 3x3 convolutions, narrower between them, around a shortcut."""

    def __init__(self, c: int, between: int) -> None:
        super().__init__()
        self.first = ConvBlock(c, between)
        self.second = nn.Sequential(nn.Conv2d(between, c, 3, 1, 1, bias=False), nn.BatchNorm2d(c))

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, h, w)."""
        return F.relu(x + self.second(self.first(x)))


class Head(nn.Module):
    """What each place tells: one convolution for all strides, because a face is a face at every size."""

    def __init__(self, c: int, start: tuple[float, ...]) -> None:
        """Of maps with c channels; `start` is what all places tell at the start."""
        super().__init__()
        self.look = nn.Conv2d(c, c, 3, 1, 1)
        self.tell = nn.ModuleList(nn.Conv2d(c, len(start), 1) for _ in STRIDES)
        for tell in self.tell:
            cast("nn.Parameter", tell.bias).data[:] = torch.tensor(start)

    def features(self, maps: list[Tensor]) -> list[Tensor]:
        """(n, c, h / S, w / S) for each stride S -> the same shapes: what the numbers are told from."""
        return [F.relu(self.look(x)) for x in maps]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """(n, c, h / S, w / S) for each stride S -> (n, numbers, h / S, w / S)."""
        return [tell(x) for x, tell in zip(features, self.tell, strict=True)]


class FinderNet(nn.Module):
    """See the head of this file."""

    def __init__(
        self,
        stem: tuple[int, int] = (8, 16),
        widths: tuple[int, int, int] = (40, 64, 64),
        depths: tuple[int, int, int] = (1, 2, 1),
        between: int = 32,
        neck: int = 32,
    ) -> None:
        """Build with random weights.

        Args:
            stem: channels at a half and at a quarter of the side.
            widths: channels at strides 8, 16, 32.
            depths: residual blocks there.
            between: channels inside the residual blocks.
            neck: channels of the maps that are joined from the top down, and of the heads.
        """
        super().__init__()
        self.neck = neck
        self.stem = nn.Sequential(*(ConvBlock(a, b, 2) for a, b in pairwise((3, *stem))))
        self.stages = nn.ModuleList(
            nn.Sequential(ConvBlock(a, b, 2), *(Residual(b, between) for _ in range(depth)))
            for a, b, depth in zip((stem[-1], *widths), widths, depths, strict=False)
        )
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, neck, 1, bias=False), nn.BatchNorm2d(neck)) for c in widths
        )
        self.faces = Head(neck, (0.0, _RARE, 0.0, 0.0, 0.0, 0.0))
        self.points = Head(neck, _MEAN_FACE)

    def forward(self, image: Tensor) -> Answers:
        """See the head of this file; boxes and landmarks are in pixels of `image`."""
        return self.answers(self.features(image))

    def answers(self, features: Features) -> Answers:
        """What the heads tell; boxes and landmarks in pixels."""
        parts = []
        for stride, told in zip(STRIDES, self.maps(features), strict=True):
            n, _, h, w = told.shape
            place = places(h, w, stride, told.device)
            cls, obj, box, points = told.flatten(2).transpose(1, 2).split(_PARTS, 2)
            middle, half = place + stride * box[..., :2], stride / 2 * _sides(box)
            boxes = torch.cat([middle - half, middle + half], 2)
            landmarks = place[:, None] + stride * _from_place(box, points).reshape(n, h * w, 5, 2)
            parts.append(Answers(cls[..., 0], obj[..., 0], boxes, landmarks))
        return Answers(*(torch.cat(column, 1) for column in zip(*parts, strict=True)))

    def features(self, image: Tensor) -> Features:
        """Of pictures (n, h, w, 3) uint8."""
        x = self.stem((image.permute(0, 3, 1, 2).float() - 127.5) / 64.0)
        seen = []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            seen.append(lateral(x))
        joined = [seen[2]]
        for finer in (seen[1], seen[0]):
            joined.insert(0, finer + F.interpolate(joined[0], scale_factor=2.0, mode="nearest"))
        return Features(self.faces.features(joined), self.points.features(joined))

    def maps(self, features: Features) -> list[Tensor]:
        """(n, 16, h / S, w / S) for each stride S: logits of cls and obj, the numbers of the box, the landmarks in it.

        The landmarks are told from the middle of the box, in its sides: so the size of the face is told once.
        """
        told = zip(self.faces(features.faces), self.points(features.points), strict=True)
        return [torch.cat(both, 1) for both in told]


class Deployed(nn.Module):
    """The outputs that a finder has, in the order of `NAMES`."""

    def __init__(self, net: FinderNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(n, h, w, 3) uint8 -> twelve (n, a, k), see the head of `mien.faces.find`."""
        maps = self.net.maps(self.net.features(image))
        told = [x.flatten(2).transpose(1, 2).split(_PARTS, 2) for x in maps]
        cls, obj, box, points = zip(*told, strict=True)
        points = map(_from_place, box, points)
        return (*(x.sigmoid() for x in (*cls, *obj)), *box, *points)


def _sides(box: Tensor) -> Tensor:
    """Width and height in strides, of the numbers (n, a, 4) of the box."""
    return box[..., 2:].clamp(max=8).exp()


def _from_place(box: Tensor, points: Tensor) -> Tensor:
    """(n, a, 10) landmarks in sides of their box, from its middle -> in strides, from their place."""
    return box[..., :2].repeat(1, 1, 5) + _sides(box).repeat(1, 1, 5) * points


def places(rows: int, columns: int, stride: int, device: torch.device | None = None) -> Tensor:
    """(rows columns, 2) x, y in pixels of the places of a grid, row by row."""
    y, x = torch.meshgrid(*(torch.arange(k, device=device) for k in (rows, columns)), indexing="ij")
    return stride * torch.stack([x, y], 2).reshape(-1, 2).float()
