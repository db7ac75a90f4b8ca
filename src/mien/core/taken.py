"""When a picture was taken: by the clock of its camera, else by the time of its file."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from PIL import ExifTags, Image

from mien.core.decode import read_exif

_STAMP = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time on one of two clocks that must not be compared: a camera's knows no time zone, and may be wrong."""

    clock: Literal["camera", "file"]
    seconds: float  #: since 1970-01-01 00:00 on that clock

    def __str__(self) -> str:
        """ISO 8601 to the millisecond; UTC for files, without a zone for cameras."""
        text = datetime.fromtimestamp(round(self.seconds, 3), UTC).isoformat(timespec="milliseconds")
        return text if self.clock == "file" else text.removesuffix("+00:00")


def taken(path: str | os.PathLike[str]) -> Moment | None:
    """EXIF DateTimeOriginal with its fraction of a second, else when the file was last changed; None without a file."""
    by_camera = _original(read_exif(path))
    if by_camera is not None:
        return Moment("camera", by_camera)
    try:
        return Moment("file", Path(os.fsdecode(path)).stat().st_mtime)
    except (OSError, ValueError):
        return None


def _original(exif: Image.Exif) -> float | None:
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    stamp = _STAMP.match(_text(tags.get(ExifTags.Base.DateTimeOriginal)))
    if stamp is None:
        return None
    try:
        whole = datetime(*map(int, stamp.groups()), tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]
    except ValueError:  # 0000:00:00 and the like
        return None
    fraction = _text(tags.get(ExifTags.Base.SubsecTimeOriginal))
    return whole + (float(f"0.{fraction}") if fraction.isascii() and fraction.isdigit() else 0.0)


def _text(value: object) -> str:
    return value.strip(" \0") if isinstance(value, str) else ""
