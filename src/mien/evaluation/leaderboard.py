"""Many submissions on the same labels: a ranking, and which of its differences are more than chance.

Done here, in this order:
1. Submissions are ordered by the metric that the protocol ranks by; equal values share a rank.
2. Every pair is compared by the paired bootstrap: both are evaluated on the same resamples, and p is twice the share of
   resamples in which the difference falls on the other side of zero (`result.paired_difference`).
3. The k(k - 1)/2 values of p are corrected together by Holm's step-down method, so that the chance of one or more false
   differences on the whole board is at most alpha. A pair differs when its corrected p is at most alpha.
4. Letters (a compact letter display): submissions that share a letter do not differ; those without a common letter do.
5. Places: from 1 + the submissions that are better and differ, to k - the submissions that are worse and differ.

"Do not differ" means that these labels cannot tell them apart, not that they are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from string import ascii_letters
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.core.errors import UsageError
from mien.evaluation.protocol import Cost, Protocol, Reference, better
from mien.evaluation.result import Difference, Result, paired_difference

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Entry:
    """One submission: its name on the board, its result, and what it costs (None where nobody measured)."""

    name: str
    result: Result
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two submissions, the better one first.

    Attributes:
        a: name of the one with the better value.
        b: name of the other one.
        difference: a - b in the units of the metric, its interval, and p before the correction.
        p: corrected by Holm's method over all pairs of the board.
    """

    a: str
    b: str
    difference: Difference
    p: float


@dataclass(frozen=True, slots=True)
class Row:
    """One ranked submission.

    Attributes:
        rank: 1 is the best; equal values share a rank.
        entry: the submission.
        letters: shared with those that it does not differ from; empty without a comparison.
        places: best and worst place that the differences leave open; None without a comparison.
    """

    rank: int
    entry: Entry
    letters: tuple[str, ...] = ()
    places: tuple[int, int] | None = None

    @property
    def name(self) -> str:
        """Of the submission."""
        return self.entry.name

    @property
    def value(self) -> float:
        """Of the metric that the ranking goes by."""
        return self.entry.result.main.value


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """A ranking.

    Attributes:
        protocol: of all results.
        rows: best first.
        pairs: every comparison; empty without draws or with one submission.
        alpha: chance of one or more false differences on the whole board.
        notes: what a reader must know.
    """

    protocol: Protocol
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    alpha: float
    notes: tuple[str, ...] = ()

    @property
    def metric(self) -> str:
        """That the ranking goes by."""
        return self.protocol.rank_by

    @property
    def method(self) -> str:
        """How differences were told from chance, in words."""
        if not self.pairs:
            return "no comparison between submissions"
        return (
            f"{len(self.pairs)} pairs, paired bootstrap, p corrected by Holm's method over all pairs, "
            f"alpha {self.alpha:g}. Submissions that share a letter do not differ; places are those that the "
            "differences leave open"
        )


def rank(entries: Iterable[Entry], *, alpha: float = 0.05) -> Leaderboard:
    """Rank submissions and find out which of them differ (see the head of this file).

    Args:
        entries: results on the same labels under the same protocol, with different names.
        alpha: chance of one or more false differences on the whole board.

    Raises:
        UsageError: no entries, a name twice, or results of different protocols, labels, draws or seeds.
    """
    ordered = list(entries)
    _check(ordered, alpha)
    protocol = ordered[0].result.protocol
    sign = 1 if ordered[0].result.better == "lower" else -1
    ordered.sort(key=lambda entry: (sign * entry.result.main.value, entry.name))
    values = [entry.result.main.value for entry in ordered]
    ranks = [1 + values.index(value) for value in values]
    pairs = _pairs(ordered)
    if not pairs:
        return Leaderboard(protocol, tuple(map(Row, ranks, ordered)), (), alpha)
    number = {entry.name: i for i, entry in enumerate(ordered)}
    differ = {(number[p.a], number[p.b]) for p in pairs if p.p <= alpha}
    rows = tuple(
        Row(ranks[i], entry, letters, _places(i, len(ordered), differ))
        for i, (entry, letters) in enumerate(zip(ordered, letter_display(len(ordered), differ), strict=True))
    )
    return Leaderboard(protocol, rows, pairs, alpha, tuple(_notes(ordered, pairs, alpha)))


