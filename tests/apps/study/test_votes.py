"""What becomes of an answer: once, whatever happens on the way; and who may not give one."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import exists, func, insert, select
from sqlalchemy.exc import IntegrityError

from mien.apps.study import schema, votes
from mien.apps.study.database import Database
from mien.apps.study.hosted import Hosted
from mien.apps.study.observers import forget, join, need_open
from mien.apps.study.owner import overview, set_open
from mien.apps.study.refusal import RefusedError
from mien.apps.study.votes import record, standing
from mien.core.errors import UsageError

from .people import ballot, joined, vote_all


def count(database: Database) -> int:
    with database.read() as connection:
        return connection.scalar(select(func.count()).select_from(schema.vote)) or 0


def test_an_answer_that_is_sent_again_is_kept_once(database: Database, hosted):
    study = hosted("acr")
    somebody = joined(database, study)
    first = standing(database, study, somebody).trials[0]
    once = record(database, study, somebody, ballot(first.id, "3"))
    again = record(database, study, somebody, ballot(first.id, "3"))
    assert (once.answered, once.duplicate) == (1, False)
    assert (again.answered, again.duplicate) == (1, True)
    assert [t.id for t in again.trials] == [t.id for t in once.trials]
    assert count(database) == 1


def test_the_first_answer_stays(database: Database, hosted):
    study = hosted("acr")
    somebody = joined(database, study)
    first = standing(database, study, somebody).trials[0]
    record(database, study, somebody, ballot(first.id, "3"))
    with pytest.raises(RefusedError, match="answered before; that answer stays"):
        record(database, study, somebody, ballot(first.id, "5", key="another-key"))
    with database.read() as connection:
        assert connection.scalars(select(schema.vote.c.answer)).all() == ["3"]


def test_the_same_answer_on_many_ways_at_once_is_kept_once(database: Database, hosted):
    study = hosted("acr")
    somebody = joined(database, study)
    first = standing(database, study, somebody).trials[0]
    found: list[bool] = []
    barrier = threading.Barrier(8)

    def send() -> None:
        barrier.wait()
        found.append(record(database, study, somebody, ballot(first.id, "3")).duplicate)

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == [False] + [True] * 7
    assert count(database) == 1


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"answer": "6"}, 422),
        ({"answer": "left"}, 422),
        ({"trial": 10**6}, 409),
        ({"trial": "of somebody else"}, 409),
        ({"key": "used"}, 422),
    ],
)
def test_what_is_no_answer_is_refused(change: dict[str, object], status: int, database: Database, hosted):
    study = hosted("acr")
    somebody, other = joined(database, study), joined(database, study)
    trials = standing(database, study, somebody).trials
    record(database, study, somebody, ballot(trials[0].id, "3", key="used"))
    trial = change.get("trial", trials[1].id)
    if trial == "of somebody else":
        trial = standing(database, study, other).trials[0].id
    with pytest.raises(RefusedError) as caught:
        record(
            database, study, somebody, ballot(trial, str(change.get("answer", "3")), key=change.get("key", "new-key"))
        )
    assert caught.value.status == status
    assert count(database) == 1


def test_only_a_used_key_is_told_as_one(database: Database, hosted):
    study = hosted("acr")
    somebody = joined(database, study)
    first = standing(database, study, somebody).trials[0]
    with database.write() as connection:  # what never happens: a vote to a trial that is open
        row = {"trial_id": first.id, "observer_id": somebody.seat.observer_id, "key": "old", "answer": "3"}
        more = {"response_ms": 1, "views": 1, "session": "s", "received": 0.0}
        connection.execute(insert(schema.vote).values(**row, **more))
    with pytest.raises(IntegrityError):
        record(database, study, somebody, ballot(first.id, "3", key="new"))


def test_a_closed_study_takes_nobody_and_nothing(database: Database, hosted):
    study: Hosted = hosted("acr")
    somebody = joined(database, study)
    first = standing(database, study, somebody).trials[0]
    record(database, study, somebody, ballot(first.id, "3"))
    set_open(database, study, False)
    with database.read() as connection, pytest.raises(RefusedError, match="closed"):
        need_open(connection, study)
    with pytest.raises(RefusedError, match="closed"):
        join(database, study, wording_sha256=study.study.text_sha256)
    with pytest.raises(RefusedError, match="closed"):
        record(database, study, somebody, ballot(standing(database, study, somebody).trials[0].id, "3"))
    assert record(database, study, somebody, ballot(first.id, "3")).duplicate  # what was kept is told again
    set_open(database, study, True)
    vote_all_left = standing(database, study, somebody).trials
    assert record(database, study, somebody, ballot(vote_all_left[0].id, "3")).answered == 2


def test_a_full_study_takes_nobody(database: Database, hosted):
    study = hosted("acr", max_observers=1)
    joined(database, study)
    with pytest.raises(RefusedError, match="all the observers that it wants"):
        joined(database, study)


def test_nobody_joins_on_words_that_have_changed(database: Database, hosted):
    with pytest.raises(RefusedError, match="has changed since you opened this page"):
        join(database, hosted("acr"), wording_sha256="0" * 64)


def test_who_asks_for_it_is_forgotten(database: Database, hosted):
    study = hosted("pairwise", design="full")
    stays, goes = joined(database, study), joined(database, study)
    for somebody in (stays, goes):
        vote_all(database, study, somebody, lambda _: "left")
    assert forget(database, study, goes.code.lower()) == 18
    assert count(database) == 18
    assert [person["observer"] for person in overview(database, study)["observers"]] == [stays.code]
    with pytest.raises(UsageError, match="nobody in this study"):
        forget(database, study, goes.code)
    third = joined(database, study)  # and the pairs wait for others
    assert len(vote_all(database, study, third, lambda _: "left")) == 18
    with pytest.raises(RefusedError, match="no longer yours"):
        record(database, study, goes, ballot(1, "left"))
    row = schema.observer.select().where(schema.observer.c.id == goes.seat.observer_id)
    with database.read() as connection:
        left = connection.execute(row).mappings().one()
    assert (left["joined"], left["wording_sha256"], left["quota"], left["check"]) == (0, "", 0, None)


def test_who_is_forgotten_while_they_come_back_gets_nothing(database: Database, hosted):
    study = hosted("pairwise")
    goes = joined(database, study)  # the server has found them, and then ...
    forget(database, study, goes.code)
    with pytest.raises(RefusedError) as caught:
        standing(database, study, goes, check={"width": 1280})
    assert caught.value.status == 401
    nothing_is_left(database, goes.seat.observer_id)


def nothing_is_left(database: Database, observer_id: int) -> None:
    """No vote, no trial and no check of theirs, and no trial that is half free."""
    o, t, v = schema.observer, schema.trial, schema.vote
    voted = exists().where(v.c.trial_id == t.c.id)
    with database.read() as connection:
        for table in (t, v):
            assert connection.execute(select(table).where(table.c.observer_id == observer_id)).all() == []
        assert connection.execute(select(t).where(t.c.answered.is_not(None) != voted)).all() == []
        assert connection.execute(select(t).where(t.c.observer_id.is_(None), voted)).all() == []
        assert connection.scalar(select(o.c.check).where(o.c.id == observer_id)) is None


@pytest.mark.parametrize("method", ["acr", "pairwise"])
def test_a_vote_on_its_way_is_forgotten_too(method: str, database: Database, hosted, monkeypatch: pytest.MonkeyPatch):
    study = hosted(method)
    goes = joined(database, study)
    first = standing(database, study, goes).trials[0]
    written, told = threading.Event(), votes._standing

    def slowly(*args: Any, **more: Any) -> votes.Standing:
        written.set()
        time.sleep(0.3)  # the vote is written, and the transaction still open: `forget` comes now
        return told(*args, **more)

    monkeypatch.setattr(votes, "_standing", slowly)
    answer = study.settings.answers[0]
    sender = threading.Thread(target=record, args=(database, study, goes, ballot(first.id, answer)))
    sender.start()
    assert written.wait(10)
    assert forget(database, study, goes.code) == 1
    sender.join()
    nothing_is_left(database, goes.seat.observer_id)


def test_forgetting_somebody_who_votes_leaves_a_sound_study(database: Database, hosted):
    study = hosted("pairwise", design="full")
    for _ in range(5):
        goes = joined(database, study)
        barrier, broken = threading.Barrier(4), []

        def send(goes=goes, barrier=barrier, broken=broken) -> None:
            barrier.wait()
            try:
                with suppress(RefusedError):  # another thread was faster, or they are forgotten
                    while trials := standing(database, study, goes).trials:
                        for trial in trials:
                            with suppress(RefusedError):
                                record(database, study, goes, ballot(trial.id, "left"))
            except Exception as error:
                broken.append(error)

        threads = [threading.Thread(target=send) for _ in range(3)]
        for thread in threads:
            thread.start()
        barrier.wait()
        time.sleep(0.02)
        forget(database, study, goes.code)
        for thread in threads:
            thread.join()
        assert broken == []
        nothing_is_left(database, goes.seat.observer_id)
    third = joined(database, study)
    assert len(vote_all(database, study, third, lambda _: "left")) == 18
