"""The verbs `train`, `pseudo-label` and `distill`: options → one run of `mien.training` → the path of what was made."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import MissingExtraError, UsageError
from mien.core.rows import one_line
from mien.models import zoo

if TYPE_CHECKING:
    from mien.training.parallel import Machine
    from mien.training.recipe import Recipe
    from mien.training.sources import Source

DONE, SOME_UNREADABLE, INTERRUPTED = 0, 3, 130  # exit codes


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What `mien train --help` and `mien distill --help` have in common."""

    data: tuple[Path, ...] = ()
    dataset: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    lower_is_better: bool = False
    out: Path | None = None
    resume: bool = False
    overwrite: bool = False
    epochs: int | None = None
    batch: int | None = None
    accumulate: int | None = None
    learning_rate: float | None = None
    seed: int | None = None
    bf16: bool = False
    device: str | None = None
    workers: int | None = None
    save_every: float = 300.0
    tensorboard: bool = False
    quick: bool = False
    quiet: bool = False


def train_recipe(name: str, options: RunOptions, *, start: Path | None = None) -> int:
    """Train a recipe; print the path of the model.

    Args:
        name: of `mien.training.recipes.RECIPES`.
        options: see `mien train --help`.
        start: checkpoint to begin from.

    Returns:
        The exit code: 0 done, 130 interrupted.

    Raises:
        MienError: whatever cannot work, said in one line.
    """
    _need_training("mien train")
    from mien.training import recipes
    from mien.training.sources import prepare
    from mien.training.train import MADE, model_files, train

    recipe = _changed(recipes.recipe(name, quick=options.quick), options)
    sources = _sources(options)
    out = options.out or Path("runs") / recipe.name
    with _run(out, options) as (here, way):
        if here.main:
            prepare(out, (*MADE, *model_files(recipe.name)), resume=options.resume, overwrite=options.overwrite)
        here.wait()
        return _tell_model(lambda: train(recipe, sources, out, here, way, start=start), out, quick=options.quick)


def distill_recipe(
    name: str,
    options: RunOptions,
    u1: Sequence[str],
    u2: Sequence[str],
    *,
    teacher: Path | None = None,
    student: Path | None = None,
) -> int:
    """Teach a teacher, let it label, and teach its student; print the path of the student's model.

    Args:
        name: of `mien.training.recipes.SELF_TRAININGS`.
        options: see `mien distill --help`; the settings of learning change those of teacher and student alike.
        u1: files and folders of pictures that nobody rated.
        u2: others, for the second stage.
        teacher: checkpoint that the teacher begins from.
        student: checkpoint that the student begins from.

    Returns:
        The exit code: 0 done, 130 interrupted.

    Raises:
        MienError: whatever cannot work, said in one line.
    """
    _need_training("mien distill")
    from mien.training import recipes
    from mien.training.self_training import MADE, Pictures, Starts, distill
    from mien.training.sources import prepare
    from mien.training.train import model_files

    both = recipes.self_training(name, quick=options.quick)
    both = replace(both, teacher=_changed(both.teacher, options), student=_changed(both.student, options))
    pictures = Pictures(_sources(options), _found(u1, "--u1"), _found(u2, "--u2"))
    out = options.out or Path("runs") / both.name
    with _run(out, options) as (here, way):
        if here.main:
            prepare(out, (*MADE, *model_files(both.student.name)), resume=options.resume, overwrite=options.overwrite)
        here.wait()
        return _tell_model(
            lambda: distill(both, pictures, out, here, way, starts=Starts(teacher, student)), out, quick=options.quick
        )


@dataclass(frozen=True, slots=True)
class LabelOptions:
    """What `mien pseudo-label --help` says."""

    model: str
    paths: tuple[str, ...]
    out: Path
    weights: Path | None = None
    raw_range: tuple[float, float] | None = None
    fit: Path | None = None
    columns: tuple[str, ...] = ()
    resume: bool = False
    overwrite: bool = False
    threads: int | None = None
    quiet: bool = False


