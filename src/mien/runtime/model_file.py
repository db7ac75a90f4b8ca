"""A network on disk: `NAME.onnx` and the card beside it, `NAME.json`, which knows the file by its hash.

Judges and finders are read in the same way; what a card must say beyond that is their own business.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime as ort

from mien.core.errors import ModelError

_SCHEMA = 1


def usable_cores() -> int:
    """Cores that this process may use: its affinity mask where the system has one, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_card(path: Path) -> dict[str, Any]:
    """The card beside an .onnx file.

    Raises:
        ModelError: it is missing, not JSON, or of another schema.
    """
    beside = path.with_suffix(".json")
    try:
        facts = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.name} has no card: put {beside.name}, which came with it, into the folder") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"the card {beside.name} cannot be read: {error}") from error
    if not isinstance(facts, dict) or facts.get("schema") != _SCHEMA:
        raise ModelError(
            f"{beside.name} is not a model card of schema {_SCHEMA}. Use the card that came with the model"
        )
    return facts


def field(facts: Mapping[str, Any], path: Path, *keys: str) -> Any:
    """One value of the card of `path`; several keys lead into it.

    Raises:
        ModelError: the card lacks it.
    """
    value: Any = facts
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            raise ModelError(f"the card of {path.name} lacks {'.'.join(keys)!r}. Use the card that came with the model")
        value = value[key]
    return value


def read_network(path: Path, facts: Mapping[str, Any]) -> bytes:
    """The bytes of an .onnx file that its card describes.

    Raises:
        ModelError: it cannot be read, or its SHA-256 is not the card's.
    """
    try:
        network = path.read_bytes()
    except OSError as error:
        raise ModelError(f"the network {path.name} cannot be read: {error}. Install or copy it again") from error
    expected, found = field(facts, path, "sha256"), hashlib.sha256(network).hexdigest()
    if found != expected:
        raise ModelError(
            f"{path.name} is not the file that its card describes: sha256 {found[:12]}..., the card says "
            f"{str(expected)[:12]}... Install or copy both files again"
        )
    return network


def open_session(network: bytes, threads: int, path: Path) -> ort.InferenceSession:
    """A network in memory, on the CPU; the same pixels give the same bits.

    Args:
        network: the .onnx file.
        threads: cores that one run may use.
        path: where it comes from, for the message.

    Raises:
        ModelError: onnxruntime cannot open it.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    # Threads that spin while they wait steal the cores on which pictures are being decoded (numbers in scorer.py).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    ort.set_default_logger_severity(3)
    ort.disable_telemetry_events()
    try:
        return ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a dozen exception types without a common base
        raise ModelError(f"onnxruntime {ort.__version__} cannot open {path.name}: {error}") from error
