"""Tables of rows on disk: JSON lines, CSV and Parquet. Append-only while a run lasts, so that a killed run can go on.

A row is the dict of `Score.to_dict()`: the columns of `mien.core.types.COLUMNS`, in that order. Every row is one line
of text until the end; Parquet, which cannot be appended to, is kept as `FILE.parquet.partial.jsonl` and turned at the
end. The three formats give back equal rows: text is text ("" when empty), numbers are numbers or None, never NaN;
landmarks are lists of [x, y], in CSV as JSON text. The rows of one picture are neighbours.
"""

from __future__ import annotations

import io
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from mien.core.errors import MissingExtraError, UsageError
from mien.core.rows import CSV, FLOATS, INTEGERS, JSONL, POINTS, LineFormat, Row, encode_json, one_line, tidy
from mien.core.types import COLUMNS

SUFFIXES = (".csv", ".jsonl", ".parquet")
SYNC_SECONDS = 5.0  #: at most this much of a run is lost when the power fails; a kill loses at most one row

_OTHER_COLUMNS = "{} has other columns than this version of mien writes: use another file"


def partial_path(path: Path) -> Path:
    """Where the rows of an unfinished Parquet table are."""
    return path.with_name(path.name + ".partial.jsonl")


def _text_file(path: Path) -> tuple[Path, LineFormat]:
    """The file that rows are appended to while a run lasts, and its format."""
    match path.suffix.lower():
        case ".csv":
            return path, CSV
        case ".jsonl":
            return path, JSONL
        case ".parquet":
            return partial_path(path), JSONL
    raise UsageError(f"a table must be named *{', *'.join(SUFFIXES)}, not {_shown(path)}")


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _shown(path: Path) -> str:
    return one_line(str(path))


def check_target(path: Path, *, resume: bool = False, overwrite: bool = False) -> None:
    """Refuse early, before anything is scored, what `RowWriter` would refuse.

    Raises:
        UsageError: unknown suffix, no such folder, or there is a table already and neither `resume` nor `overwrite`.
        MissingExtraError: Parquet without pyarrow.
    """
    text, _ = _text_file(path)
    if _is_parquet(path):
        _pyarrow()
    if resume and overwrite:
        raise UsageError("resume and overwrite exclude each other")
    with _telling("write", path):
        if not path.parent.is_dir():
            raise UsageError(f"cannot write {_shown(path)}: there is no folder {_shown(path.parent)}")
        if path.is_dir():
            raise UsageError(f"cannot write {_shown(path)}: it is a folder")
        for file in () if resume or overwrite else {path, text}:
            if file.exists() and file.stat().st_size > 0:
                raise UsageError(f"{_shown(file)} exists: --resume goes on with it, --overwrite starts again")


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a table, lazily; a torn last line of a killed run is left out.

    Raises:
        UsageError: the file cannot be read or is not a table of this version of mien.
        MissingExtraError: Parquet without pyarrow.
    """
    if _is_parquet(path):
        yield from _read_parquet(path)
    else:
        text, lines = _text_file(path)
        yield from (row for row, _ in _whole_rows(text, lines))


def _whole_rows(path: Path, lines: LineFormat) -> Iterator[tuple[Row, int]]:
    """Rows that were written whole, each with the offset in bytes where it ends."""
    with _telling("read", path), path.open("rb") as file:
        end = _read_header(file, path, lines)
        for number, line in enumerate(file, start=2 if lines.header else 1):
            if not line.endswith(b"\n") and lines.is_torn(line):
                return
            try:
                row = lines.decode(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"line {number} of {_shown(path)} is not a row of mien: {error}") from error
            end += len(line)
            yield row, end


def _read_header(file: BinaryIO, path: Path, lines: LineFormat) -> int:
    """Bytes of the header; 0 when it is torn, and then it is all that the file holds."""
    header = file.readline() if lines.header else b""
    if not lines.header.startswith(header.rstrip(b"\0")):
        raise UsageError(_OTHER_COLUMNS.format(_shown(path)))
    return len(header) if header == lines.header else 0


def _of_one_run(rows: Iterator[tuple[Row, int]], path: Path, ours: Mapping[str, str]) -> Iterator[tuple[Row, int]]:
    """The rows, as long as they have our values, by column; "" = any."""
    for row, end in rows:
        for column, value in ours.items():
            if value and row[column] and row[column] != value:
                raise UsageError(
                    f"{_shown(path)} was written with {column} {row[column]}, this run has {value}: "
                    "use another file, or --overwrite"
                )
        yield row, end


def _whole_pictures(
    rows: Iterator[tuple[Row, int]], path: Path, *, every_face: bool
) -> Iterator[tuple[list[Row], int]]:
    """The rows of each picture, with the offset where they end; a last picture that lacks some is left out."""
    rows_of_one: list[Row] = []
    for row, end in rows:
        _check_place(row, rows_of_one, path, every_face=every_face)
        rows_of_one.append(row)
        if len(rows_of_one) == ((row["n_faces"] or 1) if every_face else 1):
            yield rows_of_one, end
            rows_of_one = []


def _check_place(row: Row, before: list[Row], path: Path, *, every_face: bool) -> None:
    """Refuse a table of another choice of faces: `before` are the rows of the same picture, if the table is ours."""
    if (row["face_index"] or 0) != len(before) or (before and row["path"] != before[0]["path"]):
        written = "only the largest faces" if every_face else "a row for every face"
        raise UsageError(f"{_shown(path)} was written with {written}: use another file, or --overwrite")


@contextmanager
def _telling(verb: str, path: Path, more: str = "") -> Iterator[None]:
    """An `OSError` inside becomes one line that names the file and the reason."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"cannot {verb} {_shown(path)}: {error.strerror or error}{more}") from error


