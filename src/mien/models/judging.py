"""A published network with weights, as the pieces of a judge: what `mien.load` and `mien export` start from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy.typing as npt
import torch
from torch import Tensor, nn

from mien.core.errors import ModelError
from mien.core.views import ViewPreprocess
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
    net = cast("Any", checkpoints.load(name, weights))
    preprocess = getattr(net, "preprocess", None)
    if not hasattr(net, "judge") or not isinstance(preprocess, ViewPreprocess):
        raise ModelError(f"{name} does not judge single pictures: {zoo.card(name)['task']}")
    if threads is not None:
        torch.set_num_threads(threads)

    def network(batch: Arrays) -> Arrays:
        with torch.inference_mode():
            quality: Tensor = net.judge(**{key: torch.from_numpy(value) for key, value in batch.items()})
        return {"quality": quality.float().numpy()}

    known = raw_range or zoo.card(name)["raw_range"]
    if known is None:
        raise ModelError(
            f"{name} was trained to rank, so its numbers have no fixed scale: pass raw_range=(LOW, HIGH) "
            f"(--raw-range LOW HIGH), the raw values that become score 0 and 100"
        )
    return PublishedJudge(
        f"{name}@{hashlib.sha256(weights.read_bytes()).hexdigest()[:8]}",
        preprocess,
        (float(known[0]), float(known[1])),
        network,
        net,
    )
