"""Opening what a path names, when it may name anything."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from mien.core.errors import UnreadableImageError

_MAX_READS = 2_000_000  # a file in more pieces than that is made to take minutes


class Reader(io.BufferedReader):
    """A file that loses patience with headers of a million pieces; raises OSError then."""

    reads_left: int = _MAX_READS
    bytes_left: float = float("inf")  #: for a reader that must not see too much of it

    def read(self, size: int | None = -1, /) -> bytes:
        """Read up to `size` bytes."""
        data = super().read(size)
        self.reads_left -= 1
        self.bytes_left -= len(data)
        if self.reads_left < 0 or self.bytes_left < 0:
            raise OSError("its header is too large, or in too many pieces")
        return data


@contextmanager
def open_regular(path: str) -> Iterator[tuple[Reader, int]]:
    """Open a regular file, and never block on anything else.

    Yields:
        The file and its size in bytes.

    Raises:
        UnreadableImageError: `missing` with the reason of the operating system, or `unsupported` for a directory, a
            pipe or a device.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        _check_regular(os.stat(path).st_mode, path)  # noqa: PTH116 - `Path` does not take every string
        raw = io.FileIO(path, opener=lambda name, _: os.open(name, flags))
    except ValueError as error:  # a NUL, or a character that the file system cannot spell
        raise UnreadableImageError("missing", f"not a possible path: {one_line(error)}") from None
    except OSError as error:
        raise UnreadableImageError("missing", error.strerror or one_line(error)) from None
    with raw, Reader(raw) as fp:
        found = os.fstat(fp.fileno())  # it may have been replaced since
        _check_regular(found.st_mode, path)
        yield fp, found.st_size


def _check_regular(mode: int, path: str) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        with os.scandir(path):  # an unreadable folder fails here, with its reason
            raise UnreadableImageError("unsupported", "this is a directory, not a picture")
    kind = "named pipe" if stat.S_ISFIFO(mode) else "socket" if stat.S_ISSOCK(mode) else "device"
    raise UnreadableImageError("unsupported", f"this is a {kind}, not a regular file")


def one_line(error: BaseException) -> str:
    """What an exception says, on one printable line of at most 200 characters."""
    if error.args and isinstance(error.args[0], Exception):
        error = error.args[0]  # Pillow wraps what went wrong in a SyntaxError
    if not isinstance(error, (OSError, SyntaxError, ValueError, RuntimeError)):
        return f"damaged data ({type(error).__name__})"
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(c if c.isprintable() else "?" for c in text)[:200]
