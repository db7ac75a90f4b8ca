"""How long does a fresh process take: `mien --help`, and `mien score` of one picture?

    python benchmarks/cold_start.py

Prints the median and the range of several runs of each, in seconds of wall time. Run it on an idle machine.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

PICTURE = Path(__file__).parents[1] / "examples" / "portraits" / "portrait.jpg"
COMMANDS = {"--help": ["--help"], "score one.jpg": ["score", str(PICTURE)]}
RUNS = 7


def main() -> None:
    """Time each command, the first run left out."""
    for name, arguments in COMMANDS.items():
        seconds = []
        for _ in range(RUNS + 1):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-m", "mien", *arguments], check=True, capture_output=True)
            seconds.append(time.perf_counter() - started)
        counted = seconds[1:]
        print(f"mien {name:14} median {statistics.median(counted):.3f} s  ({min(counted):.3f} .. {max(counted):.3f})")


if __name__ == "__main__":
    main()
