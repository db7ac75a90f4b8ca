"""What every scorer shares: work in threads with answers in order, and how sources and errors are named in rows."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from PIL.Image import Image

from mien.core.decode import Source
from mien.core.discover import display_path
from mien.core.errors import UsageError

S = TypeVar("S")
T = TypeVar("T")


def in_order(
    work: Callable[[S], T], sources: Iterator[S], *, threads: int, ahead: int, most: int = 1
) -> Generator[list[T], None, None]:
    """Work on many sources in threads; the results come in the order of the sources.

    Args:
        work: called in a thread, once for each source; an exception of it ends the iteration.
        sources: read up to `ahead` beyond the last result that was taken; may be endless.
        threads: at least 1.
        ahead: at least 1.
        most: of the results that are ready, so many come together; at least 1.

    Yields:
        Lists of 1 to `most` results, as soon as the first of them is there and the look-ahead is full. An error of
        `sources` itself is raised after the results of what came before it. Closing the iterator stops the threads.
    """
    waiting: deque[Future[T]] = deque()
    failure: Exception | None = None
    more = True
    pool = ThreadPoolExecutor(threads, thread_name_prefix="mien-decode")
    try:
        while True:
            while more and len(waiting) < ahead:
                try:
                    source = next(sources)
                except StopIteration:
                    more = False
                except Exception as error:
                    more, failure = False, error
                else:
                    waiting.append(pool.submit(work, source))
                    del source  # it may be a picture of many megabytes
            if not waiting:
                break
            yield _take(waiting, most)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if failure is not None:
        raise failure


def _take(waiting: deque[Future[T]], most: int) -> list[T]:
    """Wait for the first, and take those behind it that are ready."""
    taken = [waiting.popleft().result()]
    while waiting and len(taken) < most and waiting[0].done():
        taken.append(waiting.popleft().result())
    return taken


def check_several(sources: Iterable[Source]) -> None:
    """Refuse one picture where several are wanted.

    Raises:
        UsageError: it is one picture.
    """
    one = str | bytes | bytearray | memoryview | os.PathLike | Image
    if isinstance(sources, one) or getattr(sources, "ndim", 1) in (2, 3):  # an array of paths has one dimension
        raise UsageError(f"stream takes several pictures, not one {type(sources).__name__}; use score(...), or [it]")


def path_of(source: Source) -> str:
    """What the column `path` says of a source; "" when it is no file."""
    if not isinstance(source, str | os.PathLike):
        return ""
    try:
        return display_path(source)
    except Exception:  # a broken __fspath__: `decode` says what is wrong with it
        return ""


def told(error: Exception) -> str:
    """What the column `error` says of an exception that nobody foresaw."""
    return printable(f"{type(error).__name__}: {error}")


def printable(text: str) -> str:
    """Any text on one line."""
    return display_path(" ".join(text.split()))
