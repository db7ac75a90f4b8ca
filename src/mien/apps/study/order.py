"""Orders that are drawn: no scene twice running, sides in balance, traps in between. Pure functions of a seed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import pairwise
from typing import TypeVar

from mien.apps.study.settings import TIE

T = TypeVar("T", bound=Hashable)


def generator(*parts: int) -> random.Random:
    """A generator of its own for each study, observer and purpose; the same numbers draw the same."""
    return random.Random(":".join(map(str, parts)))


def shuffled(scenes: Sequence[T], draw: random.Random) -> list[int]:
    """A random order in which no scene follows itself, as far as that is possible.

    Args:
        scenes: the scene of each trial.
        draw: what is drawn from.

    Returns:
        The numbers of the trials. Where one scene has more than half of them, it follows itself as rarely as can be.
    """
    waiting: dict[T, list[int]] = {}
    for number in draw.sample(range(len(scenes)), len(scenes)):
        waiting.setdefault(scenes[number], []).append(number)
    order: list[int] = []
    last: T | None = None
    while left := len(scenes) - len(order):
        most = max(waiting, key=lambda scene: len(waiting[scene]))
        others = [scene for scene in waiting if scene != last or not order]
        if most in others and 2 * len(waiting[most]) > left:
            scene = most  # or it would be left with itself at the end
        elif others:
            scene = draw.choices(others, [len(waiting[scene]) for scene in others])[0]
        else:
            scene = most
        order.append(waiting[scene].pop())
        if not waiting[scene]:
            del waiting[scene]
        last = scene
    return order


def trap_places(trials: int, traps: int, draw: random.Random) -> set[int]:
    """After how many trials that count a trap comes: about evenly spread, never before the first.

    Returns:
        Numbers in 1..trials; fewer than `traps` only where there are fewer trials.
    """
    traps = min(traps, trials)
    edges = [1 + round(k * trials / traps) for k in range(traps + 1)] if traps else []
    return {draw.randrange(low, max(high, low + 1)) for low, high in pairwise(edges)}


def trap_answer(answers: Sequence[str], draw: random.Random) -> str:
    """The answer that a trap asks for; never "no difference", which a tired observer may give to everything."""
    return draw.choice([answer for answer in answers if answer != TIE])


def left_of(pair: tuple[int, int], shown: Sequence[tuple[int, int]], *, first: bool) -> int:
    """Which item of a pair goes to the left, so that sides balance for every item of one observer.

    Args:
        pair: numbers of two items.
        shown: (left, right) of all earlier pairs of this observer.
        first: what decides when both were on the left equally often: the first item of the pair, or the second.
    """
    a, b = pair
    surplus = Counter(left for left, _ in shown)
    surplus.subtract(right for _, right in shown)
    lead = surplus[a] - surplus[b]
    return (a if first else b) if not lead else b if lead > 0 else a
