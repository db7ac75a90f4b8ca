"""What does one call of each published network cost?

    python benchmarks/network_costs.py [NAME...]

Parameters, and multiply-accumulates of convolutions, matrix products and attention: what torch's own counter of FLOPs
finds, halved. The networks are built without memory (device "meta"), so the largest takes seconds.
`tests/models/test_costs.py` holds the cards to this count.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from mien.models import zoo

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """How a network is asked once: one view of one picture, or one clip of one video."""

    shapes: tuple[Shape, ...]
    ask: Callable[..., Any] = lambda net, *inputs: net(*inputs)

    @property
    def words(self) -> str:
        """For instance "2 x [1 x 3 x 224 x 224]"."""
        each = [f"[{' x '.join(map(str, shape))}]" for shape in self.shapes]
        return " + ".join(f"{n} x {shape}" if (n := each.count(shape)) > 1 else shape for shape in dict.fromkeys(each))


def _square(side: int, n: int = 1) -> Call:
    return Call(((1, 3, side, side),) * n)


def _clips(*shapes: Shape) -> Call:
    return Call(shapes, lambda net, *clips: net.judge(*clips))


CALLS = {
    "adaface-ir50": _square(112),
    "adaface-ir101": _square(112),
    "bdvqa": _square(384),
    "dn-piqa": Call(((1, 3, 384, 384), (1, 3, 384, 384), (1, 495))),
    "dover": _clips((1, 1, 3, 32, 224, 224), (1, 1, 3, 32, 224, 224)),
    "dsl-fiqa": Call(((1, 3, 384, 384), (1, 500))),
    "efficient-fiqa-student": _square(352),
    "efficient-fiqa-teacher": _square(448),
    "fast-vqa": _clips((1, 1, 3, 32, 224, 224)),
    "fast-vqa-m": _clips((1, 1, 3, 16, 128, 128)),
    "full-hyperiqa": _square(1344),
    "hyperiqa": _square(224),
    "liqe": Call(((15, 3, 224, 224),), lambda net, windows: net.encode_image(windows)),  # the sentences once for all
    "maniqa": _square(224),
    "mobileiqa-student": Call(((1, 3, 448, 704),)),
    "monet": _square(384),
    "pqe": Call(((1, 3, 384, 384), (1, 3, 384, 384), (1, 495))),
    "rq-net": _square(224, 2),
    "sar": _square(224, 2),
    "sem-hyperiqa": _square(1344),
    "uiqa": _square(480, 3),
}


@dataclass(frozen=True)
class Cost:
    """Of one call."""

    parameters: int
    macs: int
    macs_by_module: dict[str, int]  #: by dotted name; a module's count includes its children's


def count(name: str) -> Cost:
    """Count one call of a network, without memory for its weights."""
    call = CALLS[name]
    with torch.device("meta"):
        net = zoo.build(name)
        inputs = [torch.empty(shape) for shape in call.shapes]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        call.ask(net, *inputs)
    own = f"{type(net).__name__}."  # the counter puts it in front
    by_module = {path.removeprefix(own): sum(ops.values()) // 2 for path, ops in counter.get_flop_counts().items()}
    return Cost(sum(p.numel() for p in net.parameters()), counter.get_total_flops() // 2, by_module)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="of the networks; all when none is named")
    names = parser.parse_args().names or zoo.names()
    print(f"torch {torch.__version__}")
    print("| network | parameters | MACs | one call |\n|---|--:|--:|---|")
    for name in names:
        cost = count(name)
        print(f"| {name} | {cost.parameters / 1e6:.2f} M | {cost.macs / 1e9:.2f} G | {CALLS[name].words} |")


if __name__ == "__main__":
    main()
