"""The verb `evaluate`: a prediction file and a label file → the table that a paper would print, and JSON."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from mien.core.errors import MissingExtraError, UsageError
from mien.core.rows import one_line

if TYPE_CHECKING:
    from mien.evaluation.protocol import Protocol, Verdict
    from mien.evaluation.result import Estimate, Fit, Group, Result

STDOUT = "-"


@dataclass(frozen=True, slots=True)
class EvaluateOptions:
    """What `mien evaluate --help` says."""

    predictions: Path
    labels: Path
    protocol: str
    json: Path | None = None
    columns: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    group: str | None = None
    fit: str | None = None
    fit_on: tuple[str, ...] = ()
    cost: Path | None = None
    lower_is_better: bool = False
    undefined: str = "raise"
    resample: str | None = None
    draws: int = 10_000
    seed: int = 0


def need_scipy(what: str, *more: str) -> None:
    """Tell which extra is missing, before anything that imports SciPy is imported.

    Raises:
        MissingExtraError: there is no SciPy, or one of `more` is missing.
    """
    if any(importlib.util.find_spec(name) is None for name in ("scipy", *more)):
        raise MissingExtraError(what, "evaluate")


def evaluate_table(options: EvaluateOptions) -> int:
    """Evaluate one prediction file; print the table, write the JSON.

    Returns:
        The exit code, 0.

    Raises:
        MienError: files that cannot be read or do not match, an undefined correlation, an output that cannot be
            written, no SciPy.
    """
    need_scipy("mien evaluate")
    result = evaluated(options)
    if options.json is not None:
        _write_json(result, options.json)
    if options.json is None or str(options.json) != STDOUT:
        sys.stdout.write("\n".join(result_lines(result)) + "\n")
    return 0


def evaluated(options: EvaluateOptions) -> Result:
    """Read the files and evaluate them; needs SciPy."""
    from mien.evaluation import protocols
    from mien.evaluation.evaluate import evaluate
    from mien.evaluation.protocol import Cost
    from mien.evaluation.tables import read_labels, read_predictions

    protocol = protocols.load(options.protocol)
    if options.group:
        protocol = replace(protocol, group=options.group)
    columns, where = pairs(options.columns, "--column"), pairs(options.where, "--where")
    return evaluate(
        read_predictions(options.predictions, protocol, columns=columns),
        read_labels(options.labels, protocol, columns=columns, where=where, group=options.group),
        protocol,
        fit=_fit(options, protocol, columns),
        cost=Cost.read(options.cost) if options.cost else None,
        lower_is_better=options.lower_is_better,
        undefined=cast(Literal["raise", "zero"], _one_of(options.undefined, ("raise", "zero"), "--undefined")),
        resample=cast(
            Literal["groups", "rows"] | None,
            options.resample and _one_of(options.resample, ("groups", "rows"), "--resample"),
        ),
        draws=options.draws,
        seed=options.seed,
    )


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """NAME=VALUE texts as a dict.

    Raises:
        UsageError: no "=", an empty name, or a name twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or name in found:
            raise UsageError(f"{option} {text}: want NAME=VALUE, each name once")
        found[name] = value
    return found


def _one_of(value: str, allowed: Sequence[str], option: str) -> str:
    if value not in allowed:
        raise UsageError(f"{option} {value}: {' or '.join(allowed)}")
    return value


def _fit(options: EvaluateOptions, protocol: Protocol, columns: Mapping[str, str]) -> Fit | None:
    from mien.evaluation.logistic import METHODS
    from mien.evaluation.result import Fit
    from mien.evaluation.tables import Labels, read_labels

    if options.fit is None and not options.fit_on:
        return None
    if options.fit is None or not options.fit_on:
        raise UsageError("--fit METHOD and --fit-on COLUMN=VALUE go together: say which rows the fit may see")
    _one_of(options.fit, tuple(METHODS), "--fit")
    on = read_labels(options.labels, protocol, columns=columns, where=pairs(options.fit_on, "--fit-on"))
    if not isinstance(on, Labels):
        raise UsageError(f"{protocol.name} has no correlations that a fit would change")
    return Fit(options.fit, on, ", ".join(options.fit_on))


def _write_json(result: Result, path: Path) -> None:
    text = json.dumps(result.to_dict(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    if str(path) == STDOUT:
        sys.stdout.write(text)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {one_line(str(path))}: {error.strerror or error}") from error


def result_lines(result: Result) -> list[str]:
    """The result for people: the table, what it rests on, and what the source leaves open."""
    return list(_lines(result))


def _lines(result: Result) -> Iterator[str]:
    protocol = result.protocol
    what = {"labels": f"{protocol.item}s", "votes": "pairs", "comparisons": "pairs"}[protocol.kind]
    yield f"{protocol.name}: {protocol.title} ({protocol.paper})"
    yield f"predictions {one_line(result.submission)}"
    yield f"labels      {one_line(result.labels)}"
    groups = f" in {len(result.groups)} {protocol.group or 'group'}s" if result.groups else ""
    yield f"n           {result.n:,} {what}{groups}"
    yield ""
    yield from _table(result)
    yield ""
    yield f"main score  {protocol.formula}"
    yield f"fitted      {result.fitted}"
    yield f"intervals   {_percent(result.level)}; {result.resampling}" if result.samples else "intervals   none"
    yield from (f"{name:<10}  {_extra(value)}" for name, value in result.extras.items() if name != "curve")
    yield from (_verdict(verdict) for verdict in result.budget)
    yield from (f"note        {one_line(note)}" for note in result.notes)
    if protocol.unknowns:
        yield ""
        yield "what the source leaves open: the reading taken"
        yield from (f"  - {unknown.question}: {unknown.reading}" for unknown in protocol.unknowns)


def _table(result: Result) -> Iterator[str]:
    columns = list(result.total)
    rows = [[one_line(name), f"{group.n:,}", *_cells(group, columns)] for name, group in result.groups.items()]
    last = [result.protocol.pooled, f"{result.n:,}", *(_cell(result.total[column]) for column in columns)]
    header = [result.protocol.group or "", "n", *columns]
    table = [header, *rows, last]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    for number, row in enumerate(table):
        if number == len(table) - 1:
            yield "-" * (sum(widths) + 2 * (len(widths) - 1))
        name, *cells = (
            cell.ljust(width) if i != 1 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join([name, *cells]).rstrip()


def _cells(group: Group, columns: Sequence[str]) -> list[str]:
    return [_cell(group.values[column]) if column in group.values else "" for column in columns]


def _cell(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.4f}"
    return f"{estimate.value:.4f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _extra(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_extra(inner)}" for name, inner in value.items())
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _verdict(verdict: Verdict) -> str:
    if verdict.value is None:
        return f"budget      {verdict.what}: not given (--cost), limit {_number(verdict.limit)}"
    found = "kept" if verdict.ok else "EXCEEDED"
    return f"budget      {verdict.what}: {_number(verdict.value)}, limit {_number(verdict.limit)}: {found}"


def _number(value: float) -> str:
    for size, unit in ((1e12, " T"), (1e9, " G"), (1e6, " M")):
        if value >= size:
            return f"{value / size:.4g}{unit}"
    return f"{value:.4g}"


def _percent(level: float) -> str:
    return f"{100 * level:g} %"
