"""Rating and vote files: read, checked, counted. Nothing is dropped without being told.

    ratings   stimulus, observer, score                     + content, reference, repetition, group
    votes     item_a, item_b, votes_a, votes_b              + group, observer
              item_a, item_b, choice (a, b or tie)          + group, observer

UTF-8 with or without BOM; a backslash in a name is a slash. `columns` maps our names to other people's headers. Names
are put in order, so the order of the rows changes nothing.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.core.errors import UsageError
from mien.core.rows import one_line

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

LISTED = 8  #: names that a message shows

_CHOICES = {"a": 1.0, "b": 0.0, "tie": 0.5, "1": 1.0, "0": 0.0, "0.5": 0.5}
_TRUE, _FALSE = {"1", "true", "yes"}, {"0", "false", "no", ""}


class TableError(UsageError):
    """A rating or vote file that cannot be scaled; the message names the file and the rows."""


@dataclass(frozen=True, slots=True)
class Ratings:
    """One row for each vote that was given; a missing vote has no row.

    Attributes:
        stimuli: names of the J stimuli, sorted.
        observers: names of the I observers, sorted.
        stimulus: (m,) number of the stimulus of each vote.
        observer: (m,) number of the observer of each vote.
        score: (m,) votes, finite.
        reference: (J,) number of the hidden reference of each stimulus (its own number for a reference), -1 = none.
            None when the file does not say.
        missing: rows of the file whose vote is empty.
        unrated: names of the file that have no vote at all.
        source: the file.
    """

    stimuli: tuple[str, ...]
    observers: tuple[str, ...]
    stimulus: Indices
    observer: Indices
    score: Array
    reference: Indices | None = None
    missing: int = 0
    unrated: tuple[str, ...] = ()
    source: str = ""

    @staticmethod
    def of(matrix: npt.ArrayLike, *, stimuli: Sequence[str] = (), observers: Sequence[str] = ()) -> Ratings:
        """Ratings from a matrix (stimuli, observers), or (stimuli, observers, repetitions); NaN where nobody voted."""
        cube = np.atleast_3d(np.asarray(matrix, np.float64))
        given = np.isfinite(cube)
        stimulus, observer, _ = np.nonzero(given)
        names = tuple(stimuli) or tuple(f"{j:0{len(str(len(cube)))}}" for j in range(cube.shape[0]))
        people = tuple(observers) or tuple(f"o{i:0{len(str(cube.shape[1]))}}" for i in range(cube.shape[1]))
        return Ratings(names, people, stimulus, observer, cube[given])

    @property
    def n(self) -> npt.NDArray[np.int64]:
        """(J,) votes for each stimulus."""
        return np.bincount(self.stimulus, minlength=len(self.stimuli))

    @property
    def given(self) -> npt.NDArray[np.int64]:
        """(I,) votes of each observer."""
        return np.bincount(self.observer, minlength=len(self.observers))

    def keep(self, votes: npt.NDArray[np.bool_]) -> Ratings:
        """Only some of the votes; stimuli and observers stay, with fewer votes or none."""
        return replace(self, stimulus=self.stimulus[votes], observer=self.observer[votes], score=self.score[votes])


@dataclass(frozen=True, slots=True)
class Votes:
    """Rows of comparisons; a tie is half a vote for either side.

    Attributes:
        items: names, sorted.
        a, b: (m,) numbers of the two items of each row, never equal.
        votes_a, votes_b: (m,) votes for each side, >= 0, at least one of them > 0.
        observers: names, sorted; empty when the file does not say who voted.
        observer: (m,) numbers of the observers, or None.
        ties: trials without a preference.
        source: the file.
    """

    items: tuple[str, ...]
    a: Indices
    b: Indices
    votes_a: Array
    votes_b: Array
    observers: tuple[str, ...] = ()
    observer: Indices | None = None
    ties: int = 0
    source: str = ""

    @staticmethod
    def of(matrix: npt.ArrayLike, *, items: Sequence[str] = ()) -> Votes:
        """Votes from a matrix (n, n): how often the row was preferred to the column."""
        wins = np.asarray(matrix, np.float64)
        a, b = np.nonzero(np.triu(wins + wins.T, 1))
        names = tuple(items) or tuple(f"{j:0{len(str(len(wins)))}}" for j in range(len(wins)))
        return Votes(names, a, b, wins[a, b], wins[b, a])


def read_ratings(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    groups: str | None = None,
    where: Mapping[str, str] | None = None,
) -> dict[str, Ratings]:
    """The ratings of a file, by group; one group named "" when there is no column for it.

    Args:
        path: CSV.
        columns: our name of a column -> the header in the file.
        groups: header of the column that tells groups apart; each group is a study of its own. Without it the column
            `group`, if there is one.
        where: keep the rows in which each of these columns (headers of the file) has this value.

    Raises:
        TableError: the file cannot be read, has no such column, a score that is not a finite number, an empty name, the
            same vote twice, or more than one reference for a stimulus.
    """
    table = _Table(path, columns or {}, where or {})
    stimulus, observer = _Named(table.names("stimulus")), _Named(table.names("observer"))
    texts = table.text("score")
    given = np.array([bool(text) for text in texts])
    scores = table.numbers("score", [text or "0" for text in texts])
    if table.has("repetition"):
        keys = zip(table.names("stimulus"), table.names("observer"), table.text("repetition"), strict=True)
        _refuse_doubled([" ".join(key) for key in keys], f"{table.shown}: more than one row for the same repetition of")
    result = {}
    for name, rows in _by_group(table.groups(groups), len(texts)):
        kept = rows[given[rows]]
        if not len(kept):
            raise TableError(f"{table.shown}: no vote at all{f' in group {one_line(name)}' if name else ''}")
        (stimuli, s), (observers, o) = stimulus.within(kept), observer.within(kept)
        unrated = tuple(name for name in stimulus.within(rows)[0] if name not in set(stimuli))
        reference = _references(table, kept.tolist(), [stimuli[i] for i in s.tolist()], stimuli)
        result[name] = Ratings(
            stimuli, observers, s, o, scores[kept], reference, len(rows) - len(kept), unrated, table.shown
        )
    return result


def read_votes(
    path: Path,
    *,
    columns: Mapping[str, str] | None = None,
    groups: str | None = None,
    where: Mapping[str, str] | None = None,
) -> dict[str, Votes]:
    """The votes of a file of either form, by group; arguments and errors as `read_ratings`.

    Raises:
        TableError: also a negative number of votes, an item compared with itself, or a choice that is none.
    """
    table = _Table(path, columns or {}, where or {})
    a, b = table.names("item_a"), table.names("item_b")
    if same := [f"line {table.lines[i]}: {x}" for i, (x, y) in enumerate(zip(a, b, strict=True)) if x == y]:
        raise TableError(f"{table.shown}: compared with itself: {listed(same, 'row')}")
    if table.has("choice"):
        votes_a = _chosen(table, a, b)
        votes_b = 1 - votes_a
    elif table.has("votes_a") or table.has("votes_b"):
        votes_a, votes_b = table.numbers("votes_a"), table.numbers("votes_b")
        if ((votes_a < 0) | (votes_b < 0)).any():
            raise TableError(f"{table.shown}: votes must be at least 0")
    else:
        raise TableError(
            f"{table.shown} has neither choice nor votes_a and votes_b; it has {table.there}. "
            "If one of them is meant, say --column OURS=THEIRS"
        )
    both = _Named([*a, *b])
    observer = _Named(table.names("observer")) if table.has("observer") else None
    voted = (votes_a + votes_b) > 0  # a pair nobody has voted on says nothing, but is no mistake
    result = {}
    for name, rows in _by_group(table.groups(groups), len(a)):
        kept = rows[voted[rows]]
        if not len(kept):
            raise TableError(f"{table.shown}: no vote at all{f' in group {one_line(name)}' if name else ''}")
        items, number = both.within(np.concatenate([kept, kept + len(a)]))
        people, o = observer.within(kept) if observer else ((), None)
        ties = int(np.sum(votes_a[kept] == 0.5)) if table.has("choice") else 0
        result[name] = Votes(
            items, number[: len(kept)], number[len(kept) :], votes_a[kept], votes_b[kept], people, o, ties, table.shown
        )
    return result


def sums(number: Indices, values: Array, size: int) -> Array:
    """(size,) sums of the values that have the same number."""
    return np.asarray(np.bincount(number, values, size), np.float64)


def listed(items: Sequence[str], noun: str = "name") -> str:
    """How many there are, and the first of them."""
    more = len(items) - LISTED
    shown = ", ".join(one_line(item) for item in items[:LISTED])
    rest = f", and {more:,} more" if more > 0 else ""
    return f"{len(items):,} {noun}{'' if len(items) == 1 else 's'} ({shown}{rest})"


class _Table:
    """A CSV file as columns of text, by our names or the file's."""

    def __init__(self, path: Path, columns: Mapping[str, str], where: Mapping[str, str]) -> None:
        self.shown = one_line(str(path))
        self._map = columns
        header, cells, self.lines = _read(path, self.shown)
        self._cells = dict(zip(header, cells, strict=True))
        self.there = ", ".join(one_line(name) for name in self._cells)
        for ours, theirs in columns.items():
            self._need(theirs, f"--column {ours}={theirs}")
        for column, value in where.items():
            self._need(column, f"a selection {column}={value}")
            self._keep(column, value)
        if where:
            self.shown += f" [{', '.join(f'{one_line(k)}={one_line(v)}' for k, v in where.items())}]"

    def _keep(self, column: str, value: str) -> None:
        rows = [i for i, cell in enumerate(self._cells[column]) if cell == value]
        if not rows:
            there = sorted(set(self._cells[column]))
            raise TableError(f"{self.shown}: no row with {column}={value}; there is {listed(there, 'value')}")
        self._cells = {name: [cells[i] for i in rows] for name, cells in self._cells.items()}
        self.lines = [self.lines[i] for i in rows]

    def has(self, column: str) -> bool:
        return self._map.get(column, column) in self._cells

    def text(self, column: str) -> list[str]:
        theirs = self._map.get(column, column)
        self._need(theirs, f"the column {column}")
        return self._cells[theirs]

    def names(self, column: str) -> list[str]:
        names = [name.replace("\\", "/") for name in self.text(column)]
        if empty := [f"line {self.lines[i]}" for i, name in enumerate(names) if not name]:
            raise TableError(f"{self.shown}: {column} is empty; {listed(empty, 'row')}")
        return names

    def groups(self, header: str | None) -> list[str] | None:
        """The group of each row; None when there is no column for it."""
        if header is not None:
            self._need(header, f"--groups {header}")
            self._map = {**self._map, "group": header}
        return self.names("group") if self.has("group") else None

    def numbers(self, column: str, texts: Sequence[str] | None = None) -> Array:
        texts = self.text(column) if texts is None else texts
        try:
            values = np.array(texts, dtype=np.float64)
        except ValueError:
            values = np.array([_number(text) for text in texts])
        if not np.isfinite(values).all():
            bad = [f"line {self.lines[i]}: {texts[i]!r}" for i in np.flatnonzero(~np.isfinite(values)).tolist()]
            raise TableError(f"{self.shown}: {column} must be a finite number in every row; {listed(bad, 'row')}")
        return values

    def _need(self, theirs: str, what: str) -> None:
        if theirs not in self._cells:
            raise TableError(
                f"{self.shown} has no column {one_line(theirs)} (for {one_line(what)}); it has {self.there}. "
                "If one of them is meant, say --column OURS=THEIRS"
            )


