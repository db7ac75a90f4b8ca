"""Global-correlation consistency (GCC) loss of GMC-IQA: PLCC and a soft SROCC over the batch and a memory.

Paper:    Chen et al., "GMC-IQA: exploiting global-correlation and mean-opinion consistency for no-reference image
          quality assessment", arXiv 2401.10511; no training code is released
Known:    (from summaries and the authors' demo, not from the paper itself) ranks are estimated from pairwise
          preferences, R'(P)_i = mean_j Φ of S_i - S_j, S normalised scores; a queue keeps earlier predictions and
          labels without gradient; its length 800, alpha = beta = 0.5, gamma = 1; a mean squared error is part of it.
Unknown:  which of alpha, beta, gamma weighs which term, how scores are normalised, Φ(Δ) or Φ(Δ/√2), whether labels get
          exact or soft ranks, and whether statistics include the batch. Ours: alpha PLCC, beta SROCC, gamma MSE; zero
          mean and unit variance; Φ(Δ); soft ranks on both sides, so that a perfect line costs 0; batch and queue.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mien.losses.fidelity import preference

QUEUE_LENGTH = 800


@dataclass(frozen=True, eq=False)
class ScoreQueue:
    """The latest predictions and their opinions, oldest first, without gradient; `pushed` gives a new one."""

    predicted: Tensor  #: (m,) float
    target: Tensor  #: (m,) float
    length: int = QUEUE_LENGTH  #: most that it keeps

    def pushed(self, predicted: Tensor, target: Tensor) -> ScoreQueue:
        """With a batch behind, its oldest scores dropped where it is full.

        Args:
            predicted: (n,) float.
            target: (n,) float.
        """

        def latest(old: Tensor, new: Tensor) -> Tensor:
            joined = torch.cat([old, new.detach().to(old)])
            return joined[max(0, len(joined) - self.length) :]

        return ScoreQueue(latest(self.predicted, predicted), latest(self.target, target), self.length)


def empty_queue(like: Tensor, length: int = QUEUE_LENGTH) -> ScoreQueue:
    """A queue without scores, on the device and of the type of `like`."""
    return ScoreQueue(like.new_zeros(0), like.new_zeros(0), length)


def soft_ranks(scores: Tensor, *, eps: float = 1e-8) -> Tensor:
    """Estimated rank of each score as the mean probability of being better, itself included.

    Args:
        scores: (n,) float.
        eps: added to the standard deviation; equal scores all get ½.

    Returns:
        (n,) float, in 0..1, in the order of the scores; mean ½.
    """
    s = _standardised(scores, eps)
    return preference(s[:, None] - s).mean(1)


def global_correlation_loss(
    predicted: Tensor,
    target: Tensor,
    queue: ScoreQueue | None = None,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    gamma: float = 1.0,
    eps: float = 1e-8,
) -> Tensor:
    """alpha (1 - PLCC) + beta (1 - soft SROCC) + gamma MSE; correlations over batch and queue, MSE over the batch.

    Args:
        predicted: (n,) float.
        target: (n,) float, the scale of the predictions (for the MSE).
        queue: earlier scores; the caller keeps `queue.pushed(predicted, target)` for the next batch.
        alpha: weight of PLCC.
        beta: weight of the soft SROCC.
        gamma: weight of the MSE.
        eps: added to standard deviations. Scores that are all equal count as correlation 0; the gradient there is
            finite but of order 1 / eps.

    Returns:
        () float, at least 0.
    """
    q, y = (
        (predicted, target)
        if queue is None
        else (
            torch.cat([predicted, queue.predicted.to(predicted)]),
            torch.cat([target, queue.target.to(target)]),
        )
    )
    plcc = (_standardised(q, eps) * _standardised(y, eps)).mean()
    ranks = soft_ranks(q, eps=eps), soft_ranks(y, eps=eps)
    srocc = (_standardised(ranks[0], eps) * _standardised(ranks[1], eps)).mean()
    return alpha * (1 - plcc) + beta * (1 - srocc) + gamma * (predicted - target).square().mean()


def _standardised(values: Tensor, eps: float) -> Tensor:
    return (values - values.mean()) / (values.std(correction=0) + eps)
