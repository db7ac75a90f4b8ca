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


def rank_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Rank loss of FAST-VQA and DOVER, used there with weight 0.3 beside `regression.plcc_loss`.

    r_ij = max(0, (q_i - q_j) sign(y_j - y_i)): how far a pair stands in the wrong order; mean of r_ij over all i != j,
    divided by 1 + max r. The divisor takes part in the gradient, as in the released code.

    Args:
        predicted: (n,) float.
        target: (n,) float; equal opinions do not count as a pair.

    Returns:
        () float, in 0..1, 1 excluded: 0 when no pair is in the wrong order, or n is 1 (the released code divides by 0).
    """
    n = len(predicted)
    wrong = ((predicted[:, None] - predicted) * (target - target[:, None]).sign()).clamp(min=0)
    return wrong.sum() / max(n * (n - 1), 1) / (1 + wrong.max())


def merged_ranking_loss(
    predicted: Tensor, target: Tensor, *, literal: bool = False, max_exponent: float = 10.0
) -> Tensor:
    """Merged ranking loss of BDVQA (NTIRE 2024 portrait survey, section 3.2, equation 3), on consecutive pairs.

    The printed formula counts a ranking term only where the first picture of a pair is the worse one, and the squared
    error of the first picture only. Our default reads it symmetrically: each pair in the order of its labels,
    exp(q_worse - q_better), and the squared error of both.

    Args:
        predicted: (n,) float, n even; (0, 1), (2, 3), ... are pairs of one scene.
        target: (n,) float; a pair of equal labels has no ranking term.
        literal: as printed.
        max_exponent: the difference is cut off here (ours: the exponential is unbounded); beyond it only the squared
            error pulls. `math.inf` as printed.

    Returns:
        () float, at least 0.

    Raises:
        ValueError: an odd number of pictures, or none.
    """
    if len(predicted) % 2 or not len(predicted):
        raise ValueError(f"pairs need an even number of pictures, not {len(predicted)}")
    (q1, q2), (y1, y2) = predicted.reshape(-1, 2).T, target.reshape(-1, 2).T
    if literal:
        rank = (q1 - q2).clamp(max=max_exponent).exp() * (y1 < y2)
        return (rank + (y1 - q1).square()).mean()
    rank = ((q1 - q2) * (y2 - y1).sign()).clamp(max=max_exponent).exp() * (y1 != y2)
    return rank.mean() + (predicted - target).square().mean()
