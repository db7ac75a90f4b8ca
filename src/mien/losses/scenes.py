"""Losses that know which scene a picture belongs to, because opinions compare only inside one."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def scale_shift_invariant_loss(predicted: Tensor, target: Tensor, scenes: Tensor, *, eps: float = 1e-8) -> Tensor:
    """Scale-and-shift-invariant loss of RQ-Net (NTIRE 2024 portrait survey, section 3.1).

    Inside each scene, for predictions and opinions alike: t = median, s = mean |q - t|, q̂ = (q - t) / s; then the mean
    of |q̂ - ŷ| over all pictures. The median of an even number is the mean of the two middle ones; gradients flow
    through t and s (the survey does not say).

    Degenerate scenes: one picture, or opinions that are all equal, says nothing and is left out, of the mean too.
    Constant predictions of different opinions cost exactly 1 a picture; the gradient there is finite but of order
    1 / eps, so clip gradients.

    Args:
        predicted: (n,) float.
        target: (n,) float, any scale, which may differ from scene to scene.
        scenes: (n,) integer, the scene of each picture.
        eps: added to s.

    Returns:
        () float, at least 0: 0 when the predictions are a rising line of the opinions in every scene, or no scene
        says anything.
    """
    errors = []
    for scene in scenes.unique():
        inside = scenes == scene
        y = target[inside]
        if (y != y[0]).any():
            errors.append((_normalised(predicted[inside], eps) - _normalised(y, eps)).abs())
    return torch.cat(errors).mean() if errors else 0 * predicted.sum()


def _normalised(q: Tensor, eps: float) -> Tensor:
    ordered = q.sort().values
    t = (ordered[(len(q) - 1) // 2] + ordered[len(q) // 2]) / 2
    return (q - t) / ((q - t).abs().mean() + eps)


def scene_cross_entropy(logits: Tensor, scene: Tensor, *, unknown: int = -1) -> Tensor:
    """Cross-entropy of the scene heads (MoNet, SAR, SEM-HyperIQA) over the pictures whose scene is known.

    `F.cross_entropy` gives nan for a batch without any, which happens when data sets are mixed. The weight of this term
    beside the quality term is in none of the papers.

    Args:
        logits: (n, classes) float.
        scene: (n,) integer, the class or `unknown`.
        unknown: marks a picture without a scene.

    Returns:
        () float, at least 0; 0 when no scene is known.
    """
    known = scene != unknown
    return F.cross_entropy(logits[known], scene[known]) if known.any() else 0 * logits.sum()
