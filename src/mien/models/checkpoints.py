"""Checkpoints: the authors' files opened as data, never as programs, and turned into safetensors.

A pickle can run code when it is opened. Here `torch.load(weights_only=True)` opens it, which builds tensors and plain
containers only; anything else is refused by name. A few harmless classes that training scripts leave beside the
weights (numbers of NumPy, command-line settings, callbacks of Lightning) are replaced by empty stand-ins: their code
is not run either, and mien needs none of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mien.core.errors import MissingExtraError, ModelError, UsageError
from mien.core.weights import SUFFIXES, kind_of, safetensors_metadata, sha256_of
from mien.models import zoo

METADATA = "mien"  #: the one key in the header of a converted file; one, because the order of several is not fixed

_STANDS_IN_FOR = (
    "argparse.Namespace",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
    "numpy.ndarray",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.utilities.parsing.AttributeDict",
)
_HALF_MAX = torch.finfo(torch.float16).max


class _Nothing:
    """Takes every argument and state, and keeps none of it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass


def _stand_in(name: str) -> Callable[..., object]:
    module, _, own = name.rpartition(".")
    return type(own, (_Nothing,), {"__module__": module, "__qualname__": own})


_STAND_INS: list[Callable[..., object] | tuple[Callable[..., object], str]] = [_stand_in(n) for n in _STANDS_IN_FOR]


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint on the CPU, under the names that they have there, out of their container.

    Args:
        path: .safetensors, or what torch.save wrote: .pt, .pth, .pkl, .ckpt, .tar. Of a folder, every such file is a
            part: the names in PART.pt get the prefix `PART.` (DSL-FIQA comes as DE.pt and IQA.pt).

    Raises:
        ModelError: not a checkpoint, damaged, or it wants to run code.
        MissingExtraError: safetensors is not installed.
    """
    if path.is_dir():
        parts = [part for part in sorted(path.iterdir()) if part.suffix.lower() in SUFFIXES and part.is_file()]
        if not parts:
            raise ModelError(f"there is no checkpoint in the folder {path}")
        return {f"{part.stem}.{key}": value for part in parts for key, value in read(part).items()}
    found = _read_safetensors(path) if kind_of(path) == "safetensors" else _read_pickle(path)
    if not isinstance(found, Mapping):
        raise ModelError(f"{path} holds no state dict but one object of type {type(found).__name__}")
    try:
        tensors = zoo.unwrapped({key: value for key, value in found.items() if isinstance(key, str)})
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except (TypeError, AttributeError):
        raise ModelError(f"{path} is not a state dict of tensors: it has names that are no text") from None
    for key, value in tensors.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
            raise ModelError(f"{path}: {key} is not a plain tensor")
    return tensors


def load(name: str, weights: Path, **config: Any) -> nn.Module:
    """A network with weights: build, read, load.

    Args:
        name: of `zoo.names()`.
        weights: the authors' checkpoint, or what `convert` made of it.
        **config: settings of the network, see `zoo.build`.

    Returns:
        In evaluation mode, float32, on the CPU.

    Raises:
        ModelError: unknown name, not a checkpoint, or weights of another network.
        MissingExtraError: torch, torchvision, timm or safetensors is not installed.
    """
    if weights.is_dir():
        raise ModelError(
            f"{weights} is a folder; 'mien models convert {weights} --as {name} --out FILE' makes one file"
        )
    if kind_of(weights) == "safetensors":
        _check_made_for(name, weights)
    net = zoo.build(name, **config)
    return zoo.load_official(net, read(weights))


def convert(name: str, source: Path, out: Path, *, half: bool = False, force: bool = False) -> Path:
    """Check that a checkpoint fits a network and write its tensors, under the authors' names, as safetensors.

    The header records the network, the SHA-256 of the source and the version of mien. The same source gives the same
    bytes. The file is complete or not there.

    Args:
        name: of `zoo.names()`.
        source: the authors' checkpoint, or a folder of parts, see `read`.
        out: file to write, suffix .safetensors.
        half: store floating-point tensors in half precision; without it every tensor keeps the precision it has.
        force: replace `out` if it is there.

    Returns:
        `out`.

    Raises:
        ModelError: unknown name, not a checkpoint, weights of another network, or too large for half precision.
        UsageError: `out` is there, or cannot be written.
        MissingExtraError: torch, torchvision, timm or safetensors is not installed.
    """
    if out.suffix.lower() != ".safetensors":
        raise UsageError(f"a converted file must be named *.safetensors, not {out}")
    if out.exists() and not force:
        raise UsageError(f"{out} is there already: choose another name, or replace it with --force")
    if not out.parent.is_dir():
        raise UsageError(f"there is no folder {out.parent}")
    tensors = read(source)
    zoo.load_official(zoo.build(name), tensors)
    made = {key: _stored(key, value, half) for key, value in tensors.items()}
    facts = {"network": name, "source": source.name, "source_sha256": _digest(source), "mien": _version()}
    _write(made, out, json.dumps(facts, sort_keys=True))
    return out


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise MissingExtraError("a .safetensors file", "torch") from None
    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ModelError(f"{path} is a damaged safetensors file: {_short(error)}. Fetch it again") from None


def _read_pickle(path: Path) -> object:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_STAND_INS):
            warnings.simplefilter("ignore")  # of old formats
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or hostile file makes torch raise, it is the file's fault
        raise ModelError(_refusal(path, str(error), error)) from None


def _refusal(path: Path, text: str, error: Exception) -> str:
    if wanted := re.search(r"GLOBAL (\S+)", text):
        return (
            f"{path} wants {wanted[1]} when it is opened; mien opens checkpoints as data only, so it is refused. "
            f"If you trust it, open it in the authors' code and save its state_dict() alone"
        )
    if "Unsupported operand" in text or "Weights only load failed" in text or "magic number" in text:
        return f"{path} is a pickle that torch.save did not write, or a damaged one; mien does not open it"
    return f"{path} is damaged or not a checkpoint: {_short(error)}"


def _check_made_for(name: str, weights: Path) -> None:
    """A converted file knows its network; two names of one network are the same."""
    try:
        made_for = json.loads(safetensors_metadata(weights).get(METADATA, "{}")).get("network")
    except (ValueError, AttributeError):
        return  # somebody else's text under our key
    known = isinstance(made_for, str) and made_for in zoo.MODELS and name in zoo.MODELS
    if known and zoo.MODELS[made_for] != zoo.MODELS[name]:
        raise ModelError(f"{weights} was converted for {made_for}, not for {name}")


def _stored(key: str, value: Tensor, half: bool) -> Tensor:
    if half and value.is_floating_point():
        if value.numel() and float(value.abs().max()) > _HALF_MAX:
            raise ModelError(f"{key} has numbers above {_HALF_MAX:.0f}: too large for half precision")
        value = value.to(torch.float16)
    return value.detach().clone(memory_format=torch.contiguous_format)  # safetensors wants no shared memory


def _write(tensors: dict[str, Tensor], out: Path, facts: str) -> None:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import save_file
    except ImportError:
        raise MissingExtraError("mien models convert", "torch") from None
    fresh = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        fresh.touch()
        rights = fresh.stat().st_mode
        save_file(tensors, fresh, metadata={METADATA: facts})
        fresh.chmod(rights)  # safetensors lets nobody else read its files
        fresh.replace(out)
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{out} cannot be written: {_short(error)}") from error
    finally:
        fresh.unlink(missing_ok=True)


def _digest(source: Path) -> str:
    """Of a file; of a folder, that of the digests and names of its parts, as `sha256sum` prints them."""
    if not source.is_dir():
        return sha256_of(source)
    parts = sorted(p for p in source.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    return hashlib.sha256("".join(f"{sha256_of(p)}  {p.name}\n" for p in parts).encode()).hexdigest()


def _version() -> str:
    try:
        return version("mien")
    except PackageNotFoundError:  # a source tree on the path
        return "unknown"


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
