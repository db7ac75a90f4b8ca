"""What every method gives back: one score with its interval for each item, and what was found about the observers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

COLUMNS = ("item", "score", "ci_low", "ci_high", "n")


@dataclass(frozen=True, slots=True)
class Scale:
    """The scores of one group.

    Attributes:
        items: names.
        score: (n,) in `unit`; NaN where there is none.
        ci_low, ci_high: (n,) ends of the interval; NaN where there is none.
        n: (n,) votes behind each score.
        method: name of the method.
        unit: what a score of 1 means.
        intervals: how the intervals were made, their level in it.
        se: (n,) standard errors where the method has them.
        observers: what was found about the observers, one column for each finding; `observer` has their names.
        facts: figures about the whole group.
        notes: what a reader has to know.
    """

    items: tuple[str, ...]
    score: Array
    ci_low: Array
    ci_high: Array
    n: npt.NDArray[np.int64]
    method: str
    unit: str
    intervals: str
    se: Array | None = None
    observers: Mapping[str, Sequence[object]] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def half_width(self) -> Array:
        """(n,) half of the length of each interval."""
        return (self.ci_high - self.ci_low) / 2

    def rows(self) -> Iterator[dict[str, object]]:
        """One dict for each item: `COLUMNS`; None where there is no number, never NaN."""
        for i, item in enumerate(self.items):
            numbers = (float(values[i]) for values in (self.score, self.ci_low, self.ci_high))
            cells = (item, *(value if np.isfinite(value) else None for value in numbers), int(self.n[i]))
            yield dict(zip(COLUMNS, cells, strict=True))


def percent(level: float) -> str:
    """A level as people write it."""
    return f"{100 * level:g} %"
