"""Pictures in, a row for each face out: decode, find, set upright, judge.

Where this differs from the scorer of whole pictures (`mien.runtime.scorer`), and why:

- A face is a part of its picture, so less is decoded at reduced scale: pictures keep their full size unless both sides
  are at least twice `ENOUGH_PX`. 24 megapixels of a camera stay as they are, 50 of a phone are halved.
- The judge runs in the thread that decoded the picture, on at most `batch` crops at once: what waits for its turn are
  rows and not pixels, so memory is bounded by one picture and one batch of crops for each thread, however many faces
  there are. It costs no time: batches of 1 and 8 take the same CPU time for each picture (see runtime/scorer.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from time import perf_counter
from typing import Literal, Protocol

from PIL import Image

from mien.core.decode import Picture, Source, decode
from mien.core.errors import ModelError, UnreadableImageError, UsageError
from mien.core.types import Face, Score
from mien.runtime.judge import Judge, Prepared, usable_cores
from mien.runtime.stream import check_several, in_order, path_of, printable, told

ENOUGH_PX = 2048  #: a picture may be reduced as long as both sides stay this long
MARGIN = 0.25  #: on each side of the face, in longer sides of its box: what the judge sees has hair and some background


class FindsFaces(Protocol):
    """What a finder of faces can do; several threads call it at once."""

    @property
    def model_id(self) -> str:
        """name@version; rows carry it, because other boxes give other scores."""
        ...

    def find(self, picture: Image.Image) -> list[Face]:
        """The faces of an upright RGB picture, in its pixels."""
        ...


class FaceScorer:
    """Scores faces with one judge: each is set upright and cut out with a margin, then judged like a picture.

    Where the card of the judge has a scale for faces, scores, intervals and percentiles are on that one.

    Args:
        model: None for the embedded judge, a name of `mien.list_models()`, the path of an .onnx file, or a `Judge`.
        finder: what finds the faces; None for the embedded finder.
        faces: "all" = a row for each face; "best" = only the largest one. Largest is the area of its box; between equal
            boxes the finder's confidence decides, then the place (left before right). How sure the finder is counts
            nowhere else: what it returns is a face.
        exact: decode every picture at its full size; slower, see `ENOUGH_PX`.
        batch: most faces for one run of the network, at least 1. Scores do not depend on it.
        threads: pictures at once, and cores for the network; None for all cores that this process may use.

    Raises:
        ModelError: the model or the finder is unknown, altered, or has no card; or no finder is embedded.
        UsageError: `batch` or `threads` below 1, or another word for `faces`.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Judge | None = None,
        *,
        finder: FindsFaces | None = None,
        faces: Literal["best", "all"] = "all",
        exact: bool = False,
        batch: int = 8,
        threads: int | None = None,
    ) -> None:
        if batch < 1 or (threads is not None and threads < 1):
            raise UsageError(f"batch and threads are at least 1, not {batch} and {threads}")
        if faces not in ("best", "all"):
            raise UsageError(f"faces={faces!r} is not known: 'best' (the largest face) or 'all'")
        self._every_face = faces == "all"
        self._threads = threads or usable_cores()
        self._batch = batch
        judge = model if isinstance(model, Judge) else Judge.load(model, threads=self._threads)
        self._judge = judge.for_faces
        self._finder = finder or _embedded_finder()
        self._enough_px = None if exact else ENOUGH_PX

    @property
    def model_id(self) -> str:
        """name@version of the judge; the column `model`."""
        return self._judge.model_id

    @property
    def preprocess_id(self) -> str:
        """Scores compare only when it is equal; the column `preprocess`."""
        return f"{self._finder.model_id}-face{round(100 * MARGIN)}-{self._judge.preprocess.id}"

    def score(self, source: Source) -> Score:
        """Score the face of one picture: with faces="best" the largest one.

        Args:
            source: a path, the bytes of a file, a PIL image, or an (h, w, 3) uint8 RGB array.

        Returns:
            A row of status `ok`.

        Raises:
            UsageError: faces="all", which gives several rows.
            UnreadableImageError: there is no picture, or no face in it; `.status` is one of
                `mien.core.types.STATUSES`.
            ModelError: the finder failed, or the judge gave no usable number.
        """
        if self._every_face:
            raise UsageError("faces='all' may give several rows: use stream([...]), or faces='best'")
        (row,) = self._rows_of(source)
        if row.status == "model_error":
            raise ModelError(row.error)
        if row.status != "ok":
            raise UnreadableImageError(row.status, row.error)
        return row

    def stream(self, sources: Iterable[Source]) -> Iterator[Score]:
        """Score many pictures, lazily and in their order: the rows of one picture are neighbours, the largest first.

        Every picture has at least one row: where there is no face, one of status `no_face` with `n_faces` 0. Reads up
        to 2 * threads sources ahead. Errors and closing as for `mien.runtime.scorer.Scorer.stream`.

        Args:
            sources: paths, bytes, PIL images or arrays, in any mixture; may be endless.

        Yields:
            Rows; `status` says whether there is a score, `error` why not. `x1` to `y2` and `landmarks` are pixels of
            the upright picture at its full size, whatever size was decoded. `ms` is the time spent on the picture,
            divided by the number of its rows.

        Raises:
            UsageError: one picture instead of several.
        """
        check_several(sources)
        return self._rows(iter(sources))

    def _rows(self, sources: Iterator[Source]) -> Iterator[Score]:
        results = in_order(self._rows_of, sources, threads=self._threads, ahead=2 * self._threads)
        with closing(results):
            for (rows,) in results:
                yield from rows

    def _rows_of(self, source: Source) -> list[Score]:
        """All rows of one picture, whatever happens."""
        started = perf_counter()
        rows = self._judged(source)
        ms = 1e3 * (perf_counter() - started) / len(rows)
        path = path_of(source)
        # a row without a face or a score has no other numbers
        return [replace(row, path=path, ms=ms if row.status == "ok" else None) for row in rows]

    def _judged(self, source: Source) -> list[Score]:
        try:
            picture = decode(source, enough_px=self._enough_px)
        except UnreadableImageError as error:
            return [self._failed(error.status, printable(str(error)))]
        except Exception as error:
            return [self._failed("decode_error", told(error))]
        try:
            faces = sorted(self._finder.find(picture.pixels), key=_largest_first)
        except Exception as error:  # whatever onnxruntime raises: the run of the others goes on
            return [self._failed("model_error", f"the finder failed: {told(error)}")]
        if not faces:
            none = self._failed("no_face", f"no face was found in {picture.width} x {picture.height} pixels")
            return [replace(none, n_faces=0)]
        wanted = faces if self._every_face else faces[:1]
        rows = [row for few in _batches(wanted, self._batch) for row in self._ask(picture, few)]
        return [_placed(row, i, wanted[i], len(faces), picture) for i, row in enumerate(rows)]

    def _ask(self, picture: Picture, faces: Sequence[Face]) -> list[Score]:
        """One run of the network; a row each, without its place."""
        crops = [self._prepared(picture, face) for face in faces]
        asked = [crop for crop in crops if not isinstance(crop, Score)]
        try:
            rows = iter([replace(row, preprocess=self.preprocess_id) for row in self._judge(asked)])
        except Exception as error:  # whatever onnxruntime raises
            rows = iter([self._failed("model_error", told(error))] * len(asked))
        return [crop if isinstance(crop, Score) else next(rows) for crop in crops]

    def _prepared(self, picture: Picture, face: Face) -> Prepared | Score:
        """What the judge reads of a face, or the row that says why there is nothing to read."""
        try:
            return self._judge.prepare(_crop(picture.pixels, face))
        except UsageError as error:  # a published network that wants more pixels
            return self._failed("too_small", printable(str(error)))
        except Exception as error:
            return self._failed("model_error", told(error))

    def _failed(self, status: str, error: str) -> Score:
        return replace(self._judge.failed(status, error), preprocess=self.preprocess_id)


def _embedded_finder() -> FindsFaces:
    from mien.faces.find import Finder

    return Finder.load()


def _crop(picture: Image.Image, face: Face) -> Image.Image:
    """The face upright, with its margin."""
    from mien.faces.align import upright_crop

    return upright_crop(picture, face, margin=MARGIN)


def _largest_first(face: Face) -> tuple[float, ...]:
    return (-face.area, -face.confidence, *face.box)


def _batches(faces: Sequence[Face], most: int) -> Iterator[Sequence[Face]]:
    return (faces[i : i + most] for i in range(0, len(faces), most))


def _in_full(face: Face, picture: Picture) -> Face:
    """A face in decoded pixels as one in the pixels of the upright original."""
    left, upper, right, lower = picture.box or (0.0, 0.0, *picture.pixels.size)
    x, y = picture.width / (right - left), picture.height / (lower - upper)
    return face.moved((x, y), (-left * x, -upper * y))


def _placed(row: Score, index: int, found: Face, n_faces: int, picture: Picture) -> Score:
    """The row with what is known of its face, which was `found` in decoded pixels."""
    return replace(row.of_face(_in_full(found, picture), index, n_faces), width=picture.width, height=picture.height)
