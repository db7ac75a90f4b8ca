"""The exponential moving average of a network: what the small loops of judge, teacher and finder return."""

from __future__ import annotations

from typing import TypeVar

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Net = TypeVar("Net", bound=nn.Module)


def averaged(net: nn.Module, decay: float) -> AveragedModel:
    """An average of weights and statistics that begins with the network as it is after the first update."""
    return AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def network(average: AveragedModel, kind: type[Net]) -> Net:
    """The averaged network itself, in evaluation mode."""
    net = average.module
    assert isinstance(net, kind)
    return net.eval()
