"""How many votes does active sampling save?

    python benchmarks/active_sampling.py [--items N] [--repetitions N] [--json FILE]

Simulated studies of 20, 50 and 100 items. The true scores are normal, with a standard deviation of 0.7, 1.4 and 2.8 JOD
(PIQ23 has 1.35 to 1.45 in each of its scenes); a vote prefers i to j with probability Φ((q_i - q_j) / 1.4826). Pairs
are asked in batches of N - 1, of which every pair goes to another observer at the same time. After a number of votes
the scale is made in two ways and compared with the true scores, all with mean 0: RMSE over items, root mean square over
repetitions.

    jod        as `mien scale --method jod`: a likelihood with a prior on distances
    posterior  means of a normal posterior whose prior variance is estimated from the votes, too (empirical Bayes)

Reported: for a number of votes with active sampling, how many votes the other designs need for the same RMSE (straight
lines between points in logarithms), and the share that is saved. `random` draws pairs at random; `full` goes through
all pairs and begins again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from mien.subjective.jod import fit
from mien.subjective.jod_objective import SIGMA
from mien.subjective.one_thread import one_thread
from mien.subjective.pairs import count, whole
from mien.subjective.sampling import Method, next_pairs, posterior
from mien.subjective.tables import Votes

Array = npt.NDArray[np.float64]

Curve = list[list[float]]

REPETITIONS = {20: 50, 50: 20, 100: 20}  #: of a study, by its number of items
SPREADS = (0.7, 1.4, 2.8)  #: standard deviation of the true scores, JOD
ROUNDS = (0.25, 0.5, 1.0, 2.0)  #: votes after which the scale is made, in votes of a full design
MORE = (4.0, 8.0)  #: further ones for the designs that active sampling is compared with
DESIGNS: tuple[Method, ...] = ("active", "random", "full")


@dataclass(frozen=True, slots=True)
class Study:
    """One simulated study."""

    items: int
    spread: float
    method: Method
    seed: int

    @property
    def checkpoints(self) -> list[int]:
        """Numbers of votes after which the scale is made."""
        rounds = ROUNDS if self.method == "active" else (*ROUNDS, *MORE)
        return [round(r * self.items * (self.items - 1) / 2) for r in rounds]

    @one_thread()
    def run(self) -> list[list[float]]:
        """Mean squared error of each of `SCALES` at each checkpoint, JOD²; NaN where there is no scale."""
        truth_rng, rng = np.random.default_rng(self.seed), np.random.default_rng((self.seed, 1))
        q = self.spread * truth_rng.normal(size=self.items)
        wins, voted, errors = np.zeros((self.items, self.items), np.int64), 0, []
        for goal in self.checkpoints:
            while voted < goal:
                size = min(self.items - 1, goal - voted)
                batch = next_pairs(self.items, wins, method=self.method, n_pairs=size, seed=int(rng.integers(2**31)))
                for i, j in batch:
                    won = rng.random() < ndtr((q[i] - q[j]) / SIGMA)
                    wins[(i, j) if won else (j, i)] += 1
                voted += len(batch)
            errors.append([float(np.mean((scale(wins) - (q - q.mean())) ** 2)) for scale in SCALES.values()])
        return errors


def by_jod(wins: npt.NDArray[np.int64]) -> Array:
    """Scores with mean 0, JOD; NaN where the votes do not connect all items."""
    pairs = count(Votes.of(wins))
    found = fit(pairs) if whole(pairs.a, pairs.b, len(wins)) else None
    return found.q if found is not None and found.finite else np.full(len(wins), np.nan)


def by_posterior(wins: npt.NDArray[np.int64]) -> Array:
    """Scores with mean 0, JOD; the variance of the prior is renewed until it is that of the posterior."""
    mean, covariance = posterior(wins)
    for _ in range(7):
        variance = max(float(np.mean(mean**2 + covariance.diagonal())), 1e-3)
        mean, covariance = posterior(wins, prior_variance=variance)
    return SIGMA * (mean - mean.mean())


SCALES: dict[str, Callable[[npt.NDArray[np.int64]], Array]] = {"jod": by_jod, "posterior": by_posterior}


def curves(items: int, spread: float, repetitions: int, pool: ProcessPoolExecutor) -> dict[str, dict[str, Curve]]:
    """[votes, RMSE] of each design, by the way of scaling."""
    found: dict[str, dict[str, Curve]] = {name: {} for name in SCALES}
    for method in DESIGNS:
        studies = [Study(items, spread, method, seed) for seed in range(repetitions)]
        squares = np.array(list(pool.map(Study.run, studies)))
        rmse = np.sqrt(squares.mean(axis=0)).T  # NaN when a single study has no scale
        for name, errors in zip(SCALES, rmse.tolist(), strict=True):
            points = zip(studies[0].checkpoints, errors, strict=True)
            found[name][method] = [[n, e] for n, e in points if np.isfinite(e)]
    return found


def votes_for(rmse: float, curve: Curve) -> float | None:
    """Votes at which a design reaches an RMSE; None outside its points."""
    votes, errors = np.log(np.array(curve).T)
    errors = np.minimum.accumulate(errors)
    if not errors.min() <= np.log(rmse) <= errors.max():
        return None
    return float(np.exp(np.interp(-np.log(rmse), -errors, votes)))


def savings(found: dict[str, Curve]) -> Iterator[dict[str, float | None]]:
    """For each point of active sampling, the votes of the other designs with the same RMSE and the shares saved."""
    for votes, rmse in found["active"]:
        row: dict[str, float | None] = {"votes": votes, "rmse": rmse}
        for other in ("random", "full"):
            needed = votes_for(rmse, found[other])
            row |= {other: needed, f"saved_{other}": None if needed is None else 1 - votes / needed}
        yield row


def main() -> None:
    """Simulate, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, choices=tuple(REPETITIONS), help="only studies of this size")
    parser.add_argument("--repetitions", type=int, metavar="N", help="of each study; else 50, 20 and 20")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    arguments = parser.parse_args()
    sizes = [arguments.items] if arguments.items else list(REPETITIONS)
    repetitions = {items: arguments.repetitions or REPETITIONS[items] for items in sizes}
    versions = {name: version(name) for name in ("mien", "numpy", "scipy")}
    print(f"{platform.machine()}, {os.cpu_count()} cores, {', '.join(f'{k} {v}' for k, v in versions.items())}")
    print("items   SD  scale       active votes    RMSE    random  saved      full  saved")
    results, begin = [], time.perf_counter()
    with ProcessPoolExecutor() as pool:
        for items, times in repetitions.items():
            for spread in SPREADS:
                for scale, found in curves(items, spread, times, pool).items():
                    saved = list(savings(found))
                    facts = {"items": items, "spread": spread, "scale": scale, "repetitions": times}
                    results.append({**facts, "curves": found, "savings": saved})
                    print("\n".join(f"{items:5} {spread:4g}  {scale:9}  {_shown(row)}" for row in saved), flush=True)
                if arguments.json:  # after each setting: the whole takes a quarter of an hour on two cores
                    arguments.json.write_text(json.dumps({"versions": versions, "results": results}, indent=1) + "\n")
    print(f"{time.perf_counter() - begin:.0f} s")


def _shown(row: dict[str, float | None]) -> str:
    cells = [f"{row['votes']:14,.0f}  {row['rmse']:6.3f}"]
    for other in ("random", "full"):
        needed, saved = row[other], row[f"saved_{other}"]
        cells.append(f"{'-':>8}  {'-':>5}" if needed is None or saved is None else f"{needed:8,.0f}  {saved:5.0%}")
    return "  ".join(cells)


if __name__ == "__main__":
    main()