def _read(path: Path, shown: str) -> tuple[list[str], list[list[str]], list[int]]:
    """(header, the cells of each column, the line of each row)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            rows, lines = _rows(reader, len(header), shown)
    except OSError as error:
        raise TableError(f"cannot read {shown}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{shown} is not a CSV file in UTF-8: {error}") from error
    if not rows:
        raise TableError(f"{shown} has no rows")
    if twice := [name for name, n in Counter(header).items() if n > 1 and name]:
        raise TableError(f"{shown}: a header twice: {listed(twice, 'header')}")
    columns = [[cell.strip() for cell in column] for column in zip(*rows, strict=True)]
    named = [i for i, name in enumerate(header) if name]
    return [header[i] for i in named], [columns[i] for i in named], lines


def _rows(reader: Iterator[list[str]], width: int, shown: str) -> tuple[list[list[str]], list[int]]:
    rows, lines = [], []
    for number, cells in enumerate(reader, start=2):
        if len(cells) != width:
            if not cells:
                continue
            raise TableError(f"{shown}: row {number} has {len(cells)} cells, the header {width}")
        rows.append(cells)
        lines.append(number)
    return rows, lines


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _refuse_doubled(names: Sequence[str], what: str) -> None:
    if len(set(names)) < len(names):
        raise TableError(f"{what}: {listed([name for name, n in Counter(names).items() if n > 1])}")


class _Named:
    """Names by number, so that parts of a table need not compare texts again."""

    def __init__(self, names: Sequence[str]) -> None:
        self.all = sorted(set(names))
        number = {name: i for i, name in enumerate(self.all)}
        self.of_row = np.array([number[name] for name in names], np.intp)

    def within(self, rows: Indices) -> tuple[tuple[str, ...], Indices]:
        """Names in some rows, sorted, each once; and the number of each row's name among them."""
        there, number = np.unique(self.of_row[rows], return_inverse=True)
        return tuple(self.all[i] for i in there.tolist()), number


