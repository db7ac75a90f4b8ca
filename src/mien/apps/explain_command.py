"""The verb `explain`: one picture → its score, its faces, the map of its parts → one page or one picture."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.apps.outputs import check_target, replace
from mien.apps.terminal import DONE, NOTHING_SCORED
from mien.core.errors import ModelError, UnreadableImageError
from mien.core.rows import one_line
from mien.core.types import Score
from mien.runtime.explain import Explanation
from mien.runtime.judge import Judge

SUFFIXES = (".html", ".htm", ".png")
_ENOUGH_PX = 1600  #: of the picture that is drawn

NOTES = (
    "Each part, half the width and half the height of the picture, was scored by the same judge as if it were a "
    "picture; a place shows the mean of the parts that cover it.",
    "The values do not add up to the score, and they do not prove what the network looked at. A part with little in it "
    "(a wall, the sky, a dark background) may score low by itself without being a fault.",
)


@dataclass(frozen=True, slots=True)
class ExplainOptions:
    """What `mien explain --help` says."""

    image: str
    out: Path
    model: str | None = None
    finder: Path | None = None


def explain_picture(options: ExplainOptions) -> int:
    """Write the explanation of one picture, and say on stdout where it scores lowest.

    Returns:
        The exit code: 0 done, 4 the picture cannot be read.

    Raises:
        MienError: wrong usage, an unusable model or finder, or an output that cannot be written.
    """
    from mien.apps.explain_draw import layers, sheet
    from mien.apps.explain_page import page
    from mien.core.decode import decode
    from mien.runtime.explain import explain

    check_target("--out", options.out, SUFFIXES)
    judge = Judge.load(options.model)
    try:
        why = explain(options.image, model=judge)
        picture = decode(options.image, enough_px=_ENOUGH_PX).pixels
    except UnreadableImageError as error:
        print(f"mien: {error.status}  {one_line(options.image)}: {one_line(str(error))}", file=sys.stderr)
        return NOTHING_SCORED
    faces = _faces(options, judge)
    title = one_line(Path(options.image).name)
    if options.out.suffix.lower() == ".png":
        stream = io.BytesIO()
        sheet(why, picture, faces, title, NOTES).save(stream, "PNG")
        replace(options.out, stream.getvalue())
    else:
        replace(options.out, page(why, picture, faces, title, NOTES).encode())
    _tell(why, faces, [f"{layer.name}: {layer.words}" for layer in layers(why)])
    return DONE


def _faces(options: ExplainOptions, judge: Judge) -> list[Score]:
    """A row for each face; none without a finder, be it embedded or named."""
    from mien.faces.find import Finder
    from mien.faces.scorer import FaceScorer

    try:
        finder = Finder.load(options.finder)
    except ModelError:
        if options.finder is not None:
            raise
        return []
    rows = FaceScorer(judge, finder=finder).stream([options.image])
    return [row for row in rows if row.face_index is not None]


def _tell(why: Explanation, faces: Sequence[Score], words: Sequence[str]) -> None:
    row = why.score
    interval = "" if row.score_lo is None else f" ({row.score_lo:.0f} to {row.score_hi:.0f})"
    print(f"{row.score:.1f}{interval} of 100, higher is better")
    for line in words:
        print(f"  by parts, {line}")
    for face in faces:
        score = face.error if face.score is None else f"{face.score:.1f}"
        print(f"  face {(face.face_index or 0) + 1} of {face.n_faces}: {score}")
