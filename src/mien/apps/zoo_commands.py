"""The verbs `models ...`: which judges and networks there are, their cards, licences and weights, and the proof."""

from __future__ import annotations

import difflib
import importlib.util
import json
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import MissingExtraError, ModelError, UsageError
from mien.core.rows import one_line
from mien.core.weights import WeightFile, cache_folder, cached, is_plain_name, is_sha256, read_lock
from mien.models import zoo

if TYPE_CHECKING:
    from mien.apps.pull import Watch
    from mien.models.parity.verify import Check

LOCK = zoo.CARDS.with_name("weights.lock.json")
DONE, DIFFERENT, FAILED, INTERRUPTED = 0, 1, 2, 130  # exit codes
UNKNOWN = "unknown"

_PLAIN_SECONDS = 5.0  # between two lines of progress that are not on a terminal
_BUILT_ON = ("torch", "torchvision", "timm", "safetensors")


# --- what there is --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facts:
    """One line of `mien models list`; None = unknown."""

    name: str
    embedded: bool  #: its weights are in mien
    title: str | None
    input: str | None
    macs: int | None  #: for `macs_input`
    macs_input: str | None
    parameters: int | None
    code_licence: str
    weights_licence: str
    in_cache: bool

    def to_dict(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def list_networks(*, as_json: bool = False) -> int:
    """All judges and networks: a table on a terminal, else one name per line, or one JSON object per line."""
    if as_json:
        _print_json_lines(facts.to_dict() for facts in _all_facts())
    elif sys.stdout.isatty():
        _print_table(
            ("name", "weights", "input", "GMACs", "M param.", "licence of weights"),
            [_cells(facts) for facts in _all_facts()],
            right=("GMACs", "M param."),
            cut=("input", "licence of weights"),
        )
    else:
        sys.stdout.writelines(f"{name}\n" for name in _names())
    return DONE


def licences(*, as_json: bool = False) -> int:
    """Who may use code and weights of what: a table on a terminal, else one JSON object per line."""
    every = list(_all_facts())
    if as_json or not sys.stdout.isatty():
        kept = ("name", "code_licence", "weights_licence")
        _print_json_lines({key: facts.to_dict()[key] for key in kept} for facts in every)
    else:
        rows = [(facts.name, facts.code_licence, facts.weights_licence) for facts in every]
        _print_table(("name", "authors' code", "weights"), rows, cut=("authors' code", "weights"))
    return DONE


def show(name: str, *, as_json: bool = False) -> int:
    """The card of a judge or of a network.

    Raises:
        ModelError: no such model; the nearest names are offered.
    """
    from mien.apps.cards import card_as_json, card_as_text

    if name not in zoo.MODELS:
        card = _card_of_judge(name)
        sys.stdout.write((card_as_json(card) if as_json else card_as_text(card)) + "\n")
        return DONE
    card = _card(name) or {"name": name, "card": UNKNOWN}
    if as_json:
        sys.stdout.write(card_as_json(card) + "\n")
    else:
        sys.stdout.write(card_as_text({**card, "on this machine": _on_this_machine(name)}) + "\n")
    return DONE


def _names() -> list[str]:
    from mien.runtime.judge import list_models

    return [*list_models(), *zoo.names()]


def _all_facts() -> Iterator[Facts]:
    from mien.runtime.judge import card, list_models

    for name in list_models():
        known = card(name)
        cost = known.get("cost", {})
        licence = str(known.get("licence", UNKNOWN))
        yield Facts(
            name=name,
            embedded=True,
            title=known.get("task"),
            input=known.get("input"),
            macs=cost.get("macs"),
            macs_input=None,
            parameters=cost.get("parameters"),
            code_licence=licence,
            weights_licence=licence,
            in_cache=False,
        )
    for name in zoo.names():
        yield _facts_of_network(name)


def _facts_of_network(name: str) -> Facts:
    card = _card(name)
    macs = card.get("macs") or {}
    return Facts(
        name=name,
        embedded=False,
        title=card.get("title"),
        input=card.get("input"),
        macs=macs.get("value"),
        macs_input=macs.get("input"),
        parameters=card.get("parameters"),
        code_licence=str((card.get("code") or {}).get("licence") or UNKNOWN),
        weights_licence=_licence_of_weights(name, card),
        in_cache=bool(cached(name)),
    )


def _licence_of_weights(name: str, card: Mapping[str, Any]) -> str:
    said = [str(weights.get("licence") or UNKNOWN) for weights in card.get("weights") or ()]
    said = said or [file.licence for file in _lock().get(name, ())]
    return "; ".join(dict.fromkeys(said)) or "none published"


def _card(name: str) -> dict[str, Any]:
    """Of a network; empty when it is not there or not readable, so that the name is still listed."""
    try:
        card = zoo.card(name)
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}


