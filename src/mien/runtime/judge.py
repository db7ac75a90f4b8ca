"""A judge: one ONNX network and the card beside it (`NAME.onnx` + `NAME.json`).

The network takes "image", (n, S, S, 3) uint8 RGB, and answers with "quality" (n,) on its training scale, "spread" (n,)
the scale of its own error, and "attributes" (n, 4) in 0..100, in the order of `mien.core.types.ATTRIBUTES`. The card
says how to prepare a picture and how to read the answers; the file is refused when it is not the one that the card
describes. Nothing is ever downloaded.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from mien.core.errors import ModelError
from mien.core.preprocess import Interpolation, Preprocess
from mien.core.types import Score, Status

FOLDER = Path(__file__).parent / "judges"
EMBEDDED: dict[str, str] = {"mien-judge": "mien-judge-1.onnx"}  # name -> file in FOLDER
DEFAULT = "mien-judge"

_SCHEMA = 1
_OUTPUTS = ("quality", "spread", "attributes")


def list_models() -> list[str]:
    """Names that `load` and `Scorer` know without a path."""
    return list(EMBEDDED)


def card(name: str) -> dict[str, Any]:
    """The model card: everything known about a judge, as it stands in its JSON file.

    Args:
        name: a name of `list_models()` (with or without `@version`), or the path of an .onnx file.

    Raises:
        ModelError: no such model, or its card is missing or not JSON.
    """
    return _read_card(find_model(name))


@dataclass(frozen=True, slots=True)
class Scale:
    """How the numbers of one network are read; part of its card."""

    raw_range: tuple[float, float]  #: raw values that become score 0 and 100
    interval_factor: float  #: the interval is raw -/+ this many times the predicted spread
    raw_quantiles: tuple[float, ...]  #: rising; raw values of the card's population at evenly spaced percentiles

    def score(self, raw: float) -> float:
        """0..100, clipped, higher is better."""
        low, high = self.raw_range
        return min(max(100.0 * (raw - low) / (high - low), 0.0), 100.0)

    def percentile(self, raw: float) -> float:
        """0..100: share of the population that scores lower."""
        return float(np.interp(raw, self.raw_quantiles, np.linspace(0.0, 100.0, len(self.raw_quantiles))))


class Judge:
    """A network in memory, ready to score prepared squares. Safe to call from several threads."""

    def __init__(self, model_id: str, preprocess: Preprocess, scale: Scale, session: ort.InferenceSession) -> None:
        self.model_id = model_id
        self.preprocess = preprocess
        self.scale = scale
        self._session = session

    @classmethod
    def load(cls, model: str | os.PathLike[str] | None = None, *, threads: int | None = None) -> Judge:
        """Read a network and its card, and check that they belong together.

        Args:
            model: None for the embedded judge, a name of `list_models()`, or the path of an .onnx file.
            threads: cores that one run of the network may use; None for all that this process may use.

        Raises:
            ModelError: unknown name, missing or invalid card, altered file, or a network of another shape.
        """
        path = find_model(DEFAULT if model is None else model)
        facts = _read_card(path)
        preprocess, scale = _preprocess_of(facts, path), _scale_of(facts, path)
        session = _open_session(_read_network(path, facts), threads or usable_cores(), path)
        _check_shape(session, preprocess.size_px, path)
        return cls(f"{_field(facts, path, 'name')}@{_field(facts, path, 'version')}", preprocess, scale, session)

    def __call__(self, squares: npt.NDArray[np.uint8]) -> list[Score]:
        """Score a batch; each picture's answer is independent of its neighbours.

        Args:
            squares: (n, S, S, 3) uint8 RGB, S = `preprocess.size_px`.

        Returns:
            n rows without path and size: status `ok`, or `model_error` where the network gave no usable number.
        """
        quality, spread, attributes = self._session.run(list(_OUTPUTS), {"image": squares})
        triples = zip(np.asarray(quality), np.asarray(spread), np.asarray(attributes), strict=True)
        return [self._row(float(q), float(s), [float(a) for a in several]) for q, s, several in triples]

    def failed(self, status: str, error: str, path: str = "") -> Score:
        """The row of a picture without a score; `status` is one of `mien.core.types.STATUSES`."""
        return Score(
            path=path, status=cast("Status", status), model=self.model_id, preprocess=self.preprocess.id, error=error
        )

    def _row(self, raw: float, spread: float, attributes: Sequence[float]) -> Score:
        if not np.isfinite([raw, spread, *attributes]).all() or spread < 0:
            return self.failed("model_error", "the network gave a number that is not finite or a negative spread")
        half = self.scale.interval_factor * spread
        sharpness, exposure, noise, compression = (min(max(a, 0.0), 100.0) for a in attributes)
        return Score(
            score=self.scale.score(raw),
            score_lo=self.scale.score(raw - half),
            score_hi=self.scale.score(raw + half),
            raw=raw,
            percentile=self.scale.percentile(raw),
            model=self.model_id,
            preprocess=self.preprocess.id,
            sharpness=sharpness,
            exposure=exposure,
            noise=noise,
            compression=compression,
        )


def usable_cores() -> int:
    """Cores that this process may use: its affinity mask where the system has one, else all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_model(model: str | os.PathLike[str]) -> Path:
    """The .onnx file of a name (with or without `@version`) or path.

    Raises:
        ModelError: no such model.
    """
    name, _, version = os.fspath(model).partition("@")
    if name in EMBEDDED:
        path = FOLDER / EMBEDDED[name]
        if version in ("", str(_read_card(path).get("version"))):
            return path
        raise ModelError(f"{name}@{version} is not in this release of mien, which has version {_version(path)}")
    path = Path(model)
    if path.suffix.lower() != ".onnx" or not path.is_file():
        known = ", ".join(EMBEDDED)
        raise ModelError(f"no model {os.fspath(model)!r}. Pass the path of an .onnx file, or one of: {known}")
    return path


