"""What one picture costs: multiply-accumulates and parameters, counted from the ONNX graph.

Rule: one multiply-accumulate (MAC) for each product of convolutions and matrix products, everything that runs for one
picture included; biases, activations, pooling and normalisation are not counted. Two FLOPs make a MAC: some papers
print MACs under the name FLOPs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from mien.core.errors import MissingExtraError


@dataclass(frozen=True, slots=True)
class Cost:
    """Counts for one picture."""

    macs: int  #: multiply-accumulates
    parameters: int  #: stored numbers that were learned
    bytes: int  #: size of the file


def count(path: Path) -> Cost:
    """Count a model file.

    Raises:
        MissingExtraError: the package `onnx` is not installed.
        ValueError: a shape cannot be inferred, so the count would be wrong.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("counting MACs", "cost") from error
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {t.name: tuple(t.dims) for t in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        shapes[value.name] = tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
    macs = sum(_macs(node, shapes) for node in graph.node)
    return Cost(macs, sum(prod(t.dims) for t in graph.initializer if len(t.dims) > 0), path.stat().st_size)


def _macs(node: Any, shapes: dict[str, tuple[int, ...]]) -> int:
    if node.op_type not in ("Conv", "Gemm", "MatMul"):
        return 0
    out, weight = shapes.get(node.output[0], ()), shapes.get(node.input[1], ())
    if not prod(out) or not prod(weight) or not out or not weight:
        raise ValueError(f"unknown shape at {node.op_type} {node.name}")
    if node.op_type == "Conv":
        return prod((1, *out[1:])) * prod(weight[1:])
    transposed = node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute)
    return prod((1, *out[1:])) * (weight[1] if transposed else weight[-2])
