"""The verb `gate`: pictures, and their faces where the policy is about them, against a policy; a verdict for each."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.apps.gate_output import Count, Row, as_json, check_out, copy_into, make_folder, print_failed, table
from mien.apps.terminal import Tally, progress
from mien.core.errors import ModelError, UnreadableImageError, UsageError
from mien.core.rows import one_line, tidy
from mien.core.types import ATTRIBUTES, COLUMNS, Face, Score

if TYPE_CHECKING:
    from PIL.Image import Image

    from mien.faces.find import Finder
    from mien.faces.policy import Policy, Rule, Values

DONE, FAILED, SOME_UNREADABLE, NOTHING_JUDGED, INTERRUPTED, PIPE_CLOSED = 0, 1, 3, 4, 130, 141  # exit codes
STDIN = "-"
VERDICT_COLUMNS = ("policy", "verdict", "reasons", "unknown")
_DECIMALS = 4

REJECT = 0.1  #: share of the pictures that --calibrate refuses where no other is asked for
#: what --calibrate without --policy proposes limits for: at the lower end, and of faces, where a finder is given
_PICTURE_RULES = ("score", *ATTRIBUTES)
_FACE_MINIMA, _FACE_MAXIMA = ("inter_eye_px", "light_overlap"), ("blur_percent", "over_exposed", "under_exposed")
_FACE_RANGES = ("yaw", "pitch")


@dataclass(frozen=True, slots=True)
class GateOptions:
    """What `mien gate --help` says."""

    paths: tuple[str, ...] = ()
    files_from: str | None = None
    policy: str | None = None
    minimum: float | None = None
    finder: Path | None = None
    calibrate: str | None = None
    reject: float | None = None  #: None: `REJECT`
    copy_pass: Path | None = None
    copy_fail: Path | None = None
    out: Path | None = None
    overwrite: bool = False
    model: str | None = None
    weights: Path | None = None
    raw_range: tuple[float, float] | None = None
    batch: int = 8
    threads: int | None = None
    quiet: bool = False


def gate_pictures(options: GateOptions) -> int:
    """Judge everything that is named against a policy, or propose a policy from it.

    Returns:
        The exit code: 0 all pass, 1 a picture fails, 3 all that could be read pass, 4 nothing could be judged, 130
        interrupted, 141 nobody reads stdout any more.

    Raises:
        MienError: wrong usage, an unusable policy, model or finder, or an output that cannot be written.
    """
    try:
        check(options)
        return _calibrate(options) if options.calibrate is not None else _gate(options)
    except KeyboardInterrupt:
        print("mien: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def check(options: GateOptions) -> None:
    """Refuse what cannot work before anything is loaded or written.

    Raises:
        UsageError: arguments that contradict each other, or an output that cannot be written.
        MissingExtraError: Parquet without pyarrow.
    """
    o = options
    if o.weights is not None and o.model is None:
        raise UsageError("--weights belongs to the published network that --model names")
    if o.raw_range is not None and o.weights is None:
        raise UsageError("--raw-range belongs to --weights")
    if o.calibrate is not None:
        _check_calibrate(o)
        return
    if not o.paths and o.files_from is None:
        raise UsageError("nothing to judge: name pictures or folders, or give --files-from")
    if "" in o.paths:
        raise UsageError("one of the paths is empty (a shell variable that is not set?)")
    if o.policy is None and o.minimum is None:
        from mien.faces.policy import names

        raise UsageError(f"what should pass? Give --policy FILE, or a profile ({', '.join(names())}), or --min SCORE")
    if o.reject is not None:
        raise UsageError("--reject belongs to --calibrate")
    if o.out is not None:
        check_out(o.out, overwrite=o.overwrite)
    elif o.overwrite:
        raise UsageError("--overwrite belongs to --out")
    if o.copy_pass is not None and o.copy_fail is not None and o.copy_pass.resolve() == o.copy_fail.resolve():
        raise UsageError("--copy-pass and --copy-fail are the same folder")


def _check_calibrate(o: GateOptions) -> None:
    others = {
        "PATH": o.paths,
        "--files-from": o.files_from,
        "--min": o.minimum,
        "--copy-pass": o.copy_pass,
        "--copy-fail": o.copy_fail,
        "--out": o.out,
    }
    if given := [name for name, value in others.items() if value not in (None, ())]:
        raise UsageError(f"--calibrate DIR measures and prints a policy, it takes no {' and no '.join(given)}")
    if o.reject is not None and not 0 < o.reject < 1:
        raise UsageError(f"--reject {o.reject:g} is no share: give one above 0 and below 1, 0.1 for a tenth")


# ---- judging


def _gate(o: GateOptions) -> int:
    policy = _policy(o)
    sources = _sources(o)
    if not sources:
        print("mien: no pictures found", file=sys.stderr)
        return NOTHING_JUDGED
    finder = _finder(o, policy)
    for folder in (o.copy_pass, o.copy_fail):
        if folder is not None:
            make_folder(folder)
    found = Count()
    with _sink(o, policy) as emit:
        for source, score, values in _measured(sources, o, finder):
            row = _row(score, values, policy)
            found.add(row)
            emit(row)
            folder = {"pass": o.copy_pass, "fail": o.copy_fail}.get(row["verdict"])
            if folder is not None:
                copy_into(source, folder)
    _conclude(o, policy, found)
    if not found.judged:
        return NOTHING_JUDGED
    return FAILED if found.failed else SOME_UNREADABLE if found.n_unreadable else DONE


def _policy(o: GateOptions) -> Policy:
    from mien.faces.policy import Policy, Rule, read_policy

    if o.policy is None:
        assert o.minimum is not None
        return Policy(f"--min {o.minimum:g}", (Rule("score", min=o.minimum, required=True, source="--min"),))
    policy = read_policy(o.policy).with_a_face()
    return policy if o.minimum is None else policy.with_minimum(o.minimum)


def _sources(o: GateOptions) -> list[str]:
    from mien.core.discover import find, read_list

    given = list(o.paths)
    if o.files_from == STDIN:
        given += read_list(sys.stdin.buffer)
    elif o.files_from is not None:
        try:
            with Path(o.files_from).open("rb") as file:
                given += read_list(file)
        except OSError as error:
            raise UsageError(f"cannot read {one_line(o.files_from)}: {error.strerror or error}") from error
    return list(find(given))


def _finder(o: GateOptions, policy: Policy) -> Finder | None:
    """What finds the faces that the policy is about; None where it is about none."""
    if not policy.needs_faces:
        if o.finder is not None:
            raise UsageError(f"--finder finds nothing here: no rule of {policy.name} is about a face")
        return None
    from mien.faces.find import Finder

    try:
        return Finder.load(o.finder)
    except ModelError as error:
        if o.finder is not None:
            raise
        raise UsageError(f"the policy {policy.name} is about faces, and nothing can find them: {error}") from error


def _measured(sources: Sequence[str], o: GateOptions, finder: Finder | None) -> Iterator[tuple[str, Score, Values]]:
    """Every source with its row and, of readable ones, all that a rule may ask for."""
    from mien.loading import load
    from mien.runtime.judge import DEFAULT

    scorer = load(o.model or DEFAULT, weights=o.weights, raw_range=o.raw_range, batch=o.batch, threads=o.threads)
    tally = Tally()
    with progress(tally, len(sources), quiet=o.quiet) as step:
        for source, score in zip(sources, scorer.stream(sources), strict=True):
            values: Values = {}
            if score.status == "ok":
                score, values = _with_face(source, score, finder)
            yield source, score, values
            tally.add(tidy(score.to_dict()))
            step()


def _with_face(source: str, score: Score, finder: Finder | None) -> tuple[Score, Values]:
    """The row with the largest face in it, and the values of both; an error row where the picture went away."""
    from mien.core.decode import decode
    from mien.faces.policy import PICTURE

    values = {name: getattr(score, name) for name in PICTURE}
    if finder is None:
        return score, values
    try:
        picture = decode(source).pixels
    except UnreadableImageError as error:
        gone = Score(path=score.path, model=score.model, preprocess=score.preprocess, error=one_line(str(error)))
        return replace(gone, status=error.status), {}
    faces = finder.find(picture)
    if not faces:
        return replace(score, n_faces=0), values | {"n_faces": 0.0}
    return score.of_face(faces[0], 0, len(faces)), values | _of_face(picture, faces)


def _of_face(picture: Image, faces: list[Face]) -> dict[str, Any]:
    """Measures of the largest face and OFIQ's components of them; only the count where its landmarks make no sense."""
    from mien.faces.measures import FaceMeasures, components, measure

    try:
        measured = measure(picture, faces[0], faces)
    except UsageError:
        measured = FaceMeasures(n_faces=float(len(faces)))
    return asdict(measured) | components(measured)


