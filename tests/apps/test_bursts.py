"""Which pictures belong together: one folder, one clock, no long pause."""

from __future__ import annotations

from mien.apps.bursts import Shot, bursts
from mien.core.taken import Moment


def shot(path: str, seconds: float | None, clock: str = "camera") -> Shot:
    return Shot(path, None if seconds is None else Moment(clock, seconds))  # type: ignore[arg-type]


def names(groups: list[list[Shot]]) -> list[list[str]]:
    return [[each.path for each in group] for group in groups]


def test_a_longer_pause_ends_a_burst() -> None:
    shots = [shot(f"{i}.jpg", t) for i, t in enumerate([0, 1, 2.5, 6, 6.2, 20])]
    assert names(bursts(shots, 3)) == [["0.jpg", "1.jpg", "2.jpg"], ["3.jpg", "4.jpg"], ["5.jpg"]]
    assert names(bursts(shots, 3.5)) == [[f"{i}.jpg" for i in range(5)], ["5.jpg"]]


def test_the_pause_is_between_neighbours_so_a_burst_may_be_long() -> None:
    assert len(bursts([shot(f"{i}.jpg", 2.0 * i) for i in range(50)], 2)) == 1


def test_time_orders_and_then_the_number_in_the_name() -> None:
    shots = [shot("img10.jpg", 5), shot("img9.jpg", 5), shot("z.jpg", 4)]
    assert names(bursts(shots, 3)) == [["z.jpg", "img9.jpg", "img10.jpg"]]


def test_folders_and_clocks_are_kept_apart() -> None:
    shots = [shot("a/1.jpg", 0), shot("b/1.jpg", 0), shot("a/2.jpg", 0, "file"), shot("a/3.jpg", 1)]
    assert names(bursts(shots, 3)) == [["a/1.jpg", "a/3.jpg"], ["a/2.jpg"], ["b/1.jpg"]]


def test_without_a_time_every_picture_is_alone() -> None:
    assert names(bursts([shot("a.jpg", None), shot("b.jpg", None)], 3)) == [["a.jpg"], ["b.jpg"]]
