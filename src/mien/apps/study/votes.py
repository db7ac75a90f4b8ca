"""What becomes of an answer: kept once, however often it is sent, and told only after it is on the disk."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from mien.apps.study import schema
from mien.apps.study.assignment import renew, total, upcoming
from mien.apps.study.database import Database
from mien.apps.study.hosted import Hosted
from mien.apps.study.observers import Observer, hold, keep_check
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
        low: scenes of which few pairs are left.
        duplicate: the answer was there already, sent before with the same key.
    """

    answered: int
    total: int
    trials: list[Row[Any]]
    low: set[str]
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
            hold(connection, observer)  # somebody forgotten has no trials, so that what follows refuses them
            duplicate = not _keep(connection, hosted, observer, ballot) and _is_kept(
                connection, hosted, observer, ballot
            )
            return _standing(connection, hosted, observer, duplicate=duplicate)
    except IntegrityError as error:
        if not _is_used(database, observer, ballot.key):
            raise
        raise RefusedError(422, "This key belongs to the answer to another question.") from error


def standing(
    database: Database, hosted: Hosted, observer: Observer, *, check: Mapping[str, Any] | None = None
) -> Standing:
    """Where somebody is who comes back, or has just been through the viewing check; what was given stays theirs.

    Raises:
        RefusedError: they have been forgotten meanwhile (401).
    """
    with database.write() as connection:
        if not hold(connection, observer):
            raise RefusedError(401, "This link is not known here any more.")
        if check is not None:
            keep_check(connection, observer, check)
        renew(connection, observer.seat)
        return _standing(connection, hosted, observer)


_T, _V, _S = schema.trial, schema.vote, schema.study
_OPEN_STUDY = select(_S.c.id).where(_S.c.id == bindparam("study"), _S.c.open)
_MARK = (
    update(_T)
    .where(_T.c.id == bindparam("this"), _T.c.study_id == bindparam("study"), _T.c.observer_id == bindparam("me"))
    .where(_T.c.answered.is_(None), _OPEN_STUDY.exists())
    .values(answered=bindparam("now"))
)
_INSERT = insert(_V)
_COUNT = select(func.count()).where(_V.c.observer_id == bindparam("me"))
_KEPT = (
    select(_T.c.observer_id, _V.c.key, _S.c.open)
    .join(_S, _S.c.id == _T.c.study_id)
    .outerjoin(_V, _V.c.trial_id == _T.c.id)
    .where(_T.c.id == bindparam("this"), _T.c.study_id == bindparam("study"))
)


def _keep(connection: Connection, hosted: Hosted, observer: Observer, ballot: Ballot) -> bool:
    """Write it down; False when the trial is not open to this observer, whatever the reason."""
    me, now = observer.seat.observer_id, time.time()
    if not connection.execute(_MARK, {"this": ballot.trial, "study": hosted.id, "me": me, "now": now}).rowcount:
        return False
    values = {name: value for name, value in asdict(ballot).items() if name != "trial"}
    connection.execute(_INSERT, {**values, "trial_id": ballot.trial, "observer_id": me, "received": now})
    return True


def _is_kept(connection: Connection, hosted: Hosted, observer: Observer, ballot: Ballot) -> bool:
    """True when this very answer was there before; else refuses it, and says why."""
    found = connection.execute(_KEPT, {"this": ballot.trial, "study": hosted.id}).first()
    if found is not None and found.observer_id == observer.seat.observer_id:
        if found.key == ballot.key:
            return True
        if found.key is not None:
            raise RefusedError(409, "This question has been answered before; that answer stays.")
        if not found.open:
            raise RefusedError(403, "This study is closed. Thank you for your answers.")
    raise RefusedError(409, "This question is no longer yours; the next one comes.")


def _is_used(database: Database, observer: Observer, key: str) -> bool:
    """Whether an answer of this observer has this key."""
    with database.read() as connection:
        used = select(_V.c.trial_id).where(_V.c.observer_id == observer.seat.observer_id, _V.c.key == key)
        return connection.scalar(used) is not None


def _standing(connection: Connection, hosted: Hosted, observer: Observer, *, duplicate: bool = False) -> Standing:
    seat = observer.seat
    answered = connection.scalar(_COUNT, {"me": seat.observer_id}) or 0
    trials, low = upcoming(connection, hosted, seat)
    return Standing(answered, total(hosted, seat.quota), list(trials), low, duplicate)