class RowWriter:
    """Appends rows to a table; each row is on its way to the disk when `write` returns.

    Use it as a context manager: left without an exception it finishes the table, otherwise it leaves what was written
    so that a later run can resume.

    Attributes:
        done: how often each `path` is a picture of an earlier run, whatever the number of its rows.
    """

    def __init__(
        self,
        path: Path,
        *,
        resume: bool = False,
        overwrite: bool = False,
        model: str = "",
        preprocess: str = "",
        every_face: bool = False,
        on_resumed: Callable[[Row], object] | None = None,
    ) -> None:
        """Open the table, repair it when its last line or picture is not whole, and read what is done.

        Args:
            path: *.csv, *.jsonl or *.parquet.
            resume: go on with the rows that are there (a file that does not exist is begun).
            overwrite: begin again, whatever is there.
            model: of this run; a row of another model is refused. "" = anything goes.
            preprocess: likewise.
            every_face: a picture has a row for each of its `n_faces`, instead of one.
            on_resumed: called with every row of an earlier run that is kept.

        Raises:
            UsageError: the table cannot be opened, has other columns, another model, preprocessing or choice of faces,
                is being written by another run, or exists and neither `resume` nor `overwrite` is set.
            MissingExtraError: Parquet without pyarrow.
        """
        check_target(path, resume=resume, overwrite=overwrite)
        self.path = path
        self.done: Counter[str] = Counter()
        self._text, self._lines = _text_file(path)
        if resume:
            _reopen_parquet(path)
        with _telling("write", self._text):
            self._file = io.FileIO(os.open(self._text, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        try:
            with _telling("write", self._text):
                _lock(self._file, self._text)
                end = self._read_done(model, preprocess, every_face, on_resumed) if resume else 0
                self._file.truncate(end)
                self._file.seek(end)
            if end == 0:
                self._append(self._lines.header)
        except BaseException:
            self._file.close()
            raise
        self._synced = time.monotonic()

    def _read_done(
        self, model: str, preprocess: str, every_face: bool, on_resumed: Callable[[Row], object] | None
    ) -> int:
        with self._text.open("rb") as file:
            end = _read_header(file, self._text, self._lines)
        rows = _of_one_run(_whole_rows(self._text, self._lines), self.path, {"model": model, "preprocess": preprocess})
        for picture, end in _whole_pictures(rows, self.path, every_face=every_face):  # noqa: B007
            self.done[picture[0]["path"]] += 1
            if on_resumed is not None:
                for row in picture:
                    on_resumed(row)
        return end

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one row (see `tidy`).

        Raises:
            UsageError: the disk is full or gone; the rows before stay and can be resumed.
        """
        self._append(self._lines.encode(tidy(row)))
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self._sync()

    def _append(self, line: bytes) -> None:
        with _telling("write", self._text, "; the rows before are kept, --resume goes on with them"):
            while line:
                line = line[self._file.write(line) :]

    def _sync(self) -> None:
        with _telling("write", self._text, "; the rows before are kept, --resume goes on with them"):
            os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def close(self, *, finish: bool = True) -> None:
        """Bring the rows to the disk; with `finish`, turn an unfinished Parquet table into a Parquet file.

        Raises:
            UsageError: the disk is full or gone.
        """
        if self._file.closed:
            return
        try:
            self._sync()
            if finish and _is_parquet(self.path):
                with _telling("write", self.path, "; the rows are kept, --resume goes on with them"):
                    _write_parquet(read_rows(self._text), self.path)
                    self._file.close()  # not every system removes an open file
                    self._text.unlink()
        finally:
            self._file.close()

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close(finish=kind is None)


def _lock(file: io.FileIO, path: Path) -> None:
    """Two runs on one table would double its rows. The lock goes with the process; not every system has one."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(f"{_shown(path)} is being written by another run") from error
    except OSError:
        return  # a file system without locks


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Parquet", "parquet") from error
    return pyarrow


def _read_parquet(path: Path) -> Iterator[Row]:
    pa = _pyarrow()
    try:
        with _telling("read", path), pa.parquet.ParquetFile(path) as file:
            if tuple(file.schema_arrow.names) != COLUMNS:
                raise UsageError(_OTHER_COLUMNS.format(_shown(path)))
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise UsageError(f"{_shown(path)} is not a Parquet file") from error


def _write_parquet(rows: Iterator[Row], path: Path) -> None:
    """All rows or none: a file beside it takes the place of `path` when it is complete."""
    pa = _pyarrow()
    kinds = dict.fromkeys(COLUMNS, pa.string())
    kinds |= dict.fromkeys(FLOATS, pa.float64()) | dict.fromkeys(INTEGERS, pa.int64())
    kinds |= dict.fromkeys(POINTS, pa.list_(pa.list_(pa.float64())))
    schema = pa.schema(list(kinds.items()))
    unfinished = path.with_name(path.name + ".partial")
    with unfinished.open("wb") as file:
        with pa.parquet.ParquetWriter(file, schema) as writer:
            while chunk := list(islice(rows, 50_000)):
                writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def _reopen_parquet(path: Path) -> None:
    """A finished Parquet table becomes lines again, so that rows can be added."""
    partial = partial_path(path)
    if not _is_parquet(path) or not path.exists() or partial.exists():
        return
    unfinished = path.with_name(path.name + ".partial")
    with _telling("write", partial):
        with unfinished.open("wb") as file:
            file.writelines(encode_json(row) for row in _read_parquet(path))
        unfinished.replace(partial)