def _card_of_judge(name: str) -> dict[str, Any]:
    from mien.runtime.judge import card, list_models

    if name.partition("@")[0] in list_models() or Path(name).suffix.lower() == ".onnx":
        return card(name)
    raise ModelError(_no_such(name, _names()))


def _check_network(name: str) -> None:
    if name in zoo.MODELS:
        return
    if name in _names():
        raise UsageError(f"{name} is in mien with its weights; this is for published networks: {', '.join(zoo.MODELS)}")
    raise ModelError(_no_such(name, zoo.names()))


def _no_such(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    return f"no model {name!r}; " + (f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(known)}")


def _lock() -> dict[str, tuple[WeightFile, ...]]:
    return read_lock(LOCK)


def _on_this_machine(name: str) -> dict[str, Any]:
    found = cached(name)
    return {
        "weights": [str(path) for path in found] or "none",
        "folder": str(cache_folder() / name),
        "to get them": f"mien models pull {name}" if _lock().get(name) else "none published that mien knows of",
    }


# --- what people see ------------------------------------------------------------------------------------------------


def _cells(facts: Facts) -> tuple[str, ...]:
    return (
        facts.name,
        "in mien" if facts.embedded else "in cache" if facts.in_cache else "needed",
        facts.input or UNKNOWN,
        "?" if facts.macs is None else f"{facts.macs / 1e9:.2f}",
        "?" if facts.parameters is None else f"{facts.parameters / 1e6:.2f}",
        facts.weights_licence,
    )


def _print_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = (), cut: Sequence[str] = ()
) -> None:
    """Columns `right` are numbers; columns `cut` give way where the terminal is narrow."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = [[one_line(cell) for cell in row] for row in rows]
    widths = {name: max(map(len, (name, *column))) for name, *column in zip(header, *shown, strict=True)}
    console = Console(file=sys.stdout)
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for name, width in _narrowed(widths, cut, console.width).items():
        justify = "right" if name in right else "left"
        table.add_column(name, justify=justify, no_wrap=True, overflow="ellipsis", width=width)
    for row in shown:
        table.add_row(*map(Text, row))
    console.print(table)


def _narrowed(widths: Mapping[str, int], cut: Sequence[str], whole: int) -> dict[str, int]:
    """Take what is too much, one sign after the other, from the widest of the columns `cut`, down to their titles."""
    narrowed = dict(widths)
    while sum(narrowed.values()) + 2 * (len(narrowed) - 1) > whole:
        wide = [name for name in cut if narrowed[name] > max(len(name), 8)]
        if not wide:
            break
        narrowed[max(wide, key=lambda name: narrowed[name])] -= 1
    return narrowed


def _print_json_lines(records: Iterable[Mapping[str, Any]]) -> None:
    sys.stdout.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


# --- weights --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PullOptions:
    """What `mien models pull --help` says."""

    name: str
    file: str | None = None
    url: str | None = None
    accept_hash: str | None = None
    max_size: str | None = None
    again: bool = False
    quiet: bool = False


def pull_weights(options: PullOptions) -> int:
    """Fetch the weights of a network into the cache; print the path of every usable file on stdout.

    Returns:
        The exit code: 0 all there, 2 something is not or waits for its hash to be accepted, 130 interrupted.

    Raises:
        MienError: no such network, or options that contradict each other.
    """
    from mien.apps import pull

    _check_network(options.name)
    accepted = _accepted(options.accept_hash)
    max_bytes = pull.MAX_BYTES if options.max_size is None else pull.size_in_bytes(options.max_size)
    wanted = _wanted(options)
    folder = cache_folder() / options.name
    code = DONE
    for file in wanted:
        try:
            if file.url is None and not _is_there(folder, file.file, options.again):
                raise ModelError(_by_hand(options.name, file, folder))
            with _progress(file.file, quiet=options.quiet) as watch:
                found = pull.fetch(
                    file, folder, accepted=accepted, max_bytes=max_bytes, again=options.again, watch=watch
                )
        except ModelError as error:
            _say(str(error))
            code = FAILED
            continue
        except KeyboardInterrupt:
            _say("interrupted; the same command goes on from there")
            return INTERRUPTED
        if found.usable:
            sys.stdout.write(f"{found.path}\n")
        else:
            _ask_for_the_hash(options, file, found, accepted)
            code = FAILED
    return code


def _wanted(options: PullOptions) -> list[WeightFile]:
    """The files to fetch, with the address that the user gave."""
    recorded = list(_lock().get(options.name, ()))
    if options.file is not None:
        if not is_plain_name(options.file):
            raise UsageError(f"--file {options.file!r} is not a plain file name")
        recorded = [f for f in recorded if f.file == options.file] or [WeightFile(options.file)]
    if not recorded and options.url is not None:
        recorded = [WeightFile(_name_in(options.url))]
    if not recorded:
        raise ModelError(
            f"no weights of {options.name} are published that mien knows of; if you have an address, pass it with --url"
        )
    if len(recorded) > 1 and (options.url is not None or options.accept_hash is not None):
        raise UsageError(f"{options.name} has {len(recorded)} files: say which with --file, of {_files(recorded)}")
    if options.url is not None:
        recorded = [replace(recorded[0], url=options.url)]
    if options.accept_hash is not None and recorded[0].sha256 not in (None, options.accept_hash.lower()):
        raise UsageError(f"the SHA-256 of {recorded[0].file} is on record: {recorded[0].sha256}; no other is accepted")
    return recorded


def _name_in(url: str) -> str:
    from urllib.parse import unquote, urlsplit

    name = unquote(urlsplit(url).path).rpartition("/")[2]
    if not is_plain_name(name):
        raise UsageError("the address does not end in a file name: pass one with --file")
    return name


def _files(recorded: Iterable[WeightFile]) -> str:
    return ", ".join(file.file for file in recorded)


def _accepted(text: str | None) -> str | None:
    if text is not None and not is_sha256(text.lower()):
        raise UsageError("--accept-hash wants a SHA-256: 64 hexadecimal digits")
    return None if text is None else text.lower()


def _is_there(folder: Path, file: str, again: bool) -> bool:
    return not again and any((folder / name).exists() for name in (file, f"{file}.unverified"))


def _by_hand(name: str, file: WeightFile, folder: Path) -> str:
    at = f" from {file.source}" if file.source else ""
    note = f" ({file.note})" if file.note else ""
    return (
        f"no address of {file.file} is on record{note}: fetch it by hand{at} and put it at {folder / file.file}, "
        f"or pass its address: mien models pull {name} --file {file.file} --url ADDRESS"
    )


def _ask_for_the_hash(options: PullOptions, file: WeightFile, found: Any, accepted: str | None) -> None:
    command = ["mien", "models", "pull", options.name, "--file", file.file, "--accept-hash", found.sha256]
    if accepted is not None:
        _say(f"{found.path} has another SHA-256 than the accepted one, {accepted}")
    else:
        _say(f"{found.path} is complete, but its SHA-256 is on no record")
    sys.stderr.write(
        f"  SHA-256  {found.sha256}\n"
        f"  compare it with what the authors say ({file.source or 'where you have the address from'}), then keep it:\n"
        f"  {shlex.join(command)}\n"
    )


def _say(text: str) -> None:
    sys.stderr.write(f"mien: {one_line(text)}\n")


@contextmanager
def _progress(what: str, *, quiet: bool) -> Iterator[Watch]:
    """Bytes, rate and time left on stderr: a bar on a terminal, else a line every few seconds."""
    if quiet:
        yield lambda done, total: None
    elif not sys.stderr.isatty():
        yield _plain(what)
    else:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain(what: str) -> Watch:
    from mien.apps.pull import in_words

    told = time.monotonic()

    def watch(done: int, total: int | None) -> None:
        nonlocal told
        if time.monotonic() - told >= _PLAIN_SECONDS:
            told = time.monotonic()
            sys.stderr.write(f"{what}: {in_words(done)}" + (f" of {in_words(total)}\n" if total else "\n"))
            sys.stderr.flush()

    return watch


def convert_weights(source: Path, name: str, out: Path, *, half: bool = False, force: bool = False) -> int:
    """Check a checkpoint against its network and write it as safetensors; print the path.

    Raises:
        MienError: no such network, not a checkpoint, weights of another network, or an output that cannot be written.
    """
    _check_network(name)
    need_torch("mien models convert")
    from mien.models import checkpoints

    sys.stdout.write(f"{checkpoints.convert(name, source, out, half=half, force=force)}\n")
    return DONE


def need_torch(what: str) -> None:
    """Tell which extra is missing, before anything that imports torch is imported.

    Raises:
        MissingExtraError: a part of the extra "torch" is not there.
    """
    if any(importlib.util.find_spec(module) is None for module in _BUILT_ON):
        raise MissingExtraError(what, "torch")


# --- the proof ------------------------------------------------------------------------------------------------------


def verify_network(name: str, fixture: Path, *, as_json: bool = False) -> int:
    """Compare a network with the numbers of its official code; print every comparison and one line at the end.

    Returns:
        The exit code: 0 all within tolerance, 1 not all.

    Raises:
        MienError: no such network, not a fixture, a fixture of another network, no torch.
    """
    _check_network(name)
    need_torch("mien models verify")
    from mien.models.parity import fixture as fixtures
    from mien.models.parity import verify

    try:
        checks = verify.verify(name, fixtures.read(fixture))
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mien.models"):
            raise UsageError(f"{name} cannot be verified: its authors published no code to compare with") from error
        raise
    except KeyError as error:
        raise UsageError(f"{fixture} is not a fixture of {name}: it lacks {error}") from error
    if not checks:
        raise UsageError(f"{fixture} has no cases")
    if as_json:
        _print_json_lines(_check_record(check) for check in checks)
    else:
        sys.stdout.writelines(f"{line}\n" for line in _check_lines(name, checks))
    return DONE if all(check.ok for check in checks) else DIFFERENT


def _check_record(check: Check) -> dict[str, Any]:
    """JSON has no infinity; None stands for another shape."""
    numbers = {"absolute": check.absolute, "relative": check.relative}
    return {
        "case": check.case,
        "step": check.step,
        "quantity": check.quantity,
        **{key: value if abs(value) < float("inf") else None for key, value in numbers.items()},
        "tolerance": check.tolerance,
        "ok": check.ok,
    }


def _check_lines(name: str, checks: Sequence[Check]) -> Iterator[str]:
    """Per case, step and quantity; the verdict last."""
    header = ("case", "step", "quantity", "absolute", "relative", "tolerance", "")
    rows = [header, *(_check_cells(check) for check in checks)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(header))]
    for row in rows:
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield text.rstrip()
    wrong = [check for check in checks if not check.ok]
    if wrong:
        yield f"{name}: {len(wrong)} of {len(checks)} comparisons above their tolerance"
    else:
        worst = max((c.relative / c.tolerance for c in checks if c.tolerance), default=0.0)
        yield f"{name}: all {len(checks)} comparisons ok, the worst at {worst:.1%} of its tolerance"


def _check_cells(check: Check) -> tuple[str, ...]:
    numbers = (f"{check.absolute:.1e}", f"{check.relative:.1e}", f"{check.tolerance:.0e}")
    return (one_line(check.case) or "-", check.step, one_line(check.quantity), *numbers, "ok" if check.ok else "WRONG")
