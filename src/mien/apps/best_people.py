"""Who is on the pictures of a burst: its faces, found and scored once, put together by what an identity network says.

Embeddings live as long as their burst is looked at, aligned faces shorter; neither is kept or written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from mien.apps.bursts import Lineup, Shot, Told
from mien.core.decode import decode
from mien.core.errors import UnreadableImageError, UsageError
from mien.core.rows import Row, one_line
from mien.core.types import ATTRIBUTES, Face, Point, Score

if TYPE_CHECKING:
    from PIL.Image import Image

    from mien.faces.identity import Embed

Embedding = npt.NDArray[np.floating]  #: (d,)

_MEASURED = ("score", "score_lo", "score_hi", "raw", "percentile", *ATTRIBUTES, "ms")


@dataclass(frozen=True, slots=True)
class Sighting:
    """Somebody on a picture."""

    shot: Shot
    row: Row
    embedding: Embedding


def by_person(burst: Sequence[Shot], rows: Iterator[Score], told: Told, *, embed: Embed, same: float) -> list[Lineup]:
    """The faces of each person of a burst.

    Args:
        burst: its pictures in their order, each path once.
        rows: those of a scorer with faces="all"; those of this burst are taken from it.
        told: called with each row in its order, whether it has a score or not.
        embed: see `mien.faces.identity`.
        same: see `mien.faces.people.people`.

    Returns:
        People in the order of the first picture they are on, and from left to right there; their faces in the order of
        the pictures, at most one on each. A face of which it cannot be told whose it is, is in none.
    """
    from mien.faces.people import people

    seen: list[Sighting] = []
    for shot in burst:
        faces = [(told(row), embedding) for row, embedding in _faces(shot.path, _of_next_picture(rows), embed)]
        known = [Sighting(shot, row, embedding) for row, embedding in faces if embedding is not None]
        seen += sorted(known, key=lambda face: face.row["x1"] + face.row["x2"])
    if not seen:
        return []
    numbers = people(np.stack([face.embedding for face in seen]), [face.shot.path for face in seen], same=same)
    lineups: list[Lineup] = [[] for _ in set(numbers)]
    for number, face in zip(numbers, seen, strict=True):
        lineups[number].append((face.shot, face.row))
    return lineups


def _of_next_picture(rows: Iterator[Score]) -> list[Score]:
    """A row for each of its faces, or the one that says why there is none."""
    first = next(rows)
    return [first, *islice(rows, (first.n_faces or 1) - 1)]


def _faces(path: str, rows: Sequence[Score], embed: Embed) -> list[tuple[Score, Embedding | None]]:
    """The faces that the scorer found, looked at again in the pixels of the full picture, for whose they are."""
    if rows[0].landmarks is None:
        return [(row, None) for row in rows]
    try:
        picture = decode(path).pixels
    except UnreadableImageError as error:  # it was there when it was scored
        gone = Score(path=rows[0].path, model=rows[0].model, preprocess=rows[0].preprocess, error=one_line(str(error)))
        return [(replace(gone, status=error.status), None)]
    return [_recognised(row, picture, embed) for row in rows]


def _recognised(row: Score, picture: Image, embed: Embed) -> tuple[Score, Embedding | None]:
    """One face at a time: beside others its embedding might differ in the last digits.

    Returns:
        The row and the embedding; without one, the row has no score either, for it can be nobody's best.
    """
    from mien.faces.align import aligned
    from mien.faces.identity import FACE_PX

    try:
        (embedding,) = embed([aligned(picture, _face(row), FACE_PX)])
    except UsageError as error:
        return _nobody(row, str(error)), None
    if not 0 < np.linalg.norm(embedding) < np.inf:
        return _nobody(row, "its embedding has length 0, or is not finite"), None
    return row, embedding


def _face(row: Score) -> Face:
    """The face that a row is about, in pixels of the full picture."""
    box = cast("tuple[float, float, float, float]", (row.x1, row.y1, row.x2, row.y2))
    landmarks = cast("tuple[Point, Point, Point, Point, Point]", row.landmarks)
    return Face(box, landmarks, row.face_confidence or 0.0)


def _nobody(row: Score, why: str) -> Score:
    empty = replace(row, **dict.fromkeys(_MEASURED))
    return replace(empty, status="model_error", error=one_line(f"whose face this is cannot be told: {why}"))
