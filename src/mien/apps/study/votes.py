"""What becomes of an answer: kept once, however often it is sent, and told only after it is on the disk."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from mien.apps.study import schema
from mien.apps.study.assignment import renew, total, upcoming
from mien.apps.study.database import Database
from mien.apps.study.hosted import Hosted
from mien.apps.study.observers import Observer
from mien.apps.study.refusal import RefusedError


@dataclass(frozen=True, slots=True)
class Ballot:
    """One answer as the page sends it.

    Attributes:
        trial: that it answers.
        key: made by the page for this answer; when the same answer is sent again, it has the same key.
        answer: one of `Settings.answers`.
        response_ms: from the first sight of all pictures to the answer.
        views: how often the pictures were switched or the videos played; 1 when they were just looked at.
        session: one opening of the page.
        width, height: of the window, CSS px.
        ratio: device pixels for each CSS px.
        shown_scale: device pixels for each pixel of the file.
    """

    trial: int
    key: str
    answer: str
    response_ms: int
    views: int
    session: str
    width: int | None = None
    height: int | None = None
    ratio: float | None = None
    shown_scale: float | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an observer is.

    Attributes:
        answered, total: trials, those that do not count included.
        trials: rows of `schema.trial` that come next, as many as are known.
        duplicate: the answer was there already, sent before with the same key.
    """

    answered: int
    total: int
    trials: list[Row[Any]]
    duplicate: bool = False


def record(database: Database, hosted: Hosted, observer: Observer, ballot: Ballot) -> Standing:
    """Keep an answer and say what comes next, in one transaction; when this returns, the answer is on the disk.

    Raises:
        RefusedError: the answer is none of this study (422); the trial is nobody's or somebody else's (409); it was
            answered before with another key, which stays (409); the study is closed (403).
    """
    if ballot.answer not in hosted.settings.answers:
        raise RefusedError(422, f"An answer is one of {', '.join(hosted.settings.answers)}.")
    try:
        with database.write() as connection:
            duplicate = _is_kept(connection, hosted, observer, ballot)
            if not duplicate and not _keep(connection, observer, ballot):
                duplicate = _is_kept(connection, hosted, observer, ballot)  # it came on two ways at once
            return _standing(connection, hosted, observer, duplicate=duplicate)
    except IntegrityError as error:
        raise RefusedError(422, "This key belongs to the answer to another question.") from error


def standing(database: Database, hosted: Hosted, observer: Observer) -> Standing:
    """Where somebody is who comes back; what was given to them stays theirs."""
    with database.write() as connection:
        renew(connection, observer.seat)
        return _standing(connection, hosted, observer)


def _keep(connection: Connection, observer: Observer, ballot: Ballot) -> bool:
    """Write it down; False when the trial was answered or taken back since it was looked at."""
    t, now = schema.trial, time.time()
    mine = (t.c.id == ballot.trial, t.c.observer_id == observer.seat.observer_id, t.c.answered.is_(None))
    if not connection.execute(update(t).where(*mine).values(answered=now)).rowcount:
        return False
    values = {name: value for name, value in asdict(ballot).items() if name != "trial"}
    row = {**values, "trial_id": ballot.trial, "observer_id": observer.seat.observer_id, "received": now}
    connection.execute(insert(schema.vote).values(row))
    return True


def _is_kept(connection: Connection, hosted: Hosted, observer: Observer, ballot: Ballot) -> bool:
    """Whether this answer is there already; refuses what must not be added."""
    s, t, v = schema.study, schema.trial, schema.vote
    found = connection.execute(
        select(t.c.observer_id, v.c.key, s.c.open)
        .join(s, s.c.id == t.c.study_id)
        .outerjoin(v, v.c.trial_id == t.c.id)
        .where(t.c.id == ballot.trial, t.c.study_id == hosted.id)
    ).first()
    if found is None or found.observer_id != observer.seat.observer_id:
        raise RefusedError(409, "This question is no longer yours; the next one comes.")
    if found.key is not None:
        if found.key != ballot.key:
            raise RefusedError(409, "This question has been answered before; that answer stays.")
        return True
    if not found.open:
        raise RefusedError(403, "This study is closed. Thank you for your answers.")
    return False


def _standing(connection: Connection, hosted: Hosted, observer: Observer, *, duplicate: bool = False) -> Standing:
    seat, v = observer.seat, schema.vote
    answered = connection.scalar(select(func.count()).where(v.c.observer_id == seat.observer_id)) or 0
    trials = list(upcoming(connection, hosted, seat))
    return Standing(answered, total(hosted, seat.quota), trials, duplicate)
