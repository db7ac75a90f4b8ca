"""Losses between predicted and given opinions."""

from __future__ import annotations

import torch
from torch import Tensor


def plcc_loss(predicted: Tensor, target: Tensor, *, eps: float = 1e-8) -> Tensor:
    """PLCC-induced loss of the Efficient-FIQA recipe: 0 for a perfect line, 0.375 for none, 0.5 for its reverse.

    With population-standardised q̂, y and ρ = mean(q̂ y):
    [mean((q̂ - y)²) / 4 + mean((ρ q̂ - y)²) / 4] / 2, which equals (1 - ρ)/4 + (1 - ρ²)/8.

    Args:
        predicted: (n,) float.
        target: (n,) float, any scale.
        eps: added to both standard deviations, as in the released code.

    Returns:
        () float, in 0..0.5.
    """
    q = (predicted - predicted.mean()) / (predicted.std(correction=0) + eps)
    y = (target - target.mean()) / (target.std(correction=0) + eps)
    rho = (q * y).mean()
    return ((q - y).square().mean() / 4 + (rho * q - y).square().mean() / 4) / 2


def laplace_nll(error: Tensor, spread: Tensor) -> Tensor:
    """Negative log-likelihood of absolute errors under a Laplace law of scale `spread`, without its constant.

    Args:
        error: (n,) float, |prediction - opinion|.
        spread: (n,) float > 0, the scale; the mean absolute error where the loss is smallest.

    Returns:
        () float.
    """
    return (error / spread + torch.log(spread)).mean()
