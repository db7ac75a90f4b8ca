"""Is the bootstrap without copies worth its code?

    python benchmarks/bootstrap.py [--loop-draws 20]

10,000 draws of SRCC, PLCC and KRCC of a table of 5,000 rows in 50 groups (rows drawn inside each group), and of the
same table in one pool: all draws together (`mien.evaluation.resampling`) against a loop that copies the rows of a draw
and calls SciPy. The loop is run for a few draws only and its time is extrapolated: it does the same work in every draw.
The ratio is that of CPU times of the process, which a busy machine distorts less than wall times.
"""

from __future__ import annotations

import argparse
import os
import platform
import time

import numpy as np
import scipy
from scipy import stats

from mien.evaluation.resampling import bootstrap_pairs

ROWS, GROUPS, DRAWS = 5_000, 50, 10_000


def loop(x: np.ndarray, y: np.ndarray, draws: int) -> None:
    """What everybody writes first."""
    rng = np.random.default_rng(0)
    for _ in range(draws):
        rows = rng.integers(0, len(x), len(x))
        stats.spearmanr(x[rows], y[rows])
        stats.pearsonr(x[rows], y[rows])
        stats.kendalltau(x[rows], y[rows])


def main() -> None:
    """Print the times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--loop-draws", type=int, default=20, help="draws of the loop that are really made")
    loop_draws = parser.parse_args().loop_draws
    rng = np.random.default_rng(0)
    x = rng.normal(size=ROWS)
    y = np.round(x + rng.normal(size=ROWS), 2)  # with ties
    loads = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores{loads}, ", end="")
    print(f"numpy {np.__version__}, scipy {scipy.__version__}; {ROWS:,} rows, {DRAWS:,} draws, SRCC + PLCC + KRCC")
    tables = {
        f"{GROUPS} groups": [(x[g::GROUPS], y[g::GROUPS]) for g in range(GROUPS)],
        "one pool": [(x, y)],
    }
    for name, parts in tables.items():
        wall, begin = time.perf_counter(), time.process_time()
        for number, (a, b) in enumerate(parts):
            bootstrap_pairs(a, b, draws=DRAWS, seed=(0, number))
        ours, wall = time.process_time() - begin, time.perf_counter() - wall
        begin = time.process_time()
        for a, b in parts:
            loop(a, b, loop_draws)
        theirs = (time.process_time() - begin) / loop_draws * DRAWS
        print(f"{name:10}  {ours:5.1f} s of CPU ({wall:.1f} s); loop {theirs:6.0f} s of CPU, ", end="")
        print(f"extrapolated from {loop_draws} draws; {theirs / ours:.0f} times")


if __name__ == "__main__":
    main()
