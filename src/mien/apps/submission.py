"""A submission of somebody unknown: a table, never code. Checked completely, and every reason to refuse it is listed.

A .csv file, or a .zip with exactly one .csv in it, which is read in memory and never unpacked to disk. Two columns
count, the name and `score`; cells are names and plain decimal numbers, and nothing in them is ever interpreted.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from mien.core.errors import UsageError
from mien.core.rows import one_line
from mien.evaluation.tables import LabelTable, Predictions, listed

ENTRIES = 16  #: files in a zip; more are refused before they are looked at
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_LINK, _ENCRYPTED = 0xA000, 0x1  # of an entry of a zip


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a submission may be.

    Attributes:
        bytes: of the file, and of the table inside a zip.
        rows: of the table without its header.
        columns: of the table.
        cell: characters in a cell.
    """

    bytes: int = 16_000_000
    rows: int = 200_000
    columns: int = 32
    cell: int = 500


class InvalidSubmissionError(UsageError):
    """A submission that cannot be scored; `reasons` has all of them."""

    def __init__(self, source: str, reasons: Sequence[str]) -> None:
        self.source, self.reasons = source, tuple(reasons)
        n = len(self.reasons)
        super().__init__(f"{source} is not a valid submission, {n} reason{'s' * (n > 1)}: {'; '.join(self.reasons)}")


def read_submission(path: Path, name_column: str, limits: Limits | None = None) -> Predictions:
    """Read and check the table of a submission.

    Args:
        path: *.csv or *.zip; a regular file, not a link.
        name_column: "image" or "video".
        limits: what is refused as too large.

    Raises:
        InvalidSubmissionError: with every reason that was found.
    """
    limits = limits or Limits()
    shown = one_line(path.name)
    try:
        data = _read_regular(path, limits)
        if path.suffix.lower() == ".zip":
            data = _only_table(data, limits)
        header, rows = _cells(data, limits)
        return _predictions(shown, name_column, header, rows)
    except _Refused as refused:
        raise InvalidSubmissionError(shown, refused.reasons) from None


def check_names(predictions: Predictions, labels: LabelTable) -> None:
    """Every name that is needed has a score, and no other name is there but those that the labels leave out.

    Raises:
        InvalidSubmissionError: with the number of missing and unknown names and the first of them.
    """
    there, needed = set(predictions.names), set(labels.names)
    missing = [name for name in labels.names if name not in there]
    unknown = [name for name in predictions.names if name not in needed and name not in labels.left_out]
    reasons = [f"no score for {listed(missing)}"] if missing else []
    if unknown:
        reasons.append(f"names that are not part of the challenge: {listed(unknown)}")
    if reasons:
        raise InvalidSubmissionError(predictions.source, reasons)


class _Refused(Exception):  # noqa: N818 - never leaves this file
    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons


