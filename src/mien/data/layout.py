"""What every adapter needs: a label table with its columns, numbers, and pictures that are where the table says.

Every complaint names the file and the layout that was expected.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from mien.core.errors import UsageError
from mien.core.types import LANDMARKS, Point
from mien.data.sample import Sample

Row = dict[str, str]

SPLITS = {"training": "train", "validation": "val", "testing": "test"}  #: other people's words for ours


def split_name(text: str) -> str:
    """Our word for a split ("train", "val", "test"), from any in use."""
    word = text.strip().lower()
    return SPLITS.get(word, word)


def rows(file: Path, needed: Iterable[str], layout: str) -> list[Row]:
    """The rows of a CSV file with a header; bytes that are not UTF-8 survive as they do in file names.

    Args:
        file: CSV in UTF-8, with or without BOM.
        needed: columns that must be there.
        layout: what the data set looks like, for the message.

    Raises:
        UsageError: no such file, not a table, no rows, or a column is missing.
    """
    found = csv_cells(file, layout)
    if len(found) < 2:
        raise UsageError(f"{file} has no rows; expected {layout}")
    header = [name.strip() for name in found[0]]
    if absent := [name for name in needed if name not in header]:
        raise UsageError(f"{file} has no column {absent[0]}; it has {', '.join(header)}. Expected {layout}")
    for number, cells in enumerate(found[1:], start=2):
        if len(cells) != len(header):
            raise UsageError(f"{file}: row {number} has {len(cells)} cells, the header {len(header)}")
    return [dict(zip(header, (cell.strip() for cell in cells), strict=True)) for cells in found[1:]]


def headless_rows(found: list[list[str]], columns: Sequence[str], numeric: str, file: Path, layout: str) -> list[Row]:
    """The rows of a table that has no header, or has one: a first row whose `numeric` cell is not a number.

    Args:
        found: cells, row by row.
        columns: their names in order; further cells are ignored.
        numeric: the column that holds numbers; an empty cell is one, too.
        file: where the cells come from, for the message.
        layout: what the data set looks like, for the message.

    Raises:
        UsageError: no rows, or a row is too short.
    """
    at = columns.index(numeric)
    if found and len(found[0]) > at and found[0][at].strip() and math.isnan(_float(found[0][at])):
        found = found[1:]
    if not found:
        raise UsageError(f"{file} has no rows; expected {layout}")
    if short := [cells for cells in found if len(cells) < len(columns)]:
        raise UsageError(f"{file}: {','.join(short[0])!r} is not {','.join(columns)}; expected {layout}")
    return [dict(zip(columns, (cell.strip() for cell in cells), strict=False)) for cells in found]


def csv_cells(file: Path, layout: str) -> list[list[str]]:
    """The cells of a CSV file, row by row, without empty lines; UTF-8 with or without BOM.

    Raises:
        UsageError: no such file, or not a table.
    """
    if not file.is_file():
        raise UsageError(f"no {file}: expected {layout}")
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            return [cells for cells in csv.reader(stream, strict=True) if cells]
    except csv.Error as error:
        raise UsageError(f"{file} is not a CSV file: {error}; expected {layout}") from error


def number(row: Row, column: str, file: Path) -> float:
    """A finite number of a row.

    Raises:
        UsageError: it is not one.
    """
    value = _float(row[column])
    if not math.isfinite(value):
        raise UsageError(f"{file}: {column} must be a finite number, not {row[column]!r} ({next(iter(row.values()))})")
    return value


def optional_number(row: Row, column: str, file: Path) -> float | None:
    """A finite number, or None where the column is absent or the cell is empty."""
    return number(row, column, file) if row.get(column) else None


LANDMARK_COLUMNS: tuple[str, ...] = tuple(f"{name}_{axis}" for name in LANDMARKS for axis in "xy")


def landmarks(row: Row, file: Path) -> tuple[Point, Point, Point, Point, Point]:
    """The five points of a face, from the columns `LANDMARK_COLUMNS`.

    Raises:
        UsageError: one of them is no number.
    """
    a, b, c, d, e = ((number(row, f"{n}_x", file), number(row, f"{n}_y", file)) for n in LANDMARKS)
    return a, b, c, d, e


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def checked(
    samples: Iterable[Sample], root: Path, layout: str, *, labels: Path | None = None, check_pictures: bool = True
) -> tuple[Sample, ...]:
    """The samples, once every name is seen to be unique and every picture to be there.

    Args:
        samples: of one data set.
        root: its folder, for the message.
        layout: what it looks like, for the message.
        labels: the one table that names the pictures, for the message.
        check_pictures: False where only the labels are wanted.

    Raises:
        UsageError: a name twice, or pictures are absent; they are counted and the first is named.
    """
    kept = tuple(samples)
    names: set[str] = set()
    for sample in kept:
        if sample.name in names:
            raise UsageError(f"{labels or root}: {sample.name} is labelled twice")
        names.add(sample.name)
    absent = [sample for sample in kept if not sample.file.is_file()] if check_pictures else []
    if absent:
        lack = f"{root} lacks {len(absent)} of {len(kept)} pictures that its labels name"
        if labels is not None:
            lack = f"{labels} names {len(kept)} pictures, and {len(absent)} of them cannot be found"
        raise UsageError(f"{lack}, the first is {absent[0].file}; expected {layout}")
    return kept


class AnyCase:
    """Files of a folder by their names in any case: some releases spell them differently in table and folder."""

    def __init__(self, folder: Path) -> None:
        """List the folder; one that is not there has no files."""
        self._folder = folder
        self._names = {p.name.lower(): p.name for p in folder.iterdir()} if folder.is_dir() else {}

    def __getitem__(self, name: str) -> Path:
        """The file that is there, or the path as given."""
        return self._folder / self._names.get(name.lower(), name)
