"""Who sees what: the whole order of a rating study when somebody joins, a few pairs at a time of a pairwise study.

Pairs wait in a pool (`pool.py`). Each is taken in one statement that passes over what somebody else is taking: two
servers never give the same asking of a pair to two people, and nobody waits for that. Whoever adds pairs holds the lock
of the study; a unique index says once more that every asking exists once.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, func, insert, select, update

from mien.apps.study import pool, schema
from mien.apps.study.database import lock_study
from mien.apps.study.hosted import Hosted
from mien.apps.study.items import MAIN, TRAINING
from mien.apps.study.order import generator, left_of, shuffled, trap_answer, trap_places
from mien.apps.study.settings import PAIRWISE

TRAP = "trap"
FEW, ENOUGH = 3, 6  #: open trials of an observer: below the first, pairs are added up to the second
_CHOICE = 64  # pairs of the pool among which the lot decides

_TRAINING, _ORDER, _TRAPS, _PAIRS = range(4)  # purposes of a generator
Trial = dict[str, Any]
Found = Any  #: a row that was found; its columns are those that were asked for


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of an observer: what every order depends on."""

    observer_id: int
    number: int
    quota: int


def total(hosted: Hosted, quota: int) -> int:
    """Trials of one observer, those that do not count included."""
    return _n_training(hosted) + quota + min(hosted.settings.traps, quota)


def begin(connection: Connection, hosted: Hosted, seat: Seat) -> None:
    """Give somebody who has just joined what is decided at the beginning; the caller holds the lock of the study."""
    trials = _training(hosted)
    if hosted.settings.method != PAIRWISE:
        trials += _ratings(connection, hosted, seat)
    now = time.time()
    rows = [
        {**pool.blank(hosted), **row, "observer_id": seat.observer_id, "position": position, "given": now}
        for position, row in enumerate(trials)
    ]
    if rows:
        connection.execute(insert(schema.trial), rows)


def upcoming(connection: Connection, hosted: Hosted, seat: Seat) -> tuple[Sequence[Found], set[str]]:
    """The next trials of an observer, at most `ENOUGH`, and scenes whose pools were seen to run low.

    Pairs are handed out where there are few; the caller holds the observer.
    """
    waiting = _open(connection, seat)
    if hosted.settings.method != PAIRWISE or len(waiting) >= FEW:
        return waiting, set()
    low = _hand_out(connection, hosted, seat)
    return _open(connection, seat), low


def renew(connection: Connection, seat: Seat) -> None:
    """Somebody is back: what they were given stays theirs for another `pool.LEASE_S`."""
    t = schema.trial
    mine = t.c.observer_id == seat.observer_id
    connection.execute(update(t).where(mine, t.c.pool, t.c.answered.is_(None)).values(given=time.time()))


# ---- ratings ------------------------------------------------------------------------------------------------------


def _training(hosted: Hosted) -> list[Trial]:
    """The same for all observers, so that all begin with the same idea of good and bad."""
    settings, draw = hosted.settings, generator(hosted.settings.seed, 0, _TRAINING)
    if settings.method == PAIRWISE:
        return _training_pairs(hosted, draw)
    chosen = _training_items(hosted) or draw.sample(hosted.judged, _n_training(hosted))
    return [_rating(hosted, chosen[i], TRAINING, 1) for i in shuffled(_contents(hosted, chosen), draw)]


