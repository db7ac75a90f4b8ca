"""From what a user names (files, folders, globs, a list on stdin) to paths, one at a time."""

# Strings, not Path: names are kept exactly as given, bytes that are not UTF-8 included, and there may be millions.
# ruff: noqa: PTH207, PTH122, PTH116, PTH118, PTH112

from __future__ import annotations

import glob
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from mien.core.sniff import SUFFIXES

_ANY_DEPTH = re.compile(r"(?:^|(?<=/))\*\*(?:/+|$)" if os.sep == "/" else r"(?:^|(?<=[/\\]))\*\*(?:[/\\]+|$)")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they can make a name look like another


def find(arguments: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """Yield the pictures that the arguments name, lazily, each path once.

    A file is yielded whatever its suffix, a folder is walked in sorted order for `SUFFIXES`, links included and each
    real folder once. A glob that no shell has expanded is expanded; its files count when they have one of `SUFFIXES` or
    when the pattern spells their suffix. What does not exist, or is no file (a pipe), is yielded as given, and so are
    folders that cannot be read or that are named like a picture and hold none: decoding says what is wrong with them.

    Args:
        arguments: paths or patterns.

    Yields:
        Paths as given or below what was given; `./a.jpg` and `a.jpg` are the same path.
    """
    seen: set[str] = set()
    for argument in arguments:
        for path in _expand(os.fsdecode(argument)):
            key = os.path.normcase(path if ".." in path else os.path.normpath(path) if path else path)
            if key not in seen:
                seen.add(key)
                yield path


def display_path(path: str | os.PathLike[str]) -> str:
    r"""A path as valid UTF-8 on one line: bytes that are not UTF-8 and control characters as `\x80`, `\n`."""
    return "".join(_escape(c) for c in os.fsdecode(path))


def read_list(stream: BinaryIO, *, null: bool = False) -> Iterator[str]:
    """Read a list of paths, one per line.

    Args:
        stream: bytes, in the encoding of the file system; CRLF line ends and a UTF-8 byte-order mark are tolerated.
        null: paths end with a NUL instead (`find -print0`), and may then hold newlines.

    Yields:
        Paths; empty lines are skipped.
    """
    for i, line in enumerate(_split_at_nul(stream) if null else stream):
        line = line.removeprefix(b"\xef\xbb\xbf") if i == 0 else line
        line = line if null else line.removesuffix(b"\n").removesuffix(b"\r")
        if line:
            yield os.fsdecode(line)


def _split_at_nul(stream: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while block := stream.read(65_536):
        *whole, rest = (rest + block).split(b"\0")
        yield from whole
    yield rest


def _escape(c: str) -> str:
    if "\udc80" <= c <= "\udcff":
        return f"\\x{ord(c) - 0xDC00:02x}"
    if c in _BIDI or unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp"):
        return c.encode("unicode_escape").decode("ascii")
    return c


def _expand(argument: str) -> Iterator[str]:
    if _is_folder(argument):
        yield from _walk(argument)
    elif glob.has_magic(argument) and not _exists(argument):
        found = False
        for path in _matches(argument):
            found = True
            yield path
        if not found:
            yield argument
    else:
        yield argument


def _matches(pattern: str) -> Iterator[str]:
    for match in sorted(_glob(pattern)):
        suffix = os.path.splitext(match)[1]
        if _is_folder(match):
            yield from _walk(match)
        elif _is_picture(match) or (suffix and pattern.endswith(suffix)):
            yield match


def _glob(pattern: str) -> set[str]:
    """Like `glob.glob`, but `**` enters each real folder once: links that form loops would never end there."""
    deep = _ANY_DEPTH.search(pattern)
    try:
        if deep is None:
            return set(glob.glob(pattern))
        before, after = pattern[: deep.start()], pattern[deep.end() :]
        bases = glob.glob(before) if glob.has_magic(before) else [before]
        folders = (folder for base in bases for folder in (_folders(base) if after else [base]))
        return {path for folder in folders for path in _glob(os.path.join(glob.escape(folder), after or "*"))}
    except ValueError:  # a NUL
        return set()


def _folders(base: str) -> Iterator[str]:
    """A folder and all below it that are not hidden, each real one once; "" is the working directory."""
    visited: set[tuple[int, int]] = set()
    waiting = [base]
    while waiting:
        folder = waiting.pop()
        try:
            if not _is_new(folder or ".", visited):
                continue
            with os.scandir(folder or ".") as found:
                below = [e.name for e in found if not e.name.startswith(".") and _is_folder_entry(e)]
        except OSError:
            continue
        yield folder
        waiting += [os.path.join(folder, name) for name in below]


def _walk(folder: str) -> Iterator[str]:
    """The pictures below a folder, in sorted order; no recursion, and no folder twice, so links may form loops."""
    visited: set[tuple[int, int]] = set()
    waiting = [(folder, True)]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path
            continue
        try:
            if not _is_new(path, visited):
                continue
            entries = _entries(path)
        except OSError:
            yield path  # cannot be read; its row says why
            continue
        if not entries and _is_picture(path):
            yield path  # a folder named x.jpg
        waiting += reversed(entries)


def _is_new(folder: str, visited: set[tuple[int, int]]) -> bool:
    """Whether this is the first visit to a real folder; notes it. Raises OSError where it cannot be looked at."""
    status = os.stat(folder)
    before = len(visited)
    visited.add((status.st_dev, status.st_ino))
    return len(visited) > before


def _entries(folder: str) -> list[tuple[str, bool]]:
    """Pictures and subfolders (True) of a folder, sorted by name."""
    with os.scandir(folder) as found:
        entries = [(os.path.join(folder, e.name), _is_folder_entry(e)) for e in found]
    return sorted(e for e in entries if e[1] or _is_picture(e[0]))


def _is_folder_entry(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that points to itself
        return False


def _is_picture(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in SUFFIXES


def _is_folder(path: str) -> bool:
    try:
        return os.path.isdir(path)
    except ValueError:
        return False


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:
        return False
