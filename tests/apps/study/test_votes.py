"""What becomes of an answer: once, whatever happens on the way; and who may not give one."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select

from mien.apps.study import schema
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
