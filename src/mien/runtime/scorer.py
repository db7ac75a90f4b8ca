"""Pictures in, rows out: decoding in threads beside one network session.

Why it runs like this (measured on 2 cores; networks of dense 3x3 convolutions and of inverted residuals at 256 px;
JPEGs of 512 px and of 12 megapixels):

- The answers of onnxruntime differ by at most 1.2e-7 between batches of 1, 2, 3, 8 and 32 and between 1, 2 and 4
  threads, so a batch may take what is ready and never has to wait until it is full.
- The CPU time for one picture is the same within noise for batches of 1 and 8, for a network on 1 or 2 cores, and for
  the other design (decode and network together in each thread): 7.0 to 7.8 ms at 512 px, 32 to 34 ms at 12 megapixels.
  The network on all cores also keeps them busy when it, and not decoding, is the slower part.
- Threads of the network that spin while they wait cost the decoders 40 to 50 % (10.4 ms, 48 ms): spinning is off.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from time import perf_counter

from mien.core.decode import Picture, Source, decode
from mien.core.errors import ModelError, UnreadableImageError, UsageError
from mien.core.preprocess import Preprocess, read
from mien.core.types import Score
from mien.runtime.judge import Judge, Prepared, usable_cores
from mien.runtime.stream import check_several, in_order, path_of, printable, told


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A picture that waits for the network."""

    path: str
    inputs: Prepared
    width: int
    height: int
    ms: float


class Scorer:
    """Scores whole pictures with one judge. Make it once, use it often, from several threads if you like.

    Args:
        model: None for the embedded judge, a name of `mien.list_models()`, the path of an .onnx file, or a `Judge`.
        exact: decode large pictures in full instead of at the reduced scale that the network needs; slower. The default
            moves a score by less than 0.15 points in 95 % of large pictures (`benchmarks/reduced_decoding.py`).
        batch: most pictures for one run of the network, at least 1. Scores do not depend on it.
        threads: decoding threads, and cores for the network; None for all cores that this process may use.

    Raises:
        ModelError: the model is unknown, altered, or has no card.
        UsageError: `batch` or `threads` below 1.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Judge | None = None,
        *,
        exact: bool = False,
        batch: int = 8,
        threads: int | None = None,
    ) -> None:
        if batch < 1 or (threads is not None and threads < 1):
            raise UsageError(f"batch and threads are at least 1, not {batch} and {threads}")
        self._threads = threads or usable_cores()
        self._batch = batch
        self._judge = model if isinstance(model, Judge) else Judge.load(model, threads=self._threads)
        self._exact = exact

    @property
    def model_id(self) -> str:
        """name@version of the judge; the column `model`."""
        return self._judge.model_id

    @property
    def preprocess_id(self) -> str:
        """Scores compare only when it is equal; the column `preprocess`."""
        return self._judge.preprocess.id

    def score(self, source: Source) -> Score:
        """Score one picture.

        Args:
            source: a path, the bytes of a file, a PIL image, or an (h, w, 3) uint8 RGB array.

        Returns:
            A row of status `ok`.

        Raises:
            UnreadableImageError: there is no picture to score; `.status` is one of `mien.core.types.STATUSES`.
            ModelError: the network gave no usable number.
        """
        row = self._ask([self._prepare(source)])[0]
        if row.status != "ok":
            raise ModelError(row.error)
        return row

    def stream(self, sources: Iterable[Source]) -> Iterator[Score]:
        """Score many pictures, lazily and in their order: exactly one row each, whatever the picture is.

        Reads up to 2 * batch + threads sources ahead, so memory does not grow with their number. A row comes when the
        look-ahead is full or the sources end. An error of `sources` itself is raised after the rows of what came
        before it. Closing the iterator stops the work and its threads.

        Args:
            sources: paths, bytes, PIL images or arrays, in any mixture; may be endless.

        Yields:
            A row each; `status` says whether there is a score, `error` why not.

        Raises:
            UsageError: one picture instead of several.
        """
        check_several(sources)
        return self._rows(iter(sources))

    def _rows(self, sources: Iterator[Source]) -> Iterator[Score]:
        ahead = 2 * self._batch + self._threads
        prepared = in_order(self._prepare_or_row, sources, threads=self._threads, ahead=ahead, most=self._batch)
        with closing(prepared):
            for taken in prepared:
                yield from self._answer(taken)

    def _answer(self, taken: list[_Prepared | Score]) -> list[Score]:
        scored = iter(self._ask([each for each in taken if isinstance(each, _Prepared)]))
        return [next(scored) if isinstance(each, _Prepared) else each for each in taken]

    def _ask(self, pictures: list[_Prepared]) -> list[Score]:
        """One run of the network; a row each, in the same order."""
        if not pictures:
            return []
        started = perf_counter()
        try:
            rows = self._judge([p.inputs for p in pictures])
        except Exception as error:  # whatever onnxruntime raises: the run of the others goes on
            return [self._judge.failed("model_error", told(error), p.path) for p in pictures]
        share_ms = 1e3 * (perf_counter() - started) / len(pictures)
        return [_complete(row, p, p.ms + share_ms) for row, p in zip(rows, pictures, strict=True)]

    def _prepare(self, source: Source) -> _Prepared:
        started = perf_counter()
        try:
            picture, inputs = self._read(source)
        except UnreadableImageError:
            raise
        except UsageError as error:
            raise UnreadableImageError("too_small", told(error)) from error
        except Exception as error:
            raise UnreadableImageError("decode_error", told(error)) from error
        ms = 1e3 * (perf_counter() - started)
        return _Prepared(path_of(source), inputs, picture.width, picture.height, ms)

    def _read(self, source: Source) -> tuple[Picture, Prepared]:
        preprocess = self._judge.preprocess
        if isinstance(preprocess, Preprocess):
            picture, image = read(source, preprocess, exact=self._exact)
            return picture, {"image": image}
        picture = decode(source, enough_px=None if self._exact else preprocess.enough_px)
        return picture, self._judge.prepare(picture.pixels, picture.box)

    def _prepare_or_row(self, source: Source) -> _Prepared | Score:
        try:
            return self._prepare(source)
        except UnreadableImageError as error:
            return self._judge.failed(error.status, printable(str(error)), path_of(source))


def score(source: Source) -> Score:
    """Score one picture with the embedded judge, which stays in memory for the next call.

    Args and errors as for `Scorer.score`; for many pictures `Scorer().stream(...)` is faster.
    """
    return _embedded().score(source)


@lru_cache(maxsize=1)
def _embedded() -> Scorer:
    return Scorer()


def _complete(row: Score, picture: _Prepared, ms: float) -> Score:
    if row.status != "ok":  # no numbers at all
        return replace(row, path=picture.path)
    return replace(row, path=picture.path, width=picture.width, height=picture.height, ms=ms)
