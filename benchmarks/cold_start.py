"""How long does a fresh process take: `mien --help`, and `mien score` of one picture?

    python benchmarks/cold_start.py [--check]

Prints the median and the range of several runs of each, in seconds of wall time, and the median of CPU time, user and
system. Run it on an idle machine. With --check it exits 1 when the CPU time is above the limit: on an idle machine that
is about the wall time, and on a busy one it still means something.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

PICTURE = Path(__file__).parents[1] / "examples" / "portraits" / "portrait.jpg"
COMMANDS = {"--help": (["--help"], 0.3), "score one.jpg": (["score", str(PICTURE)], 1.5)}  # arguments, limit in seconds
RUNS = 7


def main() -> None:
    """Time each command, the first run left out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="exit 1 above the limits of the design")
    args = parser.parse_args()
    slow = []
    for name, (arguments, limit) in COMMANDS.items():
        wall, cpu = [], []
        for _ in range(RUNS + 1):
            started, before = time.perf_counter(), os.times()
            subprocess.run([sys.executable, "-m", "mien", *arguments], check=True, capture_output=True)
            wall.append(time.perf_counter() - started)
            after = os.times()
            cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
        median, range_ = statistics.median(wall[1:]), f"{min(wall[1:]):.3f} .. {max(wall[1:]):.3f}"
        cpu_median = statistics.median(cpu[1:])
        print(f"mien {name:14} median {median:.3f} s  ({range_})  CPU {cpu_median:.3f} s, limit {limit} s")
        if cpu_median > limit:
            slow.append(f"mien {name}")
    if args.check and slow:
        sys.exit(f"above the limit: {', '.join(slow)}")


if __name__ == "__main__":
    main()
