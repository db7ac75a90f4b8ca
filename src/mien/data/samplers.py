"""Which pictures go into a batch: balanced over scenes, in pairs of one scene, or mixed from several data sets.

Every function gives the indices of a whole epoch, and the same ones for the same seed and epoch. A picture is drawn
again only when all others of its scene or data set have been.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


class _Deck:
    """Cards that are dealt in random order and shuffled again when all are dealt."""

    def __init__(self, cards: Indices, rng: np.random.Generator) -> None:
        self._cards, self._rng = cards, rng
        self._left = rng.permutation(cards)

    def deal(self, n: int) -> Indices:
        """The next n cards; all different where there are n."""
        while len(self._left) < n:
            fresh = self._rng.permutation(self._cards)
            if n <= len(self._cards):  # cards that are still in hand come up last
                fresh = np.concatenate([fresh[~np.isin(fresh, self._left)], fresh[np.isin(fresh, self._left)]])
            self._left = np.concatenate([self._left, fresh])
        dealt, self._left = self._left[:n], self._left[n:]
        return dealt


def scene_batches(
    scenes: Sequence[Hashable],
    *,
    per_batch: int = 4,
    per_scene: int = 32,
    epoch: int = 0,
    seed: int = 0,
    batches: int | None = None,
) -> Indices:
    """S scenes times K pictures in every batch: the sampler of RQ-Net (NTIRE 2024 portrait survey, section 3.1).

    The survey gives S = 4, K = 32 and counts each external data set as a scene. The length of an epoch is not given;
    ours is the number of pictures over the batch size, rounded up.

    Args:
        scenes: the scene of each picture.
        per_batch: S, different scenes in a batch, all scenes being equally likely.
        per_scene: K, pictures of each. A scene with fewer gives each at least once and some again.
        epoch: another epoch, other batches.
        seed: of chance.
        batches: in the epoch; None = as above.

    Returns:
        (batches, S K) indices; in a batch the first K belong to one scene, the next K to another.

    Raises:
        ValueError: fewer scenes than S, or S or K below 1.
    """
    groups = _groups(scenes)
    if not 1 <= per_batch <= len(groups) or per_scene < 1:
        raise ValueError(f"batches of {per_batch} scenes times {per_scene} pictures do not fit {len(groups)} scenes")
    rng = np.random.default_rng([seed, epoch])
    decks = [_Deck(group, rng) for group in groups]
    n = -(-len(scenes) // (per_batch * per_scene)) if batches is None else batches
    chosen = [rng.choice(len(decks), per_batch, replace=False) for _ in range(n)]
    dealt = [np.concatenate([decks[k].deal(per_scene) for k in scene]) for scene in chosen]
    return np.array(dealt, np.int64).reshape(n, per_batch * per_scene)


def scene_pairs(
    scenes: Sequence[Hashable],
    *,
    labels: Sequence[float] | None = None,
    rounds: int = 1,
    epoch: int = 0,
    seed: int = 0,
) -> Indices:
    """Each picture `rounds` times as the first of a pair, with a random other one of its scene.

    PQE / DN-PIQA: rounds=2, so 7,260 pairs of 3,630 pictures (its shipped list also pairs pictures with themselves).
    UIQA: one scene for all, and `labels`, because it pairs only pictures of different opinion. BDVQA's consecutive
    pairs: the rows, flattened.

    Args:
        scenes: the scene of each picture.
        labels: opinions; where given, both pictures of a pair differ in them.
        rounds: how often each picture is a first.
        epoch: another epoch, other pairs.
        seed: of chance.

    Returns:
        (m, 2) indices in random order. Pictures without a partner are left out.
    """
    rng = np.random.default_rng([seed, epoch])
    opinions = np.zeros(len(scenes)) if labels is None else np.asarray(labels, float)
    pairs: list[tuple[int, int]] = []
    for group in _groups(scenes):
        for first in np.tile(group, rounds).tolist():
            others = group[(group != first) & (True if labels is None else opinions[group] != opinions[first])]
            if len(others):
                pairs.append((first, int(rng.choice(others))))
    return rng.permutation(np.array(pairs, np.int64).reshape(-1, 2))


def mixed_batches(
    sizes: Sequence[int],
    shares: Sequence[float],
    batch: int,
    *,
    epoch: int = 0,
    seed: int = 0,
    batches: int | None = None,
) -> Indices:
    """Batches of several data sets with given shares; each set is gone through again and again at its own pace.

    A share that is not a whole number of pictures is made up for in the next batches, so that no set stays behind.
    LIQE: six sets, shares (4, 4, 4, 4, 16, 16), batch 48, batches=200.

    Args:
        sizes: pictures in each data set.
        shares: of each in a batch; any unit.
        batch: pictures in a batch.
        epoch: another epoch, other batches.
        seed: of chance.
        batches: in the epoch; None = all pictures over the batch size, rounded up.

    Returns:
        (batches, batch) indices into the data sets one after the other, in random order inside a batch.

    Raises:
        ValueError: numbers that do not belong together, a negative share, or an empty data set with a share.
    """
    weights = np.asarray(shares, float)
    if len(sizes) != len(weights) or not weights.sum() > 0 or (weights < 0).any() or batch < 1:
        raise ValueError(f"{len(sizes)} sizes, shares {list(shares)}, batch {batch}: one share each, none below 0")
    if empty := [k for k, (size, share) in enumerate(zip(sizes, shares, strict=True)) if share > 0 and size < 1]:
        raise ValueError(f"data set {empty[0]} has a share, but no pictures")
    rng = np.random.default_rng([seed, epoch])
    starts = np.cumsum([0, *sizes])
    decks = [_Deck(np.arange(a, b, dtype=np.int64), rng) for a, b in pairwise(starts)]
    n = -(-int(starts[-1]) // batch) if batches is None else batches
    given, dealt = np.zeros(len(decks), int), []
    for k in range(n):
        wanted = (k + 1) * batch * weights / weights.sum() - given
        counts = np.maximum(np.floor(wanted + 1e-9).astype(int), 0)
        while counts.sum() > batch:  # rounding up of earlier batches is paid back by the sets that are best served
            counts[np.argmin(np.where(counts > 0, wanted - counts, np.inf))] -= 1
        while counts.sum() < batch:
            counts[np.argmax(np.where(weights > 0, wanted - counts, -np.inf))] += 1
        given += counts
        dealt.append(rng.permutation(np.concatenate([d.deal(c) for d, c in zip(decks, counts, strict=True)])))
    return np.array(dealt, np.int64).reshape(n, batch)


def _groups(scenes: Sequence[Hashable]) -> list[Indices]:
    """Indices of each scene, scenes in the order in which they first appear."""
    found: dict[Hashable, list[int]] = {}
    for k, scene in enumerate(scenes):
        found.setdefault(scene, []).append(k)
    return [np.array(indices, np.int64) for indices in found.values()]
