"""Prediction and label files: read, checked, joined by name. Nothing is dropped without being told.

    predictions   image (or video), score
    labels        image (or video), label, and the grouping column of the protocol
    votes         item_a, item_b, votes_a, votes_b, and the grouping column
    comparisons   image_a, image_b, similarity, mated (1: one person, 0: two)

UTF-8 with or without BOM; a backslash in a name is a slash. `columns` maps our names to other people's headers.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.core.errors import UsageError
from mien.core.rows import one_line
from mien.evaluation.protocol import Protocol

Array = npt.NDArray[np.float64]

LISTED = 10  #: names that a message shows

_TRUE, _FALSE = {"1", "true", "yes", "mated", "genuine"}, {"0", "false", "no", "non-mated", "nonmated", "impostor"}


class TableError(UsageError):
    """A prediction or label file that cannot be evaluated; the message names the file and the rows."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """One score for each name, in the order of the file."""

    names: tuple[str, ...]
    scores: Array
    source: str = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """One opinion for each name.

    Attributes:
        names: of the pictures or videos, each once.
        values: (n,) opinions.
        groups: (n,) names of groups, or None.
        left_out: names of the file that the selection left out.
        source: the file, and the selection.
    """

    names: tuple[str, ...]
    values: Array
    groups: tuple[str, ...] | None = None
    left_out: frozenset[str] = frozenset()
    source: str = ""


@dataclass(frozen=True, slots=True)
class Votes:
    """Pairs of items, and how many people preferred each of them; fields as in `Labels`."""

    a: tuple[str, ...]
    b: tuple[str, ...]
    votes_a: Array
    votes_b: Array
    groups: tuple[str, ...] | None = None
    left_out: frozenset[str] = frozenset()
    source: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all items, each once."""
        return tuple(dict.fromkeys((*self.a, *self.b)))


