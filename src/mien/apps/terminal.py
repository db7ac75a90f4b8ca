"""What a person sees of a run: the tally, the table of the worst pictures, the progress. rich only where a TTY is."""

from __future__ import annotations

import heapq
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mien.core.types import ATTRIBUTES

if TYPE_CHECKING:
    from rich.table import Table

WORST = 20  #: rows of the table
FAILURES = 10  #: inputs without a score that are named
PLAIN_SECONDS = 5.0  #: between two lines of progress that are not on a terminal

DONE, SOME_UNREADABLE, NOTHING_SCORED = 0, 3, 4  # exit codes


class Tally:
    """Counts rows and pictures and keeps the worst rows; its size does not grow with their number.

    Attributes:
        pictures: how many; the rows of one picture's faces come one after the other, the first has index 0.
        faces: how many rows are of a face.
    """

    def __init__(self) -> None:
        self.pictures = self.faces = 0
        self.statuses: Counter[str] = Counter()
        self.failures: list[Mapping[str, Any]] = []
        self._sum = 0.0
        self._worst: list[tuple[float, int, Mapping[str, Any]]] = []  # heap, the best of the worst on top

    def add(self, row: Mapping[str, Any]) -> None:
        """Take one tidy row."""
        self.statuses[row["status"]] += 1
        index = row.get("face_index")
        self.faces += index is not None
        self.pictures += not index
        if row["status"] != "ok":
            if len(self.failures) < FAILURES:
                self.failures.append(row)
            return
        self._sum += row["score"]
        entry = (-row["score"], -self.total, row)  # the second is unique, so rows are never compared
        if len(self._worst) < WORST:
            heapq.heappush(self._worst, entry)
        else:
            heapq.heappushpop(self._worst, entry)

    @property
    def total(self) -> int:
        """Rows so far."""
        return self.statuses.total()

    @property
    def scored(self) -> int:
        """Rows with a score."""
        return self.statuses["ok"]

    @property
    def failed(self) -> int:
        """Rows without a score."""
        return self.total - self.scored

    @property
    def worst(self) -> list[Mapping[str, Any]]:
        """At most `WORST` rows, the lowest score first."""
        return [row for _, _, row in sorted(self._worst, key=lambda entry: entry[:2], reverse=True)]

    @property
    def exit_code(self) -> int:
        """Of a run that came to its end."""
        if not self.scored:
            return NOTHING_SCORED
        return SOME_UNREADABLE if self.failed else DONE

    def summary(self, new: int, seconds: float) -> list[str]:
        """Lines for people: what was scored, how fast, which inputs have no score.

        Args:
            new: pictures of this run; the others are from the run that it resumed.
            seconds: wall time of this run.
        """
        if self.faces:
            line = f"{_count(self.scored, 'face')} scored in {_count(self.pictures, 'picture')}"
        else:
            line = f"{self.scored:,} of {_count(self.pictures, 'picture')} scored"
        if self.scored:
            line += f", mean {self._sum / self.scored:.1f} (0..100, higher is better)"
        line += f"; {seconds:.1f} s"
        if new:
            line += f", {new / max(seconds, 1e-9):,.1f} pictures/s"
        if new < self.pictures:
            line += f", {self.pictures - new:,} from the run before"
        return [line, *self._failure_lines()]

    def _failure_lines(self) -> Iterator[str]:
        if self.failed:
            kinds = ", ".join(f"{n:,} {status}" for status, n in self.statuses.most_common() if status != "ok")
            yield f"{self.failed:,} without a score: {kinds}"
            yield from (f"  {row['status']}  {row['path']}: {row['error']}" for row in self.failures)
        if more := self.failed - len(self.failures):
            yield f"  and {more:,} more"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def print_table(tally: Tally) -> None:
    """The worst pictures, or faces, on stdout, which is a terminal."""
    if not tally.scored:
        return
    from rich.text import Text

    table = sheet()
    if tally.scored > len(tally.worst):
        table.title = f"the {len(tally.worst)} worst of {_count(tally.scored, 'face' if tally.faces else 'picture')}"
    table.add_column("score", justify="right", style="bold")
    for name in ("90 %", "pctl", *ATTRIBUTES):
        table.add_column(name[:5], justify="right")  # short, to leave room for paths on 80 columns
    if tally.faces:
        table.add_column("face", justify="right")
    table.add_column("path", overflow="fold")
    for row in tally.worst:
        known = row["score_lo"] is not None
        interval = f"{_cell(row['score_lo'])}-{_cell(row['score_hi'])}" if known else ""
        cells = [f"{row['score']:.1f}", interval, *(_cell(row[name]) for name in ("percentile", *ATTRIBUTES))]
        if tally.faces:
            cells.append(f"{row['face_index'] + 1}/{row['n_faces']}")
        table.add_row(*cells, Text(row["path"]))
    show(table)


def sheet() -> Table:
    """An empty table with room for a title, without lines."""
    from rich.table import Table

    return Table(box=None, pad_edge=False, title_justify="left")


def show(table: Table) -> None:
    """Print a table on stdout, which is a terminal."""
    from rich.console import Console

    Console(file=sys.stdout).print(table)


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


@contextmanager
def progress(tally: Tally, total: int | None, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Rate, time left and failures on stderr: a bar on a terminal, else a line every few seconds.

    Args:
        tally: what is done; may hold rows of an earlier run, which do not count for the rate.
        total: pictures to come, those of the earlier run included; None = unknown.
        quiet: show nothing.

    Yields:
        To be called after each picture.
    """
    if quiet:
        yield lambda: None
    elif sys.stderr.isatty():
        with _bar(tally, total) as step:
            yield step
    else:
        yield _plain(tally, total)


def _plain(tally: Tally, total: int | None) -> Callable[[], None]:
    begin = told = time.monotonic()
    before = tally.pictures

    def step() -> None:
        nonlocal told
        now = time.monotonic()
        if now - told < PLAIN_SECONDS:
            return
        told = now
        rate = (tally.pictures - before) / (now - begin)
        parts = [f"{tally.pictures:,}" + (f"/{total:,}" if total else "") + " pictures", f"{rate:,.1f}/s"]
        if total:
            parts.append(f"{_duration(max(total - tally.pictures, 0) / rate)} left")
        sys.stderr.write(", ".join([*parts, f"{tally.failed:,} failed"]) + "\n")
        sys.stderr.flush()

    return step


def told_seldom(what: str) -> Callable[[int, int], None]:
    """A line on stderr every few seconds: how many of how many, and the time left; to be called with both.

    The first call, with 0 done, starts the clock: whatever was prepared before says nothing about the rest.
    """
    begin = told = 0.0

    def watch(done: int, of: int) -> None:
        nonlocal begin, told
        now = time.monotonic()
        if not done:
            begin = told = now
        if done and now - told >= PLAIN_SECONDS:
            told = now
            sys.stderr.write(f"{done} of {of} {what}, {_duration((of - done) * (now - begin) / done)} left\n")
            sys.stderr.flush()

    return watch


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def _bar(tally: Tally, total: int | None) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.1f}/s"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]:,} failed"),
    )
    begin, before = time.monotonic(), tally.pictures
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, completed=before, rate=0.0, failed=tally.failed)

        def step() -> None:
            rate = (tally.pictures - before) / max(time.monotonic() - begin, 1e-9)
            bar.update(task, completed=tally.pictures, rate=rate, failed=tally.failed)

        yield step