def _n_training(hosted: Hosted) -> int:
    """The length of `_training`; asked for with every vote, so without making it."""
    settings = hosted.settings
    if settings.method == PAIRWISE:
        return min(settings.training, sum(n * (n - 1) // 2 for n in map(len, _training_scenes(hosted).values())))
    return len(_training_items(hosted)) or min(settings.training, len(hosted.judged))


def _training_items(hosted: Hosted) -> list[int]:
    """Items of the owner's choice that are rated for practice; dcr: those that have a reference."""
    dcr = hosted.settings.method == "dcr"
    return [i for i in hosted.training if not dcr or hosted.items[i].reference is not None]


def _training_scenes(hosted: Hosted) -> Mapping[str, Sequence[int]]:
    """Items that pairs for practice are made of, by scene."""
    if len(hosted.training) < 2:
        return hosted.scenes
    scenes: dict[str, list[int]] = {}
    for i in hosted.training:
        scenes.setdefault(hosted.items[i].scene, []).append(i)
    return scenes


def _training_pairs(hosted: Hosted, draw: random.Random) -> list[Trial]:
    scenes = _training_scenes(hosted)
    pairs = [pair for scene in sorted(scenes) for pair in combinations(sorted(scenes[scene]), 2)]
    chosen = draw.sample(pairs, _n_training(hosted))
    order = shuffled([hosted.items[a].scene for a, _ in chosen], draw)
    return [
        {
            "role": TRAINING,
            "scene": hosted.items[chosen[i][0]].scene,
            "first_id": chosen[i][0],
            "second_id": chosen[i][1],
            "left_id": draw.choice(chosen[i]),
        }
        for i in order
    ]


def _ratings(connection: Connection, hosted: Hosted, seat: Seat) -> list[Trial]:
    settings, draw = hosted.settings, generator(hosted.settings.seed, seat.number, _ORDER)
    chosen = _fewest_first(connection, hosted, draw)[: -(-seat.quota // settings.repetitions)]
    units = [(item, round_) for round_ in range(1, settings.repetitions + 1) for item in chosen][: seat.quota]
    order = shuffled(_contents(hosted, [item for item, _ in units]), draw)
    places = _trap_places(hosted, seat)
    trials: list[Trial] = []
    for count, i in enumerate(order, start=1):
        item, round_ = units[i]
        trials.append(_rating(hosted, item, MAIN, round_))
        trials += [_trap(hosted, draw)] if count in places else []
    return trials


def _fewest_first(connection: Connection, hosted: Hosted, draw: random.Random) -> list[int]:
    """Items that were given out less often come first, so that all get as many votes."""
    t = schema.trial
    counted = (
        select(t.c.first_id, func.count()).where(t.c.study_id == hosted.id, t.c.role == MAIN).group_by(t.c.first_id)
    )
    given = _counts(connection, counted)
    return sorted(hosted.judged, key=lambda item: (given[item], draw.random()))


def _counts(connection: Connection, query: Executable) -> Counter[int]:
    """What a query of two columns finds, an id and how often it is there."""
    rows: Iterable[Found] = connection.execute(query)
    return Counter({row[0]: row[1] for row in rows})


def _rating(hosted: Hosted, item: int, role: str, round_: int) -> Trial:
    reference = hosted.items[item].reference if hosted.settings.method == "dcr" else None
    return {
        "role": role,
        "scene": hosted.items[item].scene,
        "first_id": item,
        "second_id": reference,
        "round": round_,
    }


def _contents(hosted: Hosted, items: Sequence[int]) -> list[object]:
    """What should not follow itself: the scene, or the item itself where there is but one scene."""
    one = len(hosted.scenes) < 2
    return [i if one else hosted.items[i].scene for i in items]


def _trap_places(hosted: Hosted, seat: Seat) -> set[int]:
    draw = generator(hosted.settings.seed, seat.number, _TRAPS)
    return trap_places(seat.quota, hosted.settings.traps, draw)


def _trap(hosted: Hosted, draw: random.Random) -> Trial:
    return {"role": TRAP, "expected": trap_answer(hosted.settings.answers, draw)}


# ---- pairs --------------------------------------------------------------------------------------------------------


_T = schema.trial
_MINE = select(_T).where(_T.c.observer_id == bindparam("me")).order_by(_T.c.position)
_OPEN = _MINE.where(_T.c.answered.is_(None)).limit(ENOUGH)
_FREE = (
    select(_T.c.id, _T.c.first_id, _T.c.second_id, _T.c.round)
    .where(_T.c.study_id == bindparam("study"), _T.c.scene == bindparam("scene"), _T.c.observer_id.is_(None))
    .order_by(_T.c.round, _T.c.id)
    .limit(bindparam("most"))
)
_TAKE = (
    update(_T)
    .where(
        _T.c.id.in_(
            select(_T.c.id)
            .where(_T.c.id == bindparam("this"), _T.c.observer_id.is_(None))
            .with_for_update(skip_locked=True)
        )
    )
    .values(observer_id=bindparam("me"), position=bindparam("place"), left_id=bindparam("left"), given=bindparam("now"))
)


def _open(connection: Connection, seat: Seat) -> Sequence[Found]:
    return connection.execute(_OPEN, {"me": seat.observer_id}).all()


def _hand_out(connection: Connection, hosted: Hosted, seat: Seat) -> set[str]:
    """Give an observer pairs until `ENOUGH` are open or the quota is used; scenes that run low."""
    renew(connection, seat)  # from here on nobody takes back what is theirs
    mine = connection.execute(_MINE, {"me": seat.observer_id}).all()
    missing = ENOUGH - sum(row.answered is None for row in mine)
    desk = _Desk(connection, hosted, seat, [row for row in mine if row.role != TRAP])
    position = mine[-1].position + 1 if mine else 0
    traps = sum(row.role == TRAP for row in mine)
    places = _trap_places(hosted, seat)
    for _ in range(missing):
        if desk.asked >= seat.quota or not desk.give(position):
            break
        position += 1
        if traps < sum(place <= desk.asked for place in places):
            draw = generator(hosted.settings.seed, seat.number, _TRAPS, traps)
            row = {**pool.blank(hosted), **_trap(hosted, draw), "observer_id": seat.observer_id}
            connection.execute(insert(_T).values(**row, position=position, given=time.time()))
            traps, position = traps + 1, position + 1
    return desk.low


class _Desk:
    """One observer's pairs: which scene, which pair, which side.

    Attributes:
        low: scenes that were seen to have less than half a batch left.
    """

    def __init__(self, connection: Connection, hosted: Hosted, seat: Seat, before: Sequence[Found]) -> None:
        self._connection, self._hosted, self._seat = connection, hosted, seat
        main = [row for row in before if row.role == MAIN]
        self._seen = {(row.first_id, row.second_id) for row in main}
        self._in_scene = Counter(row.scene for row in main)
        self._shown = [pool.left_right(row.first_id, row.second_id, row.left_id) for row in before]
        self._last_scene = before[-1].scene if before else None
        self._gone: set[int] = set()  # trials that somebody else has taken since they were seen
        self.low: set[str] = set()

    @property
    def asked(self) -> int:
        """Trials that count, so far."""
        return len(self._seen)

    def give(self, position: int) -> bool:
        """Give one more pair; False when there is none that this observer has not seen."""
        draw = generator(self._hosted.settings.seed, self._seat.number, _PAIRS, position)
        scene = self._scene(draw)
        if scene is None:
            return False
        if not self._waiting(scene, draw, position) and not self._filled(scene, draw, position):
            taken = self._take(self._asked_anew(scene, draw), position)
            assert taken, "a pair that nobody else can have seen was taken"
        self._in_scene[scene] += 1
        self._last_scene = scene
        return True

    def _scene(self, draw: random.Random) -> str | None:
        """The scene of which the smallest share was seen, but not the last one again if that can be."""
        pairs = self._hosted.pairs
        left = [scene for scene in pairs if self._in_scene[scene] < pairs[scene]]
        others = [scene for scene in left if scene != self._last_scene] or left
        return min(others, key=lambda s: (self._in_scene[s] / pairs[s], draw.random()), default=None)

    def _waiting(self, scene: str, draw: random.Random, position: int) -> bool:
        """Give a pair of the pool; False when it has none that this observer has not seen."""
        few = pool.few(self._hosted, scene)
        wanted = {"study": self._hosted.id, "scene": scene, "most": max(few, len(self._seen) + _CHOICE)}
        free = [row for row in self._connection.execute(_FREE, wanted) if row.id not in self._gone]
        if len(free) < few:
            self.low.add(scene)
        unseen = [row for row in free if (row.first_id, row.second_id) not in self._seen]
        if unseen and self._hosted.settings.design == "full":
            unseen = [row for row in unseen if row.round == unseen[0].round]
        last = self._shown[-1] if self._shown else ()
        order = draw.sample(unseen, len(unseen))
        order.sort(key=lambda row: row.first_id in last or row.second_id in last)  # rather pictures not just seen
        return any(self._take(row, position) for row in order)

    def _filled(self, scene: str, draw: random.Random, position: int) -> bool:
        """Fill the pool, and give a pair of it.

        False when it holds a batch already, all of which this observer has seen: others will take it. Or when it takes
        long to fill (`pool.Refill`), and is not full yet.
        """
        if pool.is_slow(self._hosted, scene):
            return False
        lock_study(self._connection, self._hosted.id)
        if self._waiting(scene, draw, position):  # somebody else has filled it meanwhile
            return True
        return pool.fill(self._connection, self._hosted, scene, draw) and self._waiting(scene, draw, position)

    def _take(self, row: Found, position: int) -> bool:
        """Give this pair, unless somebody else has it."""
        pair = (row.first_id, row.second_id)
        turned = generator(self._hosted.settings.seed, *pair).random() < 0.5
        left = left_of(pair, self._shown, first=turned == bool(row.round % 2))  # in turn, as rounds go on
        where = {"this": row.id, "me": self._seat.observer_id, "place": position, "left": left, "now": time.time()}
        if not self._connection.execute(_TAKE, where).rowcount:
            self._gone.add(row.id)
            return False
        self._seen.add(pair)
        self._shown.append(pool.left_right(*pair, left))
        return True

    def _asked_anew(self, scene: str, draw: random.Random) -> Found:
        """A pair that the design does not ask for now, but that this observer has not seen: the least asked one.

        Of a large scene, the least asked one of some.
        """
        lock_study(self._connection, self._hosted.id)
        items, seen = self._hosted.scenes[scene], self._seen
        unseen: list[tuple[int, int]] = []
        if pool.is_slow(self._hosted, scene):
            drawn = (sorted(draw.sample(items, 2)) for _ in range(_CHOICE))
            unseen = [(a, b) for a, b in drawn if (a, b) not in seen]
        unseen = unseen or [pair for pair in combinations(items, 2) if pair not in seen]
        rounds = pool.rounds(self._connection, self._hosted, scene)
        pair = min(unseen, key=lambda p: (rounds[p], draw.random()))
        added = insert(_T).values(pool.row(self._hosted, scene, pair, rounds[pair] + 1))
        return self._connection.execute(added.returning(_T.c.id, _T.c.first_id, _T.c.second_id, _T.c.round)).one()
