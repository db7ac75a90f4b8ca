"""Pairs of active sampling are found while nothing is locked: nobody waits for them, and none is added twice."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from mien.apps.study import pool, schema
from mien.apps.study.assignment import ENOUGH
from mien.apps.study.database import Database, lock_study
from mien.apps.study.hosted import Hosted, host
from mien.apps.study.pool import Refill
from mien.apps.study.votes import record, standing

from .conftest import write_pictures
from .people import ballot, joined, vote_all

ITEMS = 8


@pytest.fixture
def large(database: Database, make_study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hosted:
    monkeypatch.setattr(pool, "AT_ONCE", ITEMS - 1)
    return host(database, make_study(items=write_pictures(tmp_path / "items", 1, ITEMS), design="active"))


def waiting(database: Database) -> int:
    t = schema.trial
    with database.read() as connection:
        return connection.scalar(select(func.count()).where(t.c.pool, t.c.observer_id.is_(None))) or 0


def waiting_in(database: Database, scene: str) -> int:
    t = schema.trial
    with database.read() as connection:
        free = select(func.count()).where(t.c.pool, t.c.observer_id.is_(None), t.c.scene == scene)
        return connection.scalar(free) or 0


def left(_: object) -> str:
    return "left"


def test_nobody_waits_while_pairs_are_found(database: Database, large: Hosted, monkeypatch: pytest.MonkeyPatch):
    somebody = joined(database, large)
    trial = standing(database, large, somebody).trials[0]
    finding, go_on, find = threading.Event(), threading.Event(), pool.next_pairs

    def slowly(*args: Any, **options: Any) -> list[tuple[int, int]]:
        finding.set()
        go_on.wait(10)
        return find(*args, **options)

    monkeypatch.setattr(pool, "next_pairs", slowly)
    refill = Refill(database, large)
    thread = threading.Thread(target=refill, args=(large.scenes,))
    thread.start()
    assert finding.wait(10)
    assert record(database, large, somebody, ballot(trial.id, "left")).answered == 1
    vote_all(database, large, joined(database, large), left)
    refill(large.scenes)  # another one is at it
    assert thread.is_alive() and waiting(database) == 0
    go_on.set()
    thread.join()
    assert waiting(database) == ITEMS - 1


def test_two_servers_add_one_batch(database: Database, large: Hosted, monkeypatch: pytest.MonkeyPatch):
    both, find = threading.Barrier(2, timeout=10), pool.next_pairs

    def together(*args: Any, **options: Any) -> list[tuple[int, int]]:
        both.wait()
        return find(*args, **options)

    monkeypatch.setattr(pool, "next_pairs", together)
    threads = [threading.Thread(target=Refill(database, large), args=(large.scenes,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waiting(database) == ITEMS - 1


def test_what_was_found_is_handed_out_and_found_anew_when_it_runs_low(database: Database, large: Hosted):
    refill = Refill(database, large)
    refill(large.scenes)
    for _ in range(3):
        somebody = joined(database, large)
        now = standing(database, large, somebody)
        while now.trials:
            now = record(database, large, somebody, ballot(now.trials[0].id, "left"))
            refill({trial.scene for trial in now.trials})
            assert not now.trials or waiting(database) >= (ITEMS - 1) // 2
        assert now.answered == now.total == ITEMS * (ITEMS - 1) // 2
    t = schema.trial
    with database.read() as connection:
        rounds = connection.execute(select(t.c.first_id, t.c.second_id, t.c.round)).all()
    assert len(rounds) == len(set(rounds))


def test_a_pool_keeps_pace_with_the_number_of_observers(database: Database, large: Hosted):
    refill = Refill(database, large)
    people = [joined(database, large) for _ in range(4)]
    out = sum(len(standing(database, large, somebody).trials) for somebody in people)
    assert out > ITEMS - 1
    refill(large.scenes)
    assert waiting(database) == out


def test_small_scenes_are_filled_before_anybody_has_to_wait(
    database: Database, make_study: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    study = host(database, make_study(items=write_pictures(tmp_path / "items", 3, ITEMS), design="active"))
    refill = Refill(database, study)
    refill(study.scenes)
    monkeypatch.setattr(pool, "fill", lambda *_: pytest.fail("somebody waited"))
    somebody = joined(database, study)
    now = standing(database, study, somebody)
    seen_low = False
    for _ in range(30):
        now = record(database, study, somebody, ballot(now.trials[0].id, "left"))
        seen_low |= bool(now.low)
        refill(now.low)
    assert seen_low


def test_other_designs_are_filled_when_somebody_needs_it(database: Database, hosted: Any):
    study = hosted(design="random")
    assert standing(database, study, joined(database, study)).low == set()
    before = waiting(database)
    Refill(database, study)(study.scenes)
    assert waiting(database) == before


def test_pairs_that_wait_are_given_while_others_are_being_added(database: Database, large: Hosted):
    if database.engine.dialect.name == "sqlite":
        pytest.skip("on SQLite whoever writes is alone")
    Refill(database, large)(large.scenes)
    somebody = joined(database, large)
    with database.write() as connection:
        lock_study(connection, large.id)
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(len(standing(database, large, somebody).trials)))
        thread.start()
        thread.join(10)
        assert found == [ENOUGH]


def test_a_pair_that_somebody_else_is_taking_is_passed_over(database: Database, large: Hosted):
    if database.engine.dialect.name == "sqlite":
        pytest.skip("on SQLite whoever writes is alone")
    Refill(database, large)(large.scenes)
    somebody, t = joined(database, large), schema.trial
    with database.write() as connection:
        free = select(t.c.id).where(t.c.pool, t.c.observer_id.is_(None)).order_by(t.c.id).limit(4)
        taken = set(connection.scalars(free.with_for_update()).all())
        found: list[set[int]] = []
        look = threading.Thread(
            target=lambda: found.append({row.id for row in standing(database, large, somebody).trials})
        )
        look.start()
        look.join(10)
        assert found and len(found[0]) == ENOUGH and not found[0] & taken
