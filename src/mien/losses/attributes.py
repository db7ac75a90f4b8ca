"""The reasons of a judge, learned from degradations of known strength."""

from __future__ import annotations

import torch
from torch import Tensor


def attribute_loss(predicted: Tensor, lost: Tensor, clean: Tensor) -> Tensor:
    """Attributes follow the known strengths.

    A clean picture has 1 - strength of everything. Any other may have had faults before, so its strength is only an
    upper limit: it is corrected from above, and only on what was done to it.

    Args:
        predicted: (..., 4) in 0..1, 1 = no fault.
        lost: (..., 4) known strengths in 0..1.
        clean: (...) bool, of the shape of the others without their last axis, or one that broadcasts to it.

    Returns:
        () float.
    """
    above = predicted - (1 - lost)
    limit = torch.where(lost > 0, above.clamp(min=0), torch.zeros_like(above))
    return torch.where(clean[..., None], above, limit).square().mean()
