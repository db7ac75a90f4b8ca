"""How often somebody may ask: token buckets in the memory of one server. Nothing is written down about anybody."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

_MOST_KEYS = 50_000  #: the ones that asked longest ago are forgotten


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and so many more in a minute."""

    burst: int
    per_minute: float


class Limiter:
    """One rate for many keys."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, key: str) -> float:
        """0 when the key (whoever asks) may go on now, and one is taken away; else the seconds until it may."""
        per_second, now = self._rate.per_minute / 60, time.monotonic()
        with self._lock:
            left, then = self._left.pop(key, (float(self._rate.burst), now))
            left = min(self._rate.burst, left + (now - then) * per_second)
            allowed = left >= 1
            self._left[key] = (left - 1 if allowed else left, now)
            if len(self._left) > _MOST_KEYS:
                self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / per_second
