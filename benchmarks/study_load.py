"""How long does an observer wait for the server when 200 take part at once?

    pip install ".[study]" && python benchmarks/study_load.py [--observers 200] [--seconds 60] [--json FILE]

A study of generated pictures is served by `mien study serve` on 127.0.0.1 and nowhere else. All observers join within
ten seconds, fetch the pictures of their questions as the page does, think for one to three seconds, as only the fastest
people do, and vote. Reported: the time from sending a vote to its acknowledgement (which comes after the commit), while
they join and fetch their first pictures, and once all are there; and the status of every reply. The observers run on
the same cores as the server.
With --check: exit 1 when the 99th percentile, once all are there, is above 200 ms, or any reply was a 5xx.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import re
import resource
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

JOIN_S, SETTLE_S = 10.0, 5.0
THINK_S = (1.0, 3.0)
LIMIT_MS = 200.0
CHECK = {"width": 1280, "height": 720, "screen_width": 1280, "screen_height": 800, "ratio": 1, "touch": False}


def make_pictures(folder: Path, scenes: int, items: int) -> None:
    """Noise of 480 x 360 pixels, about 30 kB each."""
    rng = np.random.default_rng(0)
    for scene in range(scenes):
        (folder / f"scene{scene}").mkdir(parents=True)
        for item in range(items):
            cells = rng.integers(0, 256, (45, 60, 3), dtype=np.uint8)
            picture = Image.fromarray(cells).resize((480, 360), Image.Resampling.BICUBIC)
            picture.save(folder / f"scene{scene}" / f"{item}.jpg", quality=90)


@contextmanager
def served(scratch: Path, options: argparse.Namespace) -> Iterator[tuple[int, str]]:
    """A study; yields the port and the link of its observers."""
    make_pictures(scratch / "items", options.scenes, options.items)
    mien = [sys.executable, "-m", "mien", "study"]
    new = ["--items", str(scratch / "items"), "--method", options.method, "--design", options.design]
    subprocess.run(
        [*mien, "new", str(scratch / "study"), *new, "--training", "0"], check=True, stdout=subprocess.DEVNULL
    )
    serve = [*mien, "serve", str(scratch / "study"), "--port", "0", "--joins", "100000"]
    if options.database:
        serve += ["--database", options.database]
    server = subprocess.Popen(serve, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = re.search(r":(\d+)/s/(\S+)", server.stdout.readline())
        assert found is not None
        yield int(found[1]), found[2]
    finally:
        server.terminate()
        server.wait()


Wait = tuple[float, float]  # when a vote was sent, and the milliseconds until it was acknowledged


class Connection:
    """A connection to 127.0.0.1 that stays open: just enough of HTTP/1.1 for this server."""

    def __init__(self, port: int, statuses: Counter[int]) -> None:
        self._port, self._statuses = port, statuses
        self._token = ""
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    def use(self, token: str) -> None:
        """Ask in the name of this secret from now on."""
        self._token = token

    async def ask(self, method: str, path: str, body: Any = None) -> bytes:
        """The body of the reply."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        sent = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self._token}\r\n"
        writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(sent)}\r\n\r\n".encode() + sent)
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        status = int(lines[0].split()[1])
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        content = await reader.readexactly(int(headers["content-length"]))
        self._statuses[status] += 1
        if headers.get("connection") == "close":
            writer.close()
            self._streams = None
        return content if status < 300 else b""


