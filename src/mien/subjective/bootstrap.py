"""Bootstrap of paired comparisons: other votes for the same pairs, drawn over observers or over votes, on all cores.

The draws depend on the seed and on nothing else: neither on the number of threads nor on the order of rows.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mien.subjective.jod_objective import Workspace
from mien.subjective.pairs import Pairs, whole

Array = npt.NDArray[np.float64]

CHUNK = 20  #: draws that one thread takes at a time
TRIES = 100  #: for a draw that connects all items


@dataclass(frozen=True, slots=True)
class Draws:
    """What the draws gave.

    Attributes:
        values: (draws, N) scores; a row of NaN where a draw has none.
        over: what was drawn.
        drawn_again: draws that fell into parts.
    """

    values: Array
    over: Literal["observers", "votes"]
    drawn_again: int


def run_draws(
    pairs: Pairs,
    fit: Callable[[Array, Workspace], Array],
    *,
    draws: int,
    seed: int,
    threads: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Draws:
    """Fit every draw.

    Args:
        pairs: the votes, connected.
        fit: (2, C) wins and the memory of the thread -> (N,) scores; runs in several threads.
        draws: how many.
        seed: of the draws.
        threads: at most; None = one for each core.
        progress: is called with the number of draws that were finished since the last call, in the caller's thread.
    """
    over: Literal["observers", "votes"] = "observers" if _enough_observers(pairs) else "votes"
    values = np.full((draws, len(pairs.items)), np.nan)
    chunks = [range(start, min(start + CHUNK, draws)) for start in range(0, draws, CHUNK)]
    seeds = np.random.SeedSequence(seed).spawn(len(chunks))
    local = threading.local()

    def one(chunk: range, chunk_seed: np.random.SeedSequence) -> tuple[int, int]:
        if not hasattr(local, "workspace"):
            local.workspace = Workspace()
        rng, again = np.random.default_rng(chunk_seed), 0
        for row, (wins, repeated) in zip(chunk, _drawn(pairs, over, rng), strict=False):
            again += repeated
            if wins is not None:
                values[row] = fit(wins, local.workspace)
        return len(chunk), again

    drawn_again = 0
    workers = min(threads or os.cpu_count() or 1, max(1, len(chunks)))
    with ThreadPoolExecutor(workers, "mien-bootstrap") as pool:
        pending = [pool.submit(one, chunk, chunk_seed) for chunk, chunk_seed in zip(chunks, seeds, strict=True)]
        try:
            for future in as_completed(pending):
                done, again = future.result()
                drawn_again += again
                progress(done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return Draws(values, over, drawn_again)


def _enough_observers(pairs: Pairs) -> bool:
    return pairs.by_observer is not None and len(pairs.observers) > 1


def _drawn(
    pairs: Pairs, over: Literal["observers", "votes"], rng: np.random.Generator
) -> Iterator[tuple[Array | None, int]]:
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