def pseudo_label(options: LabelOptions) -> int:
    """Let a judge label pictures that nobody rated; print the path of the table.

    Returns:
        The exit code: 0 done, 3 some pictures could not be read and are not in the table, 130 interrupted.

    Raises:
        MienError: no such model, no pictures, or a table that is there already.
    """
    if options.fit is not None:
        _need("scipy", "a fitted map (--fit)", "evaluate")
    from mien.core.weights import sha256_of
    from mien.loading import load
    from mien.training import pseudo_labels
    from mien.training.fingerprint import fingerprint

    out = options.out
    _check_labels(options)
    paths = _found(options.paths, "PATH")
    scorer = load(options.model, weights=options.weights, raw_range=options.raw_range, threads=options.threads)
    key = fingerprint(scorer.model_id, scorer.preprocess_id)
    if finished := _finished(options, key, len(set(paths))):
        _say(f"{out} is finished: {finished['pictures']:,} labels, sha256 {finished['sha256']}", quiet=options.quiet)
        print(out)
        return SOME_UNREADABLE if finished["unreadable"] else DONE
    told = 0

    def score(missing: Sequence[str]) -> Iterator[tuple[str, float | None]]:
        nonlocal told
        for done, (path, row) in enumerate(zip(missing, scorer.stream(missing), strict=True), start=1):
            yield path, row.raw
            if done % 500 == 0:
                _say(f"{done:,} of {len(missing):,} pictures", quiet=options.quiet)

    try:
        raw = pseudo_labels.collect(paths, score, pseudo_labels.raw_file(out), key)
        mapped, facts = None, {"judge": scorer.model_id, "preprocess": scorer.preprocess_id, "key": key}
        if options.fit is not None:
            mapped = _fitted(scorer, options)
            facts |= {
                "fitted_on": mapped.n,
                "fitted_on_file": options.fit.name,
                "fitted_on_sha256": sha256_of(options.fit),
            }
    except KeyboardInterrupt:
        _say("interrupted; the same command with --resume goes on from there")
        return INTERRUPTED
    made = pseudo_labels.write(out, raw, mapped, facts)
    if made.unreadable:
        bad = [path for path, value in raw.items() if value is None]
        _say(f"{made.unreadable:,} of {len(raw):,} pictures have no label, the first is {bad[0]}")
    _say(f"{made.n:,} labels, sha256 {made.sha256}", quiet=options.quiet)
    print(out)
    return SOME_UNREADABLE if made.unreadable else DONE


def _check_labels(options: LabelOptions) -> None:
    from mien.training import pseudo_labels

    out, raw = options.out, pseudo_labels.raw_file(options.out)
    if out.suffix.lower() != ".csv":
        raise UsageError(f"--out {out}: labels are written as .csv")
    if not out.parent.is_dir():
        raise UsageError(f"cannot write {out}: there is no folder {out.parent}")
    if options.resume and options.overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    if options.overwrite:
        raw.unlink(missing_ok=True)
    elif not options.resume and (out.exists() or raw.exists()):
        raise UsageError(
            f"{out if out.exists() else raw} exists: --resume goes on with a run, --overwrite starts again"
        )
    elif out.exists() and not raw.exists() and not pseudo_labels.read_record(out):
        raise UsageError(f"{out} is not of a run that --resume could go on with: choose another --out, or --overwrite")


def _finished(options: LabelOptions, key: str, n: int) -> dict[str, Any]:
    """The record of the table, where --resume finds that nothing is left to do; else empty.

    Raises:
        UsageError: the table is of another judge, another map or other pictures.
    """
    from mien.core.weights import sha256_of
    from mien.training import pseudo_labels

    if not options.resume or pseudo_labels.raw_file(options.out).exists():
        return {}
    record = pseudo_labels.read_record(options.out)
    wanted = (key, None if options.fit is None else sha256_of(options.fit), n)
    if record and (
        wanted != (record.get("key"), record.get("fitted_on_sha256"), record["pictures"] + record["unreadable"])
    ):
        raise UsageError(f"{options.out} was made by another model, with another map or of other pictures: --overwrite")
    return record


