"""A judge: one network and the card beside it (`NAME.onnx` + `NAME.json`).

The embedded judge takes "image", (n, S, S, 3) float32 RGB of 0..255, and answers with "quality" (n,) on its training
scale, "spread" (n,) the scale of its own error, and "attributes" (n, 4) in 0..100, in the order of
`mien.core.types.ATTRIBUTES`. A published network that `mien export` wrote takes (n, v, 3, h, w) float32 for each of
its inputs, v views of n pictures, and answers with "quality" alone; what it cannot say stays empty in the row. The card
says how to prepare a picture and how to read the answers; the file is refused when it is not the one that the card
describes. Nothing is ever downloaded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
from PIL import Image

from mien.core.errors import ModelError, UsageError
from mien.core.preprocess import Preprocess
from mien.core.types import Score, Status
from mien.core.views import Box, ViewPreprocess
from mien.runtime.model_file import field, open_session, read_card, read_network, usable_cores

FOLDER = Path(__file__).parent / "judges"
EMBEDDED: dict[str, str] = {"mien-judge": "mien-judge-4.onnx"}  # name -> file in FOLDER
DEFAULT = "mien-judge"

_OUTPUTS = ("quality", "spread", "attributes")  # all of them for squares, the first for views

Array = npt.NDArray[Any]
Prepared = Mapping[str, Array]  #: what one picture gives each input of the network
Network = Callable[[dict[str, Array]], Mapping[str, Array]]  #: batches by input -> "quality" (n,) and more, if it can


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
    return read_card(find_model(name))


@dataclass(frozen=True, slots=True)
class Scale:
    """How the numbers of one network are read; part of its card. What is None is not known, and stays empty in rows."""

    raw_range: tuple[float, float]  #: raw values that become score 0 and 100
    interval_factor: float | None = None  #: the interval is raw -/+ this many times the predicted spread
    raw_quantiles: tuple[float, ...] | None = None  #: rising; raw values of a population at evenly spaced percentiles

    def score(self, raw: float) -> float:
        """0..100, clipped, higher is better."""
        low, high = self.raw_range
        return min(max(100.0 * (raw - low) / (high - low), 0.0), 100.0)

    def interval(self, raw: float, spread: float | None) -> tuple[float | None, float | None]:
        """Lower and upper end of the 90 % interval, 0..100."""
        if spread is None or self.interval_factor is None:
            return None, None
        half = self.interval_factor * spread
        return self.score(raw - half), self.score(raw + half)

    def percentile(self, raw: float) -> float | None:
        """0..100: share of the population that scores lower."""
        if self.raw_quantiles is None:
            return None
        return float(np.interp(raw, self.raw_quantiles, np.linspace(0.0, 100.0, len(self.raw_quantiles))))


class Judge:
    """A network in memory, ready to score prepared pictures. Safe to call from several threads.

    Args:
        model_id: name@version; the column `model`.
        preprocess: from a picture to what the network reads.
        scale: from the network's number to a score.
        network: batches by the name of the input -> answers; called with (n, ...) arrays.
        face_scale: how the number of a crop around a face is read; None: like that of a picture.
    """

    def __init__(
        self,
        model_id: str,
        preprocess: Preprocess | ViewPreprocess,
        scale: Scale,
        network: Network,
        face_scale: Scale | None = None,
    ) -> None:
        self.model_id = model_id
        self.preprocess = preprocess
        self.scale = scale
        self._network = network
        self._face_scale = face_scale

    @property
    def for_faces(self) -> Judge:
        """The same network with the scale that its card gives for crops around faces; itself where there is none."""
        if self._face_scale is None:
            return self
        return Judge(self.model_id, self.preprocess, self._face_scale, self._network)

    @classmethod
    def load(cls, model: str | os.PathLike[str] | None = None, *, threads: int | None = None) -> Judge:
        """Read an ONNX network and its card, and check that they belong together.

        Args:
            model: None for the embedded judge, a name of `list_models()`, or the path of an .onnx file.
            threads: cores that one run of the network may use; None for all that this process may use.

        Raises:
            ModelError: unknown name, missing or invalid card, altered file, or a network of another shape.
        """
        path = find_model(DEFAULT if model is None else model)
        facts = read_card(path)
        preprocess, scale = _preprocess_of(facts, path), _scale_of(facts, path)
        session = open_session(read_network(path, facts), threads or usable_cores(), path)
        if isinstance(preprocess, Preprocess):
            _check_square(session, preprocess.size_px, path)
            outputs = _OUTPUTS
        else:
            _check_views(session, preprocess, path)
            outputs = _OUTPUTS[:1]

        def network(batch: dict[str, Array]) -> dict[str, Array]:
            return dict(zip(outputs, map(np.asarray, session.run(list(outputs), batch)), strict=True))

        model_id = f"{field(facts, path, 'name')}@{field(facts, path, 'version')}"
        face_scale = _scale_of(facts["faces"], path) if "faces" in facts else None
        return cls(model_id, preprocess, scale, network, face_scale)

    def prepare(self, picture: Image.Image, box: Box | None = None) -> Prepared:
        """What the network reads of one picture; `box` as for `Preprocess`."""
        made = self.preprocess(picture, box)
        return made if isinstance(made, dict) else {"image": made}

    def __call__(self, pictures: Iterable[Prepared]) -> list[Score]:
        """Score a batch; each picture's answer is independent of its neighbours.

        Args:
            pictures: from `prepare`.

        Returns:
            A row each, without path and size: `ok`, or `model_error` where the network gave no usable number.
        """
        rows: list[Score] = []
        # the views of a picture are a batch already; several pictures at once would take several times the memory
        most = 1 if isinstance(self.preprocess, ViewPreprocess) else None
        for together in _runs_of_one_shape(pictures, most):
            answers = self._network({name: np.stack([p[name] for p in together]) for name in together[0]})
            spread, attributes = answers.get("spread"), answers.get("attributes")
            rows += [
                self._row(
                    float(q),
                    None if spread is None else float(spread[i]),
                    [] if attributes is None else [float(a) for a in attributes[i]],
                )
                for i, q in enumerate(answers["quality"])
            ]
        return rows

    def failed(self, status: str, error: str, path: str = "") -> Score:
        """The row of a picture without a score; `status` is one of `mien.core.types.STATUSES`."""
        return Score(
            path=path, status=cast("Status", status), model=self.model_id, preprocess=self.preprocess.id, error=error
        )

    def _row(self, raw: float, spread: float | None, attributes: Sequence[float]) -> Score:
        if not np.isfinite([raw, spread or 0.0, *attributes]).all() or (spread or 0.0) < 0:
            return self.failed("model_error", "the network gave a number that is not finite or a negative spread")
        low, high = self.scale.interval(raw, spread)
        row = Score(
            score=self.scale.score(raw),
            score_lo=low,
            score_hi=high,
            raw=raw,
            percentile=self.scale.percentile(raw),
            model=self.model_id,
            preprocess=self.preprocess.id,
        )
        if not attributes:
            return row
        sharpness, exposure, noise, compression = (min(max(a, 0.0), 100.0) for a in attributes)
        return replace(row, sharpness=sharpness, exposure=exposure, noise=noise, compression=compression)


def _runs_of_one_shape(pictures: Iterable[Prepared], most: int | None) -> Iterable[list[Prepared]]:
    """Neighbours that can be stacked, `most` at once; another size of picture may have another number of views."""
    run: list[Prepared] = []
    for picture in pictures:
        if run and (len(run) == most or any(picture[name].shape != value.shape for name, value in run[0].items())):
            yield run
            run = []
        run.append(picture)
    if run:
        yield run


def find_model(model: str | os.PathLike[str]) -> Path:
    """The .onnx file of a name (with or without `@version`) or path.

    Raises:
        ModelError: no such model.
    """
    name, _, version = os.fspath(model).partition("@")
    if name in EMBEDDED:
        path = FOLDER / EMBEDDED[name]
        if version in ("", str(read_card(path).get("version"))):
            return path
        raise ModelError(f"{name}@{version} is not in this release of mien, which has version {_version(path)}")
    path = Path(model)
    if path.suffix.lower() == ".onnx" and not path.is_file():
        raise ModelError(f"there is no file {os.fspath(model)}. A model is an .onnx file with its .json card beside it")
    if path.suffix.lower() != ".onnx":
        known = ", ".join(EMBEDDED)
        raise ModelError(f"no model {os.fspath(model)!r}. Pass the path of an .onnx file, or one of: {known}")
    return path


def _version(path: Path) -> str:
    return str(read_card(path).get("version"))


def _preprocess_of(facts: Mapping[str, Any], path: Path) -> Preprocess | ViewPreprocess:
    values = field(facts, path, "preprocess")
    try:
        if "inputs" in values:
            return ViewPreprocess.from_dict(values)
        preprocess = Preprocess(**values)
        if preprocess.size_px > 0 and preprocess.reducing_gap >= 2:
            return preprocess
    except (TypeError, UsageError):  # a field that this release does not have, or a value of another type
        pass
    raise ModelError(
        f"the card of {path.name} has an unknown preprocess: {values!r}. It is of another "
        "version of mien: export or train it again with this one"
    )


def _scale_of(facts: Mapping[str, Any], path: Path) -> Scale:
    factor = field(facts, path, "interval", "factor")
    quantiles = field(facts, path, "population", "raw_quantiles")
    try:
        low, high = (float(x) for x in field(facts, path, "raw_range"))
        scale = Scale(
            (low, high),
            None if factor is None else float(factor),
            None if quantiles is None else tuple(float(x) for x in quantiles),
        )
    except (TypeError, ValueError) as error:
        raise ModelError(f"the card of {path.name} has a scale that is not made of numbers: {error}") from error
    if not _rises(scale):
        raise ModelError(
            f"the card of {path.name} has a scale that does not rise. Use the card that came with the model"
        )
    return scale


def _rises(scale: Scale) -> bool:
    low, high = scale.raw_range
    factor = 0.0 if scale.interval_factor is None else scale.interval_factor
    quantiles = (0.0, 1.0) if scale.raw_quantiles is None else scale.raw_quantiles
    finite = bool(np.isfinite([low, high, factor, *quantiles]).all())
    return finite and low < high and factor >= 0 and len(quantiles) >= 2 and bool((np.diff(quantiles) >= 0).all())


def _check_square(session: ort.InferenceSession, size_px: int, path: Path) -> None:
    inputs = {i.name: (i.type, i.shape[1:]) for i in session.get_inputs()}
    outputs = {o.name for o in session.get_outputs()}
    free_batch = not isinstance(session.get_inputs()[0].shape[0], int)
    wanted = {"image": ("tensor(float)", [size_px, size_px, 3])}
    if inputs != wanted or not free_batch or not outputs.issuperset(_OUTPUTS):
        raise ModelError(
            f"{path.name} is no judge: wanted one input image float32 (n, {size_px}, {size_px}, 3) and the outputs "
            f"{', '.join(_OUTPUTS)}; found {inputs} and {sorted(outputs)}. Export it again"
        )


def _check_views(session: ort.InferenceSession, preprocess: ViewPreprocess, path: Path) -> None:
    inputs = {i.name: (i.type, len(i.shape)) for i in session.get_inputs()}
    outputs = {o.name for o in session.get_outputs()}
    wanted = dict.fromkeys(preprocess.inputs, ("tensor(float)", 5))
    if inputs != wanted or "quality" not in outputs:
        raise ModelError(
            f"{path.name} does not fit its card: wanted the inputs {wanted} and the output quality; found {inputs} and "
            f"{sorted(outputs)}. Export it again"
        )
