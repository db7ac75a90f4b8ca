"""Files that were read lately, kept in memory: everybody asks for the same pictures."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from anyio import CapacityLimiter, to_thread

MOST_BYTES = 64 * 2**20  #: of all that is kept
_AT_ONCE = 4  # files that are being read; they do not wait for the threads of the database


class Shelf:
    """Reads files; one that was read before costs neither the disk nor a thread. For one event loop."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most, self._size = most_bytes, 0
        self._kept: OrderedDict[Path, bytes] = OrderedDict()
        self._reading = CapacityLimiter(_AT_ONCE)

    async def read(self, path: Path) -> bytes:
        """The bytes of a file as it was when it was first read; those asked for longest ago are given up first.

        Raises:
            OSError: it cannot be read.
        """
        if path in self._kept:
            self._kept.move_to_end(path)
            return self._kept[path]
        content = await to_thread.run_sync(path.read_bytes, limiter=self._reading)
        if path not in self._kept:
            self._kept[path] = content
            self._size += len(content)
        while self._size > self._most:
            self._size -= len(self._kept.popitem(last=False)[1])
        return content
