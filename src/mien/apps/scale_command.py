"""The verb `scale`: a file of ratings or votes → scores with intervals, a page about them and about the observers."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.apps.evaluate_command import need_scipy, pairs
from mien.apps.outputs import TABLES, check_target, json_line, replace, tidied, write_rows
from mien.core.errors import UsageError
from mien.core.rows import one_line

if TYPE_CHECKING:
    from mien.subjective.result import Scale

SHOWN = 20  #: rows of the table on a terminal
INTERRUPTED = 130
_PLAIN_SECONDS = 5.0  # between two lines of progress that are not on a terminal


@dataclass(frozen=True, slots=True)
class ScaleOptions:
    """What `mien scale --help` says."""

    file: Path
    method: str
    groups: str | None = None
    columns: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    split: bool = False
    out: Path | None = None
    observers: Path | None = None
    report: Path | None = None
    title: str | None = None
    half_width: float | None = None
    alpha: float = 0.0
    prior: bool = True
    anchor: str | None = None
    top: float = 5.0
    draws: int = 1000
    seed: int = 0
    processes: int | None = None
    quiet: bool = False


def scale_table(options: ScaleOptions) -> int:
    """Scale one file; print or write the scores.

    Returns:
        The exit code: 0 done, 130 interrupted.

    Raises:
        MienError: wrong usage, a file that cannot be scaled, an output that cannot be written, no SciPy.
    """
    need_scipy("mien scale", "threadpoolctl")
    check(options)
    try:
        scales = scaled(options)
        _write_outputs(options, scales)
    except KeyboardInterrupt:
        print("mien: interrupted, nothing was written", file=sys.stderr)
        return INTERRUPTED
    _show(options, scales)
    return 0


def check(options: ScaleOptions) -> None:
    """Refuse what cannot work before anything is read.

    Raises:
        UsageError: an unknown method, an option of another method, or an output that cannot be written.
        MissingExtraError: Parquet without pyarrow.
    """
    from mien.subjective.scale import METHODS, RATING_METHODS

    if options.method not in METHODS:
        raise UsageError(f"--method {one_line(options.method)}: {', '.join(METHODS)}")
    for option, given, methods in (
        ("--alpha", options.alpha != 0, ("bradley-terry", "thurstone")),
        ("--no-prior", not options.prior, ("jod",)),
        ("--anchor", options.anchor is not None, ("jod",)),
        ("--top", options.top != 5, ("dmos",)),
        ("--split", options.split, tuple(m for m in METHODS if m not in RATING_METHODS)),
    ):
        if given and options.method not in methods:
            raise UsageError(f"{option} belongs to --method {' or '.join(methods)}")
    if options.alpha < 0:
        raise UsageError(f"--alpha {options.alpha:g}: at least 0")
    if options.half_width is not None and not options.half_width > 0:
        raise UsageError(f"--half-width {options.half_width:g}: more than 0")
    for option, path, suffixes in (
        ("--out", options.out, TABLES),
        ("--observers", options.observers, TABLES),
        ("--report", options.report, (".html", ".htm")),
    ):
        if path is not None:
            check_target(option, path, suffixes)


def scaled(options: ScaleOptions) -> dict[str, Scale]:
    """Read the file and scale every group of it; needs SciPy."""
    from mien.subjective import scale
    from mien.subjective.tables import read_ratings, read_votes

    columns, where = pairs(options.columns, "--column"), pairs(options.where, "--where")
    examine = options.observers is not None or options.report is not None
    if options.method in scale.RATING_METHODS:
        groups = read_ratings(options.file, columns=columns, groups=options.groups, where=where)
        more: dict[str, object] = {"top": options.top} if options.method == "dmos" else {}
        found = scale.scale_ratings(groups, options.method, **more)
        return {name: scale.examine_ratings(s, groups[name]) for name, s in found.items()} if examine else found
    votes = read_votes(options.file, columns=columns, groups=options.groups, where=where)
    if options.split:
        votes = scale.apart(votes)
    if options.method != "jod":
        found = scale.scale_votes(votes, options.method, alpha=options.alpha)
    else:
        with _progress(options.draws * len(votes), quiet=options.quiet) as step:
            found = scale.scale_votes(
                votes,
                "jod",
                prior=options.prior,
                anchor=options.anchor,
                draws=options.draws,
                seed=options.seed,
                processes=options.processes,
                progress=step,
            )
    return {name: scale.examine_votes(s, votes[name]) for name, s in found.items()} if examine else found


# ---- files --------------------------------------------------------------------------------------------------------


def _write_outputs(options: ScaleOptions, scales: Mapping[str, Scale]) -> None:
    from mien.subjective.scale import observer_rows, rows

    if options.out is not None:
        write_rows(list(rows(scales)), options.out)
    if options.observers is not None:
        write_rows(list(observer_rows(scales)), options.observers)
    if options.report is not None:
        from mien.apps.scale_report import Study, page

        study = Study(options.title or options.file.name, str(options.file), scales, options.half_width)
        replace(options.report, page(study).encode())


# ---- for people ---------------------------------------------------------------------------------------------------


def _show(options: ScaleOptions, scales: Mapping[str, Scale]) -> None:
    from mien.subjective.scale import rows

    on_terminal = sys.stdout.isatty()
    if options.out is None and not on_terminal:
        sys.stdout.buffer.write(b"".join(json_line(tidied(row)) for row in rows(scales)))
        sys.stdout.buffer.flush()
    if options.quiet:
        return
    lines = [*(table_lines(scales) if on_terminal else ()), *summary_lines(scales, options.half_width)]
    lines += [f"wrote {one_line(str(p))}" for p in (options.out, options.observers, options.report) if p is not None]
    print("\n".join(lines), file=sys.stdout if on_terminal else sys.stderr, flush=True)


def table_lines(scales: Mapping[str, Scale]) -> list[str]:
    """A short table: the best and the worst items of one group, or one line for each group."""
    if len(scales) == 1:
        (scale,) = scales.values()
        order = sorted(scale.rows(), key=_by_score)
        shown = order if len(order) <= SHOWN else [*order[: SHOWN // 2], {}, *order[-SHOWN // 2 :]]
        cells = [["item", "score", "interval", "n"]]
        cells += [_item_cells(row) if row else [f"... {len(order) - SHOWN:,} more", "", "", ""] for row in shown]
    else:
        cells = [["group", "items", "votes", "lowest", "highest", "± (median)"]]
        cells += [_group_cells(name, scale) for name, scale in scales.items()]
        if len(cells) > SHOWN + 1:
            cells[SHOWN + 1 :] = [[f"... {len(cells) - 1 - SHOWN:,} more groups", *[""] * 5]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip() for row in cells]


def _by_score(row: Mapping[str, Any]) -> tuple[bool, float]:
    return row["score"] is None, -(row["score"] or 0.0)


def _item_cells(row: Mapping[str, Any]) -> list[str]:
    ends = "" if row["ci_low"] is None else f"{row['ci_low']:.2f} to {row['ci_high']:.2f}"
    score = "" if row["score"] is None else f"{row['score']:.2f}"
    return [one_line(row["item"])[:60], score, ends, f"{row['n']:,}"]


def _group_cells(name: str, scale: Scale) -> list[str]:
    half = typical_half_width([scale])
    low, high = (f"{f(s for s in scale.score.tolist() if s == s):.2f}" for f in (min, max))
    votes = f"{votes_of(scale):,}"
    return [one_line(name)[:60], f"{len(scale.items):,}", votes, low, high, "" if half is None else f"{half:.2f}"]


def votes_of(scale: Scale) -> int:
    """Votes behind a scale; a comparison counts once, not for both items."""
    from mien.subjective.scale import VOTE_METHODS

    return int(scale.n.sum()) // (2 if scale.method in VOTE_METHODS else 1)


def typical_half_width(scales: Sequence[Scale]) -> float | None:
    """Median half width of all intervals; None when there is none."""
    import numpy as np

    widths = np.concatenate([scale.half_width for scale in scales])
    known = widths[np.isfinite(widths)]
    return float(np.median(known)) if len(known) else None


def summary_lines(scales: Mapping[str, Scale], half_width: float | None = None) -> list[str]:
    """What the scores are, how sure, and what a reader has to know."""
    found = list(scales.values())
    items, votes = sum(len(s.items) for s in found), sum(votes_of(s) for s in found)
    groups = f" in {len(found):,} groups" if len(found) > 1 else ""
    lines = [f"{items:,} items{groups}, {votes:,} votes, {found[0].method}; unit: {found[0].unit}"]
    typical = typical_half_width(found)
    if typical is None:
        lines.append("no intervals")
    else:
        lines.append(f"typical interval ± {typical:.3g}; {found[0].intervals}")
        if half_width is not None:
            lines.append(wanted(found, half_width))
    told: dict[str, list[str]] = {}
    for name, scale in scales.items():
        for note in scale.notes:
            told.setdefault(note, []).append(name)
    for note, names in told.items():
        where = f" (group {one_line(names[0])}{' and others' * (len(names) > 1)})" if len(found) > 1 else ""
        lines.append(f"note: {one_line(note)}{where}")
    return lines


def wanted(scales: Sequence[Scale], half_width: float) -> str:
    """How many votes an item needs for intervals of this size."""
    import numpy as np

    from mien.subjective.power import votes_for

    n = np.concatenate([scale.n for scale in scales]).astype(float)
    needed = votes_for(half_width, n, np.concatenate([scale.half_width for scale in scales]))
    return f"for ± {half_width:g} a typical item needs about {needed:,} votes; it has {int(np.median(n)):,}"


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    """Draws done and time left, on stderr: a bar on a terminal, else a line every few seconds."""
    if quiet or not total:
        yield lambda _: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("bootstrap"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.update(task, advance=done)
    else:
        yield _plain(total)


def _plain(total: int) -> Callable[[int], None]:
    begin = told = time.monotonic()
    done = 0

    def step(more: int) -> None:
        nonlocal told, done
        done += more
        now = time.monotonic()
        if now - told >= _PLAIN_SECONDS:
            told = now
            left = (now - begin) / done * (total - done)
            sys.stderr.write(f"{done:,}/{total:,} bootstrap draws, {left:.0f} s left\n")
            sys.stderr.flush()

    return step
