"""`mien.Scorer`: whole pictures or single faces, one door. It decides which scorer does the work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from mien.core.decode import Source
    from mien.core.types import Score
    from mien.faces.scorer import FindsFaces
    from mien.runtime.judge import Judge


class Scorer:
    """Scores pictures with one judge. Make it once, use it often, from several threads if you like.

    Args:
        model: None for the embedded judge, a name of `mien.list_models()`, the path of an .onnx file, or a `Judge`.
        faces: what is scored: "whole" = the whole picture; "best" = its largest face; "all" = every face, a row each.
        finder: for "best" and "all", what finds the faces, for example `mien.faces.find.Finder.load(FILE)`; None for
            the embedded finder.
        exact: decode large pictures in full instead of at a reduced scale; slower.
        batch: most pictures, or faces, for one run of the network, at least 1. Scores do not depend on it.
        threads: decoding threads, and cores for the network; None for all cores that this process may use.

    Raises:
        ModelError: the model or the finder is unknown, altered, or has no card; or no finder is embedded.
        UsageError: `batch` or `threads` below 1, another word for `faces`, or a finder for whole pictures.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Judge | None = None,
        *,
        faces: Literal["whole", "best", "all"] = "whole",
        finder: FindsFaces | None = None,
        exact: bool = False,
        batch: int = 8,
        threads: int | None = None,
    ) -> None:
        from mien.core.errors import UsageError
        from mien.runtime import scorer

        if faces not in ("whole", "best", "all"):
            raise UsageError(f"faces={faces!r} is not known: 'whole', 'best' or 'all'")
        if faces == "whole" and finder is not None:
            raise UsageError("a finder belongs to faces='best' or faces='all'; whole pictures are scored without one")
        if faces == "whole":
            self._scorer = scorer.Scorer(model, exact=exact, batch=batch, threads=threads)
        else:
            from mien.faces.scorer import FaceScorer

            self._scorer = FaceScorer(model, finder=finder, faces=faces, exact=exact, batch=batch, threads=threads)

    @property
    def model_id(self) -> str:
        """name@version of the judge; the column `model`."""
        return self._scorer.model_id

    @property
    def preprocess_id(self) -> str:
        """Scores compare only when it is equal; the column `preprocess`."""
        return self._scorer.preprocess_id

    def score(self, source: Source) -> Score:
        """Score one picture, or its largest face.

        Args:
            source: a path, the bytes of a file, a PIL image, or an (h, w, 3) uint8 RGB array.

        Returns:
            A row of status `ok`.

        Raises:
            UsageError: faces="all", which may give several rows.
            UnreadableImageError: there is nothing to score; `.status` is one of `mien.core.types.STATUSES`.
            ModelError: a network gave no usable number.
        """
        return self._scorer.score(source)

    def stream(self, sources: Iterable[Source]) -> Iterator[Score]:
        """Score many pictures, lazily and in their order; every picture has a row, whatever it is.

        With faces="all" a picture of several faces has one row for each, the largest first. Memory does not grow with
        the number of sources; an error of `sources` itself is raised after the rows of what came before it.

        Args:
            sources: paths, bytes, PIL images or arrays, in any mixture; may be endless.

        Yields:
            Rows; `status` says whether there is a score, `error` why not.

        Raises:
            UsageError: one picture instead of several.
        """
        return self._scorer.stream(sources)
