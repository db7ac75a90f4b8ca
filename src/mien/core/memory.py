"""Bounded memory however many threads decode: big pictures take turns, and what they used goes back to the system."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

_turn = threading.Lock()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait for one's turn; free large memory before it ends."""
    with _turn:
        try:
            yield
        finally:
            trim = _malloc_trim()
            if trim is not None:
                trim(0)  # the GNU allocator would keep the largest picture of every thread


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """A function of the GNU C library; None elsewhere."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None
