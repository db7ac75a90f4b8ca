"""A published network with weights, as the pieces of a judge: what `mien.load` and `mien export` start from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy.typing as npt
import torch
from torch import Tensor, nn

from mien.core.errors import ModelError
from mien.core.views import ViewPreprocess
from mien.core.weights import sha256_of
from mien.models import checkpoints, zoo

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class PublishedJudge:
    """Everything that scoring needs."""

    model_id: str  #: name@ and the first eight digits of the weights' sha256
    preprocess: ViewPreprocess
    raw_range: tuple[float, float]  #: raw values that become score 0 and 100
    network: Callable[[Arrays], Arrays]
    module: nn.Module


def published_judge(
    name: str, weights: Path, *, raw_range: tuple[float, float] | None = None, threads: int | None = None
) -> PublishedJudge:
    """Build, load, and wrap.

    Args:
        name: of `zoo.names()`.
        weights: checkpoint or .safetensors.
        raw_range: see `mien.load`.
        threads: cores that torch may use, for the whole process; None leaves that alone.

    Raises:
        ModelError: unknown name, unfit weights, a network that does not judge single pictures, or one without a scale.
        MissingExtraError: torch, torchvision or timm is not installed.
    """
    known = raw_range or zoo.card(name)["raw_range"]
    _check_that_it_judges(name)
    if known is None:
        raise ModelError(
            f"{name} was trained to rank, so its numbers have no fixed scale: pass raw_range=(LOW, HIGH) "
            f"(--raw-range LOW HIGH), the raw values that become score 0 and 100"
        )
    net = cast("Any", checkpoints.load(name, weights))
    if threads is not None:
        torch.set_num_threads(threads)

    def network(batch: Arrays) -> Arrays:
        with torch.inference_mode():
            quality: Tensor = net.judge(**{key: torch.from_numpy(value) for key, value in batch.items()})
        return {"quality": quality.float().numpy()}

    return PublishedJudge(
        f"{name}@{sha256_of(weights)[:8]}", net.preprocess, (float(known[0]), float(known[1])), network, net
    )


def _check_that_it_judges(name: str) -> None:
    """Before weights are read, which may take long.

    Raises:
        ModelError: it reads no pictures, or pictures and something else that no picture file holds.
    """
    with torch.device("meta"):
        net = cast("Any", zoo.build(name))
    preprocess = getattr(net, "preprocess", None)
    if not hasattr(net, "judge") or not isinstance(preprocess, ViewPreprocess):
        raise ModelError(f"{name} does not judge single pictures: {zoo.card(name)['task']}")
    wanted = [p.name for p in inspect.signature(net.judge).parameters.values() if p.default is p.empty]
    if more := [argument for argument in wanted if argument not in preprocess.inputs]:
        raise ModelError(
            f"{name} does not judge a picture alone, it also wants {', '.join(more)}: call the network's own "
            f"judge({', '.join(wanted)}) in Python; 'mien models show {name}' says what that is"
        )
