"""The verb `best`: bursts of pictures → the best shots of each, as rows, and as copies on request."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.apps.outputs import TABLES, Row, check_target, json_line, write_rows
from mien.apps.terminal import NOTHING_SCORED, Tally, progress
from mien.core.discover import display_path, find
from mien.core.errors import UsageError
from mien.core.rows import one_line, tidy
from mien.core.taken import Moment, taken

GAP_SECONDS = 3.0
FACES = ("whole", "best")


@dataclass(frozen=True, slots=True)
class BestOptions:
    """What `mien best --help` says."""

    paths: tuple[str, ...]
    top: int = 1
    gap: float = GAP_SECONDS
    per_person: bool = False
    faces: str = "whole"
    finder: Path | None = None
    model: str | None = None
    out: Path | None = None
    copy_to: Path | None = None
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture, and when it was taken."""

    path: str
    moment: Moment | None  #: None when there is no such file


def bursts(shots: Iterable[Shot], gap_s: float) -> list[list[Shot]]:
    """Pictures of one folder and one clock belong together as long as no pause between neighbours is longer.

    Args:
        shots: in any order.
        gap_s: the longest pause inside a burst, in seconds.

    Returns:
        Bursts and their pictures in the order of folder, clock, time and name; numbers in names count as numbers. A
        picture without a time is a burst by itself.
    """
    found: list[list[Shot]] = []
    for shot in sorted(shots, key=_order):
        if found and _continues(found[-1][-1], shot, gap_s):
            found[-1].append(shot)
        else:
            found.append([shot])
    return found


def _order(shot: Shot) -> tuple[object, ...]:
    clock, seconds = (shot.moment.clock, shot.moment.seconds) if shot.moment else ("", 0.0)
    return os.path.dirname(shot.path), clock, seconds, _natural(shot.path)  # noqa: PTH120 - names stay as given


def _natural(name: str) -> list[tuple[int, str]]:
    """img9 before img10."""
    return [(int(digits or 0), text) for text, digits in re.findall(r"([^0-9]*)([0-9]*)", name)]


def _continues(before: Shot, shot: Shot, gap_s: float) -> bool:
    a, b = before.moment, shot.moment
    if a is None or b is None or a.clock != b.clock:
        return False
    same_folder = os.path.dirname(before.path) == os.path.dirname(shot.path)  # noqa: PTH120
    return same_folder and b.seconds - a.seconds <= gap_s


def best_shots(options: BestOptions) -> int:
    """Pick the best pictures of every burst; print or write their rows, copy the files.

    Returns:
        The exit code: 0 done, 3 some pictures have no score, 4 none has one.

    Raises:
        MienError: wrong usage, an unusable model, or an output that cannot be written.
    """
    _check(options)
    groups = bursts((Shot(path, taken(path)) for path in find(options.paths)), options.gap)
    if not groups:
        print("mien: no pictures found", file=sys.stderr)
        return NOTHING_SCORED
    tally = Tally()
    picks = list(_picks(groups, options, tally))
    rows = [row for _, row in picks]
    if options.out is not None:
        write_rows(rows, options.out)
    if options.copy_to is not None:
        _copy([path for path, _ in picks], options.copy_to)
    _show(rows, len(groups), tally, options)
    return tally.exit_code


def _check(options: BestOptions) -> None:
    if options.per_person:
        raise UsageError(
            "--per-person needs to know who is who, and this version of mien has no network for that: without it the "
            "best shots are those of each burst, by time"
        )
    if options.faces not in FACES:
        raise UsageError(f"--faces {options.faces}: it is one of {', '.join(FACES)}")
    if options.finder is not None and options.faces == "whole":
        raise UsageError("--finder belongs to --faces best")
    if not options.gap >= 0:
        raise UsageError(f"--gap {options.gap:g}: seconds, at least 0")
    if options.out is not None:
        check_target("--out", options.out, TABLES)
    if options.copy_to is not None and options.copy_to.exists() and not options.copy_to.is_dir():
        raise UsageError(f"--copy-to {one_line(str(options.copy_to))}: it is not a folder")


def _picks(groups: Sequence[Sequence[Shot]], options: BestOptions, tally: Tally) -> Iterator[tuple[str, Row]]:
    """The path on disk and the row of each pick, burst by burst, best first; equal scores keep their order."""
    from mien.apps.score_command import faces_options
    from mien.loading import load
    from mien.runtime.judge import DEFAULT

    scorer = load(options.model or DEFAULT, **faces_options(options.faces, options.finder))
    total = sum(map(len, groups))
    with progress(tally, total, quiet=options.quiet) as step:
        scores = scorer.stream(shot.path for group in groups for shot in group)
        for number, group in enumerate(groups, start=1):
            scored: list[tuple[float, Shot, Row]] = []
            for shot in group:
                row = tidy(next(scores).to_dict())
                tally.add(row)
                step()
                if row["score"] is not None:
                    scored.append((row["score"], shot, row))
            scored.sort(key=lambda entry: -entry[0])
            for rank, (_, shot, row) in enumerate(scored[: options.top], start=1):
                more = {"group": number, "n_group": len(group), "rank": rank, "taken": str(shot.moment or "")}
                yield shot.path, row | more


def _copy(paths: Sequence[str], folder: Path) -> None:
    """Copy files under their own names, times included; nothing that is there is touched."""
    targets = dict(zip(_names(paths), paths, strict=True))
    for name in targets:
        if (folder / name).exists():
            shown = one_line(display_path(folder / name))
            raise UsageError(f"{shown} is there already, and nothing is overwritten: give another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, path in targets.items():
            shutil.copy2(path, folder / name)
    except OSError as error:
        shown = one_line(display_path(folder))
        raise UsageError(f"cannot copy to {shown}: {error.strerror or error}") from error


def _names(paths: Sequence[str]) -> list[str]:
    """A name for each file; the second a.jpg becomes a-2.jpg."""
    used: set[str] = set()
    names = []
    for path in paths:
        file = Path(path)
        name, n = file.name, 1
        while name.lower() in used:  # some file systems know no capitals
            n += 1
            name = f"{file.stem}-{n}{file.suffix}"
        used.add(name.lower())
        names.append(name)
    return names


def _show(rows: Sequence[Row], n_groups: int, tally: Tally, options: BestOptions) -> None:
    on_terminal = sys.stdout.isatty()
    if options.out is None and not on_terminal:
        sys.stdout.buffer.write(b"".join(map(json_line, rows)))
        sys.stdout.buffer.flush()
    elif options.out is None and rows:
        print("\n".join(_table(rows)))
    if options.quiet:
        return
    lines = [f"{len(rows):,} of {tally.pictures:,} pictures picked from {n_groups:,} bursts"]
    lines += [f"  {row['status']}  {row['path']}: {row['error']}" for row in tally.failures]
    lines += [f"wrote {one_line(str(path))}" for path in (options.out, options.copy_to) if path is not None]
    print("\n".join(lines), file=sys.stdout if on_terminal else sys.stderr, flush=True)


def _table(rows: Sequence[Row]) -> list[str]:
    cells = [["burst", "of", "rank", "score", "taken", "path"]]
    for row in rows:
        numbers = (str(row[name]) for name in ("group", "n_group", "rank"))
        cells.append([*numbers, f"{row['score']:.1f}", row["taken"], row["path"]])
    widths = [max(len(line[i]) for line in cells) for i in range(5)]
    return ["  ".join([*(c.rjust(w) for c, w in zip(line, widths, strict=False)), line[5]]) for line in cells]
