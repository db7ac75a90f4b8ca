"""Builds a finder without training: what is red is a face. Tests of the runtime know what it must find."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HEAD = "bbox_head.multi_level_cls.{}.conv1.weight"
SIDE = 24  #: of every box, pixels of the network
KPS = (-0.5, -0.5, 1.5, -0.5, 0.5, 0.5, 0.0, 1.5, 1.0, 1.5)  #: landmarks in cells of 8 px


def network(
    *, rgb: bool = True, sides: tuple[str | int, str | int] = ("h", "w"), heads: bool = False
) -> onnx.ModelProto:
    """A face at every cell of 8 px, as confident as the cell is red; the other strides find nothing.

    With `heads` the redness goes through a convolution with the name of YuNet's, so that it may give hints.
    """
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []

    def const(values: object, dtype: type = np.float32) -> str:
        weights.append(numpy_helper.from_array(np.asarray(values, dtype), f"w{len(weights)}"))
        return weights[-1].name

    def op(kind: str, *inputs: str, output: str = "", **options: Any) -> str:
        nodes.append(helper.make_node(kind, list(inputs), [output or f"t{len(nodes)}"], **options))
        return nodes[-1].output[0]

    x = "image"
    if rgb:
        x = op("Transpose", op("Cast", x, to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    red = op("Div", op("Gather", x, const([0 if rgb else 2], np.int64), axis=1), const(255.0))
    for level, stride in enumerate((8, 16, 32)):
        cell = op("AveragePool", red, kernel_shape=[stride, stride], strides=[stride, stride])
        if heads:
            one = numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), HEAD.format(level))
            weights.append(one)
            cell = op("Conv", cell, one.name)
        flat = op("Reshape", cell, const([0, -1, 1], np.int64))
        sure = op("Mul", flat, const(float(stride == 8)), output=f"cls_{stride}")
        op("Identity", sure, output=f"obj_{stride}")
        nothing = op("Mul", sure, const(0.0))
        size = math.log(SIDE / 8)
        op("Add", nothing, const([0.5, 0.5, size, size]), output=f"bbox_{stride}")
        op("Add", nothing, const(KPS), output=f"kps_{stride}")
    shape = ["n", *sides, 3] if rgb else ["n", 3, *sides]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8 if rgb else TensorProto.FLOAT, shape)
    outputs = [
        helper.make_tensor_value_info(f"{name}_{stride}", TensorProto.FLOAT, ["n", f"a{stride}", size])
        for name, size in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
        for stride in (8, 16, 32)
    ]
    graph = helper.make_graph(nodes, "tiny", [image], outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def write(path: Path, *, card: bool = False, **options: Any) -> Path:
    """The network as a file, with a card beside it on request; options as for `network`."""
    path.write_bytes(network(**options).SerializeToString())
    if card:
        facts = {
            "schema": 1,
            "name": "tiny-finder",
            "version": "7",
            "file": path.name,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "find": {"size_px": 128, "confidence": 0.4, "nms_iou": 0.3},
        }
        path.with_suffix(".json").write_text(json.dumps(facts))
    return path
