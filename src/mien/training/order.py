"""Which pictures make the batches of an epoch: the samplers of `mien.data.samplers` as settings of a recipe.

Each is called with the training samples and answers with (steps, batch) indices, the same for the same seed and epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mien.core.errors import UsageError
from mien.data.sample import Sample
from mien.data.samplers import mixed_batches, scene_batches, scene_pairs

Indices = npt.NDArray[np.int64]
Order = Callable[[Sequence[Sample], int, int, int], Indices]  #: samples, batch, epoch, seed


def scene_of(sample: Sample) -> Hashable:
    """What opinions compare inside of; pictures of a data set without scenes are one scene."""
    return (sample.subset, sample.scene) if sample.scene else sample.subset


@dataclass(frozen=True, slots=True)
class Shuffled:
    """All pictures in random order, `repeat` times in an epoch; what does not fill the last batch waits."""

    repeat: int = 1

    def __call__(self, samples: Sequence[Sample], batch: int, epoch: int, seed: int) -> Indices:
        """See the head of this file; a table smaller than a batch is one batch."""
        rng = np.random.default_rng([seed, epoch])
        order = np.concatenate([rng.permutation(len(samples)) for _ in range(self.repeat)])
        return _rows(order, batch)


@dataclass(frozen=True, slots=True)
class Scenes:
    """`per_batch` scenes in every batch, the same number of pictures of each."""

    per_batch: int = 4

    def __call__(self, samples: Sequence[Sample], batch: int, epoch: int, seed: int) -> Indices:
        """See the head of this file."""
        scenes = [scene_of(s) for s in samples]
        if (found := len(set(scenes))) < self.per_batch or batch % self.per_batch:
            raise UsageError(
                f"batches of {batch} pictures of {self.per_batch} scenes do not fit training pictures of {found} "
                f"scene{'' if found == 1 else 's'}: this recipe needs a column scene (data sets without scenes count "
                f"as one scene each), and a batch that is a multiple of {self.per_batch}"
            )
        return scene_batches(
            scenes, per_batch=self.per_batch, per_scene=batch // self.per_batch, epoch=epoch, seed=seed
        )


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows of pairs (0, 1), (2, 3), ...: each picture `rounds` times a first, its partner from the same scene."""

    rounds: int = 1
    different: bool = False  #: both of a pair were rated differently

    def __call__(self, samples: Sequence[Sample], batch: int, epoch: int, seed: int) -> Indices:
        """See the head of this file."""
        if batch % 2:
            raise UsageError(f"this recipe learns from pairs, so its batch is even, not {batch}")
        labels = [float("nan") if s.label is None else s.label for s in samples] if self.different else None
        pairs = scene_pairs([scene_of(s) for s in samples], labels=labels, rounds=self.rounds, epoch=epoch, seed=seed)
        if not len(pairs):
            raise UsageError("this recipe learns from pairs of one scene, but no two training pictures share a scene")
        return _rows(pairs.ravel(), batch)


@dataclass(frozen=True, slots=True)
class Mixed:
    """A share of every batch from each data set (`Sample.subset`); sets that are not named get share 1."""

    shares: Mapping[str, float] = field(default_factory=dict)
    steps: int | None = None  #: of an epoch; None = pictures over the batch

    def __call__(self, samples: Sequence[Sample], batch: int, epoch: int, seed: int) -> Indices:
        """See the head of this file."""
        names = np.array([s.subset for s in samples])
        sets = sorted(set(names.tolist()))
        places = np.concatenate([np.flatnonzero(names == name) for name in sets])
        drawn = mixed_batches(
            [int((names == name).sum()) for name in sets],
            [self.shares.get(name, 1.0) for name in sets],
            min(batch, len(samples)),
            epoch=epoch,
            seed=seed,
            batches=self.steps,
        )
        return places[drawn]


def _rows(order: Indices, batch: int) -> Indices:
    batch = min(batch, len(order))
    return order[: len(order) // batch * batch].reshape(-1, batch)
