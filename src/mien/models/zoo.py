"""The zoo: a table of published networks, how to build one, and how to give it the authors' weights.

Nothing here downloads anything. Importing this file imports no torch: a network's module is loaded when it is built.
"""

from __future__ import annotations

import difflib
import fnmatch
import json
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mien.core.errors import MissingExtraError, ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

CARDS = Path(__file__).parent / "cards"

#: name -> "module:factory"; the factory takes configuration keywords, if any, and returns a network in evaluation mode
MODELS: dict[str, str] = {
    "adaface-ir50": "mien.models.adaface:ir50",
    "adaface-ir101": "mien.models.adaface:ir101",
    "bdvqa": "mien.models.bdvqa:BDVQA",
    "dn-piqa": "mien.models.dn_piqa:DNPIQA",
    "dover": "mien.models.dover:DOVER",
    "dsl-fiqa": "mien.models.dsl_fiqa:DSLFIQA",
    "efficient-fiqa-student": "mien.models.efficient_fiqa:Student",
    "efficient-fiqa-teacher": "mien.models.efficient_fiqa:Teacher",
    "fast-vqa": "mien.models.fast_vqa:fast_vqa_b",
    "fast-vqa-m": "mien.models.fast_vqa:fast_vqa_m",
    "full-hyperiqa": "mien.models.sem_hyperiqa:full_hyperiqa",
    "hyperiqa": "mien.models.hyperiqa:HyperIQA",
    "liqe": "mien.models.liqe:LIQE",
    "maniqa": "mien.models.maniqa:MANIQA",
    "mobileiqa-student": "mien.models.mobileiqa:MobileIQAStudent",
    "monet": "mien.models.monet:MoNet",
    "pqe": "mien.models.dn_piqa:DNPIQA",
    "rq-net": "mien.models.rq_net:RQNet",
    "sar": "mien.models.sar:SAR",
    "sem-hyperiqa": "mien.models.sem_hyperiqa:sem_hyperiqa",
    "uiqa": "mien.models.uiqa:UIQA",
}

#: recomputed constants and counters that checkpoints of other library versions may lack or have too many of
REBUILT = ("*num_batches_tracked", "*relative_position_index", "*attn_mask")
_CONTAINERS = ("state_dict", "model_state_dict", "model", "net")


def names() -> list[str]:
    """All networks that `build` knows."""
    return sorted(MODELS)


def card(name: str) -> dict[str, Any]:
    """What is known about a network: input, range, direction, data, licences, the paper's numbers, cost.

    Raises:
        ModelError: no such network; the nearest names are offered.
    """
    _entry(name)
    return json.loads((CARDS / f"{name}.json").read_text(encoding="utf-8"))


def build(name: str, **config: Any) -> nn.Module:
    """A network with random weights, in evaluation mode. Never a download.

    Args:
        name: of `names()`.
        **config: settings of the factory, for instance the number of scenes.

    Raises:
        ModelError: no such network; the nearest names are offered.
        MissingExtraError: torch, torchvision or timm is not installed.
    """
    module, _, factory = _entry(name).partition(":")
    try:
        make = getattr(import_module(module), factory)
        return make(**config).eval()
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("torch", "torchvision", "timm"):
            raise MissingExtraError(f"the network {name}", "torch") from error
        raise


def need_torch(what: str) -> None:
    """Say which extra is missing before a module that imports torch is asked for.

    Raises:
        MissingExtraError: torch is not installed; the message names `what` and the extra.
    """
    try:
        import_module("torch")
    except ModuleNotFoundError:
        raise MissingExtraError(what, "torch") from None


def load_official(net: nn.Module, state_dict: Mapping[str, Any]) -> nn.Module:
    """Give a network the authors' weights, under the authors' key names, and refuse anything that does not fit.

    Accepted besides a plain state dict: one inside `state_dict`, `model_state_dict`, `model` or `net`; the prefix
    `module.` of DataParallel; half precision (computed with in single). A network may name more in three class
    attributes: `rename(state_dict)`, `MAY_BE_ABSENT` and `IGNORED` (patterns of fnmatch).

    Args:
        net: from `build`.
        state_dict: as `torch.load(..., weights_only=True)` or safetensors give it.

    Returns:
        The same network, in evaluation mode, float32.

    Raises:
        ModelError: missing or unexpected keys (the first of them are named) or tensors of another shape.
    """
    found = unwrapped(state_dict)
    rename = getattr(net, "rename", None)
    found = cast("dict[str, Tensor]", rename(found) if rename is not None else found)
    wanted = net.state_dict()
    optional = (*REBUILT, *getattr(net, "MAY_BE_ABSENT", ()))
    ignored = (*REBUILT, *getattr(net, "IGNORED", ()))
    missing = [key for key in wanted if key not in found and not _matches(key, optional)]
    unexpected = [key for key in found if key not in wanted and not _matches(key, ignored)]
    if missing or unexpected:
        raise ModelError(_misfit(_called(net), missing, unexpected, len(wanted)))
    other = [
        f"{key}: {list(found[key].shape)} in the file, {list(value.shape)} in the network"
        for key, value in wanted.items()
        if key in found and found[key].shape != value.shape
    ]
    if other:
        raise ModelError(f"weights of another size for {_called(net)}: {_first(other)}")
    net.load_state_dict({**wanted, **{k: v.to(wanted[k].dtype) for k, v in found.items() if k in wanted}})
    return net.eval()


def _called(net: nn.Module) -> str:
    """What users call a network; its class where the table does not have it."""
    own = f"{type(net).__module__}:{type(net).__qualname__}"
    return " or ".join(name for name in names() if MODELS[name] == own) or type(net).__name__


def _entry(name: str) -> str:
    if name in MODELS:
        return MODELS[name]
    near = difflib.get_close_matches(name, MODELS, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(names())}"
    raise ModelError(f"no network {name!r}; {hint}")


def unwrapped(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint, out of the containers and without the prefix that `load_official` accepts.

    Raises:
        ModelError: something in it is no tensor, or it is empty.
    """
    for key in _CONTAINERS:
        if isinstance(state_dict.get(key), Mapping):
            state_dict = state_dict[key]
            break
    strange = [key for key, value in state_dict.items() if not hasattr(value, "shape")]
    if strange or not state_dict:
        raise ModelError(f"not a state dict of tensors: {_first(strange) if strange else 'it is empty'}")
    if all(key.startswith("module.") for key in state_dict):
        return {key.removeprefix("module."): value for key, value in state_dict.items()}
    return dict(state_dict)


def _matches(key: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)


def _misfit(network: str, missing: list[str], unexpected: list[str], wanted: int) -> str:
    parts = [f"these are not weights of {network}"]
    if missing:
        parts.append(f"{len(missing)} of {wanted} tensors are missing: {_first(missing)}")
    if unexpected:
        parts.append(f"{len(unexpected)} are unexpected: {_first(unexpected)}")
    return "; ".join(parts)


def _first(items: list[str], n: int = 3) -> str:
    return ", ".join(items[:n]) + (", ..." if len(items) > n else "")
