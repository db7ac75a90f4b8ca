"""The verb `best`: bursts of pictures → the best shots of each, as rows, and as copies on request."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mien.apps.bursts import Lineup, Shot, Told, bursts, of_all
from mien.apps.outputs import TABLES, Row, check_target, json_line, write_rows
from mien.apps.terminal import NOTHING_SCORED, Tally, progress
from mien.core.discover import display_path, find
from mien.core.errors import UsageError
from mien.core.rows import one_line, standing, tidy
from mien.core.taken import taken
from mien.core.types import Score

GAP_SECONDS = 3.0
FACES = ("whole", "best")
IDENTITIES = ("adaface-ir50", "adaface-ir101")

Split = Callable[[Sequence[Shot], Iterator[Score], Told], list[Lineup]]


@dataclass(frozen=True, slots=True)
class BestOptions:
    """What `mien best --help` says."""

    paths: tuple[str, ...]
    top: int = 1
    gap: float = GAP_SECONDS
    per_person: bool = False
    identity: str | None = None
    identity_weights: Path | None = None
    same: float | None = None
    faces: str | None = None
    finder: Path | None = None
    model: str | None = None
    out: Path | None = None
    copy_to: Path | None = None
    quiet: bool = False


def best_shots(options: BestOptions) -> int:
    """Pick the best pictures of every burst, or of its people; print or write their rows, copy the files.

    Returns:
        The exit code: 0 done, 3 some pictures have no score, 4 none has one.

    Raises:
        MienError: wrong usage, an unusable model or finder, no torch where it is needed, or an output that cannot be
            written.
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
        _copy(list(dict.fromkeys(path for path, _ in picks)), options.copy_to)  # one may be the best of two people
    _show(rows, tally, options)
    return tally.exit_code


def _check(options: BestOptions) -> None:
    _check_faces(options)
    if options.per_person:
        _check_person(options)
    elif given := [name for name, value in _person_options(options).items() if value is not None]:
        raise UsageError(f"{' and '.join(given)}: who is who is only asked with --per-person")
    if not options.gap >= 0:
        raise UsageError(f"--gap {options.gap:g}: seconds, at least 0")
    if options.out is not None:
        check_target("--out", options.out, TABLES)
    if options.copy_to is not None and options.copy_to.exists() and not options.copy_to.is_dir():
        raise UsageError(f"--copy-to {one_line(str(options.copy_to))}: it is not a folder")


def _check_faces(options: BestOptions) -> None:
    if options.per_person and options.faces is not None:
        raise UsageError(f"--per-person judges every face by itself: leave out --faces {options.faces}")
    if options.faces not in (None, *FACES):
        raise UsageError(f"--faces {options.faces}: it is one of {', '.join(FACES)}")
    if options.finder is not None and options.faces != "best" and not options.per_person:
        raise UsageError("--finder belongs to --faces best or --per-person")


def _person_options(options: BestOptions) -> dict[str, object]:
    return {
        "--identity": options.identity,
        "--identity-weights": options.identity_weights,
        "--same": options.same,
    }


_WHAT_IS_MISSING = {
    "--identity": f"--identity {'|'.join(IDENTITIES)}: the network that the weights are of",
    "--identity-weights": "--identity-weights FILE: none come with mien, for it is not known whether those of AdaFace "
    f"may be handed on; 'mien models show {IDENTITIES[0]}' says where its authors offer them",
    "--same": "--same COSINE, from which on two faces are one person: it depends on the weights and on which mistakes "
    "you can bear, so there is no default; compare pairs of your own (mien.faces.identity.similarity) and choose",
}


def _check_person(options: BestOptions) -> None:
    """Say everything that is missing at once."""
    if missing := [_WHAT_IS_MISSING[name] for name, value in _person_options(options).items() if value is None]:
        raise UsageError("--per-person has to tell people apart, and needs " + "; and ".join(missing))
    if options.identity not in IDENTITIES:
        raise UsageError(f"--identity {options.identity}: it is one of {', '.join(IDENTITIES)}")
    assert options.same is not None
    if not -1 < options.same < 1:
        raise UsageError(f"--same {options.same:g}: a cosine, above -1 and below 1")