def _row(score: Score, values: Values, policy: Policy) -> Row:
    """The columns of `mien score`, the measures of the face, and the verdict with its reasons."""
    from mien.faces.policy import decide

    row = tidy(score.to_dict()) | {name: _tidy(values.get(name)) for name in _face_columns(policy)}
    if score.status != "ok":
        return row | {"policy": policy.name, "verdict": "", "reasons": [], "unknown": []}
    verdict = decide(policy, values)
    reasons = [asdict(reason) | {"value": _tidy(reason.value)} for reason in verdict.reasons]
    told = {"verdict": "pass" if verdict.passed else "fail", "reasons": reasons, "unknown": list(verdict.unknown)}
    return row | {"policy": policy.name} | told


def _tidy(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS) + 0.0


def _face_columns(policy: Policy) -> tuple[str, ...]:
    from mien.faces.measures import MEASURES

    return tuple(name for name in MEASURES if name not in COLUMNS) if policy.needs_faces else ()


def _sink(o: GateOptions, policy: Policy) -> AbstractContextManager[Any]:
    """Where rows go: the file, a pipe, or nowhere, for a terminal gets a table at the end."""
    if o.out is not None:
        return table(o.out, (*COLUMNS, *_face_columns(policy), *VERDICT_COLUMNS))
    return nullcontext((lambda _: None) if sys.stdout.isatty() else _print_row)


