"""Anybody's data set: a CSV file that names pictures and says how good they are.

Layout:  labels.csv with `path` (or image, video, name, item), relative to the folder, and `score` (or mos, label),
         higher is better; optional: split, scene, subset, reference, distortion, std, and x1, y1, x2, y2 of the
         face in pixels. Capital letters do not matter
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mien.core.errors import UsageError
from mien.data.layout import checked, optional_number, rows, split_name
from mien.data.sample import Sample

BOX = ("x1", "y1", "x2", "y2")
ALIASES: dict[str, tuple[str, ...]] = {
    "path": ("path", "image", "video", "name", "item"),
    "score": ("score", "mos", "label"),
    **{name: (name,) for name in (*("split", "scene", "subset", "reference", "distortion", "std"), *BOX)},
}  #: our column -> the headers that it is found under, the first one that is there; else the first in capital letters
LAYOUT = "a CSV file with the columns path and score (and, if known, split, scene, subset, reference, distortion, std)"


def read(
    root: Path,
    *,
    file: str | Path = "labels.csv",
    columns: Mapping[str, str] | None = None,
    higher_is_better: bool = True,
    check_pictures: bool = True,
) -> tuple[Sample, ...]:
    """The pictures of a table.

    Args:
        root: folder that the paths start from.
        file: the table, relative to `root` or absolute.
        columns: our name of a column -> the header in the file.
        higher_is_better: False for DMOS and the like: labels are turned round by their sign.
        check_pictures: False where only the labels are at hand.

    Returns:
        Samples in the order of the file; `label` None where the score is empty, `split` "train" without that column.

    Raises:
        UsageError: no such file or column, a score that is not a number, a path twice, or a missing picture.
    """
    table = root / file
    found = rows(table, (), LAYOUT)
    ours = _headers(tuple(found[0]), columns or {}, table)
    for needed in ("path", "score"):
        if needed not in ours:
            raise UsageError(
                f"{table} has no column {' or '.join(ALIASES[needed])}; it has {', '.join(found[0])}. If one of them "
                f"is meant, say --column {needed}=THEIRS"
            )
    samples = []
    for theirs in found:
        row = {name: theirs[header] for name, header in ours.items()}
        score = optional_number(row, "score", table)
        name = row["path"].replace("\\", "/")
        samples.append(
            Sample(
                name,
                root / name,
                label=score if score is None or higher_is_better else -score,
                split=split_name(row.get("split") or "train"),
                subset=row.get("subset", ""),
                scene=row.get("scene", ""),
                reference=row.get("reference", ""),
                distortion=row.get("distortion", ""),
                std=optional_number(row, "std", table),
                box=_box(row, table),
            )
        )
    return checked(samples, root, LAYOUT, labels=table, check_pictures=check_pictures)


def _box(row: Mapping[str, str], table: Path) -> tuple[float, float, float, float] | None:
    """Of the face; None where one of its edges is not known."""
    edges = [optional_number(dict(row), edge, table) for edge in BOX]
    left, top, right, bottom = edges
    if left is None or top is None or right is None or bottom is None:
        return None
    if left >= right or top >= bottom:
        raise UsageError(f"{table}: the face of {row['path']} has its edges the wrong way round: {edges}")
    return left, top, right, bottom


def _headers(header: tuple[str, ...], columns: Mapping[str, str], table: Path) -> dict[str, str]:
    """Our name of each column that is there -> its header."""
    if unknown := [name for name in columns if name not in ALIASES]:
        raise UsageError(f"no column {unknown[0]} to map; there are {', '.join(ALIASES)}")
    for name, theirs in columns.items():
        if theirs not in header:
            raise UsageError(f"{table} has no column {theirs} (for {name}); it has {', '.join(header)}")
    small = {h.lower(): h for h in reversed(header)}
    exact = {h: h for h in header}
    found = {
        name: next((spelled[h] for spelled in (exact, small) for h in names if h in spelled), None)
        for name, names in ALIASES.items()
    }
    return {name: theirs for name, theirs in found.items() if theirs is not None} | dict(columns)
