"""Weight files of published networks, without torch: where they lie, what a file really is, which one is expected.

The cache is a folder with one folder per network and the files under their own names, `NAME/FILE`. It is `$MIEN_CACHE`,
or else `~/.cache/mien/models` (macOS: `~/Library/Caches/mien/models`, Windows: `%LOCALAPPDATA%/mien/models`). For a
machine without a network, copy files there by hand; `mien models pull` finds them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from mien.core.errors import ModelError

SUFFIXES = (".safetensors", ".pt", ".pth", ".pkl", ".ckpt", ".tar", ".bin")  #: of files that may hold weights
PART, UNVERIFIED = ".part", ".unverified"  #: suffixes of files in the cache that are not usable yet

Kind = Literal["safetensors", "zip", "pickle"]

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,199}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LARGEST_HEADER = 100_000_000  # bytes; the limit of safetensors itself


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file that a network's authors offer, as the lock file records it."""

    file: str  #: name in the cache, NAME/FILE
    url: str | None = None  #: of the file itself; None where a person has to click
    sha256: str | None = None
    size: int | None = None  #: bytes
    licence: str = "unknown: ask the authors"
    source: str = ""  #: page on which the authors offer it
    note: str = ""


def cache_folder() -> Path:
    """Where weights are kept; it need not exist."""
    if own := os.environ.get("MIEN_CACHE"):
        return Path(own).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "mien" / "models"


def cached(name: str) -> list[Path]:
    """The usable files of a network in the cache."""
    try:
        found = sorted((cache_folder() / name).iterdir())
    except OSError:
        return []
    return [path for path in found if path.suffix.lower() in SUFFIXES and path.is_file()]


def read_lock(path: Path) -> dict[str, tuple[WeightFile, ...]]:
    """The recorded files of every network: `{"NAME": [{"file", "url", "sha256", "size", "licence", "source"}]}`.

    Raises:
        ModelError: not such a file.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return {name: tuple(_weight_file(entry) for entry in entries) for name, entries in facts.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not a list of weight files: {error}") from error


def _weight_file(entry: Mapping[str, Any]) -> WeightFile:
    if unknown := entry.keys() - {f.name for f in fields(WeightFile)}:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    made = WeightFile(**entry)
    if not is_plain_name(made.file):
        raise ValueError(f"{made.file!r} is not a plain file name")
    if made.sha256 is not None and not is_sha256(made.sha256):
        raise ValueError(f"the sha256 of {made.file} is not 64 hexadecimal digits")
    return made


def is_plain_name(name: str) -> bool:
    """Whether a file of that name stays inside its folder, on every system, and is no half-finished download."""
    return _PLAIN_NAME.fullmatch(name) is not None and not name.endswith((PART, UNVERIFIED, "."))


def is_sha256(text: str) -> bool:
    """64 hexadecimal digits, lower case."""
    return _SHA256.fullmatch(text) is not None


def sha256_of(path: Path) -> str:
    """Hexadecimal digest of a file of any size.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from error


def kind_of(path: Path) -> Kind:
    """What a file is by its first bytes, whatever its name says.

    Returns:
        "safetensors"; "zip": written by torch.save since 1.6; "pickle": by an older torch, or any other pickle.

    Raises:
        ModelError: nothing that holds weights; the message says what it is and what to do.
    """
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise ModelError(f"{path} is a folder, not a checkpoint")
        if not stat.S_ISREG(found.st_mode):
            raise ModelError(f"{path} is not a regular file")
        with path.open("rb") as file:
            start = file.read(1024)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror or error}") from None
    if not start:
        raise ModelError(f"{path} is empty: fetch it again")
    if start.startswith(b"version https://git-lfs"):
        raise ModelError(f"{path} is a pointer of Git LFS, not the checkpoint itself: run 'git lfs pull' beside it")
    if looks_like_a_web_page(start):
        raise ModelError(f"{path} is a web page, not a checkpoint: open the address in a browser and save the file")
    if start.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path)
    if path.suffix.lower() == ".safetensors" or start[8:10] == b'{"':
        _check_safetensors(path, start, found.st_size)
        return "safetensors"
    if start[257:262] == b"ustar":
        raise ModelError(f"{path} is a tar archive: unpack it and name the checkpoint inside")
    if start[:2] in (b"\x1f\x8b", b"BZ", b"7z", b"Ra", b"\xfd7"):
        raise ModelError(f"{path} is a compressed archive: unpack it and name the checkpoint inside")
    if start[0] != 0x80:
        raise ModelError(f"{path} is not a checkpoint: neither safetensors nor anything that torch.save writes")
    return "pickle"


def looks_like_a_web_page(start: bytes) -> bool:
    """By the first bytes of a file."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--"))


def _kind_of_zip(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise ModelError(f"{path} is damaged: its end is missing. Fetch it again") from None
    inside = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inside:
        raise ModelError(
            f"{path} is a TorchScript archive, a program and not only weights; mien does not run it. If you trust it: "
            f"torch.save(torch.jit.load(FILE, map_location='cpu').state_dict(), 'weights.pt')"
        )
    if "data.pkl" not in inside:
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        raise ModelError(f"{path} is a zip archive without a checkpoint in it ({shown}): unpack it first")
    return "zip"


def _check_safetensors(path: Path, start: bytes, size: int) -> None:
    header = int.from_bytes(start[:8], "little")
    if len(start) < 10 or start[8:9] != b"{" or header > _LARGEST_HEADER:
        raise ModelError(f"{path} is not a safetensors file: it does not begin with the header of one")
    if 8 + header > size:
        raise ModelError(f"{path} is damaged: its end is missing. Fetch it again")


def safetensors_metadata(path: Path) -> dict[str, str]:
    """The free text in the header of a safetensors file; empty where there is none.

    Raises:
        ModelError: not a safetensors file.
    """
    with path.open("rb") as file:
        header = int.from_bytes(file.read(8), "little")
        try:
            if header > _LARGEST_HEADER:
                raise ValueError("its header is too large")
            facts = json.loads(file.read(header))
            return {str(key): str(value) for key, value in facts.get("__metadata__", {}).items()}
        except (ValueError, AttributeError, RecursionError) as error:
            raise ModelError(f"{path} is not a safetensors file: {error}") from None
