"""A leaderboard as one self-contained HTML page: the ranking, then agreement, groups and cost as plots.

There is no script on the page, and its content security policy allows nothing but its own style.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from mien.apps.leaderboard import Standings, count, seconds
from mien.apps.leaderboard_plots import (
    SHAPES,
    SHOWN_POINTS,
    SHOWN_SCATTERS,
    centred,
    cost_plots,
    direction,
    discard_axis,
    discard_curve,
    group_metric,
    headline,
    interval_axis,
    interval_cell,
    label_axis,
    published_cell,
    scatter,
    strip_plot,
)
from mien.apps.page import safe, template
from mien.apps.plots import Axis, dot, svg
from mien.evaluation.leaderboard import Row, beside, reference_cost
from mien.evaluation.protocol import Cost, Reference
from mien.evaluation.result import Estimate

_BAR = 160.0  #: px, width of the bars in the table


def page(standings: Standings) -> str:
    """The whole page."""
    before, after = template("leaderboard.html", "body", {"title": safe(standings.title)})
    return before + "\n".join(_body(standings)) + after


def _body(s: Standings) -> Iterator[str]:
    yield from _header(s)
    yield "<main>"
    yield from _ranking(s)
    yield from _groups(s)
    yield from _cost(s)
    yield from _agreement(s)
    yield from _refused(s)
    yield from _small_print(s)
    yield "</main>"


def _header(s: Standings) -> Iterator[str]:
    board, first = s.board, s.board.rows[0].entry.result
    unit = f"{board.protocol.item}s" if board.protocol.kind == "labels" else "pairs"
    figures = [("submissions", f"{len(board.rows):,}", ""), (unit, f"{first.n:,}", "")]
    if first.groups:
        figures.append((f"{board.protocol.group or 'group'}s", f"{len(first.groups):,}", ""))
    figures.append((f"best {_named(board.metric)}", _value(board.rows[0].value), ""))
    figures.append(("protocol", f"{board.protocol.name}: {board.protocol.title}", "small"))
    figures.append(("written", datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"), "small"))
    yield f"<header><h1>{safe(s.title)}</h1><dl class='figures'>"
    yield from (f"<div class='{css}'><dt>{safe(k)}</dt><dd>{safe(v)}</dd></div>" for k, v, css in figures)
    yield "</dl>"
    yield from (f"<p class='note'>{safe(note)}</p>" for note in board.notes)
    yield "</header>"


# ---- the table ----------------------------------------------------------------------------------------------------


def _ranking(s: Standings) -> Iterator[str]:
    board = s.board
    costs = s.cost_columns
    axis = interval_axis(board, s.references, _BAR)
    others = [metric for metric in board.protocol.columns if metric != board.metric]
    level = f"{100 * board.rows[0].entry.result.level:g} %"
    yield "<section><h2>Ranking</h2>"
    yield f"<p class='quiet'>By {safe(_named(board.metric))}, {direction(board.metric)}. {safe(_explained(s))}</p>"
    yield "<div class='wide' tabindex='0' role='region' aria-label='Ranking'><table><thead><tr><th scope='col'></th>"
    yield "<th scope='col'>Submission</th>"
    heads = [_named(board.metric), "", f"{level} interval"]
    if board.pairs:
        heads += ["Groups", "Places"]
    heads += [_named(metric) for metric in others]
    heads += [{"macs": "MACs", "parameters": "Parameters", "seconds": "Time"}[kind] for kind in costs]
    left = {"", f"{level} interval", "Groups"}
    yield "".join(f"<th scope='col'{'' if h in left else _NUMBER}>{safe(h)}</th>" for h in heads)
    yield "</tr></thead><tbody>"
    merged = beside(board, s.references) if s.interleaved else list(board.rows)
    for line in merged:
        yield _row(s, line, axis, others) if isinstance(line, Row) else _reference(s, line, axis, others)
    yield "</tbody>"
    if not s.interleaved:
        yield from _tables(s, axis, others, len(heads) + 2)
    yield "</table></div>"
    notes = [r for r in s.references if r.note]
    yield (
        "".join(f"<p class='quiet'>{safe(r.name)}, {safe(r.table)}: {safe(r.note)}.</p>" for r in notes) + "</section>"
    )


_NUMBER = " class='number'"


def _row(s: Standings, row: Row, axis: Axis, others: Sequence[str]) -> str:
    result = row.entry.result
    cells = [
        f"<td class='rank number'>{row.rank}</td><th scope='row'>{safe(row.name)}</th>",
        f"<td class='number main'>{_value(row.value)}</td><td class='bar'>{interval_cell(result.main, axis)}</td>",
        f"<td class='ends'>{_ends(result.main)}</td>",
    ]
    if s.board.pairs:
        cells.append(f"<td>{_letters(s, row)}</td><td class='number'>{_places(row)}</td>")
    cells += [f"<td class='number'>{_value(result.total[m].value) if m in result.total else ''}</td>" for m in others]
    cells += [_cost_cell(s, row.entry.cost, kind) for kind in s.cost_columns]
    return f"<tr>{''.join(cells)}</tr>"


def _reference(s: Standings, reference: Reference, axis: Axis, others: Sequence[str]) -> str:
    value = reference.values.get(s.board.metric)
    cells = [
        f"<td></td><th scope='row'>{safe(reference.name)}<span class='tag'>published</span></th>",
        f"<td class='number main'>{'' if value is None else _value(value)}</td>",
        f"<td class='bar'>{'' if value is None else published_cell(value, axis)}</td><td></td>",
    ]
    if s.board.pairs:
        cells.append("<td></td><td></td>")
    cells += [f"<td class='number'>{_value(reference.values[m]) if m in reference.values else ''}</td>" for m in others]
    cells += [_cost_cell(s, reference_cost(reference), kind) for kind in s.cost_columns]
    return f"<tr class='published'>{''.join(cells)}</tr>"


def _tables(s: Standings, axis: Axis, others: Sequence[str], width: int) -> Iterator[str]:
    """The published tables below the ranking: they were made on other labels unless the reader knows better."""
    for table in dict.fromkeys(reference.table for reference in s.references):
        yield f"<tbody class='published'><tr class='head'><th colspan='{width}' scope='rowgroup'>"
        yield f"Published: {safe(table)} ({safe(s.board.protocol.paper)}). "
        yield "Comparable only on the same labels.</th></tr>"
        yield from (_reference(s, r, axis, others) for r in s.references if r.table == table)
        yield "</tbody>"


def _letters(s: Standings, row: Row) -> str:
    """Each letter in its own column; those of the best group are marked."""
    best = set(s.board.rows[0].letters)
    slots = list(dict.fromkeys(letter for other in s.board.rows for letter in other.letters))
    words = "".join(letter if letter in row.letters else " " * len(letter) for letter in slots)
    return f"<span class='letters{' best' * bool(best & set(row.letters))}'>{safe(words)}</span>"


def _places(row: Row) -> str:
    if row.places is None:
        return ""
    low, high = row.places
    return str(low) if low == high else f"{low}\u2013{high}"


def _ends(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return ""
    return f"{_value(estimate.low)} to {_value(estimate.high)}"


def _cost_cell(s: Standings, cost: Cost, kind: str) -> str:
    value = getattr(cost, kind)
    if value is None:
        return "<td></td>"
    budget = s.board.protocol.budget
    broken = budget and any(v.ok is False and v.what.lower().startswith(kind[:4]) for v in budget.check(cost))
    shown = seconds(value) if kind == "seconds" else count(value)
    if broken:
        return f"<td class='number over' title='over the limit of the challenge'>{safe(shown)} ▲</td>"
    return f"<td class='number'>{safe(shown)}</td>"


def _explained(s: Standings) -> str:
    board = s.board
    if not board.pairs:
        return ""
    best = [row.name for row in board.rows if set(row.letters) & set(board.rows[0].letters)]
    tied = (
        "The best one differs from all others."
        if len(best) == 1
        else f"{len(best)} submissions cannot be told from the best one (marked)."
    )
    return (
        f"{tied} Submissions that share a letter do not differ: {len(board.pairs)} paired bootstrap comparisons, "
        f"corrected by Holm's method, alpha {board.alpha:g}."
    )


# ---- plots --------------------------------------------------------------------------------------------------------


def _groups(s: Standings) -> Iterator[str]:
    metric = group_metric(s.board)
    if metric is None:
        return
    group = s.board.protocol.group or "group"
    yield f"<section><h2>Every {safe(group)}</h2><p class='quiet'>{safe(_named(metric))} inside each {safe(group)}, "
    yield f"one point each; a {safe(group)} has the same height on every line. The stroke is the total, the bar its "
    yield "interval.</p>"
    yield f"<div class='wide strip' tabindex='0' role='region' aria-label='Groups'>{strip_plot(s.board, metric)}</div>"
    yield "</section>"


def _cost(s: Standings) -> Iterator[str]:
    plots = cost_plots(s.board, s.references)
    if not plots:
        return
    yield "<section><h2>Quality and cost</h2><p class='quiet'>Solid: submissions with their intervals. "
    yield "Hollow: published figures, each counted by the rule of its source.</p><div class='key'>"
    tables = list(dict.fromkeys(r.table for r in s.references if s.board.metric in r.values))
    for i, table in enumerate(tables):
        mark = svg(14, 14, "", dot(7, 7, 4, "hollow", shape=SHAPES[i % len(SHAPES)]))
        yield f"<span>{mark}{safe(table)}</span>"
    yield "</div><div class='panels'>" + "".join(f"<figure>{plot}</figure>" for plot in plots) + "</div></section>"


def _agreement(s: Standings) -> Iterator[str]:
    rows = [row for row in s.board.rows if row.name in s.points][:SHOWN_SCATTERS]
    if s.board.protocol.kind == "comparisons":
        yield from _curves(s)
    if not rows:
        return
    points = {row.name: s.points[row.name] for row in rows}
    pools = s.groups is not None and s.board.protocol.pooling != "rows"
    if pools and s.groups is not None:
        points = {name: centred(p, s.groups) for name, p in points.items()}
    axis = label_axis(points.values())
    group = safe(s.board.protocol.group or "group")
    what = f"Both as the distance from the mean of their {group}, for values compare only inside one. " if pools else ""
    n = len(points[rows[0].name].labels)
    thin = f"{SHOWN_POINTS} of {n:,} points are drawn. " if n > SHOWN_POINTS else ""
    yield "<section><h2>Labels against predictions</h2><p class='quiet'>Labels upwards, predictions to the right. "
    yield f"{what}{thin}The line is a logistic of four parameters through all points, for the eye only.</p>"
    yield "<div class='cells'>"
    for row in rows:
        caption = f"<h3>{row.rank}  {safe(row.name)}</h3><span>{safe(headline(row.entry.result))}</span>"
        yield f"<figure><figcaption>{caption}</figcaption>{scatter(row, points[row.name], axis)}</figure>"
    yield "</div>"
    if len(s.board.rows) > len(rows):
        yield f"<p class='quiet'>The first {len(rows)} of {len(s.board.rows)} submissions.</p>"
    yield "</section>"


def _curves(s: Standings) -> Iterator[str]:
    axis = discard_axis(row.entry.result for row in s.board.rows)
    drawn = [(row, discard_curve(row, row.entry.result, axis)) for row in s.board.rows[:SHOWN_SCATTERS]]
    yield "<section><h2>Error against discarded pictures</h2><p class='quiet'>To the right the share of comparisons "
    yield "that is discarded, lowest quality first; upwards the false non-match rate of the others.</p>"
    yield "<div class='cells'>"
    for row, plot in drawn:
        if plot:
            yield f"<figure><figcaption><h3>{row.rank}  {safe(row.name)}</h3></figcaption>{plot}</figure>"
    yield "</div></section>"


# ---- the rest -----------------------------------------------------------------------------------------------------


def _refused(s: Standings) -> Iterator[str]:
    if not s.refused:
        return
    yield f"<section><h2>Not ranked: {len(s.refused):,}</h2><table class='refused'><thead><tr><th scope='col'>"
    yield "Submission</th><th scope='col'>Reason</th></tr></thead><tbody>"
    yield from (f"<tr><td>{safe(name)}</td><td>{safe(reason)}</td></tr>" for name, reason in s.refused)
    yield "</tbody></table></section>"


def _small_print(s: Standings) -> Iterator[str]:
    protocol, result = s.board.protocol, s.board.rows[0].entry.result
    yield "<section><h2>How these numbers were made</h2><ul class='open'>"
    facts = [
        ("Labels", result.labels),
        ("Main score", protocol.formula),
        ("Total", protocol.pooled),
        ("Fit before PLCC, RMSE, MAE", result.fitted),
        ("Intervals", result.resampling or "none"),
        ("Comparison", s.board.method),
        ("Source", protocol.paper),
    ]
    if protocol.budget:
        facts.append(("Budget", protocol.budget.counting))
    facts += [(f"Open in the source: {u.question}", u.reading) for u in protocol.unknowns]
    yield "".join(f"<li><b>{safe(k)}.</b> {safe(v)}</li>" for k, v in facts)
    yield "</ul></section>"


def _named(metric: str) -> str:
    return "score" if metric == "main" else metric.upper() if len(metric) == 4 or metric == "mae" else metric


def _value(value: float) -> str:
    return f"{value:.4f}".replace("-", "\u2212")
