"""Predictions against opinions: correlations over all rows, or inside groups that are then pooled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from mien.core.errors import UsageError
from mien.evaluation import logistic
from mien.evaluation.correlation import METRICS, plcc, srcc
from mien.evaluation.protocol import Protocol
from mien.evaluation.resampling import CHUNK, bootstrap_pairs, resample_groups
from mien.evaluation.result import Bootstrap, Computed, Estimate, Fit, Group
from mien.evaluation.tables import Labels, listed

Array = npt.NDArray[np.float64]
Values = dict[str, float]
Samples = dict[str, Array]

FISHER_LIMIT = 1 - 1e-7  #: |r| is clipped to it before artanh
_FEW = 10  #: groups; below it their bootstrap is coarse


def fisher_mean(r: Array) -> Array:
    """Mean of correlations in Fisher's z, along the last axis; |r| is clipped to 1 - 1e-7."""
    return np.tanh(np.arctanh(np.clip(r, -FISHER_LIMIT, FISHER_LIMIT)).mean(axis=-1))


POOL: dict[str, Callable[[Array], Array]] = {
    "median": lambda values: np.median(values, axis=-1),
    "mean": lambda values: np.mean(values, axis=-1),
    "fisher-z": fisher_mean,
}


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of one group, or all of them: predictions, opinions, and the predictions that PLCC, RMSE and MAE see."""

    x: Array
    y: Array
    fitted: Array

    def __getitem__(self, index: npt.NDArray[np.intp]) -> _Rows:
        return _Rows(self.x[index], self.y[index], self.fitted[index])


@dataclass(frozen=True, slots=True)
class _Plan:
    """How any set of rows is evaluated."""

    protocol: Protocol
    how: Bootstrap
    zero: bool  # constant predictions count as a correlation of 0


def agreement(
    scores: Mapping[str, float],
    labels: Labels,
    protocol: Protocol,
    fit: Fit | None,
    how: Bootstrap,
    undefined: Literal["raise", "zero"],
) -> Computed:
    """The metrics of a protocol of labels; see `evaluate.evaluate`."""
    order = np.argsort(np.array(labels.names))  # by name: the draws then depend on nothing but the labels
    names = [labels.names[i] for i in order]
    x, y = np.array([scores[name] for name in names]), labels.values[order]
    groups = None if labels.groups is None else np.array(labels.groups)[order]
    pools = protocol.pooling != "rows"
    if pools and groups is None:
        raise UsageError(f"{protocol.name} needs the column {protocol.group} in the labels")
    mapped, fitted, notes = _fitted(scores, names, x, groups if pools else None, protocol, fit)
    plan, rows = _Plan(protocol, how, undefined == "zero"), _Rows(x, y, mapped)
    parts: dict[str, Group] = {}
    kept: list[Samples] = []
    for number, name in enumerate([] if groups is None else np.unique(groups).tolist()):
        inside = rows[np.flatnonzero(groups == name)]
        values, samples = _evaluate(plan, inside, f"{_noun(protocol)} {name}", (how.seed, 2, number))
        parts[name] = Group(len(inside.x), _estimates(values, samples, how.level))
        if pools and how.resample == "rows":
            kept.append(samples)
    if pools:
        total, drawn = _pool_groups(plan, parts, kept)
    else:
        total, drawn = _evaluate(plan, rows, "all rows", (how.seed, 0))
    return Computed(
        total,
        drawn,
        parts,
        _model_level(x, y, groups) if protocol.model_level and groups is not None else {},
        fitted,
        _resampling(plan, len(parts)),
        (*notes, *_notes(plan, parts, x)),
    )


def _noun(protocol: Protocol) -> str:
    return protocol.group or "group"


def _estimates(values: Values, samples: Samples, level: float) -> dict[str, Estimate]:
    return {metric: Estimate.of(value, samples.get(metric), level) for metric, value in values.items()}


def _evaluate(plan: _Plan, rows: _Rows, where: str, seed: Sequence[int]) -> tuple[Values, Samples]:
    """The columns of the protocol for some rows, and their draws."""
    metrics = plan.protocol.metrics
    constant = plan.zero and np.ptp(rows.x) == 0 and np.ptp(rows.y) > 0 and len(rows.x) > 2
    values: Values = {}
    for metric in metrics:
        if constant and metric in ("srcc", "plcc", "krcc"):
            values[metric] = 0.0
            continue
        try:
            values[metric] = METRICS[metric](rows.x if metric in ("srcc", "krcc") else rows.fitted, rows.y)
        except ValueError as error:
            raise UsageError(f"{where}: {metric} is undefined: {error}") from error
    samples: Samples = {}
    if plan.how.draws:
        samples = bootstrap_pairs(rows.x, rows.y, metrics, draws=plan.how.draws, seed=seed, fitted=rows.fitted)
        if plan.zero:
            samples = {m: np.nan_to_num(v) if m in ("srcc", "plcc", "krcc") else v for m, v in samples.items()}
    return _with_main(plan.protocol, values), _with_main(plan.protocol, samples)


def _with_main(protocol: Protocol, values: dict) -> dict:
    """The same with the main score, a weighted sum; of numbers or of draws."""
    if not protocol.main or not values:
        return values
    return {**values, "main": sum(weight * values[metric] for metric, weight in protocol.main.items())}


def _pool_groups(plan: _Plan, parts: Mapping[str, Group], kept: Sequence[Samples]) -> tuple[Values, Samples]:
    """Totals over groups and their draws: of whole groups, or of the rows inside them (`kept`)."""
    protocol, how = plan.protocol, plan.how
    columns = protocol.columns if protocol.main_inside else protocol.metrics
    table = np.array([[group.values[metric].value for group in parts.values()] for metric in columns])
    pool = POOL[protocol.pooling]
    total = dict(zip(columns, pool(table).tolist(), strict=True))
    samples: Samples = {}
    if kept and how.draws:
        samples = {m: pool(np.stack([s[m] for s in kept], axis=-1)) for m in columns}
    elif how.draws and len(parts) > 1:
        samples = dict(zip(columns, _whole_groups(table, pool, how), strict=True))
    if protocol.main_inside:
        return total, samples
    return _with_main(protocol, total), _with_main(protocol, samples)


def _whole_groups(table: Array, pool: Callable[[Array], Array], how: Bootstrap) -> Array:
    """Pooled values (metrics, draws) of groups drawn with replacement from (metrics, groups)."""
    drawn = resample_groups(table.shape[1], draws=how.draws, seed=(how.seed, 1))
    step = max(1, CHUNK // table.shape[1])
    chunks = [pool(table[:, drawn[start : start + step]]) for start in range(0, how.draws, step)]
    return np.concatenate(chunks, axis=1)


def _fitted(
    scores: Mapping[str, float],
    names: Sequence[str],
    x: Array,
    groups: npt.NDArray[np.str_] | None,
    protocol: Protocol,
    fit: Fit | None,
) -> tuple[Array, str, tuple[str, ...]]:
    """Predictions after the fit, the fit in words, and what must be said about it."""
    if fit is None:
        return x, "none", ()
    seen = np.array([scores[name] for name in fit.on.names])
    told = f"{fit.method} on {fit.name} ({len(seen):,} rows)"
    if groups is None:
        mapped = _fit_one(fit.method, seen, fit.on.values, fit.name)(x)
    else:
        if fit.on.groups is None:
            raise UsageError(f"a fit for each {_noun(protocol)} needs the column {protocol.group}")
        mapped, sources = np.empty_like(x), np.array(fit.on.groups)
        for name in np.unique(groups).tolist():
            inside = sources == name
            curve = _fit_one(fit.method, seen[inside], fit.on.values[inside], f"{_noun(protocol)} {name} of {fit.name}")
            mapped[groups == name] = curve(x[groups == name])
        told += f", one for each {_noun(protocol)}"
    shared = len(set(names).intersection(fit.on.names))
    notes = (f"the fit has seen the labels of {shared:,} of the {len(names):,} evaluated rows",) if shared else ()
    return mapped, f"{told}; used for PLCC, RMSE and MAE, and held fixed in the bootstrap", notes


def _fit_one(method: str, x: Array, y: Array, where: str) -> logistic.Logistic:
    try:
        return logistic.fit(method, x, y)
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def _model_level(x: Array, y: Array, groups: npt.NDArray[np.str_]) -> dict[str, dict[str, float | int]]:
    """SRCC and PLCC of the means of the groups (which generator is better?); empty when undefined."""
    names = np.unique(groups)
    means = [np.array([side[groups == name].mean() for name in names]) for side in (x, y)]
    if len(names) < 3 or any(np.ptp(side) == 0 for side in means):
        return {}
    return {"group_means": {"n": len(names), "srcc": srcc(*means), "plcc": plcc(*means)}}


def _resampling(plan: _Plan, groups: int) -> str:
    how, noun = plan.how, _noun(plan.protocol)
    if not how.draws:
        return "none"
    told = f"{how.draws:,} draws, seed {how.seed}, percentiles; "
    if plan.protocol.pooling == "rows":
        return told + "rows drawn with replacement (inside a group for its own interval)"
    if how.resample == "groups" and groups < 2:
        return told + f"rows inside the {noun}; none for the total of a single {noun}"
    whole = f"whole {noun}s for the total" if how.resample == "groups" else f"the total from these draws, {noun}s fixed"
    return told + f"rows inside a {noun} for its own interval, {whole}"


def _notes(plan: _Plan, parts: Mapping[str, Group], x: Array) -> list[str]:
    notes, noun = [], _noun(plan.protocol)
    if plan.zero:
        zero = [name for name, group in parts.items() if all(group.values[m].value == 0 for m in plan.protocol.metrics)]
        if zero:
            notes.append(f"correlation counted as 0, predictions constant: {listed(zero, noun)}")
        elif np.ptp(x) == 0:
            notes.append("all predictions are equal: correlations counted as 0")
    if plan.how.draws and plan.how.resample == "groups" and 1 < len(parts) < _FEW:
        notes.append(f"only {len(parts)} {noun}s: the interval of the total is coarse")
    return notes
