"""Where the verdicts of `mien gate` go: rows on stdout or in a file, pictures into folders, a table for people."""

from __future__ import annotations

import csv
import filecmp
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from mien.apps.terminal import sheet, show
from mien.core.errors import MissingExtraError, UsageError
from mien.core.rows import one_line
from mien.core.tables import SUFFIXES

SHOWN = 20  #: rows of the table that are shown

Row = dict[str, Any]
Emit = Callable[[Row], object]


def as_json(row: Row) -> bytes:
    """One line; `reasons` is a list of objects, `unknown` a list of names."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(", ", ": ")).encode() + b"\n"


def flat(row: Row) -> Row:
    """For tables: the sentences of the reasons, and the names, with semicolons between them."""
    told = "; ".join(reason["sentence"] for reason in row["reasons"])
    return row | {"reasons": told, "unknown": "; ".join(row["unknown"])}


def check_out(path: Path, *, overwrite: bool) -> None:
    """Refuse early what cannot be written.

    Raises:
        UsageError: another suffix, no folder, or a file that is there without `overwrite`.
        MissingExtraError: Parquet without pyarrow.
    """
    shown = one_line(str(path))
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"a table must be named *{', *'.join(SUFFIXES)}, not {shown}")
    if path.suffix.lower() == ".parquet":
        _parquet()
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {shown}: there is no folder {one_line(str(path.parent))}")
    if path.is_dir():
        raise UsageError(f"cannot write {shown}: it is a folder")
    if path.exists() and not overwrite:
        raise UsageError(f"{shown} exists: --overwrite begins it again")


@contextmanager
def table(path: Path, columns: Sequence[str]) -> Iterator[Emit]:
    """A file that appears complete or not at all, in the format of its suffix."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with unfinished.open("wb") as file:
            match path.suffix.lower():
                case ".csv":
                    file.write(_csv_line(columns))
                    yield lambda row: file.write(_csv_line([flat(row)[name] for name in columns]))
                case ".jsonl":
                    yield lambda row: file.write(as_json(row))
                case _:
                    rows: list[Row] = []
                    yield lambda row: rows.append(flat(row))
                    arrow = _parquet()
                    arrow.parquet.write_table(arrow.Table.from_pylist(rows), file)
        unfinished.replace(path)
    except OSError as error:
        raise UsageError(f"cannot write {one_line(str(path))}: {error.strerror or error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _csv_line(cells: Sequence[Any]) -> bytes:
    """Lists, which are landmarks, as JSON text."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(json.dumps(c) if isinstance(c, list) else c for c in cells)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _parquet() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Parquet", "parquet") from error
    return pyarrow


def make_folder(path: Path) -> None:
    """A folder for copies, with its parents.

    Raises:
        UsageError: it cannot be made or written into.
    """
    shown = one_line(str(path))
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {shown}: {error.strerror or error}") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(f"cannot copy into {shown}: no permission to write there")


def copy_into(source: str, folder: Path) -> Path:
    """Copy a picture under its own name; nothing that is there is ever overwritten.

    A file of this name with other contents stays, and the copy is called NAME-2, NAME-3, ...; one with the same
    contents is the copy already.

    Returns:
        The copy.

    Raises:
        UsageError: the disk is full, or the source is gone.
    """
    name = Path(source)
    try:
        for i in count(1):
            target = folder / (name.name if i == 1 else f"{name.stem}-{i}{name.suffix}")
            if _same(name, target) or _copied(name, target):
                return target
    except OSError as error:
        what = f"{one_line(source)} to {one_line(str(folder))}"
        raise UsageError(f"cannot copy {what}: {error.strerror or error}") from error
    raise AssertionError("a name is free at last")


def _same(source: Path, target: Path) -> bool:
    return target.is_file() and filecmp.cmp(source, target, shallow=False)


def _copied(source: Path, target: Path) -> bool:
    """Whether the name was free; a copy that fails half the way is removed."""
    with source.open("rb") as read:
        try:
            write = target.open("xb")
        except FileExistsError:
            return False
        try:
            with write:
                shutil.copyfileobj(read, write)
            with suppress(OSError):  # a file system without times or modes
                shutil.copystat(source, target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    return True


@dataclass
class Count:
    """How many passed and failed, why, and what could not be judged."""

    passed: int = 0
    failed: int = 0
    unreadable: list[Row] = field(default_factory=list)  # the first of them
    n_unreadable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    shown: list[Row] = field(default_factory=list)  # the first that failed

    def add(self, row: Row) -> None:
        """Take one row."""
        if not row["verdict"]:
            self.n_unreadable += 1
            self.unreadable += [row] if len(self.unreadable) < SHOWN else []
            return
        self.passed += row["verdict"] == "pass"
        self.reasons.update(reason["quantity"] for reason in row["reasons"])
        self.unknown.update(row["unknown"])
        if row["verdict"] == "fail":
            self.failed += 1
            self.shown += [row] if len(self.shown) < SHOWN else []

    @property
    def judged(self) -> int:
        """Pictures with a verdict."""
        return self.passed + self.failed

    def lines(self, policy: str) -> list[str]:
        """The summary for people."""
        lines = [f"{self.passed:,} of {self.judged:,} pictures pass {policy}, {self.failed:,} fail"]
        lines += [f"  {n:,} x {quantity}" for quantity, n in self.reasons.most_common()]
        lines += [f"not told: {_listed(self.unknown)}"] * bool(self.unknown)
        if self.n_unreadable:
            lines.append(f"{self.n_unreadable:,} could not be judged")
            lines += [f"  {row['status']}  {row['path']}: {row['error']}" for row in self.unreadable]
        return lines


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({n:,})" for name, n in counts.items())


def print_failed(found: Count) -> None:
    """The first pictures that failed, on stdout, which is a terminal."""
    if not found.shown:
        return
    from rich.text import Text

    failures = sheet()
    if found.failed > len(found.shown):
        failures.title = f"the first {len(found.shown)} of {found.failed:,} that fail"
    failures.add_column("score", justify="right", style="bold")
    failures.add_column("path", overflow="fold")
    failures.add_column("fails for", overflow="fold")
    for row in found.shown:
        reasons = "\n".join(reason["sentence"] for reason in row["reasons"])
        failures.add_row(f"{row['score']:.1f}", Text(row["path"]), Text(reasons))
    show(failures)
