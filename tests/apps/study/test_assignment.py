"""Who sees what: everything once, in an order of one's own; pairs shared out evenly, and never twice by mistake."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select, update

from mien.apps.study import schema
from mien.apps.study.database import Database
from mien.apps.study.hosted import Hosted, host
from mien.apps.study.pool import LEASE_S
from mien.apps.study.refusal import RefusedError
from mien.apps.study.votes import record, standing

from .conftest import write_pictures
from .people import ballot, joined, vote_all

DESIGNS = ["full", "random", "active"]


def left(_: object) -> str:
    return "left"


def good(_: object) -> str:
    return "4"


def rounds_given(database: Database, hosted: Hosted) -> Counter[tuple[int, int]]:
    t = schema.trial
    with database.read() as connection:
        rows = connection.execute(
            select(t.c.first_id, t.c.second_id, t.c.round).where(t.c.pool, t.c.observer_id.is_not(None))
        ).all()
    assert len(set(rows)) == len(rows), "the same asking of a pair was given to two"
    return Counter((row.first_id, row.second_id) for row in rows)


# ---- ratings ------------------------------------------------------------------------------------------------------


def test_everybody_rates_everything_in_an_order_of_their_own(database: Database, hosted):
    study = hosted("acr")
    orders = [[t.first_id for t in vote_all(database, study, joined(database, study), good)] for _ in range(3)]
    assert all(sorted(order) == sorted(study.items) for order in orders)
    assert len(set(map(tuple, orders))) == 3


def test_no_scene_comes_twice_running(database: Database, hosted):
    study = hosted("acr", repetitions=2)
    seen = vote_all(database, study, joined(database, study), good)
    assert len(seen) == 24
    assert all(a.scene != b.scene for a, b in pairwise(seen))
    assert Counter((t.first_id, t.round) for t in seen) == {(i, r): 1 for i in study.items for r in (1, 2)}


def test_a_few_items_for_each_are_spread_evenly(database: Database, hosted):
    study = hosted("acr", per_observer=5)
    given = Counter(t.first_id for _ in range(7) for t in vote_all(database, study, joined(database, study), good))
    assert sum(given.values()) == 35 and max(given.values()) - min(given.values()) <= 1


def test_training_comes_first_and_is_the_same_for_all(database: Database, hosted):
    study = hosted("acr", training=4, traps=3)
    seen = [vote_all(database, study, joined(database, study), good) for _ in range(2)]
    training = [[t.first_id for t in trials[:4]] for trials in seen]
    assert training[0] == training[1] and len(set(training[0])) == 4
    for trials in seen:
        assert [t.role for t in trials[:5]] == ["training"] * 4 + ["main"]
        assert Counter(t.role for t in trials) == {"training": 4, "main": 12, "trap": 3}
        assert all((t.expected is not None) == (t.role == "trap") for t in trials)


@pytest.mark.parametrize(("method", "practised"), [("acr", [2, 3]), ("dcr", [2]), ("pairwise", [2, 3])])
def test_items_for_training_are_what_is_practised_with(
    method: str, practised: list[int], database: Database, make_study, tmp_path: Path
):
    folder = write_pictures(tmp_path / "items", scenes=1, items=4)
    table = folder / "items.csv"
    rows = ["s0/0.png,main,", "s0/1.png,main,s0/0.png", "s0/2.png,training,s0/0.png", "s0/3.png,training,"]
    table.write_text("\n".join(["image,role,reference", *rows]))
    study = host(database, make_study(method, items=table, training=5))
    seen = vote_all(database, study, joined(database, study), good if method != "pairwise" else left)
    names = {name for t in seen if t.role == "training" for name in (t.first_id, t.second_id) if name is not None}
    shown = {study.items[i].name for i in names} - ({"s0/0.png"} if method == "dcr" else set())
    assert shown == {f"s0/{i}.png" for i in practised}
    assert sum(t.role == "training" for t in seen) == (1 if method == "pairwise" else len(practised))


def test_dcr_shows_the_reference_and_rates_only_what_has_one(database: Database, make_study, tmp_path: Path):
    folder = write_pictures(tmp_path / "items", scenes=1, items=3)
    table = folder / "items.csv"
    table.write_text("image,reference\ns0/0.png,\ns0/1.png,s0/0.png\ns0/2.png,s0/0.png\n")
    study = host(database, make_study("dcr", items=table))
    seen = vote_all(database, study, joined(database, study), good)
    names = {i: item.name for i, item in study.items.items()}
    assert {(names[t.first_id], names[t.second_id]) for t in seen} == {
        ("s0/1.png", "s0/0.png"),
        ("s0/2.png", "s0/0.png"),
    }


# ---- pairs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("design", DESIGNS)
def test_one_observer_sees_every_pair_once(design: str, database: Database, hosted):
    study = hosted(design=design, training=2, traps=2)
    seen = [t for t in vote_all(database, study, joined(database, study), left) if t.role == "main"]
    assert len(seen) == len({(t.first_id, t.second_id) for t in seen}) == 3 * 6
    assert all(study.items[t.first_id].scene == study.items[t.second_id].scene == t.scene for t in seen)
    assert all(a.scene != b.scene for a, b in pairwise(seen))


@pytest.mark.parametrize("design", DESIGNS)
def test_sides_balance(design: str, database: Database, hosted):
    study = hosted(design=design, per_observer=12)
    seen = [vote_all(database, study, joined(database, study), left) for _ in range(6)]
    for trials in (*seen, [trial for one in seen for trial in one]):
        surplus = Counter(dict.fromkeys(study.items, 0))
        for trial in trials:
            right = trial.first_id + trial.second_id - trial.left_id
            surplus.update({trial.left_id: 1})
            surplus.subtract({right: 1})
        most = 2 if len(trials) == 12 else 6  # of one observer; of 12 times that an item is shown to all together
        assert max(map(abs, surplus.values())) <= most


def test_the_full_design_asks_every_pair_once_before_any_twice(database: Database, hosted):
    study = hosted(design="full", per_observer=6)
    for observers in range(1, 7):
        vote_all(database, study, joined(database, study), left)
        given = rounds_given(database, study)
        assert max(given.values()) == -(-6 * observers // 18)  # 18 pairs


def test_many_observers_at_once_get_no_pair_twice(database: Database, hosted):
    study = hosted(design="full", per_observer=9)
    people = [joined(database, study) for _ in range(8)]
    errors: list[BaseException] = []

    def run(observer: object) -> None:
        try:
            vote_all(database, study, observer, left)  # type: ignore[arg-type]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(observer,)) for observer in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    given = rounds_given(database, study)
    assert sum(given.values()) == 72
    assert len(given) == 18 and max(given.values()) - min(given.values()) <= 2  # 1, but for what somebody has seen


def test_a_pair_that_nobody_answers_goes_to_somebody_else(database: Database, hosted):
    study = hosted(design="full", per_observer=18)
    away, here = joined(database, study), joined(database, study)
    held = standing(database, study, away).trials
    with database.write() as connection:
        connection.execute(update(schema.trial).values(given=schema.trial.c.given - LEASE_S - 1))
    vote_all(database, study, here, left)
    assert set(rounds_given(database, study).values()) == {1}
    with pytest.raises(RefusedError, match="no longer yours"):
        record(database, study, away, ballot(held[0].id, "left"))
    assert len(vote_all(database, study, away, left)) == 18


def test_who_comes_back_keeps_what_was_given(database: Database, hosted):
    study = hosted(design="full", per_observer=18)
    away, here = joined(database, study), joined(database, study)
    held = [t.id for t in standing(database, study, away).trials]
    with database.write() as connection:
        connection.execute(update(schema.trial).values(given=schema.trial.c.given - LEASE_S - 1))
    assert [t.id for t in standing(database, study, away).trials] == held  # renews
    vote_all(database, study, here, left)
    assert [t.id for t in standing(database, study, away).trials][: len(held)] == held