def _print_row(row: Row) -> None:
    sys.stdout.buffer.write(as_json(row))
    sys.stdout.buffer.flush()


def _conclude(o: GateOptions, policy: Policy, found: Count) -> None:
    on_terminal = sys.stdout.isatty()
    if on_terminal and not (o.quiet and o.out):
        print_failed(found)
    if o.quiet:
        return
    lines = found.lines(policy.name)
    lines += [f"wrote {one_line(str(o.out))}"] * (o.out is not None)
    print("\n".join(lines), file=sys.stdout if on_terminal else sys.stderr, flush=True)


# ---- thresholds from data


def _calibrate(o: GateOptions) -> int:
    """Print a policy as TOML whose limits refuse `--reject` of the pictures."""
    from mien.core.discover import find
    from mien.faces.calibrate import propose
    from mien.faces.policy import Policy, read_policy, to_toml

    assert o.calibrate is not None
    if o.policy is None:
        policy = Policy("mine", tuple(_default_rules(faces=o.finder is not None)), "limits from pictures")
    else:
        policy = read_policy(o.policy).with_a_face()
    sources = list(find([o.calibrate]))
    if not sources:
        print("mien: no pictures found", file=sys.stderr)
        return NOTHING_JUDGED
    finder = _finder(o, policy)
    measured = [values for _, score, values in _measured(sources, o, finder) if score.status == "ok"]
    proposed = propose(policy, measured, reject=REJECT if o.reject is None else o.reject)
    print(f"# limits from {len(measured):,} pictures of {one_line(o.calibrate)}\n{to_toml(proposed)}", end="")
    if not o.quiet:
        print(f"mien: {len(sources) - len(measured):,} of {len(sources):,} could not be read", file=sys.stderr)
    return SOME_UNREADABLE if len(measured) < len(sources) else DONE


def _default_rules(*, faces: bool) -> Iterator[Rule]:
    """Which end counts; the limits themselves are to be found."""
    from mien.faces.policy import Rule

    yield from (Rule(name, min=0.0) for name in _PICTURE_RULES)
    if faces:
        yield Rule("n_faces", min=1, required=True, source="a rule is about a face")
        yield from (Rule(name, min=0.0) for name in _FACE_MINIMA)
        yield from (Rule(name, max=0.0) for name in _FACE_MAXIMA)
        yield from (Rule(name, min=0.0, max=0.0) for name in _FACE_RANGES)
