"""The pictures and videos of a study: found in a folder or a table, opened once, and refused before anybody waits."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mien.core.decode import decode
from mien.core.discover import find
from mien.core.errors import UnreadableImageError, UsageError
from mien.core.rows import one_line
from mien.core.sniff import HEAD_BYTES, identify

# What browsers show, by what the first bytes say (never by the name).
PICTURES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "AVIF": "image/avif",
    "GIF": "image/gif",
    "BMP": "image/bmp",
}
VIDEO_SUFFIXES = {".mp4", ".m4v", ".mov", ".webm"}
MAX_BYTES = 512 * 2**20
LISTED = 8

MAIN, TRAINING = "main", "training"
_PATH_COLUMNS = ("image", "video", "path")


@dataclass(frozen=True, slots=True)
class Item:
    """One picture or video.

    Attributes:
        name: as the tables of results will call it; unique.
        path: of the file, absolute.
        scene: what it shows; items of one scene are compared. "" when there is but one scene.
        reference: name of the item that it is a version of, or "".
        role: `main`, or `training` (shown at the beginning only).
        mime: what it is, told from its bytes.
        width, height: pixels of the upright picture; None for a video.
        size: bytes.
        sha256: of the file.
    """

    name: str
    path: Path
    scene: str = ""
    reference: str = ""
    role: str = MAIN
    mime: str = ""
    width: int | None = None
    height: int | None = None
    size: int = 0
    sha256: str = ""


def read_items(source: Path, scenes: str | None = None) -> list[Item]:
    """The items of a folder or a CSV file, each opened once.

    Args:
        source: a folder (pictures and videos with all below it; the first subfolder is the scene), or a CSV file with
            the column `image` (or `video`, or `path`; relative to the CSV), and perhaps `reference` and `role`.
        scenes: the column of the CSV that tells scenes apart; without it `scene`, if there is one.

    Raises:
        UsageError: nothing is found, a file cannot be read or shown by a browser, a name comes twice, or a reference is
            none of the items. Every reason is listed, up to a limit.
    """
    if source.is_dir():
        if scenes is not None:
            raise UsageError(
                f"--scenes names a column of a CSV file; the scenes of a folder ({source}) are its subfolders"
            )
        found = list(_of_folder(source.resolve()))
    else:
        found = list(_of_table(source, scenes))
    if not found:
        raise UsageError(f"no picture or video in {one_line(str(source))}")
    _refuse_doubled([item.name for item in found])
    _check_references(found)
    return _opened(found)


def _of_folder(folder: Path) -> Iterator[Item]:
    videos = (p for p in folder.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
    for path in sorted({*(Path(p) for p in find([folder])), *videos}):
        name = path.relative_to(folder).as_posix()
        parts = PurePosixPath(name).parts
        yield Item(name, path, scene=parts[0] if len(parts) > 1 else "")


def _of_table(source: Path, scenes: str | None) -> Iterator[Item]:
    shown = one_line(str(source))
    try:
        with source.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except OSError as error:
        raise UsageError(f"cannot read {shown}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{shown} is not a CSV file in UTF-8: {error}") from error
    there = list(rows[0]) if rows else []
    column = next((name for name in _PATH_COLUMNS if name in there), None)
    if column is None:
        raise UsageError(f"{shown} needs a column {', '.join(_PATH_COLUMNS[:-1])} or {_PATH_COLUMNS[-1]}")
    if scenes is not None and scenes not in there:
        raise UsageError(f"{shown} has no column {scenes}; it has {', '.join(map(str, there))}")
    for line, row in enumerate(rows, start=2):
        yield _of_row(
            {k: (v or "").strip() for k, v in row.items() if isinstance(k, str)}, column, scenes, source, line
        )


def _of_row(row: dict[str, str], column: str, scenes: str | None, source: Path, line: int) -> Item:
    name = row[column].replace("\\", "/")
    role = row.get("role", "").lower() or MAIN
    if not name or role not in (MAIN, TRAINING):
        problem = f"role is {MAIN} or {TRAINING}, not {role!r}" if name else f"{column} is empty"
        raise UsageError(f"{one_line(str(source))}, line {line}: {problem}")
    reference = row.get("reference", "").replace("\\", "/")
    scene = row.get(scenes or "scene", "")
    return Item(name, (source.resolve().parent / name), scene=scene, reference=reference, role=role)


def _refuse_doubled(names: Sequence[str]) -> None:
    if twice := [name for name, n in Counter(names).items() if n > 1]:
        raise UsageError(f"more than one item of the same name: {_listed(twice)}")


def _check_references(items: Sequence[Item]) -> None:
    names = {item.name for item in items}
    if unknown := sorted({item.reference for item in items if item.reference} - names):
        raise UsageError(f"references that are none of the items: {_listed(unknown)}")


def _opened(items: Sequence[Item]) -> list[Item]:
    opened, refused = [], []
    for item in items:
        try:
            opened.append(_open(item))
        except UnreadableImageError as error:
            refused.append(f"{item.name}: {error}")
    if refused:
        raise UsageError(f"{len(refused):,} of {len(items):,} items cannot be shown: {_listed(refused, '; ')}")
    return opened


def _open(item: Item) -> Item:
    try:
        size = item.path.stat().st_size
        if size > MAX_BYTES:
            raise UnreadableImageError("too_large", f"{size:,} bytes; at most {MAX_BYTES:,}")
        with item.path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableImageError("missing", error.strerror or str(error)) from error
    item = replace(item, size=size, sha256=sha256)
    if video := _video(head):
        return replace(item, mime=video)
    kind = identify(head)
    if kind is not None and kind not in PICTURES:
        raise UnreadableImageError("unsupported", f"browsers do not show {kind}; save it as PNG or JPEG")
    picture = decode(item.path, enough_px=256)  # says what is wrong with all other files
    return replace(item, mime=PICTURES[kind or ""], width=picture.width, height=picture.height)


def _video(head: bytes) -> str | None:
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "video/webm"
    if head[4:8] == b"ftyp" and identify(head) is None:
        return "video/mp4"
    return None


def _listed(texts: Sequence[str], between: str = ", ") -> str:
    more = f"{between}and {len(texts) - LISTED:,} more" if len(texts) > LISTED else ""
    return between.join(one_line(text) for text in texts[:LISTED]) + more
