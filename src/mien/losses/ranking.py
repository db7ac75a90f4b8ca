"""Losses on the order of pairs."""

from __future__ import annotations

from torch import Tensor


def margin_ranking(better: Tensor, worse: Tensor, margin: Tensor | float) -> Tensor:
    """Hinge on pairs of known order: 0 once `better` leads by `margin`, linear below.

    Args:
        better: (...) float, scores that should be higher.
        worse: (...) float, scores that should be lower.
        margin: (...) float or a number, the wanted lead, >= 0.

    Returns:
        () float, the mean over all pairs.
    """
    return (margin - (better - worse)).clamp(min=0).mean()