async def observe(port: int, link: str, seed: int, until: float, waits: list[Wait], statuses: Counter[int]) -> None:
    """Take part until the time is over or nothing is left."""
    draw, one, seen = random.Random(seed), Connection(port, statuses), set()
    await asyncio.sleep(draw.uniform(0, JOIN_S))
    facts = json.loads(await one.ask("GET", f"/api/study/{link}"))
    agreed = {"consent": True, "wording": facts["wording"]}
    one.use(json.loads(await one.ask("POST", f"/api/study/{link}/observers", agreed))["token"])
    now = json.loads(await one.ask("POST", "/api/session/check", CHECK))
    while now["trials"] and time.perf_counter() < until:
        for trial in now["trials"][:4]:
            for picture in trial["pictures"]:
                if picture["url"] not in seen:
                    seen.add(picture["url"])
                    await one.ask("GET", picture["url"])
        await asyncio.sleep(draw.uniform(*THINK_S))
        trial = now["trials"][0]
        answer = trial["expected"] or draw.choice(("1", "3", "5") if facts["grades"] else ("left", "right"))
        vote = {"trial": trial["id"], "key": secrets.token_urlsafe(12), "answer": answer, "session": "benchmark"}
        began = time.perf_counter()
        reply = await one.ask("POST", "/api/session/votes", {**vote, "response_ms": 900, "views": 1})
        waits.append((began, 1000 * (time.perf_counter() - began)))
        now = json.loads(reply) if reply else now


async def run(port: int, link: str, observers: int, seconds: float) -> tuple[list[Wait], Counter[int]]:
    """Milliseconds of every vote, and how often which status came."""
    waits: list[Wait] = []
    statuses: Counter[int] = Counter()
    until = time.perf_counter() + seconds
    await asyncio.gather(*(observe(port, link, seed, until, waits, statuses) for seed in range(observers)))
    return waits, statuses


def quantiles(ms: list[float]) -> dict[str, float]:
    """Of some waiting times.

    Raises:
        SystemExit: too few votes to say anything.
    """
    if len(ms) < 100:
        raise SystemExit(
            f"only {len(ms)} votes came in a part of the time: take more --seconds, or a less busy machine"
        )
    at = statistics.quantiles(ms, n=100)
    return {"votes": len(ms), "p50": at[49], "p95": at[94], "p99": at[98], "max": max(ms)}


def report(waits: list[Wait], statuses: Counter[int], options: argparse.Namespace) -> dict[str, Any]:
    """What was measured, and on what."""
    first = min(began for began, _ in waits)
    joining = [ms for began, ms in waits if began - first <= JOIN_S + SETTLE_S]
    there = [ms for began, ms in waits if began - first > JOIN_S + SETTLE_S]
    facts = {"observers": options.observers, "seconds": options.seconds, "think_s": THINK_S, "method": options.method}
    return {
        **facts,
        "design": options.design,
        "items": f"{options.scenes} scenes x {options.items}",
        "database": (options.database or "sqlite").partition(":")[0],
        "votes": len(waits),
        "votes_per_s": round(len(waits) / options.seconds, 1),
        "ms": quantiles(there),
        "ms_while_joining": quantiles(joining),
        "statuses": {str(status): n for status, n in sorted(statuses.items())},
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load_before": [round(load, 2) for load in options.load],
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "versions": {name: version(name) for name in ("fastapi", "uvicorn", "sqlalchemy", "numpy")},
    }


def main() -> int:
    """Serve, take part, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observers", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--method", choices=["acr", "pairwise"], default="pairwise")
    parser.add_argument("--design", choices=["full", "random", "active"], default="active")
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--items", type=int, default=10)
    parser.add_argument("--database", help="postgresql://...; without it SQLite")
    parser.add_argument("--json", type=Path, help="also write the report to this file")
    parser.add_argument("--check", action="store_true", help="exit 1 when the promise is broken")
    options = parser.parse_args()
    options.load = os.getloadavg() if hasattr(os, "getloadavg") else (0.0, 0.0, 0.0)
    with tempfile.TemporaryDirectory() as scratch, served(Path(scratch), options) as (port, link):
        waits, statuses = asyncio.run(run(port, link, options.observers, options.seconds))
    found = report(waits, statuses, options)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    found["cpu_ms_for_a_vote"] = 1000 * (used.ru_utime + used.ru_stime) / len(waits)  # start, joins, pictures included
    text = json.dumps(found, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    broken = found["ms"]["p99"] > LIMIT_MS or any(status >= 500 for status in statuses)
    return 1 if options.check and broken else 0


if __name__ == "__main__":
    sys.exit(main())
