"""Matrices here are small: the threads of BLAS take several times the processor's time for them, and longer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_inside = 0
_limits = ExitStack()


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS computes in the thread that calls it, in the whole process, until the last one has left."""
    global _inside
    with _lock:
        if not _inside:
            _limits.enter_context(_libraries().limit(limits=1, user_api="blas"))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _limits.close()


@cache
def _libraries() -> ThreadpoolController:
    """Of numpy and scipy, which must be imported before."""
    import scipy.linalg  # noqa: F401

    return ThreadpoolController()