def _check(entries: Sequence[Entry], alpha: float) -> None:
    if not entries:
        raise UsageError("a leaderboard needs at least one submission")
    if not 0 < alpha < 1:
        raise UsageError(f"alpha must be between 0 and 1, not {alpha:g}")
    names = [entry.name for entry in entries]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"more than one submission is called {', '.join(twice)}")
    first = entries[0].result
    for result in (entry.result for entry in entries):
        if result.protocol.name != first.protocol.name or result.pairing != first.pairing:
            raise UsageError(
                f"{first.submission} and {result.submission} do not compare: other protocol, labels, draws or seed"
            )


def _pairs(ordered: Sequence[Entry]) -> tuple[Pair, ...]:
    """All comparisons, the better one first; none without draws."""
    drawn = [entry.result.samples.get(entry.result.protocol.rank_by, ()) for entry in ordered]
    if len(ordered) < 2 or not all(len(samples) for samples in drawn):
        return ()
    couples = [(a, b) for i, a in enumerate(ordered) for b in ordered[i + 1 :]]
    differences = [paired_difference(a.result, b.result, level=a.result.level) for a, b in couples]
    corrected = holm([difference.p for difference in differences])
    return tuple(
        Pair(a.name, b.name, difference, float(p))
        for (a, b), difference, p in zip(couples, differences, corrected, strict=True)
    )


