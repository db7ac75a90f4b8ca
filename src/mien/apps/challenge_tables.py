"""Label tables of every kind as rows: what names a row, what is to be hidden, and how both are written.

Rows are written in the order of their names: many label files are sorted by label, and their order would tell it.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mien.evaluation.protocol import Protocol
from mien.evaluation.tables import Comparisons, Labels, LabelTable, Votes

PUBLIC, HIDDEN = "public", "hidden"  # the two parts of a split


def keys_of(protocol: Protocol) -> tuple[str, ...]:
    """Columns that name a row."""
    match protocol.kind:
        case "labels":
            return (protocol.item,)
        case "votes":
            return "item_a", "item_b"
        case "comparisons":
            return "image_a", "image_b"


def rows_of(labels: LabelTable) -> list[tuple[str, ...]]:
    """What names each row."""
    if isinstance(labels, Labels):
        return [(name,) for name in labels.names]
    return list(zip(labels.a, labels.b, strict=True))


def _values(labels: LabelTable) -> dict[str, Sequence[float]]:
    """The columns that are to be hidden."""
    match labels:
        case Labels():
            return {"label": labels.values.tolist()}
        case Votes():
            return {"votes_a": labels.votes_a.tolist(), "votes_b": labels.votes_b.tolist()}
        case Comparisons():
            return {"similarity": labels.similarity.tolist(), "mated": labels.mated.astype(int).tolist()}


def groups_of(labels: LabelTable) -> tuple[str, ...] | None:
    """The group of each row."""
    return None if isinstance(labels, Comparisons) else labels.groups


def take(labels: LabelTable, rows: Sequence[int]) -> LabelTable:
    """Some rows of a table."""
    index = np.array(rows, np.intp)
    groups = groups_of(labels)
    kept = None if groups is None else tuple(groups[i] for i in rows)
    match labels:
        case Labels():
            return replace(labels, names=tuple(labels.names[i] for i in rows), values=labels.values[index], groups=kept)
        case Votes() | Comparisons():
            a, b = tuple(labels.a[i] for i in rows), tuple(labels.b[i] for i in rows)
    if isinstance(labels, Votes):
        return replace(labels, a=a, b=b, votes_a=labels.votes_a[index], votes_b=labels.votes_b[index], groups=kept)
    return replace(labels, a=a, b=b, similarity=labels.similarity[index], mated=labels.mated[index])


def write_labels(path: Path, protocol: Protocol, labels: LabelTable, rows: Iterable[int], group: str | None) -> None:
    """Some rows of a label table, in a form that `read_labels` takes."""
    keys, values, groups = rows_of(labels), _values(labels), groups_of(labels)
    header = (*keys_of(protocol), *values, *([_group_header(protocol, group)] if groups else []))
    cells = (
        (*keys[i], *(_number(column[i]) for column in values.values()), *([groups[i]] if groups else []))
        for i in sorted(rows, key=keys.__getitem__)
    )
    write_csv(path, header, cells)


def write_splits(
    path: Path, protocol: Protocol, labels: LabelTable, public: Collection[int], group: str | None
) -> None:
    """What names each row, its group, and its part; no label."""
    keys, groups = rows_of(labels), groups_of(labels)
    header = (*keys_of(protocol), *([_group_header(protocol, group)] if groups else []), "split")
    cells = (
        (*keys[i], *([groups[i]] if groups else []), PUBLIC if i in public else HIDDEN)
        for i in sorted(range(len(keys)), key=keys.__getitem__)
    )
    write_csv(path, header, cells)


def _group_header(protocol: Protocol, group: str | None) -> str:
    return group or protocol.group or "group"


def _number(value: float) -> str:
    """Exactly this number, as short as possible."""
    return repr(value).removesuffix(".0")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table in UTF-8."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
