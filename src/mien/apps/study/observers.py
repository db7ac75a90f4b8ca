"""Who takes part: a random code for the tables, a secret for the link, and what the viewing check found."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from mien.apps.study import schema
from mien.apps.study.assignment import Seat, begin
from mien.apps.study.database import Database, lock_study
from mien.apps.study.folder import secret
from mien.apps.study.hosted import Hosted, is_current, sha256
from mien.apps.study.pool import FREE
from mien.apps.study.refusal import RefusedError
from mien.core.errors import UsageError

_LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"  # none that is read as another one
_CODE_LETTERS = 6

_O = schema.observer
_HOLD = (
    select(_O.c.id)
    .where(_O.c.id == bindparam("me"), _O.c.code == bindparam("code"))
    .with_for_update(key_share=True)  # the rows that point to this one need not wait
)


@dataclass(frozen=True, slots=True)
class Observer:
    """Somebody who takes part.

    Attributes:
        seat: what their order depends on.
        code: stands for them in every table.
        checked: whether they have been through the viewing check.
    """

    seat: Seat
    code: str
    checked: bool


def join(database: Database, hosted: Hosted, *, wording_sha256: str) -> tuple[str, str]:
    """Let somebody in who has agreed to the words of that hash.

    Returns:
        The secret of their link, and their code.

    Raises:
        RefusedError: the words have changed since they were read (409), the study is closed or full (403), or another
            server has rewritten it (503).
    """
    if wording_sha256 != hosted.study.text_sha256:
        raise RefusedError(409, "The text has changed since you opened this page. Reload it and read it again.")
    token = secret()
    with database.write() as connection:
        lock_study(connection, hosted.id)
        _need_current(connection, hosted)
        need_open(connection, hosted)
        table, of_study = schema.observer, schema.observer.c.study_id == hosted.id
        number = (connection.scalar(select(func.max(table.c.number)).where(of_study)) or 0) + 1
        most = hosted.settings.max_observers
        if most is not None and number > most:
            raise RefusedError(403, "This study has all the observers that it wants. Thank you for coming.")
        values = {
            "study_id": hosted.id,
            "number": number,
            "code": _new_code(connection, hosted),
            "token_sha256": sha256(token),
            "joined": time.time(),
            "wording_sha256": wording_sha256,
            "quota": hosted.quota,
        }
        observer_id = connection.execute(insert(table).values(values).returning(table.c.id)).scalar_one()
        begin(connection, hosted, Seat(observer_id, number, hosted.quota))
    return token, values["code"]


def find_observer(connection: Connection, hosted: Hosted, token: str) -> Observer | None:
    """Whose link has this secret.

    Raises:
        RefusedError: another server has rewritten the study before they joined there (503).
    """
    t = schema.observer
    row = connection.execute(select(t).where(t.c.token_sha256 == sha256(token), t.c.study_id == hosted.id)).first()
    if row is None:
        return None
    _need_current(connection, hosted)
    return Observer(Seat(row.id, row.number, row.quota), row.code, row.check is not None)


def hold(connection: Connection, observer: Observer) -> bool:
    """Lock the row of an observer, before any of their trials and before the study; False when they were forgotten.

    From here to the end of the transaction nothing else happens for them: `forget` waits until it has ended, and
    whatever waits for `forget` finds nobody.
    """
    mine = {"me": observer.seat.observer_id, "code": observer.code}
    return connection.scalar(_HOLD, mine) is not None


def keep_check(connection: Connection, observer: Observer, found: Mapping[str, Any]) -> None:
    """Keep what the viewing check found; a later one takes the place of an earlier one."""
    t = schema.observer
    values = {"check": json.dumps(found, sort_keys=True)}
    connection.execute(update(t).where(t.c.id == observer.seat.observer_id).values(values))


def need_open(connection: Connection, hosted: Hosted) -> None:
    """Refuse what a closed study does not take.

    Raises:
        RefusedError: it is closed (403).
    """
    if not connection.scalar(select(schema.study.c.open).where(schema.study.c.id == hosted.id)):
        raise RefusedError(403, "This study is closed. Thank you for your interest.")


def _need_current(connection: Connection, hosted: Hosted) -> None:
    """Refuse to go by numbers of items that are no more. Once somebody has joined, nothing changes any more."""
    if not is_current(connection, hosted):
        raise RefusedError(
            503, "This study was changed after this server had begun: whoever runs it has to start it again."
        )


def forget(database: Database, hosted: Hosted, code: str) -> int:
    """Delete the votes of an observer and all that is known about them; an empty row keeps their number.

    Their row is locked first, as `hold` does, so that no vote of theirs that is on its way outlives this.

    Returns:
        How many votes there were.

    Raises:
        UsageError: there is nobody of that code.
    """
    o, t, v = schema.observer, schema.trial, schema.vote
    with database.write() as connection:
        whose = select(o.c.id).where(o.c.study_id == hosted.id, o.c.code == code.upper())
        key = connection.scalar(whose.with_for_update())
        if key is None:
            raise UsageError(f"nobody in this study has the code {code}")
        lock_study(connection, hosted.id)
        gone = connection.execute(delete(v).where(v.c.observer_id == key)).rowcount
        connection.execute(update(t).where(t.c.observer_id == key, t.c.pool).values(**FREE, answered=None))
        connection.execute(delete(t).where(t.c.observer_id == key))
        nobody = {"code": f"-{key}", "token_sha256": sha256(secret()), "check": None}
        nothing = {"joined": 0.0, "wording_sha256": "", "quota": 0}
        connection.execute(update(o).where(o.c.id == key).values(**nobody, **nothing))
    return gone


def _new_code(connection: Connection, hosted: Hosted) -> str:
    while True:
        code = "".join(secrets.choice(_LETTERS) for _ in range(_CODE_LETTERS))
        same = select(schema.observer.c.id).where(
            schema.observer.c.study_id == hosted.id, schema.observer.c.code == code
        )
        if connection.scalar(same) is None:
            return code