def holm(p: npt.ArrayLike) -> Array:
    """Values of p, corrected together by Holm's step-down method.

    Args:
        p: (m,) in [0, 1].

    Returns:
        (m,) in [0, 1]; rejecting where it is at most alpha keeps the chance of any false rejection at most alpha,
        however the tests depend on each other.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.minimum(1.0, np.maximum.accumulate(values[order] * (len(values) - np.arange(len(values)))))
    corrected = np.empty_like(values)
    corrected[order] = stepped
    return corrected


def letter_display(n: int, differ: Iterable[tuple[int, int]]) -> list[tuple[str, ...]]:
    """Letters for n treatments: two share one exactly when they do not differ (Piepho 2004, insert and absorb).

    Args:
        n: treatments, numbered from the best.
        differ: pairs (i, j) that differ.

    Returns:
        For each treatment its letters, in order; the best one has "a".
    """
    columns = [frozenset(range(n))]
    for i, j in sorted(differ):
        split = [part for c in columns for part in ((c - {i}, c - {j}) if {i, j} <= c else (c,))]
        columns = []
        for column in sorted(dict.fromkeys(split), key=len, reverse=True):
            if not any(column <= other for other in columns):  # absorbed
                columns.append(column)
    columns.sort(key=sorted)
    return [tuple(_letter(k) for k, column in enumerate(columns) if i in column) for i in range(n)]


def _letter(number: int) -> str:
    """a..z, A..Z, then numbers in brackets."""
    return ascii_letters[number] if number < len(ascii_letters) else f"({number + 1})"


def _places(i: int, n: int, differ: set[tuple[int, int]]) -> tuple[int, int]:
    better_ones = sum(1 for j in range(i) if (j, i) in differ)
    worse_ones = sum(1 for j in range(i + 1, n) if (i, j) in differ)
    return 1 + better_ones, n - worse_ones


def _notes(ordered: Sequence[Entry], pairs: Sequence[Pair], alpha: float) -> Iterator[str]:
    draws = len(ordered[0].result.samples[ordered[0].result.protocol.rank_by])
    smallest = 2 / (draws + 1) * len(pairs)
    if smallest > alpha:
        needed = int(np.ceil(2 * len(pairs) / alpha))
        yield (
            f"no difference can be found: with {draws:,} draws and {len(pairs):,} pairs the smallest corrected p is "
            f"{min(1.0, smallest):.2g}; use at least {needed:,} draws"
        )


def published(protocol: Protocol, table: str | None = None) -> tuple[Reference, ...]:
    """The published rows of a protocol, table by table, each table best first.

    Args:
        protocol: whose source published them.
        table: only this table of the source.

    Raises:
        UsageError: the source has no such table.
    """
    tables = list(dict.fromkeys(reference.table for reference in protocol.published))
    if table is not None and table not in tables:
        raise UsageError(f"{protocol.name} has no published table {table!r}; there is {', '.join(tables) or 'none'}")
    sign = 1 if protocol.better == "lower" else -1

    def order(reference: Reference) -> tuple[int, float]:
        value = reference.values.get(protocol.rank_by)
        return tables.index(reference.table), float("inf") if value is None else sign * value

    return tuple(sorted((r for r in protocol.published if table in (None, r.table)), key=order))


def beside(board: Leaderboard, references: Iterable[Reference]) -> list[Row | Reference]:
    """Submissions and published rows in one order, best first; a published row has no rank and moves none.

    Rows without a value of the ranking metric come last. Submissions stand before published rows of the same value.
    """
    merged: list[Row | Reference] = list(board.rows)
    for reference in references:
        value = reference.values.get(board.metric)
        at = len(merged)
        if value is not None:
            worse = (k for k, other in enumerate(merged) if _worse(board.metric, other, value))
            at = next(worse, at)
        merged.insert(at, reference)
    return merged


def _worse(metric: str, other: Row | Reference, value: float) -> bool:
    theirs = other.value if isinstance(other, Row) else other.values.get(metric)
    return theirs is None or better(metric, value, theirs)


def records(
    board: Leaderboard, references: Iterable[Reference] = (), *, task: str, dataset: str
) -> list[dict[str, Any]]:
    """One flat record for each metric of each submission and published row, as tables of results are exchanged.

    Args:
        board: the ranking.
        references: published rows.
        task: what was to be done ("Portrait Quality Assessment").
        dataset: on what it was done. Published rows keep the name of their own table.

    Returns:
        Records with task, dataset, metric, value, model; for submissions also low, high, level (of the interval), rank,
        letters, macs, parameters, seconds; `published` tells the two kinds apart. No NaN; None where there is no value.
    """
    found: list[dict[str, Any]] = []
    for row in board.rows:
        result, cost = row.entry.result, row.entry.cost
        for metric, estimate in result.total.items():
            found.append(
                {
                    "task": task,
                    "dataset": dataset,
                    "metric": metric,
                    "value": estimate.value,
                    "model": row.name,
                    "low": estimate.low,
                    "high": estimate.high,
                    "level": result.level,
                    "rank": row.rank,
                    "letters": "".join(row.letters),
                    "macs": cost.macs,
                    "parameters": cost.parameters,
                    "seconds": cost.seconds,
                    "protocol": board.protocol.name,
                    "published": False,
                }
            )
    for reference in references:
        found += _reference_records(board.protocol, reference, task)
    return found


def _reference_records(protocol: Protocol, reference: Reference, task: str) -> list[dict[str, Any]]:
    cost = reference_cost(reference)
    shared = {
        "low": None,
        "high": None,
        "level": None,
        "rank": None,
        "letters": "",
        "macs": cost.macs,
        "parameters": cost.parameters,
        "seconds": cost.seconds,
        "protocol": protocol.name,
        "published": True,
        "source": protocol.paper,
        "note": reference.note,
    }
    about = {"task": task, "dataset": reference.table}
    return [
        {**about, "metric": metric, "value": value, "model": reference.name, **shared}
        for metric, value in reference.values.items()
    ]


def reference_cost(reference: Reference) -> Cost:
    """What was published about the cost, in single units."""
    return Cost(
        None if reference.gmacs is None else reference.gmacs * 1e9,
        None if reference.params_m is None else reference.params_m * 1e6,
        reference.seconds,
    )
