"""The plots of a leaderboard: the interval of each value, agreement, groups, and quality against cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.apps.plots import (
    Axis,
    bottom_axis,
    dot,
    left_axis,
    line,
    path,
    place_labels,
    short,
    spanning,
    svg,
    text,
)
from mien.evaluation import logistic
from mien.evaluation.leaderboard import Leaderboard, Row, reference_cost
from mien.evaluation.protocol import LOWER_IS_BETTER, Budget, Reference
from mien.evaluation.result import Estimate, Result

Array = npt.NDArray[np.float64]

SHOWN_POINTS = 500  #: of a scatter plot; more are thinned evenly along the labels
SHOWN_SCATTERS = 24  #: submissions that get a scatter plot
SHAPES = ("circle", "square", "diamond", "triangle")  # of the published tables, in turn
COSTS = {
    "macs": ("Multiply-accumulates", "G", 1e9),
    "parameters": ("Parameters", "M", 1e6),
    "seconds": ("Seconds", "s", 1.0),
}


@dataclass(frozen=True, slots=True)
class Points:
    """Predictions and labels of one submission, row by row."""

    predicted: Array
    labels: Array


def interval_axis(board: Leaderboard, references: Iterable[Reference], width: float) -> Axis:
    """One axis for the intervals of all rows."""
    values = [reference.values.get(board.metric) for reference in references]
    for row in board.rows:
        main = row.entry.result.main
        values += [main.value, main.low, main.high]
    return spanning([v for v in values if v is not None], 4, width - 4, margin=0.04)


def interval_cell(estimate: Estimate, axis: Axis) -> str:
    """A value and its interval as a thin bar."""
    middle = axis(estimate.value)
    parts = [line(axis.start, 9, axis.end, 9, "track")]
    if estimate.low is not None and estimate.high is not None:
        parts.append(line(axis(estimate.low), 9, axis(estimate.high), 9, "span"))
    parts.append(line(middle, 3, middle, 15, "at"))
    ends = "" if estimate.low is None else f", interval {short(estimate.low)} to {short(estimate.high or 0)}"
    return svg(axis.end + 4, 18, f"{short(estimate.value)}{ends}", *parts)


def published_cell(value: float, axis: Axis) -> str:
    """A published value: a hollow mark, for it has no interval."""
    parts = [line(axis.start, 9, axis.end, 9, "track"), dot(axis(value), 9, 4, "hollow")]
    return svg(axis.end + 4, 18, f"{short(value)}, published", *parts)


# ---- groups -------------------------------------------------------------------------------------------------------


def group_metric(board: Leaderboard) -> str | None:
    """The metric that is drawn for groups: the ranking one where groups have it, else the first that they have."""
    groups = board.rows[0].entry.result.groups
    if len(groups) < 2:
        return None
    values = set.intersection(*(set(group.values) for group in groups.values()))
    return next((m for m in (board.metric, *board.protocol.columns) if m in values), None)


def strip_plot(board: Leaderboard, metric: str) -> str:
    """One line for each submission, one point for each group; the same group has the same height on every line."""
    left, right, step = 210.0, 1090.0, 38.0
    rows = board.rows
    values = [group.values[metric].value for row in rows for group in row.entry.result.groups.values()]
    axis = spanning(values, left, right)
    bottom = 12 + step * len(rows)
    parts = [line(axis(tick), 4, axis(tick), bottom, "grid") for tick in axis.ticks]
    for number, row in enumerate(rows):
        parts += _strip(row, metric, axis, 12 + step * (number + 0.5))
    parts.append(bottom_axis(axis, bottom, metric.upper() if metric != "main" else "main score", short))
    label = f"{metric} of every {board.protocol.group or 'group'}, one line for each submission"
    return svg(right + 10, bottom + 40, label, *parts)


def _strip(row: Row, metric: str, axis: Axis, middle: float) -> Iterator[str]:
    result = row.entry.result
    yield text(axis.start - 14, middle + 4, _cut(row.name, 30), "name", "end")
    for i, (name, group) in enumerate(result.groups.items()):
        height = 22 * ((i * 0.618034) % 1 - 0.5)
        value = group.values[metric].value
        title = f"{row.name}, {name}: {short(value)} (n {group.n})"
        yield dot(axis(value), middle + height, 3.2, "group", title)
    total = result.total.get(metric)
    if total is not None:
        if total.low is not None and total.high is not None:
            yield line(axis(total.low), middle, axis(total.high), middle, "span thick")
        yield line(axis(total.value), middle - 14, axis(total.value), middle + 14, "at")


# ---- cost ---------------------------------------------------------------------------------------------------------


def cost_plots(board: Leaderboard, references: Sequence[Reference]) -> list[str]:
    """Quality against each cost that at least two rows know."""
    plots = []
    for kind in COSTS:
        marks = _submissions_at(board, kind)
        published = _published_at(board, references, kind)
        if len(marks) + len(published) >= 2:
            plots.append(_cost_plot(board, kind, marks, published))
    return plots


def _submissions_at(board: Leaderboard, kind: str) -> list[tuple[float, Row]]:
    costs = [(getattr(row.entry.cost, kind), row) for row in board.rows]
    return [(cost, row) for cost, row in costs if cost]


def _published_at(board: Leaderboard, references: Sequence[Reference], kind: str) -> list[tuple[float, Reference]]:
    costs = [(getattr(reference_cost(r), kind), r) for r in references if board.metric in r.values]
    return [(cost, reference) for cost, reference in costs if cost]


def _cost_plot(
    board: Leaderboard, kind: str, marks: Sequence[tuple[float, Row]], published: Sequence[tuple[float, Reference]]
) -> str:
    what, unit, size = COSTS[kind]
    limit = _limit(board.protocol.budget, kind)
    costs = [cost for cost, _ in (*marks, *published)] + ([limit] if limit else [])
    x = spanning([c / size for c in costs], 56, 536, log=True, margin=0.09)
    values = [r.values[board.metric] for _, r in published]
    for _, row in marks:
        main = row.entry.result.main
        values += [v for v in (main.value, main.low, main.high) if v is not None]
    y = spanning(values, 300, 14)
    parts = [left_axis(y, 56, short, 536), bottom_axis(x, 308, f"{what} ({unit}), log scale", short)]
    if limit:
        at = x(limit / size)
        parts += [line(at, 14, at, 308, "limit"), text(at - 5, 24, "limit", "limit-name", "end")]
    tables = list(dict.fromkeys(reference.table for _, reference in published))
    names, whiskers = [], []
    for cost, row in marks:
        at, main = x(cost / size), row.entry.result.main
        if main.low is not None and main.high is not None:
            parts.append(line(at, y(main.low), at, y(main.high), "whisker"))
            whiskers.append((at - 2, y(main.high), at + 2, y(main.low)))
        parts.append(
            dot(at, y(main.value), 5, "solid", f"{row.name}: {short(main.value)} at {short(cost / size)} {unit}")
        )
        names.append((at, y(main.value), row.name))
    for cost, reference in published:
        at, value = x(cost / size), reference.values[board.metric]
        title = f"{reference.name}, published ({reference.table}): {short(value)} at {short(cost / size)} {unit}"
        shape = SHAPES[tables.index(reference.table) % len(SHAPES)]
        parts.append(dot(at, y(value), 4.5, "hollow", title, shape))
        names.append((at, y(value), reference.name))
    parts += place_labels(names, (58, 10, 560, 306), whiskers)
    return svg(560, 346, f"{board.metric} against {what.lower()}", *parts)


def _limit(budget: Budget | None, kind: str) -> float | None:
    return getattr(budget, f"max_{kind}") if budget else None


# ---- agreement ----------------------------------------------------------------------------------------------------


def scatter(row: Row, points: Points, labels: Axis) -> str:
    """Labels against predictions, with a logistic of four parameters for the eye."""
    shown = _thinned(points)
    x = spanning(points.predicted[shown].tolist(), 40, 292)
    parts = [left_axis(labels, 40, short, 292), bottom_axis(x, 212, "", short)]
    cloud = "".join(
        f'<circle cx="{x(p):.1f}" cy="{labels(v):.1f}" r="1.9"/>'
        for p, v in zip(points.predicted[shown].tolist(), points.labels[shown].tolist(), strict=True)
    )
    parts.append(f'<g class="cloud">{cloud}</g>')
    curve = fitted_curve(points)
    if curve is not None:
        ends = labels.low, labels.high
        steps = np.linspace(points.predicted.min(), points.predicted.max(), 60)
        inside = [
            (x(s), labels(v))
            for s, v in zip(steps.tolist(), curve(steps).tolist(), strict=True)
            if ends[0] <= v <= ends[1]
        ]
        parts.append(path(inside, "fit"))
    return svg(300, 234, f"labels against the predictions of {row.name}", *parts)


def label_axis(all_points: Iterable[Points]) -> Axis:
    """One axis of labels for all scatter plots."""
    return spanning([end for p in all_points for end in (p.labels.min(), p.labels.max())], 204, 8)


def fitted_curve(points: Points) -> logistic.Logistic | None:
    """The logistic through all points; None where there are too few different predictions, or no fit."""
    try:
        return logistic.fit("logistic4", points.predicted, points.labels)
    except (ValueError, np.linalg.LinAlgError):
        return None


def _thinned(points: Points) -> npt.NDArray[np.intp]:
    """Evenly spaced rows in the order of the labels."""
    order = np.argsort(points.labels, kind="stable")
    if len(order) <= SHOWN_POINTS:
        return order
    return order[np.linspace(0, len(order) - 1, SHOWN_POINTS).round().astype(np.intp)]


def centred(points: Points, groups: Sequence[str]) -> Points:
    """Both sides as the distance from the mean of their group: what a protocol that pools groups compares."""
    codes = np.unique(np.array(groups), return_inverse=True)[1]
    sizes = np.bincount(codes)

    def inside(values: Array) -> Array:
        return values - (np.bincount(codes, values) / sizes)[codes]

    return Points(inside(points.predicted), inside(points.labels))


def discard_curve(row: Row, result: Result, limit: Axis) -> str | None:
    """Error against the discarded share; None without a curve."""
    curve = result.extras.get("curve")
    if not isinstance(curve, Mapping):
        return None
    x = Axis(0.0, max(curve["discarded"][-1], 1e-6), 52, 292)
    pairs = [(x(d), limit(f)) for d, f in zip(curve["discarded"], curve["fnmr"], strict=True) if f is not None]
    parts = [left_axis(limit, 52, short, 292), bottom_axis(x, 212, "", short), path(pairs, "fit")]
    return svg(300, 234, f"error against discarded pictures, {row.name}", *parts)


def discard_axis(results: Iterable[Result]) -> Axis:
    """One axis of errors for all curves."""
    errors = [f for r in results if "curve" in r.extras for f in r.extras["curve"]["fnmr"] if f is not None]
    return spanning([0.0, *errors], 204, 8)


def headline(result: Result) -> str:
    """The values of a result in one line."""
    return "  ".join(
        f"{metric.upper() if metric != 'main' else 'score'} {e.value:.3f}" for metric, e in result.total.items()
    )


def direction(metric: str) -> str:
    """In words."""
    return "lower is better" if metric in LOWER_IS_BETTER else "higher is better"


def _cut(name: str, length: int) -> str:
    return name if len(name) <= length else name[: length - 1] + "…"
