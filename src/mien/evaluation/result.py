"""What an evaluation gives: values, intervals, what was fitted, and the draws that a ranking compares in pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mien.core.errors import UsageError
from mien.evaluation.protocol import Protocol, Verdict
from mien.evaluation.resampling import interval
from mien.evaluation.tables import Labels

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        draws: resamples; 0 = no intervals.
        level: of the intervals.
        seed: of the draws.
        resample: "groups" draws whole groups, "rows" rows (inside their groups, where the protocol pools groups).
    """

    draws: int = 10_000
    level: float = 0.95
    seed: int = 0
    resample: Literal["groups", "rows"] = "rows"


@dataclass(frozen=True, slots=True)
class Fit:
    """A logistic map that is fitted before PLCC, RMSE and MAE.

    Attributes:
        method: a name of `logistic.METHODS`.
        on: the rows it is fitted on; with groups where the protocol pools groups (one map a group).
        name: of these rows, as it is printed: "split=validation".
    """

    method: str
    on: Labels
    name: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and the ends of its bootstrap interval; None where there is no interval."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, value: float, samples: Array | None, level: float) -> Estimate:
        """With the percentile interval of the draws."""
        ends = interval(samples, level) if samples is not None else None
        return cls(float(value), *ends) if ends else cls(float(value))


@dataclass(frozen=True, slots=True)
class Group:
    """One scene, clip or other group: its rows and its values."""

    n: int
    values: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Computed:
    """The numbers of one kind of protocol, before they are put together."""

    total: Mapping[str, float]
    samples: Mapping[str, Array]
    groups: Mapping[str, Group] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    fitted: str = "none"
    resampling: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """One submission under one protocol.

    Attributes:
        submission: the prediction file, or the name that the caller gave.
        labels: the label file and the selection.
        protocol: the protocol.
        n: rows that were evaluated (pairs, for votes and comparisons).
        total: metric (and "main") -> value with its interval.
        groups: name -> rows and values; empty without groups.
        extras: what only this kind of protocol has; JSON-ready.
        fitted: what was fitted, on which rows; "none".
        budget: the limits of the challenge; empty when it has none.
        resampling: how the intervals were made, in words.
        level: of the intervals.
        notes: what a reader must know.
        samples: metric -> (draws,) values of the total in each draw, NaN where a draw is undefined.
        pairing: two results with the same pairing were resampled with the same draws, row by row.
    """

    submission: str
    labels: str
    protocol: Protocol
    n: int
    total: Mapping[str, Estimate]
    groups: Mapping[str, Group]
    extras: Mapping[str, Any]
    fitted: str
    budget: tuple[Verdict, ...]
    resampling: str
    level: float
    notes: tuple[str, ...]
    samples: Mapping[str, Array] = field(repr=False, compare=False)
    pairing: str = ""

    @property
    def main(self) -> Estimate:
        """The value that a ranking uses (`protocol.rank_by`)."""
        return self.total[self.protocol.rank_by]

    @property
    def better(self) -> Literal["higher", "lower"]:
        """Which end of `main` is the better one."""
        return self.protocol.better

    def to_dict(self) -> dict[str, Any]:
        """Everything but the draws, JSON-ready: no NaN, None where there is no value."""
        return {
            "protocol": self.protocol.name,
            "paper": self.protocol.paper,
            "submission": self.submission,
            "labels": self.labels,
            "n": self.n,
            "formula": self.protocol.formula,
            "rank_by": self.protocol.rank_by,
            "better": self.better,
            "total": _estimates(self.total),
            "groups": {name: {"n": g.n, "values": _estimates(g.values)} for name, g in self.groups.items()},
            "extras": dict(self.extras),
            "fitted": self.fitted,
            "budget": [asdict(verdict) for verdict in self.budget],
            "resampling": self.resampling,
            "level": self.level,
            "notes": list(self.notes),
            "unknowns": [asdict(unknown) for unknown in self.protocol.unknowns],
            "pairing": self.pairing,
        }


def _estimates(values: Mapping[str, Estimate]) -> dict[str, dict[str, float | None]]:
    return {name: asdict(estimate) for name, estimate in values.items()}


@dataclass(frozen=True, slots=True)
class Difference:
    """a - b, its bootstrap interval, and the two-sided p of no difference."""

    value: float
    low: float
    high: float
    p: float


def paired_difference(a: Result, b: Result, metric: str | None = None, *, level: float = 0.95) -> Difference:
    """The paired bootstrap of the difference of two submissions.

    Args:
        a: one result.
        b: another, of the same labels, draws and seed.
        metric: of `total`; without it the one that the protocol ranks by.
        level: of the interval.

    Returns:
        p is twice the share of draws on the far side of 0 (a draw at 0 is on both sides), at least 1/(draws + 1). It
        is not corrected for more than one comparison.

    Raises:
        UsageError: the results were not resampled together, or there are no draws.
    """
    if a.pairing != b.pairing:
        raise UsageError(f"{a.submission} and {b.submission} were not resampled together: other labels, draws or seed")
    metric = metric or a.protocol.rank_by
    if metric not in a.samples or not len(a.samples[metric]):
        raise UsageError(f"no draws of {metric}: evaluate with draws > 0, and with at least two groups")
    drawn = a.samples[metric] - b.samples[metric]
    drawn = drawn[np.isfinite(drawn)]
    ends = interval(drawn, level)
    if ends is None:
        raise UsageError(f"{metric} of {a.submission} and {b.submission} is defined in no draw")
    n = len(drawn)
    below, above = (np.sum(drawn <= 0) + 1) / (n + 1), (np.sum(drawn >= 0) + 1) / (n + 1)
    return Difference(a.total[metric].value - b.total[metric].value, *ends, float(min(1.0, 2 * min(below, above))))
