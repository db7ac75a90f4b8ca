"""How much each of several losses counts while they are learned together."""

from __future__ import annotations

import torch
from torch import Tensor


def dynamic_weights(last: Tensor, before: Tensor, *, temperature: float = 2.0) -> Tensor:
    """Dynamic weight averaging (Liu et al., CVPR 2019) as in LIQE: a loss that falls slowly counts more.

    k exp(r_i / T) / Σ exp(r / T) with r = last / before. LIQE keeps all weights at 1 in the first two epochs.

    Args:
        last: (k,) float > 0, mean of each loss in the latest epoch.
        before: (k,) float > 0, in the epoch before.
        temperature: towards infinity all weights are 1.

    Returns:
        (k,) float without gradient, sum k.

    Raises:
        ValueError: a loss that is not above 0.
    """
    if not ((last > 0) & (before > 0)).all():
        raise ValueError("dynamic weights need losses above 0")
    return len(last) * torch.softmax(last.detach() / before.detach() / temperature, 0)
