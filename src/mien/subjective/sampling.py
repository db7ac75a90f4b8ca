"""Which pair to ask next: all pairs, random pairs, or the pairs whose answers would teach most (active sampling).

Source:   ASAP: Mikhailiuk et al., "Active sampling for pairwise comparisons via approximate message passing and
          information gain maximization", ICPR 2020 (arXiv 2004.05691); TrueSkill: Herbrich et al. 2006
Model:    P(i preferred to j) = Φ(q_i - q_j), q_i ~ N(0, ½) before any vote
Gain:     of asking a pair: P(i wins) KL(posterior if i wins ‖ posterior now) + the same for j
Batch:    the spanning tree of the largest gains, which is the minimum spanning tree of 1 / gain: N - 1 pairs that reach
          every item, so that as many observers can work at once
Differs:  ASAP keeps a variance for each item, so it has to run its inference again for both answers to every pair, or
          to a selection. Here the posterior has all covariances, so an answer changes it along one direction only and
          its gain is a formula: nothing is selected, and 100 items take milliseconds. ASAP draws the first N - 1 pairs
          at random; here gains that are equal are in random order, which for no votes is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, solve
from scipy.sparse import csr_array
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.special import ndtr

from mien.subjective.paired_likelihood import laplacian
from mien.subjective.tables import sums
from mien.subjective.thurstone import mills

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
Method = Literal["full", "random", "active"]
Pair = tuple[int, int]

PRIOR_VARIANCE = 0.5  #: of a score before any vote, as in ASAP
_ROUNDS, _CLOSE_ENOUGH = 200, 1e-6  # of expectation propagation: at most so many; change of a mean
_DAMPING = 0.7  # share of a new message that replaces the old one


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
    wanted = len(wins) - 1 if n_pairs is None else n_pairs
    return list(islice(_trees(mean, answered(mean, covariance, pending), rng), wanted))


def _trees(mean: Array, covariance: Array, rng: np.random.Generator) -> Iterator[Pair]:
    """Spanning trees of the largest gains, for ever, each with the earlier ones pending; the largest gain first."""
    a, b = np.triu_indices(len(mean), 1)
    while True:
        gain = information_gain(mean, covariance)[a, b]
        # the tree depends on the order of the gains alone, and ranks neither vanish nor overflow
        rank = np.empty(len(gain))
        rank[np.lexsort((rng.random(len(gain)), -gain))] = np.arange(1, len(gain) + 1)
        tree = minimum_spanning_tree(csr_array((rank, (a, b)), shape=covariance.shape)).tocoo()
        order = np.argsort(tree.data)
        edges = np.stack([tree.row[order], tree.col[order]], axis=1).astype(np.intp)
        yield from _pairs(edges[:, 0], edges[:, 1])
        covariance = answered(mean, covariance, edges)


def posterior(wins: Array, *, prior_variance: float = PRIOR_VARIANCE) -> tuple[Array, Array]:
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
    distance, variance = _difference(mean, covariance, a, b)
    share = ndtr(distance / np.sqrt(1 + variance))
    gain = np.zeros((len(mean), len(mean)))
    gain[a, b] = share * _learnt(distance, variance) + (1 - share) * _learnt(-distance, variance)
    return gain + gain.T


def answered(mean: Array, covariance: Array, pairs: Indices) -> Array:
    """Covariances once these pairs are answered, whichever way: with the precision that an answer is expected to add.

    Args:
        mean, covariance: as `posterior` gives them.
        pairs: (m, 2) items; a pair may be there more than once.
    """
    if not len(pairs):
        return covariance
    a, b = pairs.T
    distance, variance = _difference(mean, covariance, a, b)
    share = ndtr(distance / np.sqrt(1 + variance))
    expected = share * _told(distance, variance)[1] + (1 - share) * _told(-distance, variance)[1]
    added = laplacian(a, b, 1 / expected - 1 / variance, len(mean))
    return solve(np.eye(len(mean)) + covariance @ added, covariance)


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
