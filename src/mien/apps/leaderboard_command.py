"""The verb `leaderboard`: a folder of prediction files → the ranking, on the terminal and in files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mien.apps.evaluate_command import need_scipy, pairs
from mien.core.errors import MienError, UsageError
from mien.core.rows import one_line

if TYPE_CHECKING:
    from mien.apps.leaderboard import Standings
    from mien.apps.leaderboard_plots import Points
    from mien.evaluation.leaderboard import Entry
    from mien.evaluation.protocol import Protocol, Reference
    from mien.evaluation.tables import LabelTable, Predictions

DONE, SOME_REFUSED, NOTHING_RANKED = 0, 3, 4
LABELS = "labels.csv"


@dataclass(frozen=True, slots=True)
class LeaderboardOptions:
    """What `mien leaderboard --help` says."""

    name: str
    folder: Path
    labels: Path | None = None
    out: tuple[Path, ...] = ()
    columns: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    group: str | None = None
    published: str | None = None
    title: str | None = None
    dataset: str | None = None
    alpha: float = 0.05
    draws: int = 10_000
    seed: int = 0
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class _Source:
    """What submissions are evaluated on, and how a file becomes predictions."""

    title: str
    protocol: Protocol
    labels: LabelTable
    read: Callable[[Path], Predictions]
    suffixes: tuple[str, ...]


def make_leaderboard(options: LeaderboardOptions) -> int:
    """Evaluate every submission of a folder, rank them, print the table, write the files.

    Returns:
        0; 3 when some submissions were refused (each is named on stderr and in the outputs); 4 when none was ranked.

    Raises:
        MienError: wrong usage, labels that cannot be read, an output that cannot be written, no SciPy.
    """
    need_scipy("mien leaderboard")
    from mien.apps.leaderboard import check_target, terminal_lines, write

    for out in options.out:
        check_target(out)
    source = _source(options)
    files = _submissions(options, source)
    entries, predictions, refused = _evaluated(options, source, files)
    for name, reason in refused:
        print(f"mien: {one_line(name)}: {one_line(reason)}", file=sys.stderr)
    if not entries:
        print("mien: no submission could be ranked", file=sys.stderr)
        return NOTHING_RANKED
    standings = _standings(options, source, entries, predictions, refused)
    if not options.quiet:
        print("\n".join(terminal_lines(standings)), flush=True)
    for out in options.out:
        write(standings, out)
        if not options.quiet:
            print(f"wrote {one_line(str(out))}", file=sys.stderr)
    return SOME_REFUSED if refused else DONE


def _source(options: LeaderboardOptions) -> _Source:
    """A protocol with a label file, or the folder of a challenge."""
    from mien.apps.challenge import open_challenge
    from mien.apps.submission import check_names, read_submission
    from mien.evaluation import protocols
    from mien.evaluation.tables import read_labels, read_predictions

    if options.name not in protocols.names() and Path(options.name).is_dir():
        if options.labels or options.where or options.columns or options.group:
            raise UsageError("a challenge brings its labels: leave out --labels, --where, --column and --group")
        challenge = open_challenge(Path(options.name))

        def read(path: Path) -> Predictions:
            predictions = read_submission(path, challenge.name_column, challenge.limits)
            check_names(predictions, challenge.labels)
            return predictions

        return _Source(challenge.name, challenge.protocol, challenge.labels, read, (".csv", ".zip"))
    protocol = protocols.load(options.name)
    labels = options.labels or options.folder / LABELS
    if not labels.is_file():
        raise UsageError(f"no labels: {one_line(str(labels))} is not there; say --labels FILE")
    columns, where = pairs(options.columns, "--column"), pairs(options.where, "--where")
    table = read_labels(labels, protocol, columns=columns, where=where, group=options.group)
    return _Source(
        protocol.title, protocol, table, lambda path: read_predictions(path, protocol, columns=columns), (".csv",)
    )


def _submissions(options: LeaderboardOptions, source: _Source) -> list[Path]:
    try:
        found = sorted(p for p in options.folder.iterdir() if p.suffix.lower() in source.suffixes)
    except OSError as error:
        raise UsageError(f"cannot read {one_line(str(options.folder))}: {error.strerror or error}") from error
    labels = (options.labels or options.folder / LABELS).absolute()
    outputs = {out.absolute() for out in options.out}
    return [path for path in found if path.absolute() != labels and path.absolute() not in outputs]


def _evaluated(
    options: LeaderboardOptions, source: _Source, files: list[Path]
) -> tuple[list[Entry], dict[str, Predictions], list[tuple[str, str]]]:
    """Entries, their predictions by name, and (name, reason) of those that could not be evaluated."""
    from mien.evaluation.evaluate import evaluate
    from mien.evaluation.leaderboard import Entry
    from mien.evaluation.protocol import Cost

    entries, predictions, refused = [], {}, []
    for path in files:
        name = one_line(path.stem)
        beside = path.with_name(path.stem + ".cost.json")
        try:
            if name in predictions:
                raise UsageError("another submission has this name")
            cost = Cost.read(beside) if beside.is_file() else Cost()
            found = source.read(path)
            result = evaluate(found, source.labels, source.protocol, cost=cost, draws=options.draws, seed=options.seed)
        except (MienError, ValueError) as error:
            refused.append((name, str(error)))
            continue
        predictions[name] = found
        entries.append(Entry(name, result, cost))
    return entries, predictions, refused


def _standings(
    options: LeaderboardOptions,
    source: _Source,
    entries: list[Entry],
    predictions: dict[str, Predictions],
    refused: list[tuple[str, str]],
) -> Standings:
    from mien.apps.leaderboard import Standings
    from mien.evaluation.leaderboard import rank
    from mien.evaluation.tables import Labels

    labels = source.labels
    return Standings(
        title=options.title or source.title,
        board=rank(entries, alpha=options.alpha),
        references=_references(options, source.protocol),
        interleaved=options.published not in (None, "all", "none"),
        refused=tuple(refused),
        points={name: _points(found, labels) for name, found in predictions.items()}
        if isinstance(labels, Labels)
        else {},
        groups=labels.groups if isinstance(labels, Labels) else None,
        task=source.protocol.title,
        dataset=options.dataset or labels.source,
    )


def _references(options: LeaderboardOptions, protocol: Protocol) -> tuple[Reference, ...]:
    from mien.evaluation.leaderboard import published

    if options.published == "none":
        return ()
    return published(protocol, None if options.published in (None, "all") else options.published)


def _points(predictions: Predictions, labels: LabelTable) -> Points:
    import numpy as np

    from mien.apps.leaderboard_plots import Points
    from mien.evaluation.tables import Labels, align

    scores = align(predictions, labels)
    assert isinstance(labels, Labels)
    return Points(np.array([scores[name] for name in labels.names]), labels.values)
