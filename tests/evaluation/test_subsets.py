"""Metrics of several subsets: a group that explains all is worth nothing inside, and intervals are those of a loop."""

from __future__ import annotations

import numpy as np
import pytest

from mien.evaluation.correlation import METRICS, inside_groups
from mien.evaluation.subsets import subset_report


def test_guessing_the_group_is_worth_nothing_inside_the_groups():
    rng = np.random.default_rng(0)
    group = np.repeat(["a", "b"], 200)
    level = np.where(group == "a", 0.2, 0.8)
    guess, mos = level + 0.01 * rng.normal(size=400), level + 0.1 * rng.normal(size=400)
    report = subset_report(guess, mos, group)["srcc"]
    assert report["pooled"] > 0.7
    assert abs(report["mean_inside"]) < 0.15


def test_values_and_intervals_are_those_of_a_loop_over_copied_rows():
    rng = np.random.default_rng(1)
    group = rng.permutation(np.repeat(["a", "b", "c"], [20, 35, 50]))
    mos = rng.normal(size=105) + (group == "c")
    guess = mos + rng.normal(size=105)
    parts = [np.flatnonzero(group == name) for name in "abc"]
    resamples = [np.concatenate([rng.choice(part, len(part)) for part in parts]) for _ in range(250)]
    for name, found in subset_report(guess, mos, group, metrics=list(METRICS), draws=3000).items():
        metric = METRICS[name]

        def mean_inside(i: np.ndarray, metric=metric) -> float:
            return float(np.mean(list(inside_groups(metric, guess[i], mos[i], group[i]).values())))

        assert found["pooled"] == metric(guess, mos) and found["mean_inside"] == mean_inside(np.arange(105))
        assert {k: found[k] for k in "abc"} == inside_groups(metric, guess, mos, group)
        for value, slow in (("pooled", lambda i, m=metric: m(guess[i], mos[i])), ("mean_inside", mean_inside)):
            ends = np.quantile([slow(i) for i in resamples], [0.025, 0.975])
            assert found[f"{value}_ci"] == pytest.approx(ends, abs=0.03), (name, value)


def test_the_same_seed_gives_the_same_interval():
    rng = np.random.default_rng(2)
    x, group = rng.normal(size=60), np.repeat(["a", "b"], 30)
    y = x + rng.normal(size=60)
    one, same, other = (subset_report(x, y, group, draws=50, seed=seed) for seed in (3, 3, 4))
    assert one == same != other


def test_an_undefined_group_is_named():
    with pytest.raises(ValueError, match="group b: one side is constant"):
        subset_report(np.arange(8.0), [1, 2, 3, 4, 5, 5, 5, 5], list("aaaabbbb"))