def _version(path: Path) -> str:
    return str(_read_card(path).get("version"))


def _read_card(path: Path) -> dict[str, Any]:
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


def _field(facts: Mapping[str, Any], path: Path, *keys: str) -> Any:
    value: Any = facts
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            raise ModelError(f"the card of {path.name} lacks {'.'.join(keys)!r}. Use the card that came with the model")
        value = value[key]
    return value


def _preprocess_of(facts: Mapping[str, Any], path: Path) -> Preprocess:
    values = _field(facts, path, "preprocess")
    try:
        preprocess = Preprocess(**values)
        known = preprocess.size_px > 0 and preprocess.reducing_gap >= 1
        if known and preprocess.interpolation in get_args(Interpolation):
            return preprocess
    except TypeError:  # a field that this release does not have, or a value of another type
        pass
    raise ModelError(f"the card of {path.name} has an unknown preprocess: {values!r}. A newer mien may know it")


def _scale_of(facts: Mapping[str, Any], path: Path) -> Scale:
    try:
        low, high = (float(x) for x in _field(facts, path, "raw_range"))
        factor = float(_field(facts, path, "interval", "factor"))
        quantiles = tuple(float(x) for x in _field(facts, path, "population", "raw_quantiles"))
    except (TypeError, ValueError) as error:
        raise ModelError(f"the card of {path.name} has a scale that is not made of numbers: {error}") from error
    rising = len(quantiles) >= 2 and bool((np.diff(quantiles) >= 0).all())
    finite = bool(np.isfinite([low, high, factor, *quantiles]).all())
    if not (finite and rising and low < high and factor >= 0):
        raise ModelError(
            f"the card of {path.name} has a scale that does not rise. Use the card that came with the model"
        )
    return Scale((low, high), factor, quantiles)


def _read_network(path: Path, facts: Mapping[str, Any]) -> bytes:
    try:
        network = path.read_bytes()
    except OSError as error:
        raise ModelError(f"the network {path.name} cannot be read: {error}. Install or copy it again") from error
    expected, found = _field(facts, path, "sha256"), hashlib.sha256(network).hexdigest()
    if found != expected:
        raise ModelError(
            f"{path.name} is not the file that its card describes: sha256 {found[:12]}..., the card says "
            f"{str(expected)[:12]}... Install or copy both files again"
        )
    return network


def _open_session(network: bytes, threads: int, path: Path) -> ort.InferenceSession:
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


def _check_shape(session: ort.InferenceSession, size_px: int, path: Path) -> None:
    inputs = {i.name: (i.type, i.shape[1:]) for i in session.get_inputs()}
    outputs = {o.name for o in session.get_outputs()}
    free_batch = not isinstance(session.get_inputs()[0].shape[0], int)
    wanted = {"image": ("tensor(uint8)", [size_px, size_px, 3])}
    if inputs != wanted or not free_batch or not outputs.issuperset(_OUTPUTS):
        raise ModelError(
            f"{path.name} is no judge: wanted one input image uint8 (n, {size_px}, {size_px}, 3) and the outputs "
            f"{', '.join(_OUTPUTS)}; found {inputs} and {sorted(outputs)}. Export it again"
        )