def _fitted(scorer: Any, options: LabelOptions):
    """The map from the judge's numbers to the labels of a table."""
    from mien.training import pseudo_labels
    from mien.training.sources import Source, read

    assert options.fit is not None
    samples = [s for s in read([Source(options.fit, columns=_columns(options.columns))]) if s.label is not None]
    rows = list(scorer.stream(s.file for s in samples))
    known = [(row.raw, s.label) for row, s in zip(rows, samples, strict=True) if row.raw is not None]
    if not known:
        raise UsageError(f"none of the pictures of {options.fit} could be judged")
    return pseudo_labels.fit(*zip(*known, strict=True))


# --- what the verbs share -------------------------------------------------------------------------------------------


def _need_training(what: str) -> None:
    try:
        zoo.need_torch(what)
    except MissingExtraError:
        raise MissingExtraError(what, "train") from None
    for module in ("scipy", "onnx"):  # onnx writes the model, hours later
        _need(module, what, "train")


def _need(module: str, what: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise MissingExtraError(what, extra)


def _changed(recipe: Recipe, options: RunOptions) -> Recipe:
    """The recipe with the settings that the user gave."""
    wanted = {name: getattr(options, name) for name in ("epochs", "batch", "accumulate", "seed")}
    changes: dict[str, Any] = {name: value for name, value in wanted.items() if value is not None}
    if options.bf16:
        changes["bf16"] = True
    if options.learning_rate is not None:
        changes["optimizer"] = replace(recipe.optimizer, learning_rate=options.learning_rate)
    return replace(recipe, **changes)


def _sources(options: RunOptions) -> tuple[Source, ...]:
    from mien.training.sources import Source

    if not options.data:
        raise UsageError("nothing to learn from: --data names a CSV file with the columns path and score, or a folder")
    names = options.dataset or ("table",) * len(options.data)
    if len(names) != len(options.data):
        raise UsageError(f"{len(options.data)} times --data and {len(names)} times --dataset: one for each, or none")
    if absent := [path for path in options.data if not path.exists()]:
        raise UsageError(f"no {absent[0]}: --data names a CSV file with the columns path and score, or a folder")
    return tuple(
        Source(path, name, _columns(options.columns), not options.lower_is_better)
        for path, name in zip(options.data, names, strict=True)
    )


def _columns(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    pairs = [tuple(text.split("=", 1)) for text in given]
    if wrong := [text for text, pair in zip(given, pairs, strict=True) if len(pair) != 2]:
        raise UsageError(f"--column {wrong[0]}: write OURS=THEIRS, for instance score=rating")
    return tuple((ours, theirs) for ours, theirs in pairs)


def _found(paths: Sequence[str], option: str) -> tuple[str, ...]:
    from mien.core.discover import find

    found = tuple(find(paths))
    if not found:
        raise UsageError(f"{option} names no pictures: {', '.join(paths) or 'nothing was given'}")
    return found


@contextmanager
def _run(out: Path, options: RunOptions) -> Iterator[tuple[Machine, Any]]:
    """This process, and how the run goes."""
    from mien.runtime.judge import usable_cores
    from mien.training.loop import Way
    from mien.training.parallel import machine

    with machine(options.device) as here:
        tell = (lambda text: None) if options.quiet or not here.main else _say
        workers = options.workers or max(1, usable_cores() // here.world)
        tell(f"{here.device.type}, {here.world} process{'es' if here.world > 1 else ''}; the run is in {out}")
        yield (
            here,
            Way(
                resume=options.resume,
                save_seconds=options.save_every,
                workers=workers,
                tensorboard=options.tensorboard,
                tell=tell,
            ),
        )


def _tell_model(make: Any, out: Path, *, quick: bool) -> int:
    try:
        model = make()
    except KeyboardInterrupt:
        _say(f"interrupted; the same command with --resume goes on with {out}")
        return INTERRUPTED
    if model is not None:
        if quick:
            _say("a trial (--quick): everything is there, but its scores mean nothing")
        else:
            _say(f"score with it: mien score --model {model} PATH...")
        print(model)
    return DONE


def _say(text: str, *, quiet: bool = False) -> None:
    if not quiet:
        sys.stderr.write(f"mien: {one_line(text)}\n")
        sys.stderr.flush()