def _read_regular(path: Path, limits: Limits) -> bytes:
    """The bytes of a regular file that is small enough; links, pipes and folders are refused."""
    if path.suffix.lower() not in (".csv", ".zip"):
        raise _Refused("it must be a .csv file, or a .zip with one .csv in it")
    try:
        if path.is_symlink():
            raise _Refused("it is a symbolic link; give the file itself")
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise _Refused("it is not a regular file")
            data = file.read(limits.bytes + 1)
    except (OSError, ValueError) as error:
        raise _Refused(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > limits.bytes:
        raise _Refused(f"it is larger than {limits.bytes:,} bytes")
    return data


def _only_table(data: bytes, limits: Limits) -> bytes:
    """The one .csv of a zip, unpacked in memory and never beyond the limit, whatever the zip says about its size."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entry = _only_entry(archive.infolist(), limits)
            with archive.open(entry) as file:
                table = file.read(limits.bytes + 1)
                if len(table) <= limits.bytes:
                    file.read(1)  # the end: the checksum is compared
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError, ValueError, zlib.error):
        raise _Refused("it is a damaged zip file") from None
    if len(table) > limits.bytes:
        raise _Refused(f"the table in the zip is larger than {limits.bytes:,} bytes")
    return table


def _only_entry(entries: Sequence[zipfile.ZipInfo], limits: Limits) -> zipfile.ZipInfo:
    if len(entries) > ENTRIES:
        raise _Refused(f"the zip has more than {ENTRIES} entries; it must hold one .csv")
    reasons = []
    for entry in entries:
        shown = one_line(entry.filename)[:80]
        parts = PurePosixPath(entry.orig_filename.replace("\\", "/")).parts
        if ".." in parts or entry.orig_filename.startswith(("/", "\\")) or ":" in entry.orig_filename[:2]:
            reasons.append(f"the zip has a path that leads out of it: {shown}")
        if entry.external_attr >> 16 & 0xF000 == _LINK:
            reasons.append(f"the zip has a symbolic link: {shown}")
        if entry.flag_bits & _ENCRYPTED:
            reasons.append(f"the zip is encrypted: {shown}")
        elif entry.compress_type not in _PACKED:
            reasons.append(f"the zip is packed in another way than deflate: {shown}")
        if entry.file_size > limits.bytes:
            reasons.append(f"the zip would unpack to more than {limits.bytes:,} bytes: {shown}")
    files = [entry for entry in entries if not entry.is_dir() and not _is_of_the_system(entry.filename)]
    others = [entry.filename for entry in files if not entry.filename.lower().endswith(".csv")]
    if others:
        reasons.append(f"the zip may hold nothing but one .csv, not {listed(others, 'other file')}")
    if len(files) - len(others) != 1:
        reasons.append(f"the zip must hold exactly one .csv, not {len(files) - len(others)}")
    if reasons:
        raise _Refused(*reasons)
    return files[0]


def _is_of_the_system(name: str) -> bool:
    """What some systems add to every zip without being asked."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name == ".DS_Store"


def _cells(data: bytes, limits: Limits) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table in UTF-8, all of one width."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _Refused(f"it is not text in UTF-8 (byte {error.start:,})") from None
    if "\0" in text:
        raise _Refused("it is not text: it holds a NUL")
    try:
        header, *rows = list(_records(text, limits)) or [[]]
    except csv.Error as error:
        raise _Refused(f"it is not a CSV table: {error}") from None
    header = [cell.strip() for cell in header]
    if not rows:
        raise _Refused("the table has no rows")
    if twice := [name for name, n in Counter(header).items() if n > 1]:
        raise _Refused(f"a column twice: {listed(twice, 'column')}")
    uneven = [f"row {i}" for i, row in enumerate(rows, 2) if len(row) != len(header)]
    if uneven:
        raise _Refused(f"another number of cells than the header ({len(header)}): {listed(uneven, 'row')}")
    return header, rows


def _records(text: str, limits: Limits) -> Iterator[list[str]]:
    number = 0
    for row in csv.reader(io.StringIO(text, newline=""), strict=True):
        if not row:
            continue
        if number > limits.rows:
            raise _Refused(f"the table has more than {limits.rows:,} rows")
        if len(row) > limits.columns:
            raise _Refused(f"row {number + 1} has {len(row)} columns, more than {limits.columns}")
        if max(map(len, row)) > limits.cell:
            raise _Refused(f"row {number + 1} has a cell of more than {limits.cell} characters")
        number += 1
        yield row


def _predictions(shown: str, name_column: str, header: list[str], rows: list[list[str]]) -> Predictions:
    absent = [column for column in (name_column, "score") if column not in header]
    if absent:
        raise _Refused(*(f"no column {column}; there is {', '.join(map(one_line, header))}" for column in absent))
    at, score_at = header.index(name_column), header.index("score")
    names = [row[at].strip().replace("\\", "/") for row in rows]
    scores = [_number(row[score_at]) for row in rows]
    reasons = []
    if empty := [f"row {i}" for i, name in enumerate(names, 2) if not name]:
        reasons.append(f"{name_column} is empty: {listed(empty, 'row')}")
    if doubled := [name for name, n in Counter(names).items() if n > 1 and name]:
        reasons.append(f"more than one score for {listed(doubled)}")
    bad = [
        f"row {i}: {row[score_at]!r:.40}" for i, (row, s) in enumerate(zip(rows, scores, strict=True), 2) if s is None
    ]
    if bad:
        reasons.append(f"score is not a plain finite number: {listed(bad, 'row')}")
    if reasons:
        raise _Refused(*reasons)
    return Predictions(tuple(names), np.array(scores, np.float64), shown)


def _number(text: str) -> float | None:
    """A plain decimal number; no nan, no infinity, no formula, no underscores, no digits of other scripts."""
    value = float(text) if _PLAIN_NUMBER.fullmatch(text.strip()) else math.nan
    return value if math.isfinite(value) else None
