"""Bootstrap of paired comparisons: other votes for the same pairs, drawn over observers or over votes, on all cores.

The draws depend on the seed and on nothing else: neither on the number of processes nor on the order of rows.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from mien.subjective.one_thread import one_thread
from mien.subjective.pairs import Pairs, whole

Array = npt.NDArray[np.float64]
Over = Literal["observers", "votes"]

CHUNK = 20  #: draws that one process takes at a time
TRIES = 100  #: for a draw that connects all items
PAYS = 4.0  #: seconds of work that are worth the start of processes


class Refit(Protocol):
    """Scores of other votes for the same pairs; can be pickled."""

    def __call__(self, pairs: Pairs, wins: Array) -> Array:
        """(2, C) wins -> (N,) scores, NaN where there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Sample:
    """What is drawn from: one group.

    Attributes:
        pairs: the votes, connected.
        refit: how a draw becomes scores.
        seed: of the draws.
    """

    pairs: Pairs
    refit: Refit
    seed: int

    @property
    def over(self) -> Over:
        """Whole observers where more than one is known, else votes."""
        return "observers" if self.pairs.by_observer is not None and len(self.pairs.observers) > 1 else "votes"


@dataclass(frozen=True, slots=True)
class Draws:
    """What the draws of one group gave.

    Attributes:
        values: (draws, N) scores; a row of NaN where a draw has none.
        over: what was drawn.
        drawn_again: draws that fell into parts.
    """

    values: Array
    over: Over
    drawn_again: int


@dataclass(frozen=True, slots=True)
class _Task:
    """Some of the draws of one group."""

    sample: Sample
    seed: np.random.SeedSequence
    draws: int

    @one_thread()
    def run(self) -> tuple[Array, int]:
        pairs, rng = self.sample.pairs, np.random.default_rng(self.seed)
        values, drawn_again = np.full((self.draws, len(pairs.items)), np.nan), 0
        for row, (wins, again) in zip(range(self.draws), _drawn(pairs, self.sample.over, rng), strict=False):
            drawn_again += again
            if wins is not None:
                values[row] = self.sample.refit(pairs, wins)
        return values, drawn_again


@one_thread()  # once: to change the number of threads costs more than a draw
def run_draws(
    samples: Sequence[Sample],
    draws: int,
    *,
    processes: int | None = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Draws]:
    """Refit every draw of every group.

    Args:
        samples: the groups.
        draws: of each.
        processes: at most; None = one for each core. They are started when more than `PAYS` seconds of work are left.
        progress: is called with the number of draws that were finished since the last call.
    """
    tasks = [task for sample in samples for task in _tasks(sample, draws)]
    found: list[tuple[Array, int]] = []
    begin, workers = time.perf_counter(), processes or os.cpu_count() or 1
    for number, task in enumerate(tasks, start=1):
        found.append(task.run())
        progress(task.draws)
        left = (time.perf_counter() - begin) / number * (len(tasks) - number)
        if workers > 1 and left > PAYS:
            found += _in_processes(tasks[number:], workers, progress)
            break
    each = len(tasks) // max(len(samples), 1)
    return [_joined(sample, found[i * each : (i + 1) * each]) for i, sample in enumerate(samples)]


def _tasks(sample: Sample, draws: int) -> Iterator[_Task]:
    starts = range(0, draws, CHUNK)
    for start, seed in zip(starts, np.random.SeedSequence(sample.seed).spawn(len(starts)), strict=True):
        yield _Task(sample, seed, min(CHUNK, draws - start))


def _in_processes(tasks: Sequence[_Task], workers: int, progress: Callable[[int], None]) -> list[tuple[Array, int]]:
    # fresh processes: a fork of one that has threads may hang
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(tasks)), context, _ignore_interrupts) as pool:
        futures: dict[Future[tuple[Array, int]], _Task] = {pool.submit(task.run): task for task in tasks}
        try:
            for future in as_completed(futures):
                future.result()
                progress(futures[future].draws)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _ignore_interrupts() -> None:
    """An interrupt ends the process that started this one, and that one ends this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _joined(sample: Sample, parts: Sequence[tuple[Array, int]]) -> Draws:
    values = np.concatenate([v for v, _ in parts]) if parts else np.empty((0, len(sample.pairs.items)))
    return Draws(values, sample.over, sum(again for _, again in parts))


def _drawn(pairs: Pairs, over: Over, rng: np.random.Generator) -> Iterator[tuple[Array | None, int]]:
    """(wins of a draw, how often it had to be drawn again), for ever; None when no draw connects all items."""
    draw = _observers(pairs, rng) if over == "observers" else _votes(pairs, rng)
    while True:
        for again in range(TRIES):
            wins = next(draw)
            voted = (wins[0] + wins[1]) > 0
            if voted.all() or whole(pairs.a[voted], pairs.b[voted], len(pairs.items)):
                yield wins, again
                break
        else:
            yield None, TRIES


def _observers(pairs: Pairs, rng: np.random.Generator) -> Iterator[Array]:
    """As many observers as there are, with replacement."""
    assert pairs.by_observer is not None
    people, of_observer = len(pairs.observers), pairs.by_observer.T.tocsr()
    while True:
        times = np.bincount(rng.integers(0, people, people), minlength=people).astype(np.float64)
        yield (of_observer @ times).reshape(2, -1)


def _votes(pairs: Pairs, rng: np.random.Generator) -> Iterator[Array]:
    """As many votes as there are, with replacement, whichever pair they are for."""
    wins = pairs.wins.ravel()
    units = np.ceil(wins).astype(np.intp)  # a cell with half votes is drawn in equal pieces of at most one vote
    piece = wins / np.maximum(units, 1)
    cells = np.repeat(np.arange(len(wins)), units)
    while True:
        drawn = cells[rng.integers(0, len(cells), len(cells))]
        yield (np.bincount(drawn, minlength=len(wins)) * piece).reshape(2, -1)
