"""From votes to files: what `mien scale` reads, every vote with all that is known about it, and who took part.

ratings.csv     acr, dcr: stimulus, observer, score, content, reference, repetition
votes.csv       pairwise: item_a, item_b, choice, group, observer; item_a was on the left
log.jsonl       one line for each vote, training and traps included; new votes are added at the end
observers.csv   code, votes, traps passed, what the viewing check found
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, case, func, select

from mien.apps.study import schema
from mien.apps.study.assignment import TRAP
from mien.apps.study.database import Database
from mien.apps.study.hosted import Hosted
from mien.apps.study.items import MAIN
from mien.apps.study.settings import PAIRWISE, SIDES, TIE
from mien.core.errors import UsageError
from mien.core.rows import one_line

RATINGS, VOTES, LOG, OBSERVERS = "ratings.csv", "votes.csv", "log.jsonl", "observers.csv"
_CHOICE = {SIDES[0]: "a", SIDES[1]: "b", TIE: "tie"}
_CHUNK = 2000  # rows that are in memory at once


def names(hosted: Hosted) -> tuple[str, ...]:
    """The files of a study."""
    return (VOTES if hosted.settings.method == PAIRWISE else RATINGS, LOG, OBSERVERS)


def lines(database: Database, hosted: Hosted, name: str) -> Iterator[str]:
    """One file, line by line, as it is at the moment; memory does not grow with the votes.

    Args:
        database: with the votes.
        hosted: the study.
        name: one of `names`.
    """
    with database.read() as connection:
        yield from _WRITERS[name](connection, hosted)


def export(database: Database, hosted: Hosted, folder: Path) -> dict[str, int]:
    """Write all files of a study into a folder; each appears complete or not at all.

    Returns:
        The number of rows of each file.

    Raises:
        UsageError: the folder cannot be written.
    """
    written = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names(hosted):
            partial = folder / f"{name}.partial"
            with partial.open("w", encoding="utf-8", newline="") as file:
                rows = 0
                for line in lines(database, hosted, name):
                    file.write(line)
                    rows += 1
            partial.replace(folder / name)
            written[name] = rows - (not name.endswith(".jsonl"))
    except OSError as error:
        raise UsageError(f"cannot write into {one_line(str(folder))}: {error.strerror or error}") from error
    return written


def _ratings(connection: Connection, hosted: Hosted) -> Iterator[str]:
    yield _cells(("stimulus", "observer", "score", "content", "reference", "repetition"))
    rated = _judged(connection, hosted)
    for row in _votes(connection, hosted, MAIN):
        item = hosted.items[row.first_id]
        reference = hosted.items[item.reference].name if item.reference in rated and item.reference is not None else ""
        yield _cells((item.name, row.code, row.answer, item.scene, reference, row.round))


def _judged(connection: Connection, hosted: Hosted) -> set[int]:
    """Items that have votes: a reference that nobody was asked about cannot be subtracted from anything."""
    t, v = schema.trial, schema.vote
    query = select(t.c.first_id).join(v, v.c.trial_id == t.c.id).where(t.c.study_id == hosted.id, t.c.role == MAIN)
    return set(connection.scalars(query.distinct()))


def _pairs(connection: Connection, hosted: Hosted) -> Iterator[str]:
    grouped = len(hosted.scenes) > 1
    yield _cells(("item_a", "item_b", "choice", *(["group"] if grouped else []), "observer"))
    for row in _votes(connection, hosted, MAIN):
        left, right = _sides(hosted, row)
        group = [row.scene or "-"] if grouped else []
        yield _cells((left, right, _CHOICE[row.answer], *group, row.code))


def _log(connection: Connection, hosted: Hosted) -> Iterator[str]:
    for row in _votes(connection, hosted):
        yield json.dumps(_told(hosted, row), ensure_ascii=False, allow_nan=False) + "\n"


def _told(hosted: Hosted, row: Row[Any]) -> dict[str, Any]:
    left, right = _sides(hosted, row) if hosted.settings.method == PAIRWISE and row.first_id else (None, None)
    rated = row.first_id if hosted.settings.method != PAIRWISE else None
    return {
        "study": hosted.study.title,
        "session": row.session,
        "subject": row.code,
        "time": _time(row.received),
        "method": hosted.settings.method,
        "role": row.role,
        "scene": row.scene or None,
        "left": left,
        "right": right,
        "item": _name(hosted, rated),
        "reference": _name(hosted, row.second_id) if rated else None,
        "repetition": row.round if row.role == MAIN else None,
        "answer": row.answer,
        "trap": row.role == TRAP,
        "expected": row.expected,
        "response_ms": row.response_ms,
        "views": row.views,
        "width": row.width,
        "height": row.height,
        "ratio": row.ratio,
        "shown_scale": row.shown_scale,
        "position": row.position,
    }


def _observers(connection: Connection, hosted: Hosted) -> Iterator[str]:
    found = list(people(connection, hosted))
    checks = sorted({name for person in found for name in person["check"]})
    columns = ("observer", "joined", "answered", "traps", "traps_passed")
    yield _cells((*columns, *checks))
    for person in found:
        yield _cells((*(person[name] for name in columns), *(person["check"].get(name, "") for name in checks)))


def people(connection: Connection, hosted: Hosted) -> Iterator[dict[str, Any]]:
    """Everybody who has joined and not asked to be forgotten: code, time, votes, traps, check, trials."""
    o, t, v = schema.observer, schema.trial, schema.vote
    trap = t.c.role == TRAP
    passed = case((trap & (v.c.answer == t.c.expected), 1), else_=0)
    query = (
        select(
            o,
            func.count(v.c.trial_id).label("answered"),
            func.coalesce(func.sum(case((trap & v.c.trial_id.is_not(None), 1), else_=0)), 0).label("traps"),
            func.coalesce(func.sum(passed), 0).label("passed"),
            func.max(v.c.received).label("last"),
        )
        .outerjoin(v, v.c.observer_id == o.c.id)
        .outerjoin(t, t.c.id == v.c.trial_id)
        .where(o.c.study_id == hosted.id, ~o.c.code.startswith("-"))
        .group_by(o.c.id)
        .order_by(o.c.number)
    )
    for row in connection.execute(query):
        yield {
            "observer": row.code,
            "joined": _time(row.joined),
            "answered": row.answered,
            "traps": row.traps,
            "traps_passed": row.passed,
            "last": None if row.last is None else _time(row.last),
            "quota": row.quota,
            "check": json.loads(row.check) if row.check else {},
        }


_WRITERS: Mapping[str, Callable[[Connection, Hosted], Iterator[str]]] = {
    RATINGS: _ratings,
    VOTES: _pairs,
    LOG: _log,
    OBSERVERS: _observers,
}


def _votes(connection: Connection, hosted: Hosted, role: str | None = None) -> Iterable[Row[Any]]:
    """Votes with their trials and observers, in the order in which they came."""
    t, v, o = schema.trial, schema.vote, schema.observer
    query = (
        select(t, v, o.c.code)
        .join(v, v.c.trial_id == t.c.id)
        .join(o, o.c.id == v.c.observer_id)
        .where(t.c.study_id == hosted.id, *([] if role is None else [t.c.role == role]))
        .order_by(v.c.received, v.c.trial_id)
    )
    return connection.execution_options(yield_per=_CHUNK).execute(query)


def _sides(hosted: Hosted, row: Row[Any]) -> tuple[str, str]:
    first, second = hosted.items[row.first_id].name, hosted.items[row.second_id].name
    return (first, second) if row.left_id == row.first_id else (second, first)


def _name(hosted: Hosted, item: int | None) -> str | None:
    return None if item is None else hosted.items[item].name


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _cells(values: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
