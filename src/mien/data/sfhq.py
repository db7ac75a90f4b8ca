"""SFHQ: synthetic faces without labels, sources for degradations of known strength.

Data:    David Beniaguev, SFHQ and SFHQ-T2I (MIT licence); no real person is shown
Layout:  faces.csv (file, generator, face_x, ..., right_eye_x, ...) and the pictures it names
"""

from __future__ import annotations

import csv
import zlib
from pathlib import Path

from mien.core.errors import UsageError
from mien.core.types import Face
from mien.data import layout
from mien.data.sample import Sample

LAYOUT = "faces.csv and the folder images/ that it names"
VAL_SHARE = 1 / 6  # kept out of training, for the checks on degradations


def read(root: Path) -> tuple[Sample, ...]:
    """All faces; a hash of the file name decides who is kept for validation, so the split survives additions.

    Raises:
        UsageError: faces.csv or a picture that it names is not there.
    """
    table = root / "faces.csv"
    if not table.is_file():
        raise UsageError(f"no {table}: SFHQ needs {LAYOUT}")
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    absent = [row["file"] for row in rows if not (root / row["file"]).is_file()]
    if absent:
        raise UsageError(f"{root} lacks {len(absent)} pictures that faces.csv names, the first is {absent[0]}")
    return tuple(
        Sample(row["file"], root / row["file"], split=_split(row["file"]), subset=row["generator"]) for row in rows
    )


def faces(root: Path) -> dict[str, Face]:
    """The face of each picture as YuNet saw it, in pixels of the file.

    Returns:
        By the name of the picture, as `read` gives it.

    Raises:
        UsageError: faces.csv is absent, or lacks a column.
    """
    file, box = root / "faces.csv", ("face_x", "face_y", "face_w", "face_h")
    found = {}
    for row in layout.rows(file, ("file", "face_score", *box, *layout.LANDMARK_COLUMNS), LAYOUT):
        x, y, w, h = (layout.number(row, column, file) for column in box)
        confidence = layout.number(row, "face_score", file)
        found[row["file"]] = Face((x, y, x + w, y + h), layout.landmarks(row, file), confidence)
    return found


def _split(name: str) -> str:
    return "val" if zlib.crc32(name.encode()) < VAL_SHARE * 2**32 else "train"
