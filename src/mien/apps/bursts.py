"""Which pictures belong together: those of one folder and one clock that were taken one right after the other."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mien.core.rows import Row
from mien.core.taken import Moment
from mien.core.types import Score


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture, and when it was taken."""

    path: str
    moment: Moment | None  #: None when there is no such file


Lineup = list[tuple[Shot, Row]]  #: pictures with their tidy rows, of which the best are to be picked
Told = Callable[[Score], Row]  #: takes note of a row, and gives it tidy


def bursts(shots: Iterable[Shot], gap_s: float) -> list[list[Shot]]:
    """Pictures of one folder and one clock belong together as long as no pause between neighbours is longer.

    Args:
        shots: in any order.
        gap_s: the longest pause inside a burst, in seconds.

    Returns:
        Bursts and their pictures in the order of folder, clock, time and name; numbers in names count as numbers. A
        picture without a time is a burst by itself.
    """
    found: list[list[Shot]] = []
    for shot in sorted(shots, key=_order):
        if found and _continues(found[-1][-1], shot, gap_s):
            found[-1].append(shot)
        else:
            found.append([shot])
    return found


def _order(shot: Shot) -> tuple[object, ...]:
    clock, seconds = (shot.moment.clock, shot.moment.seconds) if shot.moment else ("", 0.0)
    return os.path.dirname(shot.path), clock, seconds, _natural(shot.path)  # noqa: PTH120 - names stay as given


def _natural(name: str) -> list[tuple[int, str]]:
    """img9 before img10."""
    return [(int(digits or 0), text) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", name)]


def _continues(before: Shot, shot: Shot, gap_s: float) -> bool:
    a, b = before.moment, shot.moment
    if a is None or b is None or a.clock != b.clock:
        return False
    same_folder = os.path.dirname(before.path) == os.path.dirname(shot.path)  # noqa: PTH120
    return same_folder and b.seconds - a.seconds <= gap_s


def of_all(burst: Sequence[Shot], rows: Iterator[Score], told: Told) -> list[Lineup]:
    """All pictures of a burst as one lineup; `rows` has one row for each."""
    return [[(shot, told(next(rows))) for shot in burst]]
