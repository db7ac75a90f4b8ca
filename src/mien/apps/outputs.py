"""Small results on disk: a table in the format of its suffix, any file complete or not at all.

For results that are known as a whole; tables that grow for hours are `mien.core.tables`.
"""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mien.core.errors import MissingExtraError, UsageError
from mien.core.rows import one_line

TABLES = (".csv", ".jsonl", ".parquet")
DIGITS = 6  #: of the numbers that are written

Row = dict[str, Any]


def check_target(option: str, path: Path, suffixes: Sequence[str]) -> None:
    """Refuse early what cannot be written.

    Raises:
        UsageError: another suffix, no such folder, or a folder of that name.
        MissingExtraError: Parquet without pyarrow.
    """
    shown = one_line(str(path))
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"{option} must be named *{', *'.join(suffixes)}, not {shown}")
    if path.is_dir() or not path.parent.is_dir():
        why = "it is a folder" if path.is_dir() else f"there is no folder {one_line(str(path.parent))}"
        raise UsageError(f"cannot write {shown}: {why}")
    if path.suffix.lower() == ".parquet":
        _pyarrow()


def write_rows(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Write a table; all rows have the same columns.

    Raises:
        UsageError: the disk is full or gone.
        MissingExtraError: Parquet without pyarrow.
    """
    tidy = [tidied(row) for row in rows]
    match path.suffix.lower():
        case ".csv":
            text = io.StringIO()
            writer = csv.DictWriter(text, list(tidy[0]) if tidy else [], lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: json.dumps(v) if isinstance(v, list) else v for k, v in row.items()} for row in tidy)
            data = text.getvalue().encode()
        case ".jsonl":
            data = b"".join(json_line(row) for row in tidy)
        case _:
            buffer, arrow = io.BytesIO(), _pyarrow()
            arrow.parquet.write_table(arrow.Table.from_pylist(tidy), buffer)
            data = buffer.getvalue()
    replace(path, data)


def replace(path: Path, data: bytes) -> None:
    """Complete or not at all; a file that is there is replaced.

    Raises:
        UsageError: the disk is full or gone.
    """
    temporary = path.with_name(f".mien-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {one_line(str(path))}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def tidied(row: Mapping[str, object]) -> Row:
    """Numbers rounded for people; text as it is, for names are compared with those of other files."""
    return {k: round(v, DIGITS) + 0.0 if isinstance(v, float) else v for k, v in row.items()}


def json_line(row: Row) -> bytes:
    """One row as one line of UTF-8 JSON, newline included."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Parquet", "parquet") from error
    return pyarrow
