"""The verb `score`: inputs → rows → a table, the terminal or a pipe; a report on request."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from mien.apps.terminal import NOTHING_SCORED, Tally, print_table, progress
from mien.core.errors import UsageError
from mien.core.rows import encode_json, one_line, tidy
from mien.core.tables import RowWriter, check_target, read_rows

STDIN = "-"
FACES = ("whole", "best", "all")
INTERRUPTED, PIPE_CLOSED = 130, 141

Source = str | bytes


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """What `mien score --help` says."""

    paths: tuple[str, ...] = ()
    files_from: str | None = None
    null: bool = False
    model: str | None = None
    weights: Path | None = None
    raw_range: tuple[float, float] | None = None
    exact: bool = False
    faces: str = "whole"
    finder: Path | None = None
    batch: int = 8
    threads: int | None = None
    out: Path | None = None
    resume: bool = False
    overwrite: bool = False
    report: Path | None = None
    thumbnails: bool = True
    quiet: bool = False


def score_pictures(options: ScoreOptions) -> int:
    """Score everything that is named; print or write the rows.

    Returns:
        The exit code: 0 done, 3 some inputs have no score, 4 nothing was scored, 130 interrupted, 141 nobody reads
        stdout any more.

    Raises:
        MienError: wrong usage, an unusable model, or an output that cannot be written.
    """
    run = _Run(options)
    try:
        return run.run()
    except KeyboardInterrupt:
        run.tell_interrupted()
        return INTERRUPTED
    except BrokenPipeError:
        _forget(sys.stdout)
        _forget(sys.stderr)
        return PIPE_CLOSED


def check(options: ScoreOptions) -> None:
    """Refuse what cannot work before anything is loaded or written.

    Raises:
        UsageError: arguments that contradict each other, or an output that cannot be written.
        MissingExtraError: Parquet without pyarrow.
    """
    if options.faces not in FACES:
        raise UsageError(f"--faces {options.faces}: it is one of {', '.join(FACES)}")
    if options.finder is not None and options.faces == "whole":
        raise UsageError("--finder belongs to --faces best or --faces all")
    if not options.paths and options.files_from is None:
        raise UsageError("nothing to score: name pictures or folders, or give --files-from")
    if "" in options.paths:
        raise UsageError("one of the paths is empty (a shell variable that is not set?)")
    if STDIN in options.paths and options.files_from == STDIN:
        raise UsageError("stdin can be one picture (-) or a list (--files-from -), not both")
    if options.null and options.files_from is None:
        raise UsageError("--null belongs to --files-from")
    if options.weights is not None and options.model is None:
        raise UsageError("--weights belongs to the published network that --model names")
    if options.raw_range is not None and options.weights is None:
        raise UsageError("--raw-range belongs to --weights")
    if options.out is None and (options.resume or options.overwrite):
        raise UsageError("--resume and --overwrite belong to --out")
    if options.out is not None:
        check_target(options.out, resume=options.resume, overwrite=options.overwrite)
    if options.report is not None:
        _check_report(options.report)


def _check_report(path: Path) -> None:
    shown = one_line(str(path))
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"a report must be named *.html, not {shown}")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {shown}: there is no folder {one_line(str(path.parent))}")
    if path.is_dir():
        raise UsageError(f"cannot write {shown}: it is a folder")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"cannot write {shown}: no permission to write into its folder")


def faces_options(faces: str, finder: Path | None) -> dict[str, Any]:
    """What a scorer is told about faces; `finder` is the file of one, None for the embedded finder.

    Raises:
        ModelError: the file is no finder.
    """
    if finder is None:
        return {"faces": faces}
    from mien.faces.find import Finder

    return {"faces": faces, "finder": Finder.load(finder)}


@dataclass
class _Run:
    """One run from its options to its exit code."""

    options: ScoreOptions
    tally: Tally = field(default_factory=Tally)
    total: int | None = None
    kept: list[dict[str, Any]] = field(default_factory=list)  # rows for a report without --out

    def run(self) -> int:
        check(self.options)
        with ExitStack() as stack:
            sources = self._sources(stack)
            first = next(sources, None)
            if first is None:
                print("mien: no pictures found", file=sys.stderr)
                return NOTHING_SCORED
            begin = time.monotonic()
            new = self._score(chain([first], sources))
        self._report()
        self._conclude(new, time.monotonic() - begin)
        return self.tally.exit_code

    def _sources(self, stack: ExitStack) -> Iterator[Source]:
        """Everything to score. A list from stdin is read as it comes, everything else at once to know the total."""
        from mien.core.decode import DEFAULT_LIMITS
        from mien.core.discover import find, read_list

        options = self.options
        given: Iterable[str] = (path for path in options.paths if path != STDIN)
        if options.files_from is not None:
            given = chain(given, read_list(_open_list(options.files_from, stack), null=options.null))
        found: Iterator[Source] = iter(find(given))
        if STDIN in options.paths:
            found = chain([sys.stdin.buffer.read(DEFAULT_LIMITS.max_bytes + 1)], found)  # one more is refused
        if options.files_from == STDIN:
            return found
        everything = list(found)
        self.total = len(everything)
        return iter(everything)

    def _score(self, sources: Iterator[Source]) -> int:
        """Score what has no row yet; how many pictures."""
        from mien.loading import load
        from mien.runtime.judge import DEFAULT

        o = self.options
        scorer = load(
            o.model or DEFAULT,
            weights=o.weights,
            raw_range=o.raw_range,
            exact=o.exact,
            batch=o.batch,
            threads=o.threads,
            **faces_options(o.faces, o.finder),
        )
        with self._sink(scorer.model_id, scorer.preprocess_id) as (emit, done):
            before = self.tally.pictures
            with progress(self.tally, self.total, quiet=o.quiet) as step:
                for score in scorer.stream(_without(sources, done)):
                    row = tidy(score.to_dict())
                    row["path"] = row["path"] or STDIN
                    emit(row)
                    self.tally.add(row)
                    step()
        return self.tally.pictures - before

    @contextmanager
    def _sink(self, model: str, preprocess: str) -> Iterator[tuple[Callable[[dict[str, Any]], None], Counter[str]]]:
        """Where rows go, and which paths have one already."""
        o = self.options
        if o.out is None:
            yield self._emit, Counter()
            return
        with RowWriter(
            o.out,
            resume=o.resume,
            overwrite=o.overwrite,
            model=model,
            preprocess=preprocess,
            every_face=o.faces == "all",
            on_resumed=self.tally.add,
        ) as writer:
            yield writer.write, writer.done

    def _emit(self, row: dict[str, Any]) -> None:
        if self.options.report is not None:
            self.kept.append(row)
        if not sys.stdout.isatty():
            _print_row(row)

    def _report(self) -> None:
        o = self.options
        if o.report is None:
            return
        from mien.apps.report import write_report

        rows = self.kept if o.out is None else read_rows(o.out)
        title = one_line(_title(o.paths) or f"pictures of {o.files_from}")
        try:
            write_report(rows, o.report, title=title, thumbnails=o.thumbnails)
        except OSError as error:
            raise UsageError(f"cannot write {one_line(str(o.report))}: {error.strerror or error}") from error

    def _conclude(self, new: int, seconds: float) -> None:
        o = self.options
        on_terminal = sys.stdout.isatty()
        if on_terminal and not (o.quiet and o.out):
            print_table(self.tally)
        if o.quiet:
            return
        lines = self.tally.summary(new, seconds)
        lines += [f"wrote {one_line(str(path))}" for path in (o.out, o.report) if path is not None]
        print("\n".join(lines), file=sys.stdout if on_terminal else sys.stderr, flush=True)

    def tell_interrupted(self) -> None:
        of = f" of {self.total:,}" if self.total else ""
        if self.options.out is None:
            way = "with --out FILE a run can be resumed"
        else:
            way = f"the same command with --resume goes on{' (without --overwrite)' * self.options.overwrite}"
        print(f"mien: interrupted after {self.tally.pictures:,}{of} pictures; {way}", file=sys.stderr)


def _title(paths: tuple[str, ...], most: int = 3) -> str:
    """What was asked for, in short: a shell may have made thousands of names of one glob."""
    more = f" and {len(paths) - most:,} more" if len(paths) > most else ""
    return ", ".join(paths[:most]) + more


def _open_list(name: str, stack: ExitStack) -> BinaryIO:
    if name == STDIN:
        return sys.stdin.buffer
    try:
        return stack.enter_context(Path(name).open("rb"))
    except OSError as error:
        raise UsageError(f"cannot read {one_line(name)}: {error.strerror or error}") from error


def _without(sources: Iterable[Source], done: Mapping[str, int]) -> Iterator[Source]:
    """Sources that have no rows; two names that are shown alike are told apart by their number."""
    from mien.core.discover import display_path

    left = Counter(done)
    for source in sources:
        name = STDIN if isinstance(source, bytes) else one_line(display_path(source))
        if left[name]:
            left[name] -= 1
        else:
            yield source


def _print_row(row: dict[str, Any]) -> None:
    try:
        sys.stdout.buffer.write(encode_json(row))
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _forget(sys.stdout)
        raise UsageError(f"cannot write to stdout: {error.strerror or error}") from error


def _forget(stream: TextIO) -> None:
    """What is still in its buffer goes nowhere, so that Python does not complain about it when it ends."""
    if not stream.isatty():
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
