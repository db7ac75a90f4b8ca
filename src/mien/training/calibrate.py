"""Stage 5: what the student's numbers are worth. Pure functions on held-out predictions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def interval_factor(error: npt.ArrayLike, spread: npt.ArrayLike, level: float = 0.9) -> float:
    """Split-conformal width: quality ± factor x spread holds a new opinion with probability `level`.

    Args:
        error: (n,) |prediction - opinion| on pictures that were not trained on.
        spread: (n,) > 0, the network's own guess of that error.
        level: wanted coverage, 0..1.

    Returns:
        The ceil((n + 1) level)-th smallest ratio (Vovk et al., "Algorithmic learning in a random world", 2005).

    Raises:
        ValueError: too few pictures for the level, or an error below 0.
    """
    if np.any(np.asarray(error) < 0):
        raise ValueError("an error below 0: the interval is made of absolute errors")
    ratio = np.sort(np.asarray(error, np.float64) / np.asarray(spread, np.float64))
    rank = int(np.ceil((len(ratio) + 1) * level))
    if rank > len(ratio):
        raise ValueError(f"{len(ratio)} pictures are too few for a {level:.0%} interval")
    return float(ratio[rank - 1])


def coverage(
    error: npt.ArrayLike,
    spread: npt.ArrayLike,
    level: float = 0.9,
    *,
    levelled: bool = False,
    splits: int = 200,
    seed: int = 0,
) -> tuple[float, float]:
    """Coverage on pictures that the factor has not seen: calibrate on a random half, count on the other.

    Args:
        error: (n,) prediction - opinion, or its absolute value where it is not levelled.
        spread: (n,) > 0, see `interval_factor`.
        level: wanted coverage, 0..1.
        levelled: the constant of the prediction comes from the half that calibrates, too: its mean error is taken off.
        splits: random halves.
        seed: of the halves.

    Returns:
        Mean and standard deviation over the splits, 0..1.
    """
    e, s = np.asarray(error, np.float64), np.asarray(spread, np.float64)
    rng = np.random.default_rng(seed)
    held = []
    for _ in range(splits):
        order = rng.permutation(len(e))
        fit, test = order[: len(e) // 2], order[len(e) // 2 :]
        off = np.abs(e - e[fit].mean() if levelled else e)
        held.append(np.mean(off[test] <= interval_factor(off[fit], s[fit], level) * s[test]))
    return float(np.mean(held)), float(np.std(held))


def population_quantiles(raw: npt.ArrayLike) -> list[float]:
    """The 0th to 100th percentile of a population's raw scores: 101 rising numbers."""
    return [round(float(q), 6) for q in np.percentile(np.asarray(raw, np.float64), np.arange(101))]
