"""Keep Pillow silent while mien decodes, in this thread only.

Pillow warns about metadata and large pictures in the middle of its work. `warnings.catch_warnings` is not thread-safe
before Python 3.14, and under `-W error` such a warning would turn a good picture into a failure. So the name `warnings`
inside Pillow's modules is pointed once at a stand-in that passes everything on, except in a thread that is inside
`quiet()`. Users of Pillow outside of mien see their warnings as before.
"""

from __future__ import annotations

import ctypes
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

from PIL import Image


class _Here(threading.local):
    depth = 0


_here = _Here()


class _Warnings:
    """What Pillow's modules see as `warnings`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)

    def warn(
        self, message: Warning | str, category: type[Warning] | None = None, stacklevel: int = 1, **more: Any
    ) -> None:
        if not _here.depth:
            warnings.warn(message, category, stacklevel + 1, **more)


def _pass_on(record: logging.LogRecord) -> bool:
    return not _here.depth


_stand_in = _Warnings()


def hush(module: ModuleType) -> None:
    """Let `quiet` cover the warnings and log lines of one of Pillow's modules; may be called again."""
    if getattr(module, "warnings", None) is warnings:
        vars(module)["warnings"] = _stand_in
    logger = getattr(module, "logger", None)
    if isinstance(logger, logging.Logger):
        logger.addFilter(_pass_on)


@cache
def hush_libtiff() -> None:
    """Stop libtiff from writing to file descriptor 2 about damaged files, for the whole process.

    Pillow leaves libtiff's own handlers in place and offers no way to change them. Where the library cannot be reached
    (it is linked statically on Windows), its lines appear and do no other harm.
    """
    try:
        library = ctypes.CDLL(Image.core.__file__)  # finds the symbols of the libraries that it loads, too
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)
    except (AttributeError, OSError):
        return


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what hushed modules say in this thread."""
    _here.depth += 1
    try:
        yield
    finally:
        _here.depth -= 1
