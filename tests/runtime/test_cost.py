"""MACs and parameters are counted from the graph, by the written rule."""

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from mien.runtime import cost  # noqa: E402
from mien.runtime.judge import EMBEDDED, FOLDER  # noqa: E402


def test_a_graph_counted_by_hand(tmp_path):
    """A 3x3 convolution, 2 groups, 4 -> 6 channels, stride 2 on 8x8; then a matrix product 6 -> 5."""
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2], group=2),
            helper.make_node("GlobalAveragePool", ["c"], ["p"]),
            helper.make_node("Flatten", ["p"], ["f"]),
            helper.make_node("Gemm", ["f", "g"], ["y"], transB=1),
        ],
        "by_hand",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
        [
            numpy_helper.from_array(np.zeros((6, 2, 3, 3), np.float32), "w"),
            numpy_helper.from_array(np.zeros(6, np.float32), "b"),
            numpy_helper.from_array(np.zeros((5, 6), np.float32), "g"),
        ],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    counted = cost.count(path)
    assert counted.macs == 4 * 4 * 6 * (2 * 3 * 3) + 6 * 5
    assert counted.parameters == 6 * 2 * 9 + 6 + 30
    assert counted.bytes == path.stat().st_size


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_judges_stay_inside_the_budget_and_their_card_says_the_count(name):
    path = FOLDER / EMBEDDED[name]
    counted = cost.count(path)
    assert counted.macs <= 0.5e9
    assert counted.parameters <= 5e6
    card = json.loads(path.with_suffix(".json").read_text())
    assert card["cost"] == {"macs": counted.macs, "parameters": counted.parameters, "bytes": counted.bytes}
