"""Losses between predicted and given opinions."""

from __future__ import annotations

import torch
from torch import Tensor


def plcc_loss(predicted: Tensor, target: Tensor, *, eps: float = 1e-8) -> Tensor:
    """PLCC-induced loss of the Efficient-FIQA recipe: 0 for a perfect line, 0.375 for none, 0.5 for its reverse.

    With population-standardised q̂, y and ρ = mean(q̂ y):
    [mean((q̂ - y)²) / 4 + mean((ρ q̂ - y)²) / 4] / 2, which equals (1 - ρ)/4 + (1 - ρ²)/8.

    Args:
        predicted: (n,) float. Constant ones cost 0.25, less than uncorrelated ones, with a gradient of order 1 / eps.
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


def linear_plcc_loss(predicted: Tensor, target: Tensor, *, eps: float = 1e-8) -> Tensor:
    """The other published PLCC loss, (1 - ρ) / 2: 0 for a perfect line, 0.5 for none, 1 for its reverse.

    Defined beside the two-term form in FAST-VQA's training script; `plcc_loss` is what that script minimises.

    Args:
        predicted: (n,) float. Constant predictions count as ρ = 0; the gradient there is finite but of order 1 / eps,
            so clip gradients.
        target: (n,) float, any scale.
        eps: added to both standard deviations.

    Returns:
        () float, in 0..1.
    """
    q = (predicted - predicted.mean()) / (predicted.std(correction=0) + eps)
    y = (target - target.mean()) / (target.std(correction=0) + eps)
    return (1 - (q * y).mean()) / 2


def charbonnier_loss(predicted: Tensor, target: Tensor, *, eps: float = 1e-3) -> Tensor:
    """Charbonnier loss of DSL-FIQA's training script, mean √(e² + eps²): an absolute error that is smooth at 0.

    Args:
        predicted: (...) float.
        target: (...) float, the same scale.
        eps: error below which it turns quadratic; also the smallest value of the loss.

    Returns:
        () float, at least eps.
    """
    return ((predicted - target).square() + eps**2).sqrt().mean()
