"""Orders: every trial once, no scene twice running where that can be, traps spread, sides in balance."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from mien.apps.study.order import generator, left_of, shuffled, trap_answer, trap_places


def repeats(scenes: list[int], order: list[int]) -> int:
    return sum(scenes[a] == scenes[b] for a, b in pairwise(order))


@given(st.lists(st.integers(0, 4), max_size=40), st.integers(0, 2**32))
def test_a_scene_follows_itself_as_rarely_as_can_be(scenes: list[int], seed: int):
    order = shuffled(scenes, generator(seed))
    assert sorted(order) == list(range(len(scenes)))
    most = max(Counter(scenes).values(), default=0)
    assert repeats(scenes, order) == max(0, 2 * most - 1 - len(scenes))


def test_the_order_depends_on_the_seed_alone():
    scenes = [0, 1, 2, 3] * 5
    assert shuffled(scenes, generator(1, 2)) == shuffled(scenes, generator(1, 2))
    assert shuffled(scenes, generator(1, 2)) != shuffled(scenes, generator(1, 3))


def test_every_trial_comes_first_for_somebody():
    firsts = Counter(shuffled(list(range(5)), generator(n))[0] for n in range(500))
    assert min(firsts.values()) > 60  # 100 expected, 4.5 standard deviations


@given(st.integers(0, 200), st.integers(0, 20), st.integers(0, 2**32))
def test_traps_are_spread_and_none_is_first(trials: int, traps: int, seed: int):
    places = sorted(trap_places(trials, traps, generator(seed)))
    assert len(places) == min(trials, traps)
    assert all(1 <= place <= trials for place in places)
    step = trials / max(len(places), 1)
    assert all(b - a <= 2 * step + 1 for a, b in pairwise([1, *places, trials]))


def test_a_trap_never_asks_for_no_difference():
    assert {trap_answer(("left", "right", "tie"), generator(n)) for n in range(50)} == {"left", "right"}


def test_sides_balance_for_every_item_of_one_observer():
    """All pairs of 7 items: nobody is on one side more than twice oftener than on the other."""
    draw = generator(0)
    shown: list[tuple[int, int]] = []
    for pair in draw.sample(list(combinations(range(7), 2)), 21):
        left = left_of(pair, shown, first=draw.random() < 0.5)
        shown.append((left, pair[0] + pair[1] - left))
    lefts, rights = Counter(a for a, _ in shown), Counter(b for _, b in shown)
    assert all(abs(lefts[i] - rights[i]) <= 2 for i in range(7))


def test_where_sides_are_balanced_the_caller_decides():
    assert [left_of((1, 2), [], first=first) for first in (True, False)] == [1, 2]
    assert [left_of((1, 2), [(1, 2)], first=first) for first in (True, False)] == [2, 2]
