"""How fast is scaling, next to the software of its field?

    pip install ".[bench]" && python benchmarks/subjective.py [--only NAME] [--quick] [--json FILE]

Three comparisons, each on synthetic data of a hundred times the size of the other software's own example, checked to
give the same scores, timed as CPU seconds of the process (the machine may be busy) after one warm-up on a small table.
BLAS has one thread for all, which is the fastest for each of them at these sizes:

    p910           sureal's P910 (`P910AnnexE`), 79 stimuli x 26 observers in its example; here 2,054 x 100
    bradley-terry  choix.opt_pairwise and ilsr_pairwise; a content of the example has 8 items and 420 votes; here 80
                   items and 42,000 votes
    jod            pwcmp's objective, as it is written in its source (all pairs against all pairs), minimised with
                   scipy.optimize (BFGS with its gradient); 7 items and 270 votes in its example; here 27,000 votes of
                   40 items

And alone: `piq23`, 50 scenes of 100 pictures with 12,000 comparisons each (600,000 in all) to JOD without intervals,
and 1,000 bootstrap draws of one scene over its observers, in as many processes as there are cores.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_ndtr, ndtr
from threadpoolctl import threadpool_limits

from mien.subjective import jod, p910
from mien.subjective.bradley_terry import bradley_terry
from mien.subjective.jod_objective import SIGMA
from mien.subjective.pairs import Pairs, count
from mien.subjective.scale import scale_votes
from mien.subjective.tables import Ratings, Votes

Array = npt.NDArray[np.float64]
Result = dict[str, Any]


def timed(work: Callable[[], Any], *, least: float = 0.5) -> tuple[Any, float]:
    """(result, CPU seconds of one call); short work is repeated for `least` seconds."""
    result, times, begin = None, 0, time.process_time()
    while times == 0 or time.process_time() - begin < least:
        result, times = work(), times + 1
    return result, (time.process_time() - begin) / times


def compared(ours: tuple[Array, float], others: dict[str, tuple[Array, float]], **facts: object) -> Result:
    """Seconds, ratios and the largest difference of a score, all with mean 0."""
    found: Result = {**facts, "mien_s": ours[1]}
    for name, (score, seconds) in others.items():
        difference = float(np.abs((score - score.mean()) - (ours[0] - ours[0].mean())).max())
        found[name] = {"s": seconds, "ratio": seconds / ours[1], "largest_difference": difference}
    return found


# ---- p910 ---------------------------------------------------------------------------------------------------------


def ratings(stimuli: int, observers: int) -> Array:
    """Votes on five levels by people with a bias and an inconsistency."""
    rng = np.random.default_rng(0)
    psi, bias = rng.uniform(1.2, 4.8, (stimuli, 1)), 0.3 * rng.normal(size=observers)
    spread = rng.uniform(0.4, 1.2, observers)
    return np.clip(np.round(psi + bias + spread * rng.normal(size=(stimuli, observers))), 1, 5)


def bench_p910(quick: bool) -> Result:
    """The whole way from a table in memory to scores, biases and inconsistencies."""
    from sureal.dataset_reader import RawDatasetReader  # pyright: ignore[reportMissingImports]
    from sureal.subjective_model import SubjectiveModel  # pyright: ignore[reportMissingImports]

    def sureal(matrix: Array) -> Array:
        videos = [{"content_id": j, "content_name": f"c{j}", "path": f"c{j}"} for j in range(len(matrix))]
        marks = [{"content_id": j, "asset_id": j, "os": row.tolist(), "path": f"p{j}"} for j, row in enumerate(matrix)]
        dataset = SimpleNamespace(dataset_name="benchmark", ref_score=5, ref_videos=videos, dis_videos=marks)
        model = SubjectiveModel.find_subclass("P910")(RawDatasetReader(dataset))
        with contextlib.redirect_stdout(io.StringIO()):  # it tells every round
            return np.array(model.run_modeling()["quality_scores"])

    def ours(matrix: Array) -> Array:
        return p910.p910(Ratings.of(matrix)).score

    for warm_up in (sureal, ours):
        warm_up(ratings(20, 10))
    matrix = ratings(*((205, 100) if quick else (2054, 100)))
    return compared(
        timed(lambda: ours(matrix)),
        {"sureal": timed(lambda: sureal(matrix))},
        stimuli=matrix.shape[0],
        observers=matrix.shape[1],
    )


# ---- votes --------------------------------------------------------------------------------------------------------


def comparisons(items: int, votes: int, *, observers: int = 0, spread: float = 1.0, seed: int = 0) -> Votes:
    """Trials on random pairs."""
    rng = np.random.default_rng(seed)
    q = spread * rng.normal(size=items)
    a = rng.integers(0, items, votes)
    b = (a + rng.integers(1, items, votes)) % items
    won = (rng.random(votes) < ndtr((q[a] - q[b]) / SIGMA)).astype(np.float64)
    names = tuple(f"{i:03}" for i in range(items))
    people = tuple(f"o{i:02}" for i in range(observers))
    observer = rng.integers(0, observers, votes) if observers else None
    return Votes(names, a, b, won, 1 - won, people, observer)


def bench_bradley_terry(quick: bool) -> Result:
    """From counted trials to scores; choix takes a list of (winner, loser)."""
    import choix  # pyright: ignore[reportMissingImports]

    votes = comparisons(80, 4_200 if quick else 42_000)
    first = votes.votes_a == 1
    trials = list(
        zip(np.where(first, votes.a, votes.b).tolist(), np.where(first, votes.b, votes.a).tolist(), strict=True)
    )
    bradley_terry(count(comparisons(8, 420)))
    return compared(
        timed(lambda: bradley_terry(count(votes)).score),
        {
            "choix.opt_pairwise": timed(lambda: choix.opt_pairwise(80, trials, tol=1e-9)),
            "choix.ilsr_pairwise": timed(lambda: choix.ilsr_pairwise(80, trials)),
        },
        items=80,
        votes=len(trials),
    )


def straightforward(pairs: Pairs) -> Array:
    """pwcmp's objective as its source writes it, all pairs against all pairs, minimised with SciPy."""
    size = len(pairs.items)
    a, b = np.concatenate([pairs.a, pairs.b]), np.concatenate([pairs.b, pairs.a])
    won, lost = np.concatenate([pairs.wins[0], pairs.wins[1]]), np.concatenate([pairs.wins[1], pairs.wins[0]])
    moved = np.minimum((won + lost) / 2, 1)
    k = np.where(lost == 0, won - moved, np.where(won == 0, moved, won))
    n = np.where(lost == 0, moved, np.where(won == 0, lost - moved, lost))

    def objective(q: Array) -> tuple[float, Array]:
        x = (q[a] - q[b]) / SIGMA
        log_p, log_q = log_ndtr(x), log_ndtr(-x)
        bell = -0.5 * x**2 - 0.5 * np.log(2 * np.pi)
        up, down = np.exp(bell - log_p) / SIGMA, np.exp(bell - log_q) / SIGMA
        joint = np.exp(log_p[:, None] * k + log_q[:, None] * n)  # (pair, votes of pair z)
        total = joint.sum(axis=0)
        prior = (joint / total).sum(axis=1)
        slope = joint * (up[:, None] * k - down[:, None] * n)  # of `joint` along the distance of the pair
        weight = 1 / (prior + 0.1)
        of_prior = weight * (slope / total).sum(axis=1) - slope @ ((weight @ joint) / total**2)
        pull = won * up - lost * down + of_prior
        gradient = np.bincount(a, pull, size) - np.bincount(b, pull, size)
        value = won @ log_p + lost @ log_q + np.log(prior + 0.1).sum()
        mean = q.mean()
        return -float(value) + 0.01 * mean**2, -gradient + 0.02 * mean / size

    return minimize(objective, np.zeros(size), jac=True, method="BFGS", options={"gtol": 1e-5}).x