def _picks(groups: Sequence[Sequence[Shot]], options: BestOptions, tally: Tally) -> Iterator[tuple[str, Row]]:
    """The path on disk and the row of each pick, burst by burst and person by person, best first."""
    from mien.apps.score_command import faces_options
    from mien.loading import load
    from mien.runtime.judge import DEFAULT

    line_up = _line_up_people(options) if options.per_person else of_all
    faces = "all" if options.per_person else options.faces or "whole"
    scorer = load(options.model or DEFAULT, **faces_options(faces, options.finder))
    with progress(tally, sum(map(len, groups)), quiet=options.quiet) as step:

        def told(score: Score) -> Row:
            row = tidy(score.to_dict())
            tally.add(row)
            step()
            return row

        scores = scorer.stream(shot.path for group in groups for shot in group)
        for number, group in enumerate(groups, start=1):
            for person, lineup in enumerate(line_up(group, scores, told), start=1):
                who = {"group": number} | ({"person": person} if options.per_person else {})
                for rank, (shot, row) in enumerate(_best(lineup, options.top), start=1):
                    more = {"n_group": len(lineup), "rank": rank, "taken": str(shot.moment or "")}
                    yield shot.path, row | who | more


def _line_up_people(options: BestOptions) -> Split:
    """Each person of a burst by itself.

    Raises:
        MissingExtraError: torch is not installed.
        ModelError: the weights are missing, damaged, or those of another network.
    """
    from mien.apps.best_people import by_person
    from mien.models import zoo

    assert options.identity is not None and options.identity_weights is not None and options.same is not None
    zoo.need_torch("mien best --per-person")
    from mien.models.adaface import embedder

    return partial(by_person, embed=embedder(options.identity, options.identity_weights), same=options.same)


def _best(lineup: Lineup, top: int) -> Lineup:
    """The highest scores first; at an end of the scale the raw value decides, and equal ones keep their order."""
    scored = [(shot, row) for shot, row in lineup if row["score"] is not None]
    return sorted(scored, key=lambda entry: standing(entry[1]), reverse=True)[:top]


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


def _show(rows: Sequence[Row], tally: Tally, options: BestOptions) -> None:
    on_terminal = sys.stdout.isatty()
    if options.out is None and not on_terminal:
        sys.stdout.buffer.write(b"".join(map(json_line, rows)))
        sys.stdout.buffer.flush()
    elif options.out is None and rows:
        print("\n".join(_table(rows)))
    if options.quiet:
        return
    lines = [_summary(rows, tally)]
    lines += [f"  {row['status']}  {row['path']}: {row['error']}" for row in tally.failures]
    lines += [f"wrote {one_line(str(path))}" for path in (options.out, options.copy_to) if path is not None]
    print("\n".join(lines), file=sys.stdout if on_terminal else sys.stderr, flush=True)


def _summary(rows: Sequence[Row], tally: Tally) -> str:
    n_picked, n_bursts = (len({row[name] for row in rows}) for name in ("path", "group"))
    line = f"{n_picked:,} of {tally.pictures:,} pictures picked from {n_bursts:,} bursts"
    people = {(row["group"], row["person"]) for row in rows if "person" in row}
    return f"{line}, for {len(people):,} people (each burst counts its own)" if people else line


def _table(rows: Sequence[Row]) -> list[str]:
    person = ["person"] if "person" in rows[0] else []
    cells = [["burst", *person, "of", "rank", "score", "taken", "path"]]
    for row in rows:
        numbers = (str(row[name]) for name in ("group", *person, "n_group", "rank"))
        cells.append([*numbers, f"{row['score']:.1f}", row["taken"], row["path"]])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)][:-1]
    return ["  ".join([*(c.rjust(w) for c, w in zip(line, widths, strict=False)), line[-1]]) for line in cells]
