"""How far observers agree, and who does not: for ratings and for votes.

Nobody is thrown out here. A low value is a reason to look: a button held down, a swapped pair of keys, a tired hour.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, log_ndtr

from mien.subjective.jod import fit, fit_near
from mien.subjective.jod_objective import SIGMA, Workspace
from mien.subjective.mos import moments
from mien.subjective.pairs import Pairs, whole
from mien.subjective.tables import Ratings, sums

Array = npt.NDArray[np.float64]

INSPECT = 1.5  #: interquartile ranges below the first quartile, from which pwcmp's authors look at an observer


def correlation_with_others(ratings: Ratings) -> Array:
    """(I,) Pearson correlation of each observer's votes with the mean of all others for the same stimuli.

    Returns:
        NaN where one side is constant, or fewer than 3 of the stimuli were rated by anybody else.
    """
    n = ratings.n
    total = np.bincount(ratings.stimulus, ratings.score - ratings.score.mean(), len(n))
    people = len(ratings.observers)
    cell = ratings.stimulus * people + ratings.observer
    cells, number = np.unique(cell, return_inverse=True)
    own_total = np.bincount(number, ratings.score - ratings.score.mean())
    own_n = np.bincount(number)
    stimulus, observer = cells // people, cells % people
    others = n[stimulus] - own_n
    shared = others > 0
    stimulus, observer, own_n, own_total = (v[shared] for v in (stimulus, observer, own_n, own_total))
    x, y = own_total / own_n, (total[stimulus] - own_total) / others[shared]
    count = np.bincount(observer, minlength=people)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = x - (np.bincount(observer, x, people) / count)[observer]
        y = y - (np.bincount(observer, y, people) / count)[observer]
        xx, yy, xy = (np.bincount(observer, v, people) for v in (x * x, y * y, x * y))
        defined = (count >= 3) & (np.minimum(xx, yy) > 1e-12 * np.maximum(xx, yy))
        return np.where(defined, xy / np.sqrt(xx * yy), np.nan)


def distance_below(values: Array) -> Array:
    """How many interquartile ranges each value is below the first quartile of all; 0 above it, NaN where unknown."""
    distance, known = np.full(len(values), np.nan), np.isfinite(values)
    if known.sum() > 2:
        first, third = np.quantile(values[known], [0.25, 0.75], method="hazen")
        if third > first:
            distance[known] = np.maximum((first - values[known]) / (third - first), 0)
    return distance


def krippendorff_alpha(ratings: Ratings) -> float:
    """Krippendorff's α for interval data: 1 = all votes for a stimulus are equal, 0 = as if votes were dealt out.

    Source: Krippendorff, "Computing Krippendorff's alpha-reliability", 2011. Votes that nobody else gave for the same
    stimulus say nothing and are left out.

    Returns:
        NaN when all votes are equal or no stimulus has two.
    """
    usable = ratings.keep(ratings.n[ratings.stimulus] > 1)
    if len(usable.score) < 2:
        return float("nan")
    n, _, squares = moments(usable)
    seen = n > 1
    observed = float(np.sum(n[seen] * squares[seen] / (n[seen] - 1))) / len(usable.score)
    expected = float(np.var(usable.score, ddof=1))
    return 1 - observed / expected if expected > 0 else float("nan")


def split_half(ratings: Ratings, *, splits: int = 100, seed: int = 0) -> float:
    """How well the MOS of one half of the observers predicts that of the other half, stepped up to all observers.

    Mean Pearson correlation over random halves, then Spearman-Brown: 2 r / (1 + r).

    Returns:
        NaN with fewer than 4 observers, or when no split leaves 3 stimuli in both halves.
    """
    people, size = len(ratings.observers), len(ratings.stimuli)
    if people < 4:
        return float("nan")
    rng, found = np.random.default_rng(seed), []
    for _ in range(splits):
        side = (rng.permutation(people) % 2)[ratings.observer]
        key = ratings.stimulus * 2 + side
        n = np.bincount(key, minlength=2 * size).reshape(size, 2)
        both = (n > 0).all(axis=1)
        if both.sum() < 3:
            continue
        x, y = (np.bincount(key, ratings.score, 2 * size).reshape(size, 2)[both] / n[both]).T
        if np.ptp(x) > 0 and np.ptp(y) > 0:
            found.append(float(np.corrcoef(x, y)[0, 1]))
    r = float(np.mean(found)) if found else float("nan")
    return 2 * r / (1 + r)


def agreement(pairs: Pairs) -> float:
    """Kendall and Babington Smith's u, for any number of votes in a pair: 1 = unanimous, 0 = chance, below = opposed.

    Of all pairs of votes on one pair of items, the share that agrees, minus the share that does not. NaN when no pair
    of items has two votes.
    """
    a, b = pairs.wins
    together = a + b
    of_two = float(np.sum(np.maximum(together * (together - 1), 0)))
    same = float(np.sum(np.maximum(a * (a - 1), 0) + np.maximum(b * (b - 1), 0)))
    return 2 * same / of_two - 1 if of_two else float("nan")


def rating_report(ratings: Ratings) -> dict[str, list[object]]:
    """Every observer against all others: `correlation`, how far that is below all (`distance`), whether to `inspect`.

    The same rule as for votes: more than 1.5 interquartile ranges below the first quartile.
    """
    correlation = correlation_with_others(ratings)
    distance = distance_below(correlation)
    return {
        "correlation": _or_none(correlation),
        "distance": _or_none(distance),
        "inspect": (np.nan_to_num(distance) > INSPECT).tolist(),
    }


def report(pairs: Pairs, *, most: int = 500) -> dict[str, list[object]]:
    """Every observer against all others.

    The scores are fitted to the votes of the others; the mean of log10 of the (binomial) probability of the observer's
    answers, over the pairs that were answered, is `log10_likelihood`. `distance` counts how many interquartile ranges
    that is below the first quartile of all observers (pwcmp's pw_outlier_analysis at commit 07876b2; Section 9 of arXiv
    1712.03686), and `inspect` is whether it is more than 1.5. `agreement` is the share of the observer's votes that
    agree with most of the others on the same pair.

    Args:
        pairs: votes of one connected group.
        most: observers up to which likelihoods are computed: one fit for each.

    Returns:
        Columns; None where there is no value. Empty when nobody knows who voted.
    """
    if pairs.by_observer is None:
        return {}
    agree, likelihood = _with_majority(pairs), np.full(len(pairs.observers), np.nan)
    if len(pairs.observers) <= most:
        likelihood = _leave_one_out(pairs)
    given = np.asarray(pairs.by_observer.sum(axis=1)).ravel()
    distance = distance_below(likelihood)
    return {
        "observer": list(pairs.observers),
        "n": np.rint(given).astype(int).tolist(),
        "agreement": _or_none(agree),
        "log10_likelihood": _or_none(likelihood),
        "distance": _or_none(distance),
        "inspect": (np.nan_to_num(distance) > INSPECT).tolist(),
    }


def _or_none(values: Array) -> list[object]:
    return [float(v) if np.isfinite(v) else None for v in values]


def _leave_one_out(pairs: Pairs) -> Array:
    assert pairs.by_observer is not None
    everybody, workspace = fit(pairs), Workspace()
    result = np.full(len(pairs.observers), np.nan)
    for i in range(len(pairs.observers)):
        own = pairs.by_observer[[i]].toarray().reshape(2, -1)
        others = np.maximum(pairs.wins - own, 0)
        voted = others.sum(axis=0) > 0
        if not whole(pairs.a[voted], pairs.b[voted], len(pairs.items)):
            continue
        left = replace(pairs, a=pairs.a[voted], b=pairs.b[voted], wins=others[:, voted], by_observer=None)
        found = fit_near(left, everybody.q, workspace=workspace)
        if not found.finite:
            continue
        answered = own.sum(axis=0) > 0
        won, lost = own[:, answered]
        x = (found.q[pairs.a[answered]] - found.q[pairs.b[answered]]) / SIGMA
        ways = gammaln(won + lost + 1) - gammaln(won + 1) - gammaln(lost + 1)
        result[i] = np.mean(ways + won * log_ndtr(x) + lost * log_ndtr(-x)) / np.log(10)
    return result


def _with_majority(pairs: Pairs) -> Array:
    """Share of each observer's votes that agree with most of the others on the same pair, where others differ."""
    assert pairs.by_observer is not None
    own = pairs.by_observer.tocoo()
    c = len(pairs.a)
    pair, for_b = own.coords[1] % c, own.coords[1] >= c
    lead = (pairs.wins[0] - pairs.wins[1])[pair]
    key = own.coords[0].astype(np.int64) * c + pair
    cells, number = np.unique(key, return_inverse=True)
    data = np.asarray(own.data, np.float64)
    own_lead = sums(number, np.where(for_b, -data, data), len(cells))[number]
    others = np.sign(lead - own_lead) * np.where(for_b, -1, 1)
    people = len(pairs.observers)
    agree = np.bincount(own.coords[0], data * (others > 0), people)
    all_votes = np.bincount(own.coords[0], data * (others != 0), people)
    with np.errstate(invalid="ignore"):
        return agree / all_votes
