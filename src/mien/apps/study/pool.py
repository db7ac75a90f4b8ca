"""The pool: pairs that are to be asked, as rows without an observer, until somebody is given them.

`mien.subjective.sampling.next_pairs` adds to it, knowing all votes and all pairs that are out. With active sampling
that takes a while, and all who need pairs would wait for the lock of the study: `Refill` does it when a scene runs low,
after somebody has got their reply, while nothing is locked. Where a scene has nothing left that an observer has not
seen, it is filled at once, unless it is so large that nobody should wait for it.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, cast

import numpy as np
from sqlalchemy import Connection, func, insert, select, update

from mien.apps.study import schema
from mien.apps.study.database import Database, lock_study
from mien.apps.study.hosted import Hosted
from mien.apps.study.items import MAIN
from mien.apps.study.order import generator
from mien.subjective.sampling import Method, next_pairs

LEASE_S = 3600.0  #: a pair that was given out so long ago, and not answered, goes to somebody else
AT_ONCE = 50  #: items of a scene whose next pairs are found while the study is locked: 20 ms of a core

FREE = dict.fromkeys(("observer_id", "position", "left_id", "given"))  #: a pair of the pool that waits for somebody

Pair = tuple[int, int]  #: ids of two items, the lower one first


def is_slow(hosted: Hosted, scene: str) -> bool:
    """Whether finding the next pairs of a scene takes so long that nobody should wait for it."""
    return hosted.settings.design == "active" and len(hosted.scenes[scene]) > AT_ONCE


def batch(hosted: Hosted, scene: str) -> int:
    """How many pairs are added at least, unless the design is full."""
    return len(hosted.scenes[scene]) - 1


def few(hosted: Hosted, scene: str) -> int:
    """Below how many waiting pairs a pool runs low, so that `Refill` should come before somebody must wait for it."""
    return (batch(hosted, scene) + 1) // 2 if hosted.settings.design == "active" else 0


def fill(connection: Connection, hosted: Hosted, scene: str, draw: random.Random) -> bool:
    """Add the pairs of a scene that should be asked next, and those that were never answered; the study is locked.

    Returns:
        False where a batch is waiting already, unless the design is full: others will take it.
    """
    if hosted.settings.design != "full" and _waits(connection, hosted, scene, batch(hosted, scene)):
        return False
    take_back(connection, hosted, scene)
    wins, pending = _known(connection, hosted, scene)
    _add(connection, hosted, scene, _next(hosted, scene, wins, pending, draw, batch(hosted, scene)))
    return True


class Refill:
    """Fills the pools that run low; one at a time in each server. Whoever comes meanwhile goes on."""

    def __init__(self, database: Database, hosted: Hosted) -> None:
        self._database, self._hosted = database, hosted
        self._low: set[str] = set()
        self._busy = threading.Lock()

    def __call__(self, scenes: Collection[str]) -> None:
        """Fill these scenes where they still run low, or leave it to whoever is at it."""
        self._low.update(scenes)
        while self._low and self._busy.acquire(blocking=False):
            try:
                while self._low:
                    self._fill(self._low.pop())
            finally:
                self._busy.release()

    def _fill(self, scene: str) -> None:
        hosted, least = self._hosted, few(self._hosted, scene)
        with self._database.read() as connection:
            if _waits(connection, hosted, scene, least):
                return
            wins, pending = _known(connection, hosted, scene)
            votes, wanted = int(wins.sum()), max(batch(hosted, scene), _looked_at(connection, hosted, scene))
        draw = generator(hosted.settings.seed, 0, votes, len(pending))  # another one with each batch
        chosen = _next(hosted, scene, wins, pending, draw, wanted)
        with self._database.write() as connection:
            lock_study(connection, hosted.id)
            if not _waits(connection, hosted, scene, least):  # still, though another server may have been here
                take_back(connection, hosted, scene)
                _add(connection, hosted, scene, chosen)


def _waits(connection: Connection, hosted: Hosted, scene: str, least: int) -> bool:
    """Whether at least so many pairs wait for somebody."""
    t = schema.trial
    waiting = select(t.c.id).where(t.c.study_id == hosted.id, t.c.scene == scene, t.c.observer_id.is_(None))
    return len(connection.execute(waiting.limit(least)).all()) >= least


def take_back(connection: Connection, hosted: Hosted, scene: str) -> None:
    """Pairs that somebody was given long ago and has not answered wait for others; not while an answer comes in."""
    t = schema.trial
    late = (t.c.given < time.time() - LEASE_S, t.c.answered.is_(None))
    of_scene = (t.c.study_id == hosted.id, t.c.scene == scene, t.c.pool)
    ids = connection.scalars(select(t.c.id).where(*of_scene, *late).with_for_update(skip_locked=True)).all()
    if ids:
        connection.execute(update(t).where(t.c.id.in_(ids)).values(FREE))


def _known(connection: Connection, hosted: Hosted, scene: str) -> tuple[np.ndarray, list[Pair]]:
    """Votes, (n, n), and pairs that are out, by the places of the items in their scene."""
    number = {item: i for i, item in enumerate(hosted.scenes[scene])}
    return _wins(connection, hosted, scene, number), _pending(connection, hosted, scene, number)


def _next(
    hosted: Hosted, scene: str, wins: np.ndarray, pending: list[Pair], draw: random.Random, wanted: int
) -> list[Pair]:
    """The pairs to ask next; a full design takes what is left of its round."""
    items, design = hosted.scenes[scene], cast(Method, hosted.settings.design)
    most = None if design == "full" else wanted
    chosen = next_pairs(len(items), wins, method=design, pending=pending, n_pairs=most, seed=draw.getrandbits(32))
    return [(items[min(a, b)], items[max(a, b)]) for a, b in chosen]


def _looked_at(connection: Connection, hosted: Hosted, scene: str) -> int:
    """How many pairs of a scene people have before them: as many more keep pace with them."""
    t = schema.trial
    given = (t.c.observer_id.is_not(None), t.c.answered.is_(None), t.c.given > time.time() - LEASE_S)
    of_scene = (t.c.study_id == hosted.id, t.c.scene == scene, t.c.pool)
    return connection.scalar(select(func.count()).where(*of_scene, *given)) or 0


def _add(connection: Connection, hosted: Hosted, scene: str, pairs: list[Pair]) -> None:
    asked = rounds(connection, hosted, scene)
    rows = []
    for pair in pairs:
        asked[pair] += 1
        rows.append(row(hosted, scene, pair, asked[pair]))
    if rows:
        connection.execute(insert(schema.trial), rows)


def _wins(connection: Connection, hosted: Hosted, scene: str, number: Mapping[int, int]) -> np.ndarray:
    """(n, n) how often the row was preferred to the column; a tie is half a vote for either."""
    t, v = schema.trial, schema.vote
    counted = (
        select(t.c.first_id, t.c.second_id, t.c.left_id, v.c.answer, func.count())
        .join(v, v.c.trial_id == t.c.id)
        .where(t.c.study_id == hosted.id, t.c.scene == scene, t.c.pool)
        .group_by(t.c.first_id, t.c.second_id, t.c.left_id, v.c.answer)
    )
    wins = np.zeros((len(number), len(number)))
    for first, second, left, answer, n in connection.execute(counted):
        left, right = left_right(number[first], number[second], number[left])
        wins[left, right] += n * {"left": 1, "right": 0}.get(answer, 0.5)
        wins[right, left] += n * {"left": 0, "right": 1}.get(answer, 0.5)
    return wins


def _pending(connection: Connection, hosted: Hosted, scene: str, number: Mapping[int, int]) -> list[Pair]:
    t = schema.trial
    out = select(t.c.first_id, t.c.second_id).where(
        t.c.study_id == hosted.id, t.c.scene == scene, t.c.pool, t.c.answered.is_(None)
    )
    return [(number[a], number[b]) for a, b in connection.execute(out)]


def rounds(connection: Connection, hosted: Hosted, scene: str) -> Counter[Pair]:
    """How often each pair of a scene is or was to be asked."""
    t = schema.trial
    counted = (
        select(t.c.first_id, t.c.second_id, func.max(t.c.round))
        .where(t.c.study_id == hosted.id, t.c.scene == scene, t.c.pool)
        .group_by(t.c.first_id, t.c.second_id)
    )
    return Counter({(a, b): n for a, b, n in connection.execute(counted)})


def left_right(first: int, second: int, left: int) -> tuple[int, int]:
    """The two items of a pair as they are shown."""
    return (first, second) if left == first else (second, first)


def blank(hosted: Hosted) -> dict[str, Any]:
    """A trial of nothing; all rows of one insert must have the same columns."""
    empty = dict.fromkeys(("first_id", "second_id", "left_id", "expected"))
    return {**empty, "study_id": hosted.id, "scene": "", "round": 1, "pool": False}


def row(hosted: Hosted, scene: str, pair: Pair, round_: int) -> dict[str, Any]:
    """A pair that waits for somebody."""
    found = {**blank(hosted), "role": MAIN, "scene": scene, "first_id": pair[0], "second_id": pair[1]}
    return {**found, "round": round_, "pool": True}
