"""What 8-bit whole numbers cost and save: the judge as it ships, and the same network with int8 convolutions.

    python benchmarks/int8.py --data ../shared/data [--model FILE.onnx] [--json FILE]

Static quantisation by onnxruntime (QDQ, one scale for each channel of the weights), its ranges measured on 200
photographs of BIQ2021's train part. Agreement with people is measured on the val part; times are those of the network
alone, one thread, both files in turn, median of 15 rounds. Whether int8 is faster depends on the instructions of the
CPU (VNNI), so the machine's own answer counts. Needs `pip install "mien[train]"`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from mien.data import biq2021
from mien.evaluation.correlation import inside_groups, srcc
from mien.runtime.judge import EMBEDDED, FOLDER, card, find_model
from mien.training.feed import whole

Pixels = npt.NDArray[np.uint8]


class Calibration(CalibrationDataReader):
    """Feeds photographs, eight at a time."""

    def __init__(self, pixels: Pixels) -> None:
        self._parts = iter([pixels[i : i + 8] for i in range(0, len(pixels), 8)])

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:  # type: ignore[override]
        """The next input, or None."""
        part = next(self._parts, None)
        return None if part is None else {"image": part.astype(np.float32)}


def quantised(model: Path, pixels: Pixels, folder: Path) -> Path:
    """An int8 copy of a model."""
    plain, out = folder / "plain.onnx", folder / "int8.onnx"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC  # weights that are cast become plain
    options.optimized_model_filepath = str(plain)
    ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    quantize_static(
        plain,
        out,
        Calibration(pixels),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return out


def runner(model: Path) -> Callable[[Pixels], npt.NDArray[np.float32]]:
    """Quality of views, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(pixels: Pixels) -> npt.NDArray[np.float32]:
        parts = [
            session.run(["quality"], {"image": pixels[i : i + 20].astype(np.float32)})[0]
            for i in range(0, len(pixels), 20)
        ]
        return np.concatenate([np.asarray(part) for part in parts])

    return run


def compare(models: dict[str, Path], data: Path, size_px: int) -> dict[str, dict[str, float]]:
    """The figures of each file."""
    val = [s for s in biq2021.read(data / "biq2021").samples if s.split == "val"]
    pixels, mos = whole(val, size_px), np.array([s.label for s in val])
    subset = [s.subset for s in val]
    runs = {name: runner(path) for name, path in models.items()}
    quality = {name: run(pixels) for name, run in runs.items()}
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(15):
        for name, run in runs.items():
            started = time.perf_counter()
            run(pixels[:20])
            taken[name].append(1e3 * (time.perf_counter() - started) / 20)
    first = next(iter(quality.values()))
    return {
        name: {
            "bytes": models[name].stat().st_size,
            "milliseconds": round(statistics.median(taken[name]), 3),
            "srcc_pooled": round(srcc(q, mos), 4),
            "srcc_mean_inside": round(float(np.mean(list(inside_groups(srcc, q, mos, subset).values()))), 4),
            "moved_mean_points": round(100 * float(np.abs(q - first).mean()), 3),
            "moved_largest_points": round(100 * float(np.abs(q - first).max()), 3),
        }
        for name, q in quality.items()
    }


def main() -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds biq2021/")
    parser.add_argument("--model", type=Path, default=FOLDER / EMBEDDED["mien-judge"])
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    size_px = int(card(str(args.model))["preprocess"]["size_px"])
    train = [s for s in biq2021.read(args.data / "biq2021").samples if s.split == "train"][:200]
    with tempfile.TemporaryDirectory() as folder:
        int8 = quantised(find_model(args.model), whole(train, size_px), Path(folder))
        figures: dict[str, Any] = compare({"as it ships": args.model, "int8": int8}, args.data, size_px)
    for name, row in figures.items():
        print(name, row)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
