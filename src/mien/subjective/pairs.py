"""Votes of one group, counted for each pair of items, and what can be known from them at all.

Two questions come before any scale. Does a chain of comparisons lead from every item to every other one? Without it
their scores have nothing to do with one another. And does a chain of *wins* lead from every item to every other one
(Ford 1957)? Without it no finite score fits best: what never loses is infinitely good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from mien.subjective.tables import TableError, Votes, listed, sums

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Wins within each pair of items that was compared.

    Attributes:
        items: names of the N items.
        a, b: (C,) numbers of the items of each pair, a < b, each pair once.
        wins: (2, C) votes for a, votes for b.
        observers: names.
        by_observer: (observers, 2 C), the wins of each observer, those for a first; None when nobody knows who voted.
        ties: trials without a preference.
        source: the file.
    """

    items: tuple[str, ...]
    a: Indices
    b: Indices
    wins: Array
    observers: tuple[str, ...] = ()
    by_observer: csr_array | None = None
    ties: int = 0
    source: str = ""

    @property
    def n(self) -> npt.NDArray[np.int64]:
        """(N,) comparisons that each item was in."""
        of_pair = self.wins.sum(axis=0)
        both = np.concatenate([self.a, self.b])
        return np.rint(np.bincount(both, np.tile(of_pair, 2), len(self.items))).astype(np.int64)


def count(votes: Votes) -> Pairs:
    """Sum up the rows of each pair."""
    size = len(votes.items)
    low, high = np.minimum(votes.a, votes.b), np.maximum(votes.a, votes.b)
    swapped = votes.a > votes.b
    keys, pair = np.unique(low * size + high, return_inverse=True)
    for_low = np.where(swapped, votes.votes_b, votes.votes_a)
    for_high = np.where(swapped, votes.votes_a, votes.votes_b)
    wins = np.stack([sums(pair, for_low, len(keys)), sums(pair, for_high, len(keys))])
    by_observer = None
    if votes.observer is not None:
        cells = (
            np.concatenate([for_low, for_high]),
            (np.tile(votes.observer, 2), np.concatenate([pair, pair + len(keys)])),
        )
        by_observer = csr_array(cells, shape=(len(votes.observers), 2 * len(keys)))
        by_observer.sum_duplicates()
        by_observer.eliminate_zeros()
    return Pairs(votes.items, keys // size, keys % size, wins, votes.observers, by_observer, votes.ties, votes.source)


def parts(pairs: Pairs) -> list[list[str]]:
    """The items, in parts that were never compared with one another; the largest first."""
    number = _components(pairs.a, pairs.b, len(pairs.items), directed=False)
    found: list[list[str]] = [[] for _ in range(int(number.max()) + 1)]
    for item, part in zip(pairs.items, number.tolist(), strict=True):
        found[part].append(item)
    return sorted(found, key=lambda part: (-len(part), part))


def split(votes: Votes) -> list[Votes]:
    """The votes of each of those parts."""
    pairs = count(votes)
    number = {item: i for i, part in enumerate(parts(pairs)) for item in part}
    of_row = np.array([number[votes.items[i]] for i in votes.a.tolist()])
    return [_only(votes, of_row == part) for part in range(int(of_row.max()) + 1)]


def _only(votes: Votes, rows: npt.NDArray[np.bool_]) -> Votes:
    items, both = np.unique(np.concatenate([votes.a[rows], votes.b[rows]]), return_inverse=True)
    half = int(rows.sum())
    observers, observer = (), None
    if votes.observer is not None:
        people, observer = np.unique(votes.observer[rows], return_inverse=True)
        observers = tuple(votes.observers[i] for i in people)
    return Votes(
        tuple(votes.items[i] for i in items),
        both[:half],
        both[half:],
        votes.votes_a[rows],
        votes.votes_b[rows],
        observers,
        observer,
        int(np.sum(votes.votes_a[rows] == 0.5)) if votes.ties else 0,
        votes.source,
    )


def need_one_part(pairs: Pairs) -> None:
    """Refuse votes that fall apart.

    Raises:
        TableError: some items were never compared with the others, not even through third ones.
    """
    found = parts(pairs)
    if len(found) > 1:
        shown = "; ".join(listed(part, "item") for part in found[:4])
        rest = f"; and {len(found) - 4:,} more" if len(found) > 4 else ""
        raise TableError(
            f"{pairs.source or 'votes'}: the items fall into {len(found)} parts that were never compared with one "
            f"another: {shown}{rest}. Scores of different parts would have nothing in common: name the column that "
            "tells them apart (--groups COLUMN), or scale each part alone (--split)"
        )


def need_finite(pairs: Pairs) -> None:
    """Refuse votes that no finite scores fit best.

    Raises:
        TableError: some items won every comparison with the others, or lost every one.
    """
    first, second = pairs.wins > 0
    winner = np.concatenate([pairs.a[first], pairs.b[second]])
    loser = np.concatenate([pairs.b[first], pairs.a[second]])
    number = _components(winner, loser, len(pairs.items), directed=True)
    if number.max() == 0:
        return
    between = number[winner] != number[loser]
    beaten, winning = set(number[loser[between]].tolist()), set(number[winner[between]].tolist())
    never_lose = [i for i, part in zip(pairs.items, number.tolist(), strict=True) if part not in beaten]
    never_win = [i for i, part in zip(pairs.items, number.tolist(), strict=True) if part not in winning]
    raise TableError(
        f"{pairs.source or 'votes'}: no finite scores fit best: {listed(never_lose, 'item')} won every comparison with "
        f"the others, {listed(never_win, 'item')} lost every one. Take jod, whose prior keeps scores finite, or "
        "--alpha 0.01, or ask for more votes between them"
    )


def whole(a: Indices, b: Indices, size: int) -> bool:
    """Whether the pairs connect all items."""
    return bool(_components(a, b, size, directed=False).max() == 0)


def _components(start: Indices, end: Indices, size: int, *, directed: bool) -> npt.NDArray[np.int32]:
    links = csr_array((np.ones(len(start), np.int8), (start, end)), shape=(size, size))
    return connected_components(links, directed=directed, connection="strong")[1]


def pair_names(pairs: Pairs, which: Sequence[int]) -> list[str]:
    """How a message calls pairs."""
    return [f"{pairs.items[pairs.a[i]]} and {pairs.items[pairs.b[i]]}" for i in which]
