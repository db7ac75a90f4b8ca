"""What one picture costs: multiply-accumulates and parameters, counted from the ONNX graph, and the time it takes.

Rule: one multiply-accumulate (MAC) for each product of convolutions and matrix products, everything that runs for one
picture included (every crop, if there are several); biases, activations, pooling and normalisation are not counted.

Two FLOPs make a MAC, but sources disagree about both words. The "GFLOPs" of the VQualA 2025 face challenge are MACs, as
the counter fvcore gives them; the 5 TFLOPs of the NTIRE 2024 portrait challenge are 2 MACs. Counters that hook into
modules miss matrix products that are called as functions: a Swin-T at 480 x 480 has 23.2 G MACs, such a counter finds
14.5 G, and a published 43 G for three of them is therefore 70 G. This file counts the graph, where nothing hides.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from mien.core.errors import MissingExtraError, ModelError
from mien.runtime.judge import usable_cores

RUNS = 100  #: timed runs when nobody says how many ...
SECONDS = 3.0  #: ... and after which no other one begins
_WARM_UP = 3
_TYPES = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True, slots=True)
class Cost:
    """Counts for one picture."""

    macs: int  #: multiply-accumulates
    parameters: int  #: stored numbers that were learned
    bytes: int  #: size of the file


@dataclass(frozen=True, slots=True)
class Timing:
    """Wall time of the network for one picture, without decoding, in seconds."""

    median: float
    p05: float  #: 5 % of the runs were faster
    p95: float  #: 5 % of the runs were slower
    runs: int
    threads: int


def cost_record(cost: Cost, timing: Timing | None = None) -> dict[str, float | int]:
    """Stable names for machines: macs, parameters, bytes; with a timing seconds, seconds_p05, seconds_p95, threads."""
    counted: dict[str, float | int] = {"macs": cost.macs, "parameters": cost.parameters, "bytes": cost.bytes}
    if timing is None:
        return counted
    return counted | {
        "seconds": timing.median,
        "seconds_p05": timing.p05,
        "seconds_p95": timing.p95,
        "runs": timing.runs,
        "threads": timing.threads,
    }


def cost_lines(cost: Cost, timing: Timing | None = None) -> list[str]:
    """The same for people."""
    lines = [
        f"MACs        {cost.macs / 1e9:.4f} G for one picture (two FLOPs make a MAC)",
        f"parameters  {cost.parameters / 1e6:.4f} M",
        f"file        {cost.bytes / 1e6:.2f} MB",
    ]
    if timing is not None:
        lines.append(
            f"time        {1000 * timing.median:.2f} ms for one picture (5 % to 95 %: {1000 * timing.p05:.2f} to "
            f"{1000 * timing.p95:.2f} ms; {timing.runs} runs, {timing.threads} "
            f"thread{'s' * (timing.threads > 1)}, without decoding)"
        )
    return lines


def measure(path: Path, *, runs: int | None = None, threads: int | None = None) -> Timing:
    """Time single pictures, one after the other; the first ones are not counted.

    Args:
        path: an .onnx file with one input of a fixed size; its batch may be free.
        runs: timed runs; None for up to `RUNS`, and none that begins after `SECONDS`.
        threads: of the network; None for all that this process may use.

    Raises:
        ModelError: the file cannot be run, or the size of its input is not fixed.
    """
    import onnxruntime as ort

    threads = threads or usable_cores()
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # as it is when pictures are scored
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen exception types without a common base
        raise ModelError(f"onnxruntime {ort.__version__} cannot open {path.name}: {error}") from error
    feed = _one_picture(session.get_inputs(), path)
    for _ in range(_WARM_UP):
        session.run(None, feed)
    taken: list[float] = []
    begin = time.perf_counter()
    while len(taken) < (runs or RUNS) and (runs or not taken or time.perf_counter() - begin < SECONDS):
        start = time.perf_counter()
        session.run(None, feed)
        taken.append(time.perf_counter() - start)
    p05, median, p95 = (float(q) for q in np.quantile(taken, [0.05, 0.5, 0.95]))
    return Timing(median, p05, p95, len(taken), threads)


def _one_picture(inputs: Any, path: Path) -> dict[str, Any]:
    """Random values of the shape of the input."""
    if len(inputs) != 1 or inputs[0].type not in _TYPES:
        raise ModelError(f"{path.name} cannot be timed: it must have one input of uint8 or float; use --no-time")
    _, *shape = inputs[0].shape
    if not all(isinstance(size, int) and size > 0 for size in shape):
        raise ModelError(f"{path.name} cannot be timed: the size of its input is not fixed; use --no-time")
    values = np.random.default_rng(0).integers(0, 256, (1, *shape))
    return {inputs[0].name: values.astype(_TYPES[inputs[0].type])}


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
