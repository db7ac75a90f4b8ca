"""A leaderboard in every form but the page: the lines of a terminal, CSV, Markdown, JSON records; and writing them."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mien.core.errors import UsageError
from mien.core.rows import one_line
from mien.evaluation.leaderboard import Leaderboard, Row, beside, records, reference_cost
from mien.evaluation.protocol import Cost, Reference
from mien.evaluation.result import Estimate

if TYPE_CHECKING:
    from mien.apps.leaderboard_plots import Points

SUFFIXES = (".csv", ".md", ".html", ".json")
COSTS = {"macs": "MACs", "parameters": "params", "seconds": "time"}

_MARKDOWN = re.compile(r"([\\`*_\[\]<>|~&])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Standings:
    """Everything that the outputs show.

    Attributes:
        title: of the board.
        board: the ranking.
        references: published rows.
        interleaved: the published rows stand among the submissions: the caller says that the labels are the same.
        refused: (name, reason) of submissions that could not be evaluated.
        points: name -> predictions and labels, for plots; empty where a protocol has no labels.
        groups: of the rows of `points`.
        task: of the records.
        dataset: of the records.
    """

    title: str
    board: Leaderboard
    references: tuple[Reference, ...] = ()
    interleaved: bool = False
    refused: tuple[tuple[str, str], ...] = ()
    points: Mapping[str, Points] = field(default_factory=dict)
    groups: tuple[str, ...] | None = None
    task: str = ""
    dataset: str = ""

    @property
    def cost_columns(self) -> list[str]:
        """Kinds of cost that at least one row knows."""
        costs = [row.entry.cost for row in self.board.rows] + [reference_cost(r) for r in self.references]
        return [kind for kind in COSTS if any(getattr(cost, kind) is not None for cost in costs)]

    @property
    def lines(self) -> list[Row | Reference]:
        """Submissions and published rows in the order in which they are shown."""
        if self.interleaved:
            return beside(self.board, self.references)
        return [*self.board.rows, *self.references]


def write(standings: Standings, out: Path) -> None:
    """Write the board in the format of the suffix: complete or not at all; a file that is there is replaced.

    Raises:
        UsageError: an unknown suffix, or the file cannot be written.
    """
    check_target(out)
    match out.suffix.lower():
        case ".csv":
            text = as_csv(standings)
        case ".md":
            text = as_markdown(standings)
        case ".json":
            text = as_json(standings)
        case _:
            from mien.apps.leaderboard_page import page

            text = page(standings)
    temporary = out.with_name(f".mien-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        temporary.replace(out)
    except OSError as error:
        raise UsageError(f"cannot write {one_line(str(out))}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_target(out: Path) -> None:
    """Refuse before anything is computed what cannot be written.

    Raises:
        UsageError: an unknown suffix, or no such folder.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--out must be named *{', *'.join(SUFFIXES)}, not {one_line(str(out))}")
    if not out.parent.is_dir():
        raise UsageError(f"cannot write {one_line(str(out))}: there is no folder {one_line(str(out.parent))}")


def count(value: float) -> str:
    """A number of operations or parameters."""
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def seconds(value: float) -> str:
    """A time."""
    return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"


def as_json(standings: Standings) -> str:
    """Flat records: task, dataset, metric, value, model, and more."""
    found = records(standings.board, standings.references, task=standings.task, dataset=standings.dataset)
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_csv(standings: Standings) -> str:
    """One line for each submission and published row; text that a spreadsheet would run gets a ' in front."""
    board = standings.board
    metrics = list(board.protocol.columns)
    ends = [f"{metric}_{end}" for metric in metrics for end in ("low", "high")]
    header = ["kind", "rank", "model", "groups", "best_place", "worst_place", *metrics, *ends, *COSTS, "table", "note"]
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    for line in standings.lines:
        writer.writerow(_submission_cells(line) if isinstance(line, Row) else _reference_cells(line, metrics))
    for name, reason in standings.refused:
        writer.writerow({"kind": "refused", "model": _harmless(name), "note": _harmless(reason)})
    return text.getvalue()


def _submission_cells(row: Row) -> dict[str, object]:
    best, worst = row.places or ("", "")
    cells: dict[str, object] = {
        "kind": "submission",
        "rank": row.rank,
        "model": _harmless(row.name),
        "groups": "".join(row.letters),
        "best_place": best,
        "worst_place": worst,
        "note": _harmless("; ".join(row.entry.result.notes)),
    }
    for metric, estimate in row.entry.result.total.items():
        cells |= {metric: estimate.value, f"{metric}_low": estimate.low, f"{metric}_high": estimate.high}
    return cells | _cost_cells(row.entry.cost)


def _reference_cells(reference: Reference, metrics: Sequence[str]) -> dict[str, object]:
    known = {metric: value for metric, value in reference.values.items() if metric in metrics}
    about = {
        "kind": "published",
        "model": _harmless(reference.name),
        "table": _harmless(reference.table),
        "note": _harmless(reference.note),
    }
    return {**about, **known, **_cost_cells(reference_cost(reference))}