@dataclass(frozen=True, slots=True)
class Comparisons:
    """Pairs of face pictures, how similar a recogniser finds them, and whether they show one person."""

    a: tuple[str, ...]
    b: tuple[str, ...]
    similarity: Array
    mated: npt.NDArray[np.bool_]
    left_out: frozenset[str] = frozenset()
    source: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Of all pictures, each once."""
        return tuple(dict.fromkeys((*self.a, *self.b)))


LabelTable = Labels | Votes | Comparisons


def read_predictions(path: Path, protocol: Protocol, *, columns: Mapping[str, str] | None = None) -> Predictions:
    """Names and scores; a table of `mien score --out FILE.csv` is one, too (its `path` is the name).

    Raises:
        TableError: the file cannot be read, has no such column, a score that is not a finite number, or a name twice.
    """
    table = _Table(path, columns or {})
    names, scores = table.names(_name_column(table, protocol)), table.numbers("score")
    _refuse_doubled(names, f"{table.shown}: more than one prediction for")
    return Predictions(tuple(names), scores, table.shown)


def read_labels(
    path: Path,
    protocol: Protocol,
    *,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
    group: str | None = None,
) -> LabelTable:
    """The label file of a protocol.

    Args:
        path: CSV.
        protocol: says which columns are needed.
        columns: our name of a column -> the header in the file.
        where: keep the rows in which each of these columns (headers of the file) has this value.
        group: group by this column although the protocol has none (shown beside the total).

    Raises:
        TableError: as `read_predictions`; also an empty selection, or a group without a name.
    """
    table = _Table(path, columns or {})
    everything = _Table(path, columns or {}, rows=table.rows)
    table.keep(where or {})
    source = table.shown + (f" [{', '.join(f'{k}={v}' for k, v in where.items())}]" if where else "")
    match protocol.kind:
        case "labels":
            return _labels(table, everything, protocol, group, source)
        case "votes":
            return _votes(table, everything, protocol, group, source)
        case "comparisons":
            return _comparisons(table, everything, source)


def align(predictions: Predictions, labels: LabelTable) -> dict[str, float]:
    """The predictions of the names that the labels need.

    Raises:
        TableError: a name has no prediction, or a prediction belongs to no row of the label file; all are counted, the
            first ones named.
    """
    scores = dict(zip(predictions.names, predictions.scores.tolist(), strict=True))
    needed = set(labels.names)
    missing = [name for name in labels.names if name not in scores]
    extra = [name for name in predictions.names if name not in needed and name not in labels.left_out]
    problems = []
    if missing:
        problems.append(f"no prediction for {listed(missing)}")
    if extra:
        problems.append(f"predictions without a label: {listed(extra)}")
    if problems:
        raise TableError(
            f"{predictions.source or 'predictions'} and {labels.source or 'labels'} do not match: {'; '.join(problems)}"
        )
    return {name: scores[name] for name in labels.names}


def listed(items: Sequence[str], noun: str = "name") -> str:
    """How many there are, and the first of them."""
    more = len(items) - LISTED
    shown = ", ".join(one_line(item) for item in items[:LISTED])
    rest = f", and {more:,} more" if more > 0 else ""
    return f"{len(items):,} {noun}{'' if len(items) == 1 else 's'} ({shown}{rest})"


class _Table:
    """A CSV file as text; columns by our names or the file's."""

    def __init__(self, path: Path, columns: Mapping[str, str], rows: list[dict[str, str]] | None = None) -> None:
        self.shown = one_line(str(path))
        self._columns = columns
        self.rows = _read(path, self.shown) if rows is None else rows
        self.header = tuple(self.rows[0])

    def keep(self, where: Mapping[str, str]) -> None:
        for column, value in where.items():
            self._header(column, f"a selection {column}={value}")
            kept = [row for row in self.rows if row[column] == value]
            if not kept:
                there = sorted({row[column] for row in self.rows})
                raise TableError(f"{self.shown}: no row with {column}={value}; there is {listed(there, 'value')}")
            self.rows = kept

    def has(self, column: str) -> bool:
        return self._columns.get(column, column) in self.header

    def text(self, column: str) -> list[str]:
        theirs = self._columns.get(column)
        if theirs is None or (theirs not in self.header and column in self.header):
            theirs = column
        self._header(theirs, f"the column {column}")
        return [row[theirs] for row in self.rows]

    def names(self, column: str) -> list[str]:
        names = [name.replace("\\", "/") for name in self.text(column)]
        self._refuse_empty(names, column)
        return names

    def groups(self, column: str) -> tuple[str, ...]:
        groups = self.text(column)
        self._refuse_empty(groups, column)
        return tuple(groups)

    def numbers(self, column: str) -> Array:
        values, bad = [], []
        for row, text in zip(self.rows, self.text(column), strict=True):
            value = _number(text)
            values.append(value)
            if not math.isfinite(value):
                bad.append(f"line {row['']}: {text!r}")
        if bad:
            raise TableError(f"{self.shown}: {column} must be a finite number in every row; {listed(bad, 'row')}")
        return np.array(values)

    def _header(self, theirs: str, what: str) -> None:
        if theirs not in self.header:
            there = ", ".join(one_line(name) for name in self.header if name)
            raise TableError(
                f"{self.shown} has no column {theirs} (for {what}); it has {there}. "
                "If one of them is meant, say --column OURS=THEIRS"
            )

    def _refuse_empty(self, values: Iterable[str], column: str) -> None:
        lines = [f"line {row['']}" for row, value in zip(self.rows, values, strict=True) if not value]
        if lines:
            raise TableError(f"{self.shown}: {column} is empty; {listed(lines, 'row')}")


