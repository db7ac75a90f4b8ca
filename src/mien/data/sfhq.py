"""SFHQ: synthetic faces without labels, sources for degradations of known strength.

Data:    David Beniaguev, SFHQ and SFHQ-T2I (MIT licence); no real person is shown
Layout:  faces.csv (file, generator, ...) and the pictures it names
"""

from __future__ import annotations

import csv
import zlib
from pathlib import Path

from mien.core.errors import UsageError
from mien.data.sample import Sample

VAL_SHARE = 1 / 6  # kept out of training, for the checks on degradations


def read(root: Path) -> tuple[Sample, ...]:
    """All faces; a hash of the file name decides who is kept for validation, so the split survives additions.

    Raises:
        UsageError: faces.csv or a picture that it names is not there.
    """
    table = root / "faces.csv"
    if not table.is_file():
        raise UsageError(f"no {table}: SFHQ needs faces.csv and the folder images/ that it names")
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    absent = [row["file"] for row in rows if not (root / row["file"]).is_file()]
    if absent:
        raise UsageError(f"{root} lacks {len(absent)} pictures that faces.csv names, the first is {absent[0]}")
    return tuple(
        Sample(row["file"], root / row["file"], split=_split(row["file"]), subset=row["generator"]) for row in rows
    )


def _split(name: str) -> str:
    return "val" if zlib.crc32(name.encode()) < VAL_SHARE * 2**32 else "train"
