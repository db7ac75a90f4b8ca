"""Losses of boxes and landmarks, for finders.

Boxes are x1, y1, x2, y2 with x2 > x1 and y2 > y1, all tensors in the same unit.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes that broadcast against each other.

    Args:
        one: (..., 4), for all pairs (..., n, 1, 4).
        other: (..., 4), for all pairs (..., 1, m, 4).

    Returns:
        (...) in 0..1.
    """
    low, high = torch.maximum(one[..., :2], other[..., :2]), torch.minimum(one[..., 2:], other[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (one, other)]
    return shared / (areas[0] + areas[1] - shared)


def eiou_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Efficient IoU loss (Zhang et al., "Focal and efficient IoU loss for accurate bounding box regression", 2022).

    1 - IoU + d²/c² + (w - w')²/cw² + (h - h')²/ch², with the distance d of the middles, and width cw, height ch and
    diagonal c of the smallest box around both. Boxes that do not touch have a gradient, too.

    Args:
        predicted: (..., 4).
        target: (..., 4).

    Returns:
        (...) one for each box; 0 where both are equal.
    """
    low, high = torch.minimum(predicted[..., :2], target[..., :2]), torch.maximum(predicted[..., 2:], target[..., 2:])
    around = (high - low).square()
    apart = (predicted[..., :2] + predicted[..., 2:] - target[..., :2] - target[..., 2:]) / 2
    sides = [box[..., 2:] - box[..., :2] for box in (predicted, target)]
    distance = apart.square().sum(-1) / around.sum(-1)
    shape = ((sides[0] - sides[1]).square() / around).sum(-1)
    return 1 - iou(predicted, target) + distance + shape


def landmark_loss(predicted: Tensor, target: Tensor, size: Tensor, *, beta: float = 0.05) -> Tensor:
    """Smooth L1 of landmarks in parts of the size of their face.

    Args:
        predicted: (n, k, 2).
        target: (n, k, 2).
        size: (n,) > 0, of the face, the unit of the points.
        beta: part of the size below which the error counts as a square.

    Returns:
        (n,) mean over the landmarks, and over x and y.
    """
    error = (predicted - target) / size[:, None, None]
    return F.smooth_l1_loss(error, torch.zeros_like(error), beta=beta, reduction="none").mean((1, 2))
