"""What a run learns from, what it chooses its epoch by, and what it is measured on: pictures of one table, apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mien.core.errors import UsageError
from mien.data.sample import Sample

FEWEST = 3  #: pictures of a part; below, a correlation is not defined
FEWEST_WITHOUT_SPLIT = 11  #: pictures with a score, of which a fifth is drawn: 3
FEWEST_HELD = 20  #: pictures that an interval is calibrated on


@dataclass(frozen=True, slots=True)
class Split:
    """How a validation part is taken from the training part, where the data set names none.

    Contents (`Sample.reference`) stay whole. Without them the same pictures are drawn as by scikit-learn's
    train_test_split with that seed.
    """

    share: float = 0.2
    seed: int = 42
    per_scene: bool = False  #: that share of each scene, instead of all pictures


@dataclass(frozen=True)
class Parts:
    """Samples with a label, each in one part."""

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]  #: chooses the epoch
    held: tuple[Sample, ...] = ()  #: nothing is chosen by it; intervals are calibrated on it
    test: tuple[Sample, ...] = ()  #: looked at once, at the end
    made: str = ""  #: in words: where the parts come from

    @property
    def everything(self) -> tuple[Sample, ...]:
        """Of all parts."""
        return (*self.train, *self.val, *self.held, *self.test)


def divide(samples: Sequence[Sample], how: Split, *, hold: bool = False) -> Parts:
    """Sort samples into parts by their `split`; make a validation part where there is none.

    Args:
        samples: of one or several data sets; those without a label are left out.
        how: see `Split`.
        hold: keep half of the validation part back for calibration, in whole contents, where it is large enough.

    Raises:
        UsageError: too few labelled pictures, labels that are all the same, or an unknown split.
    """
    labelled = [s for s in samples if s.label is not None]
    by_name: dict[str, list[Sample]] = {"train": [], "val": [], "test": []}
    for sample in labelled:
        if sample.split not in by_name:
            raise UsageError(f"{sample.name} is in the split {sample.split!r}; the splits are {', '.join(by_name)}")
        by_name[sample.split].append(sample)
    train, val, made = by_name["train"], by_name["val"], "as the data set names them"
    if not val:
        train, val = _taken(train, how)
        kept = "whole contents" if any(s.reference for s in train) else "pictures"
        of = " of each scene" if how.per_scene else ""
        made = f"validation: {how.share:.0%} of the training {kept}{of}, drawn with seed {how.seed}"
    held: list[Sample] = []
    if hold:
        held, val = _halved(val, how.seed)
    if held:
        made += "; half of the validation part is held back for calibration"
    _check(len(samples), labelled, train, val)
    return Parts(tuple(train), tuple(val), tuple(held), tuple(by_name["test"]), made)


def _taken(train: list[Sample], how: Split) -> tuple[list[Sample], list[Sample]]:
    """Training pictures without and only with the validation part."""
    drawn: set[str] = set()  # a content that was drawn in one scene is drawn in all
    for group in _groups(train, how):
        units = list(dict.fromkeys(_content(train[i]) for i in group))
        order = np.random.RandomState(how.seed).permutation(len(units))
        missing = int(np.ceil(how.share * len(units))) - len(drawn.intersection(units))
        fresh = [units[k] for k in order if units[k] not in drawn]
        drawn |= set(fresh[: max(missing, 0)])
    return [s for s in train if _content(s) not in drawn], [s for s in train if _content(s) in drawn]


def _halved(val: list[Sample], seed: int) -> tuple[list[Sample], list[Sample]]:
    """Held back and kept: drawn contents, each dealt to the half that has fewer pictures; none held if one is small."""
    contents: dict[str, list[int]] = {}
    for i, sample in enumerate(val):
        contents.setdefault(_content(sample), []).append(i)
    units = list(contents.values())
    held: set[int] = set()
    kept: set[int] = set()
    for k in np.random.default_rng(seed).permutation(len(units)):
        (held if len(held) <= len(kept) else kept).update(units[k])
    if min(len(held), len(kept)) < FEWEST_HELD:
        return [], val
    return [val[i] for i in sorted(held)], [val[i] for i in sorted(kept)]


def _content(sample: Sample) -> str:
    return sample.reference or sample.name


def _groups(train: list[Sample], how: Split) -> list[list[int]]:
    if not how.per_scene:
        return [list(range(len(train)))]
    scenes: dict[tuple[str, str], list[int]] = {}
    for i, sample in enumerate(train):
        scenes.setdefault((sample.subset, sample.scene), []).append(i)
    return list(scenes.values())


def _check(n: int, labelled: list[Sample], train: list[Sample], val: list[Sample]) -> None:
    if not labelled:
        raise UsageError(f"none of the {n} pictures has a score: there is nothing to learn from")
    for name, part in (("training", train), ("validation", val)):
        if len(part) < FEWEST:
            raise UsageError(
                f"{len(part)} pictures with a score in the {name} part are too few; at least {FEWEST} are needed "
                f"({len(labelled)} of {n} pictures have a score; without a column split it takes "
                f"{FEWEST_WITHOUT_SPLIT}, or more where several are of one reference)"
            )
        if len({s.label for s in part}) == 1:
            raise UsageError(f"all {len(part)} pictures of the {name} part have the same score, {part[0].label}")