def _read(path: Path, shown: str) -> list[dict[str, str]]:
    """Rows as dicts; under "" the number of the line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(csv.reader(file, strict=True), shown))
    except OSError as error:
        raise TableError(f"cannot read {shown}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{shown} is not a CSV file in UTF-8: {error}") from error
    if not rows:
        raise TableError(f"{shown} has no rows")
    return rows


def _rows(lines: Iterator[list[str]], shown: str) -> Iterator[dict[str, str]]:
    header = [name.strip() for name in next(lines, [])]
    if twice := [name for name, n in Counter(header).items() if n > 1]:
        raise TableError(f"{shown}: a header twice: {listed(twice, 'header')}")
    number = 1
    for cells in lines:
        number += 1
        if not cells:
            continue
        if len(cells) != len(header):
            raise TableError(f"{shown}: row {number} has {len(cells)} cells, the header {len(header)}")
        yield {"": str(number), **{name: cell.strip() for name, cell in zip(header, cells, strict=True) if name}}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _refuse_doubled(names: Iterable[str], what: str) -> None:
    if doubled := [name for name, n in Counter(names).items() if n > 1]:
        raise TableError(f"{what} {listed(doubled)}")


def _name_column(table: _Table, protocol: Protocol) -> str:
    """`image` or `video`, whichever the file has; `path` in tables of `mien score`."""
    other = "video" if protocol.item == "image" else "image"
    return next((name for name in (protocol.item, other, "path") if table.has(name)), protocol.item)


def _group_column(protocol: Protocol, group: str | None) -> str | None:
    return group or protocol.group


def _labels(table: _Table, everything: _Table, protocol: Protocol, group: str | None, source: str) -> Labels:
    name, column = _name_column(table, protocol), _group_column(protocol, group)
    names = table.names(name)
    _refuse_doubled(names, f"{source}: more than one label for")
    groups = table.groups(column) if column and (group or protocol.pooling != "rows" or table.has(column)) else None
    left_out = frozenset(everything.names(name)) - set(names)
    return Labels(tuple(names), table.numbers("label"), groups, left_out, source)


def _votes(table: _Table, everything: _Table, protocol: Protocol, group: str | None, source: str) -> Votes:
    a, b = _both(table)
    votes = table.numbers("votes_a"), table.numbers("votes_b")
    if any((v < 0).any() for v in votes) or (votes[0] + votes[1] == 0).any():
        raise TableError(f"{source}: votes must be at least 0, and a pair needs one")
    column = _group_column(protocol, group)
    groups = table.groups(column) if column and (protocol.pooling != "rows" or table.has(column) or group) else None
    _refuse_doubled((" and ".join(sorted(p)) for p in zip(a, b, strict=True)), f"{source}: more than one row for")
    if same := [first for first, second in zip(a, b, strict=True) if first == second]:
        raise TableError(f"{source}: compared with itself: {listed(same)}")
    left_out = frozenset(n for names in _both(everything) for n in names) - {*a, *b}
    return Votes(tuple(a), tuple(b), *votes, groups, left_out, source)


def _both(table: _Table) -> tuple[list[str], list[str]]:
    """The two items of each row: item_a and item_b, or the method and the clip of the ADTH-QA tables."""
    if table.has("item_a") or not table.has("method_a"):
        return table.names("item_a"), table.names("item_b")
    clips = table.names("clip")
    a, b = ([f"{m}/{c}" for m, c in zip(table.names(k), clips, strict=True)] for k in ("method_a", "method_b"))
    return a, b


def _comparisons(table: _Table, everything: _Table, source: str) -> Comparisons:
    a, b = table.names("image_a"), table.names("image_b")
    mated = [text.lower() for text in table.text("mated")]
    if bad := [text for text in mated if text not in _TRUE | _FALSE]:
        raise TableError(f"{source}: mated must be 1 or 0, not {listed(bad, 'value')}")
    _refuse_doubled((" and ".join(sorted(p)) for p in zip(a, b, strict=True)), f"{source}: more than one row for")
    left_out = frozenset((*everything.names("image_a"), *everything.names("image_b"))) - {*a, *b}
    similarity = table.numbers("similarity")
    return Comparisons(tuple(a), tuple(b), similarity, np.array([t in _TRUE for t in mated]), left_out, source)
