"""The state of a run on disk, always complete: a kill leaves the old file or the new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mien.core.errors import UsageError

FILE, BEST = "checkpoint.pt", "best.pt"


@dataclass
class Progress:
    """How far a run is; changed by the loop alone."""

    epoch: int = 0  #: whole epochs done
    step: int = 0  #: steps done of the epoch that runs
    sums: dict[str, float] = field(default_factory=dict)  #: of the loss terms over those steps
    seconds: float = 0.0  #: spent on those steps
    history: list[dict[str, Any]] = field(default_factory=list)  #: one record for each epoch done
    best: float | None = None  #: highest sum of the metrics that choose
    best_epoch: int | None = None


def save(path: Path, key: str, progress: Progress, parts: Mapping[str, Any]) -> None:
    """Replace the checkpoint.

    Args:
        path: file to write.
        key: fingerprint of recipe and data.
        progress: how far the run is.
        parts: name -> anything with a `state_dict`.
    """
    state = {name: part.state_dict() for name, part in parts.items()}
    _write(path, {"key": key, "progress": vars(progress), "parts": state})


def load(path: Path, key: str, parts: Mapping[str, Any]) -> Progress:
    """Give `parts` back what they had.

    Raises:
        UsageError: the file is of another recipe or other data, or damaged.
    """
    state = _read(path)
    if state.get("key") != key:
        raise UsageError(
            f"{path} belongs to a run with another recipe, other settings or other data: a resumed run must be the "
            f"same one. Choose another folder, or remove the file (mien train: --overwrite)"
        )
    for name, part in parts.items():
        part.load_state_dict(state["parts"][name])
    return Progress(**state["progress"])


def save_weights(path: Path, net: nn.Module, **facts: Any) -> None:
    """Weights that the zoo can read, and facts about them."""
    _write(path, {"state_dict": net.state_dict(), **facts})


def load_weights(path: Path, net: nn.Module, key: str | None = None) -> dict[str, Any]:
    """What `save_weights` wrote; the facts.

    Raises:
        UsageError: the file is damaged, or a key was asked for and its facts have another one.
    """
    state = _read(path)
    if key is not None and state.get("key") != key:
        raise UsageError(f"{path} is of another recipe or other data: remove it, or choose another folder")
    net.load_state_dict(state.pop("state_dict"))
    return state


def load_average(path: Path, net: nn.Module) -> list[dict[str, Any]]:
    """Give a network the average ("average" of the parts, see `mien.training.ema`) of another run; its history.

    Raises:
        UsageError: the file is damaged, of another network, or was saved inside an epoch.
    """
    state, prefix = _read(path), "module."
    try:
        progress, average = state["progress"], state["parts"]["average"]
        net.load_state_dict({name[len(prefix) :]: v for name, v in average.items() if name.startswith(prefix)})
    except (KeyError, RuntimeError) as error:
        raise UsageError(f"{path} is no checkpoint of such a network: {str(error).splitlines()[0]}") from None
    if progress["step"]:
        raise UsageError(f"{path} was saved inside an epoch: let that run end its epoch first")
    return progress["history"]


def _write(path: Path, state: dict[str, Any]) -> None:
    fresh = path.with_name(f".{path.name}.new")
    torch.save(state, fresh)
    fresh.replace(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch has no common base for what a damaged file makes it raise
        raise UsageError(f"{path} cannot be read: {' '.join(str(error).split())[:160]}") from None