def bench_jod(quick: bool) -> Result:
    """From counted pairs to scores."""
    pairs = count(comparisons(20 if quick else 40, 2_700 if quick else 27_000))
    jod.fit(pairs)
    return compared(
        timed(lambda: jod.fit(pairs).q),
        {"scipy": timed(lambda: straightforward(pairs))},
        items=len(pairs.items),
        votes=int(pairs.wins.sum()),
        pairs=len(pairs.a),
    )


def bench_piq23(quick: bool) -> Result:
    """600,000 comparisons to JOD; a bootstrap of one scene over 30 observers."""
    scenes = 5 if quick else 50
    groups = {f"scene {i:02}": comparisons(100, 12_000, observers=30, spread=1.4, seed=i) for i in range(scenes)}
    wall, begin = time.perf_counter(), time.process_time()
    scales = scale_votes(groups, "jod", draws=0)
    found: Result = {"scenes": scenes, "items": 100 * scenes, "comparisons": 12_000 * scenes}
    found |= {"scaling_cpu_s": time.process_time() - begin, "scaling_s": time.perf_counter() - wall}
    assert len(scales) == scenes
    draws, begin = 100 if quick else 1000, _cpu()
    wall = time.perf_counter()
    scale_votes({"scene 00": groups["scene 00"]}, "jod", draws=draws, processes=None, progress=_progress(draws))
    return found | {"draws": draws, "bootstrap_cpu_s": _cpu() - begin, "bootstrap_s": time.perf_counter() - wall}


def _cpu() -> float:
    """Seconds of this process and of those that it has started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _progress(total: int) -> Callable[[int], None]:
    done = 0

    def step(more: int) -> None:
        nonlocal done
        done += more
        sys.stderr.write(f"\r{done:,}/{total:,} draws" + "\n" * (done == total))

    return step


BENCHMARKS = {"p910": bench_p910, "bradley-terry": bench_bradley_terry, "jod": bench_jod, "piq23": bench_piq23}


def main() -> None:
    """Run, print, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(BENCHMARKS), help="one of the four")
    parser.add_argument("--quick", action="store_true", help="a tenth of the size")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    arguments = parser.parse_args()
    versions = {name: version(name) for name in ("mien", "numpy", "scipy", "sureal", "choix")}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    names = ", ".join(f"{k} {v}" for k, v in versions.items())
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, {names}")
    results = {}
    threadpool_limits(1, user_api="blas")
    for name in [arguments.only] if arguments.only else BENCHMARKS:
        results[name] = BENCHMARKS[name](arguments.quick)
        print(name)
        for key, value in results[name].items():
            shown = ", ".join(f"{k} {v:.4g}" for k, v in value.items()) if isinstance(value, dict) else f"{value:.4g}"
            print(f"    {key}: {shown}", flush=True)
    if arguments.json:
        record = {"cores": os.cpu_count(), "load": load, "versions": versions, "results": results}
        arguments.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