def _cost_cells(cost: Cost) -> dict[str, object]:
    return {kind: value for kind in COSTS if (value := getattr(cost, kind)) is not None}


def _harmless(text: str) -> str:
    """Names come from strangers, and spreadsheets take a cell that begins with = for a formula."""
    text = one_line(text)
    return f"'{text}" if text.startswith(_FORMULA) else text


def as_markdown(standings: Standings) -> str:
    """The table, what was not ranked, and how the numbers were made."""
    board = standings.board
    header, rows = table(standings)
    lines = [f"# {_escaped(standings.title)}", "", "| " + " | ".join(header) + " |"]
    lines.append("|" + "|".join(" :-- " if name in _LEFT else " --: " for name in header) + "|")
    lines += ["| " + " | ".join(_escaped(cell) for cell in cells) + " |" for cells in rows]
    lines += ["", f"Ranked by {board.metric}, {board.protocol.better} is better: {_escaped(board.protocol.formula)}."]
    lines.append(f"{_escaped(_sentence(board.method))}")
    lines += [f"Intervals: {_escaped(board.rows[0].entry.result.resampling or 'none')}."]
    if standings.references:
        lines.append(f"Published rows: {_escaped(board.protocol.paper)}; they have no interval and no rank.")
    lines += [f"\n**Note:** {_escaped(note)}" for note in board.notes]
    if standings.refused:
        lines += ["", "Not ranked:", ""]
        lines += [f"- {_escaped(name)}: {_escaped(reason)}" for name, reason in standings.refused]
    return "\n".join(lines) + "\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    return _MARKDOWN.sub(r"\\\1", one_line(text))


_LEFT = ("submission", "groups", "")


def table(standings: Standings) -> tuple[list[str], list[list[str]]]:
    """Header and cells, as the terminal and Markdown show them."""
    board = standings.board
    others = [metric for metric in board.protocol.columns if metric != board.metric]
    header = ["rank", "submission", board.metric]
    header += [f"{100 * board.rows[0].entry.result.level:g} %"] if board.rows[0].entry.result.samples else []
    header += ["groups", "places"] if board.pairs else []
    header += [*others, *(COSTS[kind] for kind in standings.cost_columns)]
    return header, [_cells(standings, line, header, others) for line in standings.lines]


def _cells(standings: Standings, line: Row | Reference, header: Sequence[str], others: Sequence[str]) -> list[str]:
    metric = standings.board.metric
    if isinstance(line, Row):
        result, cost = line.entry.result, line.entry.cost
        values = {name: estimate.value for name, estimate in result.total.items()}
        low, high = line.places or (0, 0)
        known = {
            "rank": str(line.rank),
            "submission": one_line(line.name),
            "%": _ends(result.main),
            "groups": "".join(line.letters),
            "places": str(low) if low == high else f"{low}-{high}",
        }
    else:
        values, cost = dict(line.values), reference_cost(line)
        known = {"rank": "", "submission": f"{one_line(line.name)} (published: {one_line(line.table)})"}
    cells = []
    for name in header[: len(header) - len(others) - len(standings.cost_columns)]:
        if name == metric:
            cells.append(_value(values.get(metric)))
        else:
            cells.append(known.get("%" if name.endswith("%") else name, ""))
    cells += [_value(values.get(name)) for name in others]
    return cells + [_cost(cost, kind) for kind in standings.cost_columns]


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _ends(estimate: Estimate) -> str:
    return "" if estimate.low is None or estimate.high is None else f"[{estimate.low:.3f}, {estimate.high:.3f}]"


def _cost(cost: Cost, kind: str) -> str:
    value = getattr(cost, kind)
    if value is None:
        return ""
    return seconds(value) if kind == "seconds" else count(value)


def terminal_lines(standings: Standings) -> list[str]:
    """The board for people: the table, what was not ranked, and what the groups mean."""
    board = standings.board
    header, rows = table(standings)
    widths = [max(len(cells[i]) for cells in (header, *rows)) for i in range(len(header))]
    about = board.protocol.name
    if standings.title != board.protocol.title:
        about += f", {board.protocol.title}"
    lines = [f"{one_line(standings.title)} ({about})", ""]
    for number, cells in enumerate([header, *rows]):
        if number == len(board.rows) + 1 and not standings.interleaved:
            lines.append("-" * (sum(widths) + 2 * len(widths) - 2))
        shown = (c.ljust(w) if n in _LEFT else c.rjust(w) for c, w, n in zip(cells, widths, header, strict=True))
        lines.append("  ".join(shown).rstrip())
    lines += ["", f"ranked by   {board.metric}, {board.protocol.better} is better; {board.protocol.formula}"]
    lines.append(f"groups      {board.method}")
    lines.append(f"intervals   {board.rows[0].entry.result.resampling or 'none'}")
    if standings.references and not standings.interleaved:
        lines.append("published   on the labels of their source; --published TABLE sets them among the submissions")
    lines += [f"note        {note}" for note in board.notes]
    return lines
