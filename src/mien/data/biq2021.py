"""BIQ2021: photographs with the mean opinion of 30 laboratory observers.

Data:    Ahmed and Asif, "BIQ2021: a large-scale blind image quality assessment database", J. Electronic Imaging 2022
Layout:  labels.csv (name, file, shard, mos, subset, split, ...) and tar shards with one picture a member; beside them
         people.csv and faces.csv, what a finder saw (`faces`)
Label:   0 (worst) .. 1 (best)
Subsets: ss01 everyday photographs, ss02 photographs taken badly on purpose, ss03 Unsplash. Guessing each subset's mean
         already gives SRCC 0.62 pooled, so correlations are always reported inside the subsets too.
"""

from __future__ import annotations

import csv
import tarfile
from dataclasses import dataclass
from pathlib import Path

from mien.core.errors import UsageError
from mien.core.types import Face
from mien.data import layout
from mien.data.sample import Sample

_PEOPLE = ("name", "best_score")
LAYOUT = "labels.csv and the tar shards it names (train-000.tar, ..., val-000.tar)"


@dataclass(frozen=True)
class Biq2021:
    """The pictures at hand, and how many rows of the table have no shard here."""

    samples: tuple[Sample, ...]
    missing_rows: int
    missing_shards: tuple[str, ...]


def read(root: Path) -> Biq2021:
    """Index the shards that are present.

    Args:
        root: folder with the layout named above.

    Returns:
        Samples in the order of labels.csv, labels in 0..1, `split` "train" or "val".

    Raises:
        UsageError: labels.csv is not there, or a shard lacks a member that the table promises.
    """
    table = root / "labels.csv"
    if not table.is_file():
        raise UsageError(f"no {table}: BIQ2021 needs {LAYOUT}")
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    shards = {name: root / name for name in sorted({row["shard"] for row in rows})}
    members = {name: _index(path) for name, path in shards.items() if path.is_file()}
    samples = [_sample(row, shards[row["shard"]], members[row["shard"]]) for row in rows if row["shard"] in members]
    missing = tuple(name for name in shards if name not in members)
    return Biq2021(tuple(samples), len(rows) - len(samples), missing)


def samples(root: Path) -> tuple[Sample, ...]:
    """Only the pictures that are present, as the other adapters give them; see `read`."""
    return read(root).samples


def people(root: Path) -> dict[str, frozenset[str]]:
    """Groups of pictures by who is in them, as a face finder saw it.

    Args:
        root: folder with people.csv (name, has_face, portrait).

    Returns:
        {"with a face": names, "portraits": names, "without a face": names}; every portrait has a face.

    Raises:
        UsageError: people.csv is not there.
    """
    rows = list(layout.rows(root / "people.csv", ("name", "has_face", "portrait"), LAYOUT))
    return {
        "with a face": frozenset(row["name"] for row in rows if row["has_face"] == "1"),
        "portraits": frozenset(row["name"] for row in rows if row["portrait"] == "1"),
        "without a face": frozenset(row["name"] for row in rows if row["has_face"] == "0"),
    }


def faces(root: Path) -> dict[str, tuple[Face, ...] | None]:
    """What a finder (YuNet, at 512 and 192 px) saw in each picture; the pictures need not be there.

    Args:
        root: folder with faces.csv and people.csv.

    Returns:
        By the name of the picture: its faces of confidence 0.7 and above, boxes and landmarks in parts of width and
        height (0..1); an empty tuple where nothing at all looked like a face; None where only a doubtful one did.

    Raises:
        UsageError: a table is absent, or lacks a column.
    """
    file = root / "faces.csv"
    found: dict[str, list[Face]] = {}
    for row in layout.rows(file, ("name", "score", *"xywh", *layout.LANDMARK_COLUMNS), LAYOUT):
        x, y, w, h = (layout.number(row, column, file) for column in "xywh")
        face = Face((x, y, x + w, y + h), layout.landmarks(row, file), layout.number(row, "score", file))
        found.setdefault(row["name"], []).append(face)
    people = root / "people.csv"
    best = {row["name"]: layout.number(row, "best_score", people) for row in layout.rows(people, _PEOPLE, LAYOUT)}
    return {name: tuple(found[name]) if name in found else None if score > 0 else () for name, score in best.items()}


def _index(shard: Path) -> dict[str, tuple[int, int]]:
    with tarfile.open(shard) as tar:
        return {member.name: (member.offset_data, member.size) for member in tar if member.isfile()}


def _sample(row: dict[str, str], shard: Path, members: dict[str, tuple[int, int]]) -> Sample:
    if row["file"] not in members:
        raise UsageError(f"{shard} has no {row['file']}, which labels.csv promises: is the shard complete?")
    offset, size = members[row["file"]]
    return Sample(row["name"], shard, offset, size, float(row["mos"]), row["split"], row["subset"])
