"""Stage 6: the student as ONNX. Weights are stored in half precision and computed with in single precision."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mien.models.judge_net import JudgeNet


class _Deployed(nn.Module):
    """The outputs that the runtime reads."""

    def __init__(self, net: JudgeNet, spread_range: tuple[float, float] | None) -> None:
        super().__init__()
        self.net, self.spread_range = net, spread_range

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(n, s, s, 3) of 0..255 -> quality (n,), spread (n,), attributes (n, 4) in 0..100."""
        out = self.net(image)
        spread = out.spread if self.spread_range is None else out.spread.clamp(*self.spread_range).sqrt()
        return out.quality, spread, 100 * out.attributes


def export(net: JudgeNet, out: Path, size_px: int, *, spread_range: tuple[float, float] | None = None) -> None:
    """Write a model that `mien.runtime.judge` can load once it has a card.

    Args:
        net: in evaluation mode.
        out: file to write, suffix .onnx.
        size_px: side of the square that the network reads.
        spread_range: the spread ends here, and its root is told: less bold where the network never learned how wrong
            it is. None: as the network says it.
    """
    example = torch.zeros((1, size_px, size_px, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs one more dependency
        torch.onnx.export(
            _Deployed(net.to(memory_format=torch.contiguous_format), spread_range).eval(),
            (example,),
            str(out),
            input_names=["image"],
            output_names=["quality", "spread", "attributes"],
            dynamic_axes={name: {0: "n"} for name in ("image", "quality", "spread", "attributes")},
            opset_version=17,
            dynamo=False,
        )
    store_half(out)


def store_half(path: Path, smallest: int = 1024) -> None:
    """Halve an ONNX file in place: large weights become float16, and are cast once, when the session is made."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and np.prod(tensor.dims) >= smallest:
            name = tensor.name
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, path)
