"""A study as one self-contained HTML page: the scores with intervals, the observers, and what more votes would buy.

There is no script on the page, and its content security policy allows nothing but its own style.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from mien.apps.page import safe, template
from mien.apps.plots import Axis, bottom_axis, dot, left_axis, line, short, spanning, svg, text
from mien.apps.scale_command import typical_half_width, votes_of
from mien.subjective.observers import INSPECT
from mien.subjective.power import votes_for
from mien.subjective.result import Scale
from mien.subjective.scale import RATING_METHODS

NAMED_ITEMS = 80  #: items of all groups up to which each has a line of its own in the plot
PANELS = 100  #: groups that are drawn
MOST_CHARACTERS = 44  #: of a name in the plot
SHOWN_ROWS = 1000  #: rows of the table of scores
SHOWN_OBSERVERS = 300  #: rows of the table of observers

_CHARACTER = 6.9  # px, width of a character of 11 px in the widest of the fonts

_METHODS = {
    "mos": "Mean opinion score",
    "bt500": "Mean opinion score after BT.500 screening",
    "p913": "Mean opinion score after P.913 bias removal and BT.500 screening",
    "p910": "P.910 Annex E: scores, bias and inconsistency found together",
    "zscore": "Mean of z-scores",
    "dmos": "Differential mean opinion score, hidden reference",
    "bradley-terry": "Bradley-Terry, maximum likelihood",
    "thurstone": "Thurstone Case V, maximum likelihood",
    "jod": "Just-objectionable differences (Perez-Ortiz and Mantiuk 2017)",
}


@dataclass(frozen=True, slots=True)
class Study:
    """What the page shows.

    Attributes:
        title: heading.
        source: the file.
        scales: by group; of one method.
        half_width: of the intervals that somebody wants, or None.
    """

    title: str
    source: str
    scales: Mapping[str, Scale]
    half_width: float | None = None

    @property
    def all(self) -> list[Scale]:
        """Every group."""
        return list(self.scales.values())

    @property
    def first(self) -> Scale:
        """The first group; method and unit are the same in all."""
        return self.all[0]


def page(study: Study) -> str:
    """The whole page."""
    before, after = template("scale_report.html", "body", {"title": safe(study.title)})
    return before + "\n".join(_body(study)) + after


def _body(study: Study) -> Iterator[str]:
    yield from _header(study)
    yield "<main>"
    yield from _scores(study)
    yield from _observers(study)
    yield from _power(study)
    yield from _table(study)
    yield from _small_print(study)
    yield "</main>"


def _header(study: Study) -> Iterator[str]:
    items, votes = sum(len(s.items) for s in study.all), sum(votes_of(s) for s in study.all)
    people = len({name for s in study.all for name in s.observers.get("observer", ())})
    figures = [("items", f"{items:,}", "")]
    if len(study.all) > 1:
        figures.append(("groups", f"{len(study.all):,}", ""))
    figures.append(("votes" if study.first.method in RATING_METHODS else "comparisons", f"{votes:,}", ""))
    if people:
        figures.append(("observers", f"{people:,}", ""))
    if (half := typical_half_width(study.all)) is not None:
        figures.append(("typical interval", f"± {half:.2g}", ""))
    figures += _agreement(study)
    figures.append(("method", _METHODS[study.first.method], "small"))
    figures.append(("written", datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"), "small"))
    yield f"<header><h1>{safe(study.title)}</h1><dl class='figures'>"
    yield from (f"<div class='{css}'><dt>{safe(k)}</dt><dd>{safe(v)}</dd></div>" for k, v, css in figures)
    yield "</dl>"
    told: dict[str, list[str]] = {}
    for name, scale in study.scales.items():
        for note in scale.notes:
            told.setdefault(note, []).append(name)
    for note, names in told.items():
        where = f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: " if len(study.all) > 1 else ""
        yield f"<p class='note'>{safe(where + note)}</p>"
    yield "</header>"


def _agreement(study: Study) -> list[tuple[str, str, str]]:
    """The figures about all observers, the median of the groups."""
    found = []
    for fact, words in (("alpha", "Krippendorff's alpha"), ("split_half", "split-half r"), ("u", "agreement u")):
        values = [s.facts[fact] for s in study.all if math.isfinite(s.facts.get(fact, math.nan))]
        if values:
            found.append((words, f"{float(np.median(values)):.2f}", ""))
    return found


# ---- scores -------------------------------------------------------------------------------------------------------


def _scores(study: Study) -> Iterator[str]:
    yield f"<section><h2>Scores</h2><p class='quiet'>Unit: {safe(study.first.unit)}. The bar is the interval "
    yield f"({safe(study.first.intervals)}). "
    if sum(len(s.items) for s in study.all) <= NAMED_ITEMS:
        yield from _with_names(study)
        return
    shown = list(study.scales.items())[:PANELS]
    more = f" The first {PANELS} of {len(study.all):,} groups." if len(study.all) > PANELS else ""
    apart = "One panel for each group; scores of different groups have nothing in common. " if len(shown) > 1 else ""
    yield f"{apart}Items from the lowest to the highest.{more}</p><div class='panels'>"
    values = np.concatenate([np.concatenate([s.score, s.ci_low, s.ci_high]) for _, s in shown])
    axis = spanning(values.tolist(), 150.0, 8.0)
    for name, scale in shown:
        best, worst = (scale.items[int(f(scale.score))] for f in (np.nanargmax, np.nanargmin))
        heading = _heading(name, scale, f"{_cut(worst, 24)} to {_cut(best, 24)}")
        yield f"<figure>{heading}{_caterpillar(scale, axis)}</figure>"
    yield "</div></section>"


def _with_names(study: Study) -> Iterator[str]:
    """Every item on a line of its own; groups side by side, on the same axis."""
    alone = len(study.all) == 1
    yield f"Best first.{'' if alone else ' Scores of different groups have nothing in common.'}</p>"
    yield f"<div class='{'wide scores' if alone else 'panels named'}' tabindex='0' role='region' aria-label='Scores'>"
    longest = max(len(item) for s in study.all for item in s.items)
    left = 20.0 + _CHARACTER * min(MOST_CHARACTERS, longest)
    values = np.concatenate([np.concatenate([s.score, s.ci_low, s.ci_high]) for s in study.all])
    axis = spanning(values.tolist(), left, 1090.0 if alone else left + 330.0)
    for name, scale in study.scales.items():
        yield f"<figure>{_heading(name, scale)}{_named(scale, axis)}</figure>"
    yield "</div></section>"


def _heading(name: str, scale: Scale, more: str = "") -> str:
    """What a panel shows; nothing when it is the only one."""
    if not name:
        return ""
    half = typical_half_width([scale])
    about = (
        f"{len(scale.items):,} items, {votes_of(scale):,} votes{'' if half is None else f', typically ± {half:.2g}'}"
    )
    lines = "".join(f"<span>{safe(words)}</span>" for words in (about, more) if words)
    return f"<figcaption><h3>{safe(name)}</h3>{lines}</figcaption>"


def _named(scale: Scale, axis: Axis) -> str:
    """One line for each item, best first."""
    step = 20.0
    bottom = 10 + step * len(scale.items)
    parts = [line(axis(tick), 4, axis(tick), bottom, "grid") for tick in axis.ticks]
    for number, i in enumerate(_order(scale)):
        parts.append(_named_row(scale, i, axis, 10 + step * (number + 0.5)))
    parts.append(bottom_axis(axis, bottom, scale.unit, short))
    return svg(axis.end + 10, bottom + 42, "Score and interval of every item", *parts)


def _named_row(scale: Scale, i: int, axis: Axis, middle: float) -> str:
    score, low, high = float(scale.score[i]), float(scale.ci_low[i]), float(scale.ci_high[i])
    parts = [text(axis.start - 12, middle + 4, _cut(scale.items[i], MOST_CHARACTERS), "name", "end")]
    if math.isfinite(low):
        parts.append(line(axis(low), middle, axis(high), middle, "whisker"))
    if math.isfinite(score):
        parts.append(dot(axis(score), middle, 3.6, "solid", f"{scale.items[i]}: {_ends(score, low, high)}"))
    return f"<g class='row'>{''.join(parts)}</g>"


def _caterpillar(scale: Scale, axis: Axis) -> str:
    """All items from the lowest to the highest, without names."""
    left, right = 38.0, 330.0
    order = _order(scale)[::-1]
    place = Axis(0.0, max(len(order) - 1.0, 1.0), left + 8, right - 6)
    parts = [left_axis(axis, left, short, right)]
    if axis.low < 0 < axis.high:
        parts.append(line(left, axis(0.0), right, axis(0.0), "zero"))
    radius = 2.6 if len(order) <= 60 else 1.6
    for number, i in enumerate(order):
        score, low, high = float(scale.score[i]), float(scale.ci_low[i]), float(scale.ci_high[i])
        x = place(number) if len(order) > 1 else (left + right) / 2
        if math.isfinite(low):
            parts.append(line(x, axis(low), x, axis(high), "hair"))
        if math.isfinite(score):
            parts.append(dot(x, axis(score), radius, "solid", f"{scale.items[i]}: {_ends(score, low, high)}"))
    return svg(right + 4, axis.start + 8, "Scores and intervals, lowest first", *parts)


def _order(scale: Scale) -> list[int]:
    """Numbers of the items, best first; those without a score last."""
    return sorted(range(len(scale.items)), key=lambda i: (not math.isfinite(scale.score[i]), -float(scale.score[i])))


def _ends(score: float, low: float, high: float) -> str:
    return _value(score) + (f" ({_value(low)} to {_value(high)})" if math.isfinite(low) else "")


def _value(value: float) -> str:
    return f"{value:.2f}".replace("-", "\u2212")


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most // 2 - 1] + "…" + words[-(most - most // 2) :]


# ---- observers ----------------------------------------------------------------------------------------------------

# column -> (heading, what it says, whether a bar is drawn)
_FINDINGS: dict[str, tuple[str, str, bool]] = {
    "bias": ("bias", "how much higher this observer votes than the others", True),
    "inconsistency": ("inconsistency", "spread of the votes that neither quality nor bias explains", True),
    "correlation": ("correlation", "with the mean of all others", True),
    "outlying_share": ("outlying votes", "share of votes far above or below the others", False),
    "one_sidedness": ("one-sidedness", "1 = all of those on one side", False),
    "agreement": ("agreement", "share of votes that go with most of the others", True),
    "log10_likelihood": ("log10 likelihood", "of the answers, under the scores of all others", False),
    "distance": ("distance", f"interquartile ranges below the first quartile; look at more than {INSPECT:g}", True),
}
_VERDICTS = {"rejected": "left out", "left_out": "left out", "inspect": "look at"}  # the first that is true counts


def _observers(study: Study) -> Iterator[str]:
    people = merged_observers(study.all)
    if not people:
        return
    shown = [k for k in _FINDINGS if any(row.get(k) is not None for row in people)]
    flagged = [row for row in people if row["verdict"]]
    yield "<section><h2>Observers</h2><p class='quiet'>"
    yield safe(_about_flags(study, people, flagged))
    yield "</p><div class='wide' tabindex='0' role='region' aria-label='Observers'><table><thead><tr>"
    yield "<th scope='col'>Observer</th><th scope='col' class='number'>votes</th>"
    for key in shown:
        heading, meaning, bar = _FINDINGS[key]
        yield f"<th scope='col' class='number' title='{safe(meaning)}'>{safe(heading)}</th>{'<th></th>' * bar}"
    yield "<th scope='col'></th></tr></thead><tbody>"
    axes = {key: _bar_axis(people, key) for key in shown if _FINDINGS[key][2]}
    for row in people[:SHOWN_OBSERVERS]:
        yield _observer_row(row, shown, axes)
    yield "</tbody></table></div>"
    if len(people) > SHOWN_OBSERVERS:
        yield f"<p class='quiet'>The first {SHOWN_OBSERVERS} of {len(people):,} observers.</p>"
    meanings = "; ".join(f"{_FINDINGS[key][0]}: {_FINDINGS[key][1]}" for key in shown)
    yield f"<p class='quiet'>{safe(meanings[:1].upper() + meanings[1:])}.</p></section>"


def _about_flags(study: Study, people: Sequence[Mapping[str, Any]], flagged: Sequence[Mapping[str, Any]]) -> str:
    many = f", in {len(study.all):,} groups; values are means over the groups" if len(study.all) > 1 else ""
    left_out = [row for row in flagged if "left out" in row["verdict"]]
    if left_out:
        verb = "is" if len(left_out) == 1 else "are"
        return f"{len(left_out):,} of {len(people):,} observers {verb} left out by the rule of the method{many}."
    if flagged:
        return (
            f"{len(flagged):,} of {len(people):,} observers stand apart{many}. Nobody is left out: look at them, for "
            "somebody who sees differently is no mistake."
        )
    return f"{len(people):,} observers, none of them stands apart{many}."


def merged_observers(scales: Sequence[Scale]) -> list[dict[str, Any]]:
    """One row for each observer over all groups: means weighted with votes; those with a verdict first."""
    parts: dict[str, list[dict[str, Any]]] = {}
    for scale in scales:
        for cells in zip(*scale.observers.values(), strict=True):
            row = dict(zip(scale.observers, cells, strict=True))
            parts.setdefault(row["observer"], []).append(row)
    people = []
    for name, rows in parts.items():
        merged: dict[str, Any] = {"observer": name, "n": sum(row["n"] for row in rows), "verdict": ""}
        for key in _FINDINGS:
            known = [(row[key], row["n"]) for row in rows if row.get(key) is not None]
            merged[key] = sum(v * n for v, n in known) / sum(n for _, n in known) if known else None
        for key, words in reversed(_VERDICTS.items()):
            if times := sum(bool(row.get(key)) for row in rows):
                merged["verdict"] = words + (f" in {times} of {len(rows)} groups" if len(rows) > 1 else "")
        if len(rows) == 1:
            merged |= {k: v for k, v in rows[0].items() if k.endswith(("_low", "_high"))}
        people.append(merged)
    return sorted(people, key=lambda row: (not row["verdict"], row["observer"]))


def _bar_axis(people: Sequence[Mapping[str, Any]], key: str) -> Axis:
    values = [row.get(k) for row in people for k in (key, f"{key}_low", f"{key}_high")]
    return spanning([*(v for v in values if v is not None), 0.0], 4.0, 136.0, margin=0.03)


def _observer_row(row: Mapping[str, Any], shown: Sequence[str], axes: Mapping[str, Axis]) -> str:
    cells = [f"<th scope='row'>{safe(row['observer'])}</th><td class='number'>{row['n']:,}</td>"]
    for key in shown:
        value = row.get(key)
        cells.append(f"<td class='number'>{'' if value is None else _value(value)}</td>")
        if key in axes:
            ends = row.get(f"{key}_low"), row.get(f"{key}_high")
            cells.append(f"<td class='bar'>{'' if value is None else _bar(value, ends, axes[key])}</td>")
    cells.append(f"<td class='verdict'>{safe(row['verdict'])}</td>")
    return f"<tr{' class=out' if row['verdict'] else ''}>{''.join(cells)}</tr>"


def _bar(value: float, ends: tuple[float | None, float | None], axis: Axis) -> str:
    """A value on its axis, with its interval or else with its distance from 0."""
    low, high = ends
    parts = [line(axis.start, 9, axis.end, 9, "track"), line(axis(0.0), 2, axis(0.0), 16, "zero")]
    if low is not None and high is not None:
        parts.append(line(axis(low), 9, axis(high), 9, "span"))
    else:
        parts.append(line(axis(0.0), 9, axis(value), 9, "span"))
    parts.append(dot(axis(value), 9, 3.2, "solid"))
    return svg(140, 18, _value(value), *parts)


# ---- power --------------------------------------------------------------------------------------------------------


def _power(study: Study) -> Iterator[str]:
    now = typical_half_width(study.all)
    if now is None or now <= 0:
        return
    n = np.concatenate([s.n for s in study.all]).astype(float)
    widths = np.concatenate([s.half_width for s in study.all])
    have = int(np.median(n))
    rows = [(now * share, votes_for(now * share, n, widths), "") for share in (1.5, 0.75, 0.5, 0.25)]
    rows.append((now, have, "now"))
    if study.half_width is not None:
        rows.append((study.half_width, votes_for(study.half_width, n, widths), "wanted"))
    yield "<section><h2>What more votes would buy</h2><p class='quiet'>Half the interval costs four times the votes. "
    yield "For a typical item:</p><div class='wide'><table class='fit'><thead><tr><th scope='col' class='number'>"
    yield "interval</th><th scope='col' class='number'>votes an item</th><th scope='col' class='number'>times</th>"
    yield "<th scope='col'></th></tr></thead><tbody>"
    for half, votes, words in sorted(rows, key=lambda row: -row[0]):
        yield f"<tr{' class=now' if words else ''}><td class='number'>± {half:.2g}</td>"
        yield f"<td class='number'>{votes:,}</td><td class='number'>{votes / max(have, 1):.2g}</td>"
        yield f"<td>{words}</td></tr>"
    yield "</tbody></table></div></section>"


# ---- the rest -----------------------------------------------------------------------------------------------------


def _table(study: Study) -> Iterator[str]:
    rows = [(name, scale, i) for name, scale in study.scales.items() for i in _order(scale)]
    named = any(study.scales)
    yield f"<section><h2>All scores</h2><details{' open' * (len(rows) <= 40)}><summary>{len(rows):,} items"
    yield f"{f', the first {SHOWN_ROWS:,}' if len(rows) > SHOWN_ROWS else ''}</summary>"
    yield f"<div class='wide'><table class='fit'><thead><tr>{'<th scope=col>Group</th>' * named}"
    yield "<th scope='col'>Item</th><th scope='col' class='number'>Score</th><th scope='col'>Interval</th>"
    yield "<th scope='col' class='number'>n</th></tr></thead><tbody>"
    for name, scale, i in rows[:SHOWN_ROWS]:
        score, low, high = float(scale.score[i]), float(scale.ci_low[i]), float(scale.ci_high[i])
        ends = f"{_value(low)} to {_value(high)}" if math.isfinite(low) else ""
        yield f"<tr>{f'<td>{safe(name)}</td>' * named}<th scope='row'>{safe(scale.items[i])}</th><td class='number'>"
        yield f"{_value(score) if math.isfinite(score) else ''}</td><td class='ends'>{ends}</td>"
        yield f"<td class='number'>{scale.n[i]:,}</td></tr>"
    yield "</tbody></table></div></details></section>"


def _small_print(study: Study) -> Iterator[str]:
    facts = [
        ("File", study.source),
        ("Method", _METHODS[study.first.method]),
        ("Unit", study.first.unit),
        ("Intervals", study.first.intervals),
    ]
    if any("alpha" in s.facts for s in study.all):
        facts.append(
            ("Krippendorff's alpha", "for interval data; 1: all votes for an item are equal, 0: as if dealt out")
        )
        facts.append(("Split-half r", "MOS of random halves of the observers, stepped up by Spearman-Brown"))
    if any("u" in s.facts for s in study.all):
        facts.append(("Agreement u", "Kendall and Babington Smith; 1: all votes on a pair agree, 0: chance"))
    yield "<section><h2>How these numbers were made</h2><ul class='open'>"
    yield "".join(f"<li><b>{safe(k)}.</b> {safe(v)}</li>" for k, v in facts)
    yield "</ul></section>"
