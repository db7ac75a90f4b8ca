"""Builds a small valid judge with random weights: what the tests of the runtime run instead of a trained network."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OUTPUTS = {"quality": ["n"], "spread": ["n"], "attributes": ["n", 4]}


class _Graph:
    """Nodes in a row; each layer takes the name of its input and returns the name of its output."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def const(self, values: object, dtype: type = np.float32) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def op(self, kind: str, *inputs: str, output: str = "", **options: Any) -> str:
        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [output], **options))
        return output

    def random(self, *shape: int, gain: float = 1.0) -> str:
        return self.const(self.rng.normal(size=shape) * gain / np.sqrt(np.prod(shape[1:])))

    def conv(self, x: str, c_in: int, c_out: int) -> str:
        x = self.op("Conv", x, self.random(c_out, c_in, 3, 3, gain=1.4), strides=[2, 2], pads=[1, 1, 1, 1])
        return self.op("Relu", x)

    def head(self, x: str, c_in: int, c_out: int) -> str:
        return self.op("Gemm", x, self.random(c_out, c_in, gain=3.0), transB=1)


def network(size_px: int, *, seed: int = 0, dtype: int = TensorProto.FLOAT, batch: str | int = "n") -> onnx.ModelProto:
    """Five 3x3 convolutions and three heads. A wholly black picture makes it answer NaN (0/0), no other does."""
    g = _Graph(seed)
    pixels = g.op("Transpose", g.op("Cast", "image", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    scaled = x = g.op("Div", pixels, g.const(255.0))
    widths = [3, 16, 32, 64, 128, 256]
    for c_in, c_out in itertools.pairwise(widths):
        x = g.conv(x, c_in, c_out)
    x = g.op("Flatten", g.op("GlobalAveragePool", x))
    light = g.op("ReduceMean", scaled, axes=[1, 2, 3], keepdims=0)
    one = g.op("Div", light, light)
    quality = g.op("Sigmoid", g.op("Squeeze", g.head(x, widths[-1], 1), g.const([1], np.int64)))
    g.op("Mul", quality, one, output="quality")
    spread = g.op("Softplus", g.op("Squeeze", g.head(x, widths[-1], 1), g.const([1], np.int64)))
    g.op("Mul", spread, g.const(0.1), output="spread")
    g.op("Mul", g.op("Sigmoid", g.head(x, widths[-1], 4)), g.const(100.0), output="attributes")
    image = helper.make_tensor_value_info("image", dtype, [batch, size_px, size_px, 3])
    outputs = [helper.make_tensor_value_info(k, TensorProto.FLOAT, [batch, *v[1:]]) for k, v in OUTPUTS.items()]
    graph = helper.make_graph(g.nodes, "tiny", [image], outputs, g.weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write(folder: Path, *, stem: str = "tiny-1", size_px: int = 256, name: str = "tiny", **options: Any) -> Path:
    """Write STEM.onnx and STEM.json into the folder; options as for `network`. Returns the path of the .onnx file."""
    path = folder / f"{stem}.onnx"
    path.write_bytes(network(size_px, **options).SerializeToString())
    card = {
        "schema": 1,
        "name": name,
        "version": "1",
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "preprocess": {"size_px": size_px, "reducing_gap": 2.0},
        "raw_range": [0.0, 1.0],
        "interval": {"level": 0.9, "factor": 1.7},
        "population": {"name": "even numbers", "n": 101, "raw_quantiles": np.linspace(0.2, 0.9, 101).tolist()},
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=1))
    return path


def edit_card(path: Path, **changes: object) -> Path:
    """Replace fields of the card beside an .onnx file; a value of None removes the field."""
    beside = path.with_suffix(".json")
    card = json.loads(beside.read_text()) | changes
    beside.write_text(json.dumps({k: v for k, v in card.items() if v is not None}))
    return path
