"""What a teaching finder has in mind, learned too.

The answers of a teacher are next to nothing at nearly all places; the feature maps that it tells them from say at every
place how far it is from a face, and in which way. A 1x1 convolution of the student's last feature maps is trained to
equal the teacher's (Romero et al., "FitNets: hints for thin deep nets", 2015), which are standardised for each channel
of a batch:
    L = (mean of e where the teacher sees something  +  mean of e where it sees nothing) / 2
with e the mean over the channels of the squared difference at a place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mien.core.errors import ModelError
from mien.models.finder_net import STRIDES, Features, FinderNet

#: (h, w, 3) uint8 RGB -> the outputs of a finder by name, see `mien.faces.find`; its `Finder.answers` is one
Teacher = Callable[[npt.NDArray[np.uint8]], Mapping[str, npt.NDArray[np.floating[Any]]]]

FEATURES = tuple(f"features_{stride}" for stride in STRIDES)  #: outputs that `exposed` adds
_HEAD = "bbox_head.multi_level_cls.{}.conv1.weight"  # of YuNet: reads the map that all of its heads read


def exposed(path: Path) -> bytes:
    """YuNet's file with three more outputs, `FEATURES`: (n, 64, h / S, w / S), what its heads read.

    Raises:
        ModelError: another network, in which they are not known.
    """
    import onnx

    model = onnx.load(path)
    reads = {node.input[1]: node.input[0] for node in model.graph.node if node.op_type == "Conv"}
    for level, output in enumerate(FEATURES):
        if _HEAD.format(level) not in reads:
            raise ModelError(f"{path.name} is not YuNet as its authors exported it: {_HEAD.format(level)} is absent")
        model.graph.node.append(onnx.helper.make_node("Identity", [reads[_HEAD.format(level)]], [output]))
        model.graph.output.append(onnx.helper.make_tensor_value_info(output, onnx.TensorProto.FLOAT, None))
    return model.SerializeToString()


def maps_of(told: Sequence[Mapping[str, npt.NDArray[Any]]]) -> list[Tensor] | None:
    """The maps of n windows, (n, c, h / S, w / S) for each stride; None of a teacher that tells none."""
    if FEATURES[0] not in told[0]:
        return None
    return [torch.from_numpy(np.concatenate([one[name] for one in told])) for name in FEATURES]


class Hint(nn.ModuleList):
    """The student's features as the teacher would have them: a 1x1 convolution for each stride."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__(nn.Conv2d(c_in, c_out, 1) for _ in STRIDES)

    @classmethod
    def of(cls, teacher: Teacher, net: FinderNet) -> Hint | None:
        """For that teacher; None where it tells no maps."""
        maps = maps_of([teacher(np.zeros((STRIDES[-1], STRIDES[-1], 3), np.uint8))])
        return None if maps is None else cls(2 * net.neck, maps[0].shape[1])

    def forward(self, features: Features) -> list[Tensor]:
        """Two (n, c_in / 2, h / S, w / S) for each stride -> (n, c_out, h / S, w / S)."""
        return [to(torch.cat(both, 1)) for to, *both in zip(self, features.faces, features.points, strict=True)]


def hint_loss(mine: Sequence[Tensor], theirs: Sequence[Tensor], is_seen: Tensor, counts: Tensor) -> Tensor:
    """See the head of this file.

    Args:
        mine: (n, c, h / S, w / S) for each stride.
        theirs: the same shapes.
        is_seen: (n, a) where the teacher sees something.
        counts: (n, a) places that take part.
    """
    errors = [(a - _standard(b)).square().mean(1).flatten(1) for a, b in zip(mine, theirs, strict=True)]
    error = torch.cat(errors, 1)
    parts = [counts & is_seen, counts & ~is_seen]
    return torch.stack([(error * part).sum() / part.sum().clamp(min=1) for part in parts]).mean()


def _standard(maps: Tensor) -> Tensor:
    """Each channel with mean 0 and spread 1 over the batch; a constant one is 0."""
    return (maps - maps.mean((0, 2, 3), keepdim=True)) / (maps.std((0, 2, 3), keepdim=True, correction=0) + 1e-3)
