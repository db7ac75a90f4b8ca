"""One self-contained HTML page for a set of rows: histogram, contact sheet, reasons, pictures without a score.

`write_report` is the only public function. The page itself is `report.html`, beside this file: style, script and one
place for the data. Nothing on it is loaded from elsewhere, and its content security policy forbids that it ever is.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import secrets
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from PIL import Image

from mien.apps.page import template
from mien.core.decode import decode
from mien.core.errors import UnreadableImageError
from mien.core.rows import standing, tidy
from mien.core.types import ATTRIBUTES, COLUMNS

THUMBNAIL_PX = 320  #: long side
LOW_ATTRIBUTE = 60  #: below it, the lowest attribute is named as the likely reason
REASONS = {"sharpness": "soft", "exposure": "exposure", "noise": "noisy", "compression": "compressed"}

_WEBP = {"quality": 78, "method": 2}  # half the time of method 4 for 4 % more bytes
_THREADS = 4
_STEPS = 100  # counters per point of score: the median is exact to half of 1 / _STEPS


def write_report(
    rows: Iterable[Mapping[str, Any]], out: Path, *, title: str, thumbnails: bool = True, limit: int = 1000
) -> None:
    """Write one HTML page that needs no other file, no network and no server.

    The file appears complete or not at all. Memory is bounded by `limit`, whatever the number of rows.

    Args:
        rows: `Score.to_dict()` of each picture or face, in any order, read once; written as `mien.core.rows.tidy` has
            them. One that is `ok` but has no finite score is listed as `model_error`.
        out: the file to write or replace; missing folders are made.
        title: heading of the page, plain text.
        thumbnails: put a small picture of each file on the page, read again from the row's `path`. It is made from
            pixels only: no EXIF, GPS, ICC or XMP. A file that cannot be read again gets a tile that says so. False
            keeps the pictures off the page; paths are there in any case.
        limit: how many scored pictures the contact sheet holds, at least 1. Beyond it, the worst and the best halves;
            the histogram, the median and the counts always cover all rows. As many rows without a score are listed.

    Raises:
        ValueError: `limit` is less than 1, or a row has a column that mien does not know.
        OSError: `out` cannot be written.
    """
    if limit < 1:
        raise ValueError(f"limit is the number of pictures on the sheet, at least 1, not {limit}")
    tally = _Tally(limit)
    for row in rows:
        tally.add(row)
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    before, after = template("report.html", "data")
    temporary = out.with_name(f".mien-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as page:
            page.write(before)
            page.writelines(_blocks(tally, title, thumbnails))
            page.write(after)
            page.flush()
            os.fsync(page.fileno())
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


@dataclass
class _Tally:
    """What the page says about all rows, and the rows that it shows."""

    limit: int
    counts: Counter[int] = field(default_factory=Counter)  # score in 1 / _STEPS points -> pictures
    histogram: list[int] = field(default_factory=lambda: [0] * 100)  # pictures per whole point; 100 is with 99
    statuses: Counter[str] = field(default_factory=Counter)
    faces: int = 0  # rows of a face
    further_faces: int = 0  # those that are not the first of their picture
    judges: dict[tuple[str, str], None] = field(default_factory=dict)  # (model, preprocess), in order of appearance
    scored: list[dict[str, Any]] = field(default_factory=list)
    unscored: list[dict[str, Any]] = field(default_factory=list)

    def add(self, row: Mapping[str, Any]) -> None:
        clean = tidy(row)
        score = clean["score"]
        if score is None and clean["status"] in ("ok", ""):
            clean["status"] = "model_error"
        self.statuses[clean["status"]] += 1
        self.faces += clean["face_index"] is not None
        self.further_faces += bool(clean["face_index"])
        if score is None or clean["status"] != "ok":
            if len(self.unscored) < self.limit:
                self.unscored.append(clean)
            return
        score = min(100.0, max(0.0, score))
        self.counts[round(score * _STEPS)] += 1
        self.histogram[min(99, int(score))] += 1
        if len(self.judges) < 8:  # more judges than anybody can compare
            self.judges[clean["model"], clean["preprocess"]] = None
        self.scored.append(clean)
        if len(self.scored) >= 2 * self.limit:
            self._keep_the_ends()

    def shown(self) -> list[dict[str, Any]]:
        """Rows of the contact sheet, worst first."""
        self._keep_the_ends()
        return self.scored

    def _keep_the_ends(self) -> None:
        # dropping the middle early is safe: what is not at an end of the rows so far is at no end of more rows
        self.scored.sort(key=lambda row: (standing(row), row["path"]))
        best = self.limit // 2
        if len(self.scored) > self.limit:
            del self.scored[self.limit - best : len(self.scored) - best]

    @property
    def n_scored(self) -> int:
        return self.statuses["ok"]

    def median(self) -> float | None:
        """Of all scores; None when there are none."""
        n, seen, middle = self.n_scored, 0, []
        for step in sorted(self.counts):
            before, seen = seen, seen + self.counts[step]
            middle += [step / _STEPS for position in ((n - 1) // 2, n // 2) if before <= position < seen]
        return sum(middle) / 2 if middle else None


def _blocks(tally: _Tally, title: str, thumbnails: bool) -> Iterator[str]:
    """The data of the page as JSON text, piece by piece, so that only a few thumbnails are in memory at a time."""
    shown = tally.shown()
    head = {
        "title": title,
        "written": datetime.now().astimezone().isoformat(timespec="minutes"),
        "n": tally.statuses.total(),
        "pictures": tally.statuses.total() - tally.further_faces,
        "faces": tally.faces,
        "scored": tally.n_scored,
        "statuses": {name: n for name, n in sorted(tally.statuses.items()) if name != "ok"},
        "median": tally.median(),
        "histogram": tally.histogram,
        "judges": [list(judge) for judge in tally.judges],
        "thumbnails": thumbnails,
        "columns": COLUMNS,
        "attributes": ATTRIBUTES,
        "low": LOW_ATTRIBUTE,
        "reasons": REASONS,
        "unscored": tally.unscored,
    }
    yield _json(head)[:-1] + ',"sheet":['
    n_worst = tally.limit - tally.limit // 2
    for i, (row, preview) in enumerate(_with_previews(shown, thumbnails)):
        rank = i + 1 if i < n_worst else tally.n_scored - len(shown) + i + 1
        yield (",\n" if i else "\n") + _json({"rank": rank, "row": row, **preview})
    yield "\n]}"


def _json(value: Any) -> str:
    """JSON that stays data inside a <script> element: pure ASCII without <, > and &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _with_previews(rows: list[dict[str, Any]], wanted: bool) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Each row with its preview, in order, made a few rows ahead on a small thread pool."""
    if not wanted:
        yield from ((row, {}) for row in rows)
        return
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), "mien-report") as pool:
        ahead: deque[tuple[dict[str, Any], Future[dict[str, str]]]] = deque()
        for row in rows:
            ahead.append((row, pool.submit(_preview, row["path"])))
            if len(ahead) > 4 * _THREADS:
                first, future = ahead.popleft()
                yield first, future.result()
        for row, future in ahead:
            yield row, future.result()


def _preview(path: str) -> dict[str, str]:
    """`{"image": data URI}`, or `{"no_image": why}`: a page without one picture is better than no page."""
    if not path:
        return {"no_image": "no file behind this score"}
    try:
        return {"image": _thumbnail(decode(_as_on_disk(path), enough_px=THUMBNAIL_PX).pixels)}
    except UnreadableImageError as error:
        return {"no_image": error.status.replace("_", " ")}
    except Exception as error:  # whatever a codec, a disk or a full memory comes up with
        return {"no_image": type(error).__name__}


def _as_on_disk(path: str) -> str:
    r"""The path of a row as the system knows it: bytes that are not UTF-8 stand in rows as `\x80` to `\xff`."""
    if os.path.lexists(path):
        return path
    return re.sub(r"\\x([89a-f][0-9a-f])", lambda escaped: chr(0xDC00 + int(escaped[1], 16)), path)


def _thumbnail(picture: Image.Image) -> str:
    """A WebP data URI, long side at most `THUMBNAIL_PX`, of nothing but pixels."""
    scale = min(1.0, THUMBNAIL_PX / max(picture.size))
    width, height = (max(1, round(side * scale)) for side in picture.size)
    small = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    bare = Image.frombytes("RGB", small.size, small.tobytes())  # leaves the metadata in `info` behind
    buffer = io.BytesIO()
    bare.save(buffer, "WEBP", **_WEBP)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
