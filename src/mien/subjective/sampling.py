"""Which pair to ask next: all pairs, random pairs, or the pairs whose answers would teach most (active sampling).

Source:   ASAP: Mikhailiuk et al., "Active sampling for pairwise comparisons via approximate message passing and
          information gain maximization", ICPR 2020 (arXiv 2004.05691); TrueSkill: Herbrich et al. 2006
Model:    P(i preferred to j) = Φ(q_i - q_j), q_i ~ N(0, ½) before any vote
Gain:     of asking a pair: P(i wins) KL(posterior if i wins ‖ posterior now) + the same for j
Batch:    the spanning tree of the largest gains, which is the minimum spanning tree of 1 / gain: N - 1 pairs that reach
          every item, so that as many observers can work at once. It grows from the best pair on, and every pair counts
          as answered for the gains of the next ones; without that the item that is known least is in most of the pairs.
Differs:  ASAP keeps a variance for each item, so it has to run its inference again for both answers to every pair, or
          to a selection. Here the posterior has all covariances, so an answer changes it along one direction only and
          its gain is a formula, so all pairs are looked at. ASAP's gains stay as they were while a tree grows. It draws
          the first N - 1 pairs at random; here the seed decides between equal gains, which for no votes is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

from mien.subjective.one_thread import one_thread
from mien.subjective.paired_likelihood import laplacian
from mien.subjective.tables import sums
from mien.subjective.thurstone import mills

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Method = Literal["full", "random", "active"]
Pair = tuple[int, int]

PRIOR_VARIANCE = 0.5  #: of a score before any vote, as in ASAP
_ROUNDS, _CLOSE_ENOUGH = 200, 1e-6  # of expectation propagation: at most so many; change of a mean
_RENEWED = 32  # gains that are computed again at a time
_DAMPING = 0.7  # share of a new message that replaces the old one


@one_thread()
def next_pairs(
    n_items: int,
    votes: npt.NDArray[np.integer] | Array,
    *,
    method: Method,
    pending: Sequence[Pair] = (),
    n_pairs: int | None = None,
    seed: int,
) -> list[Pair]:
    """The pairs to ask next. A pure function: the same arguments give the same pairs.

    Args:
        n_items: N, at least 2.
        votes: (N, N) how often the row was preferred to the column so far; half a vote for either side is a tie.
        method: "full": pairs with the fewest votes first, so that every pair is asked once, then twice, and so on.
            "random": any pair. "active": the spanning tree of the largest information gains.
        pending: pairs that other observers are looking at now. Full and random ask others first; active counts on an
            answer, whichever it is.
        n_pairs: how many; None = what is left of the round of "full", else N - 1. Active gives the best of its tree
            when there are fewer, and further trees, with the earlier ones pending, when there are more.
        seed: of the order of pairs that are equally good. Give another one with each call.

    Returns:
        (i, j) with i < j, in the order in which to ask. Which of the two is shown on the left is the caller's business.

    Raises:
        ValueError: fewer than 2 items, votes of another shape, negative, not finite or of an item against itself, a
            pending pair that is none, fewer than 1 pair, or another method.
    """
    wins = _checked(n_items, votes, pending, n_pairs)
    if method not in _METHODS:
        raise ValueError(f"method is one of {', '.join(_METHODS)}, not {method!r}")
    return _METHODS[method](wins, np.array(pending, np.intp).reshape(-1, 2), n_pairs, np.random.default_rng(seed))


def _checked(n_items: int, votes: npt.ArrayLike, pending: Sequence[Pair], n_pairs: int | None) -> Array:
    wins = np.asarray(votes, np.float64)
    if n_items < 2:
        raise ValueError(f"2 items or more, not {n_items}")
    if wins.shape != (n_items, n_items):
        raise ValueError(f"votes of {n_items} items have the shape ({n_items}, {n_items}), not {wins.shape}")
    if not (np.isfinite(wins).all() and (wins >= 0).all()) or wins.diagonal().any():
        raise ValueError("votes are at least 0, and 0 for an item against itself")
    if bad := [pair for pair in pending if not (0 <= min(pair) < max(pair) < n_items)]:
        raise ValueError(f"pending pairs are two different items of {n_items}, not {bad[0]}")
    if n_pairs is not None and n_pairs < 1:
        raise ValueError(f"1 pair or more, not {n_pairs}")
    return wins


# ---- full and random ----------------------------------------------------------------------------------------------


def _full(wins: Array, pending: Indices, n_pairs: int | None, rng: np.random.Generator) -> list[Pair]:
    a, b = np.triu_indices(len(wins), 1)
    asked = (wins + wins.T)[a, b] + _times(pending, len(wins))
    wanted = int(np.sum(asked == asked.min())) if n_pairs is None else n_pairs
    found: list[Pair] = []
    while len(found) < wanted:
        order = np.lexsort((rng.random(len(a)), asked))
        best = order[: min(wanted - len(found), int(np.sum(asked < asked.min() + 1)))]
        asked[best] += 1
        found += _pairs(a[best], b[best])
    return found


def _random(wins: Array, pending: Indices, n_pairs: int | None, rng: np.random.Generator) -> list[Pair]:
    a, b = np.triu_indices(len(wins), 1)
    out = _times(pending, len(wins)) > 0
    found: list[Pair] = []
    wanted = len(wins) - 1 if n_pairs is None else n_pairs
    while len(found) < wanted:
        order = np.lexsort((rng.random(len(a)), out))[: wanted - len(found)]
        found += _pairs(a[order], b[order])
    return found


def _times(pending: Indices, size: int) -> Array:
    """How often each pair of the upper triangle is out."""
    out = np.zeros((size, size))
    np.add.at(out, (pending.min(axis=1, initial=size), pending.max(axis=1, initial=-1)), 1)
    return out[np.triu_indices(size, 1)]


def _pairs(a: Indices, b: Indices) -> list[Pair]:
    return list(zip(a.tolist(), b.tolist(), strict=True))


# ---- active -------------------------------------------------------------------------------------------------------


def _active(wins: Array, pending: Indices, n_pairs: int | None, rng: np.random.Generator) -> list[Pair]:
    mean, covariance = posterior(wins)
    for a, b in pending.tolist():
        covariance = answered(mean, covariance, (a, b))
    wanted = len(wins) - 1 if n_pairs is None else n_pairs
    return list(islice(_trees(mean, covariance, rng), wanted))


def _trees(mean: Array, covariance: Array, rng: np.random.Generator) -> Iterator[Pair]:
    """Spanning trees of the largest gains, one after the other, for ever, as Kruskal builds them."""
    a, b = np.triu_indices(len(mean), 1)
    order = rng.permutation(len(a))  # the seed decides between equal gains
    a, b = a[order], b[order]
    while True:
        part, gain = np.arange(len(mean)), _gain(mean, covariance, a, b)
        while part.any():  # until all items are in one
            gain[part[a] == part[b]] = -1
            best = _largest(gain, mean, covariance, a, b)
            pair = int(a[best]), int(b[best])
            yield pair
            low, high = sorted(part[[*pair]].tolist())
            part[part == high] = low
            covariance = answered(mean, covariance, pair)


def _largest(gain: Array, mean: Array, covariance: Array, a: Indices, b: Indices) -> int:
    """The pair of the largest gain. Old gains are upper bounds, so only those on top are renewed, in place."""
    while True:
        top = np.argpartition(gain, -min(_RENEWED, len(gain)))[-_RENEWED:]
        gain[top] = np.where(gain[top] < 0, -1, _gain(mean, covariance, a[top], b[top]))
        best = int(top[np.argmax(gain[top])])
        if gain[best] >= gain.max():
            return best


def posterior(wins: npt.NDArray[np.integer] | Array, *, prior_variance: float = PRIOR_VARIANCE) -> tuple[Array, Array]:
    """What the votes say about the scores, by expectation propagation.

    Args:
        wins: (N, N) how often the row was preferred to the column.
        prior_variance: of every score before any vote.

    Returns:
        (N,) means and (N, N) covariances of the scores, in standard deviations of a difference (1.4826 JOD).
    """
    size, (winner, loser) = len(wins), np.nonzero(wins)
    times = np.asarray(wins[winner, loser], np.float64)
    precision, shift = np.zeros(len(times)), np.zeros(len(times))  # of the message of one vote
    mean, covariance = np.zeros(size), prior_variance * np.eye(size)
    for _ in range(_ROUNDS):
        distance, variance = _difference(mean, covariance, winner, loser)
        rest = 1 / variance - precision  # precision of what all other votes say: the cavity
        distance = (distance / variance - shift) / rest
        after, narrower = _told(distance, 1 / rest)
        precision += _DAMPING * (1 / narrower - rest - precision)
        shift += _DAMPING * (after / narrower - distance * rest - shift)
        information = laplacian(winner, loser, times * precision, size)
        information[np.diag_indices_from(information)] += 1 / prior_variance
        covariance, before = cho_solve(cho_factor(information), np.eye(size)), mean
        mean = covariance @ (sums(winner, times * shift, size) - sums(loser, times * shift, size))
        if np.abs(mean - before).max() < _CLOSE_ENOUGH:
            break
    return mean, covariance


def information_gain(mean: Array, covariance: Array) -> Array:
    """(N, N) nats that an answer is expected to teach about all scores, for each pair; 0 on the diagonal.

    Args:
        mean, covariance: as `posterior` gives them.
    """
    a, b = np.triu_indices(len(mean), 1)
    gain = np.zeros((len(mean), len(mean)))
    gain[a, b] = _gain(mean, covariance, a, b)
    return gain + gain.T


def answered(mean: Array, covariance: Array, pair: Pair) -> Array:
    """Covariances once this pair is answered, whichever way: its variance is the one that is expected then.

    Args:
        mean, covariance: as `posterior` gives them.
        pair: of items.
    """
    first, second = np.array([pair[0]]), np.array([pair[1]])
    distance, variance = _difference(mean, covariance, first, second)
    share = _share(distance, variance)
    expected = share * _told(distance, variance)[1] + (1 - share) * _told(-distance, variance)[1]
    along = covariance[:, pair[0]] - covariance[:, pair[1]]
    return covariance - np.outer(along, along) * float((variance - expected)[0] / variance[0] ** 2)


def _gain(mean: Array, covariance: Array, a: Indices, b: Indices) -> Array:
    distance, variance = _difference(mean, covariance, a, b)
    share = _share(distance, variance)
    return share * _learnt(distance, variance) + (1 - share) * _learnt(-distance, variance)


def _share(distance: Array, variance: Array) -> Array:
    """How likely the first item of a difference wins."""
    return ndtr(distance / np.sqrt(1 + variance))


def _difference(mean: Array, covariance: Array, a: Indices, b: Indices) -> tuple[Array, Array]:
    """Mean and variance of q_a - q_b."""
    own = covariance.diagonal()
    return mean[a] - mean[b], own[a] + own[b] - 2 * covariance[a, b]


def _told(distance: Array, variance: Array) -> tuple[Array, Array]:
    """Mean and variance of a difference, normal before, once its first item has won."""
    spread = np.sqrt(1 + variance)
    z = distance / spread
    v = mills(z)  # v and w = v (v + z) of the TrueSkill paper
    return distance + variance * v / spread, variance * (1 - variance * v * (v + z) / (1 + variance))


def _learnt(distance: Array, variance: Array) -> Array:
    """KL(after ‖ before) of a difference whose first item has won; all else follows from the difference."""
    after, narrower = _told(distance, variance)
    ratio = narrower / variance
    return 0.5 * (ratio + (after - distance) ** 2 / variance - 1 - np.log(ratio))


_METHODS: dict[str, Callable[[Array, Indices, int | None, np.random.Generator], list[Pair]]] = {
    "full": _full,
    "random": _random,
    "active": _active,
}
