"""The verb `explain`: one picture → its score, its faces, the map of its parts → one page or one picture."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.apps.terminal import DONE, NOTHING_SCORED
from mien.core.errors import ModelError, UnreadableImageError, UsageError
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
    from mien.apps.explain_draw import layers
    from mien.core.decode import decode
    from mien.runtime.explain import explain

    _check(options.out)
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
        from mien.apps.explain_draw import sheet

        _write(options.out, lambda path: sheet(why, picture, faces, title, NOTES).save(path, "PNG"))
    else:
        from mien.apps.explain_page import page

        _write(options.out, lambda path: path.write_text(page(why, picture, faces, title, NOTES), encoding="utf-8"))
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


def _check(out: Path) -> None:
    shown = one_line(str(out))
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--out must be named *{', *'.join(SUFFIXES)}, not {shown}")
    if out.is_dir() or not out.parent.is_dir():
        why = "it is a folder" if out.is_dir() else f"there is no folder {one_line(str(out.parent))}"
        raise UsageError(f"cannot write {shown}: {why}")


def _write(out: Path, to: Callable[[Path], object]) -> None:
    """Complete or not at all; a file that is there is replaced."""
    temporary = out.with_name(f".mien-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        to(temporary)
        temporary.replace(out)
    except OSError as error:
        raise UsageError(f"cannot write {one_line(str(out))}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _tell(why: Explanation, faces: Sequence[Score], words: Sequence[str]) -> None:
    row = why.score
    interval = "" if row.score_lo is None else f" ({row.score_lo:.0f} to {row.score_hi:.0f})"
    print(f"{row.score:.1f}{interval} of 100, higher is better")
    for line in words:
        print(f"  by parts, {line}")
    for face in faces:
        score = face.error if face.score is None else f"{face.score:.1f}"
        print(f"  face {(face.face_index or 0) + 1} of {face.n_faces}: {score}")
