"""Opinions of a judge about pictures that nobody rated, as a table with a hash.

The judge's raw numbers are mapped to the scale of the opinions by a logistic that is fitted on labelled pictures
(Efficient-FIQA: from the predictions for the whole labelled training table to its labels). Raw numbers are kept while a
run lasts, so that a killed one goes on where it was.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from mien.core.errors import UsageError
from mien.core.weights import sha256_of

if TYPE_CHECKING:
    from mien.evaluation.logistic import Logistic

Raw = dict[str, float | None]  #: path -> raw number; None: it cannot be read
#: paths -> (path, raw number or None), in any order, as they become known
Score = Callable[[Sequence[str]], Iterable[tuple[str, float | None]]]


def raw_file(out: Path) -> Path:
    """Where the raw numbers of an unfinished table are."""
    return out.with_name(f"{out.name}.raw.jsonl")


def record_file(out: Path) -> Path:
    """The record beside a table: hash, judge, map."""
    return out.with_suffix(".json")


def collect(paths: Sequence[str], score: Score, file: Path, key: str, *, write: bool = True) -> Raw:
    """Score what has no line in `file` yet, and append it there.

    Args:
        paths: pictures.
        score: the judge.
        file: lines of JSON; the first one is the key.
        key: tells judges apart.
        write: False in processes that only help to score.

    Returns:
        All paths, in their order.

    Raises:
        UsageError: the file was begun by another judge.
    """
    done = _read_raw(file, key)
    missing = [path for path in paths if path not in done]
    if not write:
        done |= dict(score(missing))
    else:
        with file.open("a", encoding="utf-8") as stream:
            if stream.tell() == 0:
                stream.write(json.dumps({"key": key}) + "\n")
            for path, raw in score(missing):
                done[path] = raw
                stream.write(json.dumps([path, raw]) + "\n")
                stream.flush()
    return {path: done[path] for path in paths}


def _read_raw(file: Path, key: str) -> Raw:
    """What is there; a line that a killed run left half-written is cut off."""
    if not file.is_file():
        return {}
    data = file.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with file.open("r+b") as stream:
            stream.truncate(len(whole))
    lines = [json.loads(line) for line in whole.decode("utf-8").splitlines()]
    if not lines:
        return {}
    if lines[0] != {"key": key}:
        raise UsageError(f"{file} was begun with another model or another map: delete it, or use --overwrite")
    return dict(lines[1:])


def fit(raw: npt.ArrayLike, label: npt.ArrayLike) -> Logistic:
    """The 4-parameter logistic from a judge's numbers to opinions, kept from steps and from ends beyond the opinions.

    Raises:
        UsageError: too few different predictions, or opinions that are all the same.
    """
    from mien.evaluation import logistic

    try:
        return logistic.fit_for_others(raw, label)
    except ValueError as error:
        raise UsageError(f"no map from the judge's numbers to the labels can be fitted: {error}") from None


@dataclass(frozen=True)
class Table:
    """Pseudo-labels on disk."""

    path: Path
    sha256: str
    n: int  #: pictures with a label
    unreadable: int


def write(out: Path, raw: Raw, mapped: Logistic | None, facts: Mapping[str, Any]) -> Table:
    """Write the table (path, score, raw) and its record; the raw file goes.

    Args:
        out: CSV; paths in it start from its folder where they lie below, else they are absolute.
        raw: the judge's numbers.
        mapped: to opinions; None leaves the raw numbers as they are.
        facts: about judge and data, for the record.

    Raises:
        UsageError: no picture could be read.
    """
    known = {path: value for path, value in raw.items() if value is not None}
    if not known:
        raise UsageError(f"none of {len(raw)} pictures could be read: there is nothing to label")
    scores = list(known.values()) if mapped is None else mapped(list(known.values())).tolist()
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["path", "score", "raw"])
    for (path, value), score in zip(known.items(), scores, strict=True):
        table.writerow([seen_from(out.parent, path), f"{score:.6f}", f"{value:.6f}"])
    _replace(out, stream.getvalue())
    made = Table(out, sha256_of(out), len(known), len(raw) - len(known))
    record = {"file": out.name, "sha256": made.sha256, "pictures": made.n, "unreadable": made.unreadable}
    how = None if mapped is None else {"method": mapped.method, "parameters": mapped.parameters, "rmse": mapped.rmse}
    _replace(record_file(out), json.dumps({**record, "map": how, **facts}, indent=2) + "\n")
    raw_file(out).unlink(missing_ok=True)
    return made


def read_record(out: Path) -> dict[str, Any]:
    """The record of a finished table; empty where there is none.

    Raises:
        UsageError: the table is not the one that its record describes.
    """
    record = record_file(out)
    if not (out.is_file() and record.is_file()):
        return {}
    facts = json.loads(record.read_text(encoding="utf-8"))
    if facts.get("sha256") != sha256_of(out):
        raise UsageError(f"{out} is not the file that {record.name} describes: it was changed. Use --overwrite")
    return facts


def seen_from(folder: Path, path: str) -> str:
    """A path as a table in `folder` names it."""
    here, there = Path(os.path.abspath(folder)), Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are
    return there.relative_to(here).as_posix() if there.is_relative_to(here) else there.as_posix()


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8", errors="surrogateescape")
    fresh.replace(path)
