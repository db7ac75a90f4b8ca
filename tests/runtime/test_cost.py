"""MACs and parameters are counted from the graph, by the written rule."""

import json

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from mien.core.errors import ModelError  # noqa: E402
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


# ---- time ---------------------------------------------------------------------------------------------------------


def test_time_is_measured_one_picture_after_the_other(tiny_judge):
    timing = cost.measure(tiny_judge, runs=7, threads=1)
    assert (timing.runs, timing.threads) == (7, 1)
    assert 0 < timing.p05 <= timing.median <= timing.p95 < 60


def test_without_a_number_of_runs_time_has_a_limit(tiny_judge, monkeypatch):
    monkeypatch.setattr(cost, "SECONDS", 0.0)
    assert cost.measure(tiny_judge, threads=1).runs == 1
    monkeypatch.setattr(cost, "SECONDS", 1e9)
    monkeypatch.setattr(cost, "RUNS", 5)
    assert cost.measure(tiny_judge, threads=1).runs == 5


def test_the_time_of_a_run_is_what_the_clock_says(tiny_judge, monkeypatch):
    """Each reading of the clock is one second later: a run takes one second, whatever the machine does."""
    ticks = iter(range(10_000))
    monkeypatch.setattr(cost.time, "perf_counter", lambda: float(next(ticks)))
    timing = cost.measure(tiny_judge, runs=4, threads=1)
    assert (timing.p05, timing.median, timing.p95) == (1.0, 1.0, 1.0)


def test_names_for_machines_and_lines_for_people():
    counted, timing = cost.Cost(82_000_000, 390_000, 1_600_000), cost.Timing(0.002, 0.001, 0.004, 50, 2)
    assert cost.cost_record(counted) == {"macs": 82_000_000, "parameters": 390_000, "bytes": 1_600_000}
    assert cost.cost_record(counted, timing) == {
        **cost.cost_record(counted),
        "seconds": 0.002,
        "seconds_p05": 0.001,
        "seconds_p95": 0.004,
        "runs": 50,
        "threads": 2,
    }
    text = "\n".join(cost.cost_lines(counted, timing))
    assert "two FLOPs make a MAC" in text and "2.00 ms" in text and "1.00 to 4.00 ms" in text and "2 threads" in text
    assert "time" not in "\n".join(cost.cost_lines(counted))


def test_a_network_whose_input_has_no_size_is_not_timed(tmp_path):
    free = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, "h", "w"])
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "free",
        [free],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, "h", "w"])],
    )
    path = tmp_path / "free.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    with pytest.raises(ModelError, match="the size of its input is not fixed; use --no-time"):
        cost.measure(path, runs=1)
    path.write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"cannot open free\.onnx"):
        cost.measure(path, runs=1)
