"""What a protocol is: data that says how a result is computed, what the source leaves open, and what was published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mien.core.errors import UsageError

Kind = Literal["labels", "votes", "comparisons"]
Pooling = Literal["rows", "median", "mean", "fisher-z"]

LOWER_IS_BETTER = frozenset({"rmse", "mae", "pauc", "pauc_relative", "fnmr@0.1", "fnmr@0.2", "fnmr@0.3"})

_POOLED = {
    "rows": "over all rows",
    "median": "median over the {}s",
    "mean": "mean over the {}s",
    "fisher-z": "mean over the {}s in Fisher's z",
}


@dataclass(frozen=True, slots=True)
class Unknown:
    """What the source does not say (or says twice, differently), and the reading that is taken here."""

    question: str
    reading: str


@dataclass(frozen=True, slots=True)
class Reference:
    """A published row, as a fact. What was not published is absent or None.

    Attributes:
        name: of the method or team.
        table: which of the source's tables it stands in.
        values: metric -> published value; "main" is the main score of the protocol.
        gmacs: 10^9 multiply-accumulates, as published.
        params_m: 10^6 parameters, as published.
        seconds: per picture or clip, as published.
        note: anything that a reader must know before comparing.
    """

    name: str
    table: str
    values: Mapping[str, float]
    gmacs: float | None = None
    params_m: float | None = None
    seconds: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one picture or clip costs. None = not measured."""

    macs: float | None = None
    parameters: float | None = None
    seconds: float | None = None

    @classmethod
    def read(cls, path: Path) -> Cost:
        """From JSON as `mien cost --json` writes it; other keys are ignored.

        Raises:
            UsageError: not a JSON object, or a value that is not a number >= 0.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise UsageError(f"{path} is not JSON: {error}") from error
        if not isinstance(found, dict):
            raise UsageError(f"{path} must hold one JSON object with macs, parameters, seconds")
        values = {name: found.get(name) for name in ("macs", "parameters", "seconds")}
        for name, value in values.items():
            number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
            if value is not None and not number:
                raise UsageError(f"{path}: {name} must be a number of at least 0, not {value!r}")
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of a budget: `ok` is None when the value is not known."""

    what: str
    limit: float
    value: float | None
    ok: bool | None


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a challenge for one picture or clip; None = no limit.

    Attributes:
        max_macs: multiply-accumulates of the whole inference, every crop and a face finder counted.
        max_parameters: likewise.
        max_seconds: wall time.
        strict: a value that equals `max_seconds` is too slow ("under 1 s").
        per: what is processed.
        counting: the rule, in words.
    """

    max_macs: float | None = None
    max_parameters: float | None = None
    max_seconds: float | None = None
    strict: bool = False
    per: str = "picture"
    counting: str = ""

    def check(self, cost: Cost) -> tuple[Verdict, ...]:
        """One verdict for each limit."""
        limits = (
            (f"MACs per {self.per}", self.max_macs, cost.macs, False),
            ("parameters", self.max_parameters, cost.parameters, False),
            (f"seconds per {self.per}", self.max_seconds, cost.seconds, self.strict),
        )
        return tuple(
            Verdict(what, limit, value, None if value is None else value < limit or (value == limit and not strict))
            for what, limit, value, strict in limits
            if limit is not None
        )


@dataclass(frozen=True, slots=True)
class Protocol:
    """A protocol as data; `evaluate.evaluate` carries it out.

    Attributes:
        name: as the command line knows it.
        title: for people.
        paper: where it is from.
        kind: the label file: one "labels" value an item, pairwise "votes", or face "comparisons".
        item: "image" or "video": the name column of the files.
        group: column of the label file that groups the rows; None = none unless the caller names one.
        metrics: in the order of the table.
        pooling: "rows": over all rows, groups are shown only. Otherwise computed inside the groups, then pooled.
        main: weights of the main score; empty when the source's formula is unknown.
        main_inside: the main score is combined inside each group and then pooled, not from pooled metrics.
        rank_by: "main" or the metric that a ranking uses.
        budget: limits of the challenge.
        model_level: with groups, also the correlation of the means of the groups.
        settings: of the protocols that need more (error versus discard).
        unknowns: what the source leaves open.
        published: rows of the source, as facts.
    """

    name: str
    title: str
    paper: str
    kind: Kind = "labels"
    item: Literal["image", "video"] = "image"
    group: str | None = None
    metrics: tuple[str, ...] = ("srcc", "plcc", "krcc")
    pooling: Pooling = "rows"
    main: Mapping[str, float] = field(default_factory=dict)
    main_inside: bool = False
    rank_by: str = "srcc"
    budget: Budget | None = None
    model_level: bool = False
    settings: Mapping[str, float | str] = field(default_factory=dict)
    unknowns: tuple[Unknown, ...] = ()
    published: tuple[Reference, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Metrics of a result, the main score last when there is one."""
        return (*self.metrics, "main") if self.main else self.metrics

    @property
    def better(self) -> Literal["higher", "lower"]:
        """Which end of `rank_by` is the better one."""
        return "lower" if self.rank_by in LOWER_IS_BETTER else "higher"

    @property
    def pooled(self) -> str:
        """How a total comes about, in words."""
        if self.kind != "labels":
            return "over all pairs"
        return _POOLED[self.pooling].format(self.group)

    @property
    def formula(self) -> str:
        """The main score in words."""
        if not self.main:
            return f"not combined; a ranking goes by {self.rank_by}"
        if len(set(self.main.values())) == 1:
            combined = f"({' + '.join(self.main)})/{len(self.main)}"
        else:
            combined = " + ".join(f"{weight:g} {metric}" for metric, weight in self.main.items())
        return f"{self.pooled} of {combined}" if self.main_inside else combined


def better(metric: str, a: float, b: float) -> bool:
    """Whether a is the better value of this metric."""
    return a < b if metric in LOWER_IS_BETTER else a > b
