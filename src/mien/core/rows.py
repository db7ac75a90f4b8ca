"""One row as one line of text: what is rounded, what is escaped, and how JSON lines and CSV spell it."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, get_type_hints

from mien.core.types import COLUMNS, Score

Row = dict[str, Any]

_KINDS = {name: str(kind) for name, kind in get_type_hints(Score).items()}
INTEGERS = frozenset(c for c in COLUMNS if _KINDS[c].startswith("int"))
FLOATS = frozenset(c for c in COLUMNS if _KINDS[c].startswith("float"))
POINTS = frozenset(c for c in COLUMNS if _KINDS[c].startswith("tuple"))  #: lists of [x, y]
_DECIMALS = {"raw": 6, "ms": 2}  # all others 4; `raw` may live on a scale of 0..1
_NOT_ONE_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def tidy(row: Mapping[str, Any]) -> Row:
    """The row as it is written: all columns in order, numbers rounded for people, text on one line.

    Args:
        row: `Score.to_dict()`; columns that are absent become empty.

    Returns:
        Floats have 4 decimals (`raw` 6, `ms` 2); a number that is not finite becomes None, and so do points of which
        one is not; control characters and what is not valid UTF-8 are backslash-escaped.

    Raises:
        ValueError: a column that mien does not know.
    """
    if unknown := row.keys() - set(COLUMNS):
        raise ValueError(f"not columns of a row: {', '.join(sorted(unknown))}")
    return {name: _tidy_cell(name, row.get(name)) for name in COLUMNS}


def _tidy_cell(name: str, value: Any) -> Any:
    if name in FLOATS:
        if value is None or not math.isfinite(value):
            return None
        return round(float(value), _DECIMALS.get(name, 4)) + 0.0  # + 0.0: no negative zero
    if name in INTEGERS:
        return None if value is None else int(value)
    if name in POINTS:
        return _tidy_points(value)
    return "" if value is None else one_line(str(value))


def _tidy_points(points: Iterable[Iterable[float]] | None) -> list[list[float]] | None:
    if points is None:
        return None
    tidied = [[round(float(v), 4) + 0.0 for v in point] for point in points]
    return tidied if all(map(math.isfinite, chain.from_iterable(tidied))) else None


def standing(row: Row) -> tuple[float, float]:
    """What rows with a score are put in order by: the score, and where it is cut off at 0 or 100 the raw value."""
    return row["score"], row["raw"] or 0.0


def one_line(text: str) -> str:
    """Text that any file and terminal can hold: control characters and invalid UTF-8 are backslash-escaped."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _NOT_ONE_LINE.sub(lambda m: ascii(m.group())[1:-1], text)


def encode_json(row: Row) -> bytes:
    """One tidy row as one line of UTF-8 JSON, newline included."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(", ", ": ")).encode() + b"\n"


def _decode_json(line: bytes) -> Row:
    row = json.loads(line, parse_constant=_refuse_constant)
    if not isinstance(row, dict) or tuple(row) != COLUMNS:
        raise ValueError("its columns are not those of this version of mien")
    return _checked(row)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _encode_csv(row: Mapping[str, Any]) -> bytes:
    text = io.StringIO()
    cells = [json.dumps(value) if isinstance(value, list) else value for value in row.values()]
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def _decode_csv(line: bytes) -> Row:
    cells = next(csv.reader([line.decode()], strict=True), [])
    if len(cells) != len(COLUMNS):
        raise ValueError(f"it has {len(cells)} cells instead of {len(COLUMNS)}")
    return _checked({name: _parse_cell(name, cell) for name, cell in zip(COLUMNS, cells, strict=True)})


def _parse_cell(name: str, cell: str) -> Any:
    if name in FLOATS:
        if cell and not math.isfinite(float(cell)):
            raise ValueError(f"{cell} is not a number")
        return float(cell) if cell else None
    if name in INTEGERS:
        return int(cell) if cell else None
    if name in POINTS:
        return json.loads(cell, parse_constant=_refuse_constant) if cell else None
    return cell


def _checked(row: Row) -> Row:
    """The row, if somebody else has not edited it into something that mien never writes."""
    for name, value in row.items():
        kind = int | float if name in FLOATS else int if name in INTEGERS else list if name in POINTS else str
        if not isinstance(value, kind) and (value is not None or kind is str):
            raise ValueError(f"{name} is {type(value).__name__}")
        if isinstance(value, list) and not all(map(_is_point, value)):
            raise ValueError(f"{name} are not points [x, y]")
    if (row["status"] == "ok") != (row["score"] is not None):
        raise ValueError("status and score contradict each other")
    return row


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(v, int | float) for v in value)


@dataclass(frozen=True, slots=True)
class LineFormat:
    """How rows become lines of one text format."""

    header: bytes  # first line of a file, newline included; b"" when there is none
    start: bytes  # what every line begins with; tells a torn row from somebody else's file
    encode: Callable[[Row], bytes]
    decode: Callable[[bytes], Row]

    def is_torn(self, line: bytes) -> bool:
        """Whether a line without its end is the beginning of a row, not somebody else's text."""
        written = line.rstrip(b"\0")  # a file system may leave zeros where the power failed
        return written.startswith(self.start) or self.start.startswith(written)


CSV = LineFormat(header=_encode_csv({c: c for c in COLUMNS}), start=b"", encode=_encode_csv, decode=_decode_csv)
JSONL = LineFormat(header=b"", start=b'{"path": ', encode=encode_json, decode=_decode_json)