def _by_group(labels: Sequence[str] | None, rows: int) -> Iterator[tuple[str, Indices]]:
    """Names of groups, sorted, each with its rows; one group named "" without labels."""
    if labels is None:
        yield "", np.arange(rows)
        return
    named = _Named(labels)
    order = np.argsort(named.of_row, kind="stable")
    ends = np.cumsum(np.bincount(named.of_row, minlength=len(named.all)))
    yield from zip(named.all, np.split(order, ends[:-1]), strict=True)


def _references(table: _Table, rows: list[int], names: list[str], stimuli: tuple[str, ...]) -> Indices | None:
    """The reference of each stimulus: the column names it, or marks (1, 0) which stimulus of a content is it."""
    if not table.has("reference"):
        return None
    cells = [table.text("reference")[i] for i in rows]
    if all(cell.lower() in _TRUE | _FALSE for cell in cells):
        contents = [table.text("content")[i] for i in rows] if table.has("content") else [""] * len(rows)
        marked: dict[str, str] = {}
        for name, content, cell in zip(names, contents, cells, strict=True):
            if cell.lower() in _TRUE and marked.setdefault(content, name) != name:
                raise TableError(f"{table.shown}: content {content!r} has two references: {marked[content]}, {name}")
        found = dict(zip(names, (marked.get(content, "") for content in contents), strict=True))
    else:
        found = dict(zip(names, (cell.replace("\\", "/") for cell in cells), strict=True))
    number = {name: i for i, name in enumerate(stimuli)}
    if unknown := sorted({f for f in found.values() if f and f not in number}):
        raise TableError(f"{table.shown}: references that nobody rated: {listed(unknown)}")
    return np.array([number.get(found[name], -1) for name in stimuli], np.intp)


def _chosen(table: _Table, a: Sequence[str], b: Sequence[str]) -> Array:
    """1 where a was chosen, 0 for b, one half for a tie; the cell is such a word, or the name of the item."""
    cells = table.text("choice")
    words = [_CHOICES.get(cell.lower()) for cell in cells]
    named = [1.0 if cell == x else 0.0 if cell == y else None for cell, x, y in zip(cells, a, b, strict=True)]
    if None not in words and None not in named and words != named:
        raise TableError(f"{table.shown}: items have names such as {cells[0]!r}, so choice can be read in two ways")
    found = words if None not in words else [w if n is None else n for n, w in zip(named, words, strict=True)]
    if bad := [f"line {table.lines[i]}: {cells[i]!r}" for i, value in enumerate(found) if value is None]:
        raise TableError(f"{table.shown}: choice must be a, b or tie (or the name of the item); {listed(bad, 'row')}")
    return np.array(found, np.float64)
