"""At which size should the embedded judge look? Agreement with people, and time, of the same weights at several sizes.

    pip install ".[train]" && python benchmarks/view_size.py --data ../shared/data [--sizes 192 224 256 288 320]

The network is made of convolutions and means, so its file takes every size once its input says so. Pictures are the
held-out photographs of BIQ2021 (320 px, whole, squashed): SRCC pooled and as the mean inside the subsets, the mean of
score minus opinion in points of 100, and milliseconds of the network for one picture on one thread, in turns.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from mien.core.preprocess import Preprocess
from mien.data import biq2021
from mien.evaluation.correlation import inside_groups, srcc
from mien.runtime.judge import EMBEDDED, FOLDER


def any_size(file: Path) -> bytes:
    """The network with an input of any size."""
    model = onnx.load(file)
    shape = model.graph.input[0].type.tensor_type.shape
    for axis, name in ((1, "h"), (2, "w")):
        shape.dim[axis].dim_param = name
    del model.graph.value_info[:]
    return model.SerializeToString()


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds biq2021/")
    parser.add_argument("--sizes", type=int, nargs="+", default=[192, 224, 256, 288, 320])
    args = parser.parse_args()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(any_size(FOLDER / EMBEDDED["mien-judge"]), options)
    held = [s for s in biq2021.read(args.data / "biq2021").samples if s.split == "val"]
    opinion, subset = np.array([s.label for s in held], np.float64), np.array([s.subset for s in held])
    pictures = [s.open() for s in held]
    views = {size: [Preprocess(size)(picture)[None] for picture in pictures] for size in args.sizes}
    quality: dict[int, list[float]] = {size: [] for size in args.sizes}
    seconds: dict[int, list[float]] = {size: [] for size in args.sizes}
    for k in range(len(held)):
        for size in args.sizes:
            started = time.perf_counter()
            (raw,) = session.run(["quality"], {"image": views[size][k]})
            seconds[size].append(time.perf_counter() - started)
            quality[size].append(float(np.asarray(raw)[0]))
    print(f"{EMBEDDED['mien-judge']}, {platform.machine()}, {len(held)} photographs")
    print(f"{'px':>4}{'pooled':>8}{'inside':>8}{'bias':>7}{'ms':>7}")
    for size in args.sizes:
        q = np.array(quality[size])
        inside = np.mean(list(inside_groups(srcc, q, opinion, subset).values()))
        bias, ms = 100 * float(np.mean(q - opinion)), 1e3 * float(np.median(seconds[size]))
        print(f"{size:4}{srcc(q, opinion):8.4f}{inside:8.4f}{bias:7.2f}{ms:7.2f}")


if __name__ == "__main__":
    main()
