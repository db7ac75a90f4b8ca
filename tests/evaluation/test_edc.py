"""Error versus discard: the oracles of the specification, and thresholds by hand."""

from dataclasses import replace

import numpy as np
import pytest

from mien.core.errors import UsageError
from mien.evaluation import protocols
from mien.evaluation.edc import curve, threshold_at_fmr, threshold_at_fnmr
from mien.evaluation.evaluate import evaluate
from mien.evaluation.tables import Comparisons


def brute(quality, failed, limit, n=20_000):
    """The area as a mean over fine steps, pairs of lowest quality dropped one by one (no ties)."""
    order = np.argsort(quality)
    r = (np.arange(n) + 0.5) / n * limit
    return np.mean([np.mean(np.asarray(failed)[order][int(np.floor(v * len(order))) :]) for v in r]) * limit


def test_perfect_quality_ends_the_errors_at_their_share():
    failed = np.arange(200) < 20
    found = curve(~failed, failed, limit=0.3)
    reached = np.flatnonzero(found.fnmr == 0)[0]
    assert found.discarded[reached] == pytest.approx(0.1) and found.fnmr[reached - 1] > 0
    assert found.pauc == pytest.approx(found.ideal) and found.relative == pytest.approx(0)


def test_constant_quality_is_flat_and_as_good_as_random():
    found = curve(np.ones(200), np.arange(200) < 20, limit=0.3)
    assert found.fnmr == pytest.approx(0.1)
    assert found.pauc == pytest.approx(found.random) == pytest.approx(0.03)
    assert found.relative == pytest.approx(1)


def test_the_area_is_that_of_the_steps(rng):
    quality, failed = rng.normal(size=73), rng.random(73) < 0.2
    assert curve(quality, failed, limit=0.25).pauc == pytest.approx(brute(quality, failed, 0.25), abs=1e-4)


def test_a_rising_map_of_quality_changes_nothing_and_a_falling_one_does(rng):
    quality = rng.normal(size=150)
    failed = rng.random(150) < 1 / (1 + np.exp(3 * quality + 2))
    one, two, turned = (curve(q, failed, limit=0.3) for q in (quality, np.exp(quality), -quality))
    assert one.fnmr.tolist() == two.fnmr.tolist()
    assert one.relative < 1 < turned.relative


def test_ties_are_any_order_on_average(rng):
    quality, failed = rng.integers(0, 3, 30).astype(float), rng.random(30) < 0.4
    orders = [curve(quality + 1e-3 * rng.random(30), failed, limit=0.5).fnmr for _ in range(3000)]
    assert curve(quality, failed, limit=0.5).fnmr == pytest.approx(np.mean(orders, axis=0), abs=0.01)


def test_counts_are_copies(rng):
    quality, failed, counts = rng.normal(size=25), rng.random(25) < 0.3, rng.integers(0, 4, 25)
    copied = curve(np.repeat(quality, counts), np.repeat(failed, counts), limit=0.4)
    assert curve(quality, failed, limit=0.4, counts=counts.astype(float)).pauc == pytest.approx(copied.pauc)


def test_thresholds():
    non_mated = np.arange(1000) / 1000
    threshold = threshold_at_fmr(non_mated, 1e-3)
    assert np.sum(non_mated >= threshold) == 1
    assert np.sum(non_mated >= threshold_at_fmr(non_mated, 0.01)) == 10
    assert np.sum(non_mated < threshold_at_fnmr(non_mated, 0.05)) == 50
    assert np.mean(np.ones(20) >= threshold_at_fmr(np.ones(20), 0.1)) == 0  # ties: rather too strict
    with pytest.raises(ValueError, match="at least 1,000 non-mated pairs, not 999"):
        threshold_at_fmr(non_mated[1:], 1e-3)
    with pytest.raises(ValueError, match="no mated pairs"):
        threshold_at_fnmr([], 0.05)


def faces(rng, mated=300, non_mated=1000):
    """Pairs of their own two pictures; similarity of mated pairs falls with the quality of the worse one."""
    n = mated + non_mated
    a, b = tuple(f"{i:04}a" for i in range(n)), tuple(f"{i:04}b" for i in range(n))
    quality = rng.normal(size=(n, 2))
    similarity = np.where(np.arange(n) < mated, 0.6 + 0.1 * quality.min(axis=1), 0.0) + 0.1 * rng.normal(size=n)
    scores = dict(zip(a, quality[:, 0].tolist(), strict=True)) | dict(zip(b, quality[:, 1].tolist(), strict=True))
    return Comparisons(a, b, similarity, np.arange(n) < mated), scores


@pytest.mark.parametrize("name", ["fiqa-edc", "fiqa-edc-fnmr"])
def test_quality_that_says_something(rng, name):
    pairs, scores = faces(rng)
    good = evaluate(scores, pairs, name, draws=30)
    bad = evaluate({n: -s for n, s in scores.items()}, pairs, name, draws=30)
    assert good.main.value < bad.main.value and good.better == "lower"
    assert good.total["pauc_relative"].value < 1 < bad.total["pauc_relative"].value
    assert good.total["pauc"].low <= good.total["pauc"].value <= good.total["pauc"].high
    assert good.total["fnmr@0.2"].value < good.extras["fnmr_start"]
    assert good.extras["curve"]["fnmr"][0] == good.extras["fnmr_start"]


def test_a_threshold_found_again_at_every_step(rng):
    pairs, scores = faces(rng, 600, 3000)
    coarse = protocols.load("fiqa-edc-each-step")
    coarse = replace(coarse, settings={**coarse.settings, "at": 0.05, "limit": 0.8})
    good, bad, none = (
        evaluate(p, pairs, coarse, draws=30)
        for p in (scores, {n: -s for n, s in scores.items()}, dict.fromkeys(scores, 1.0))
    )
    assert good.main.value < none.main.value < bad.main.value
    assert good.main.low is None and "no intervals" in good.notes[0]
    assert len(set(none.extras["curve"]["fnmr"])) == 1  # equal qualities stay together: nothing is ever discarded
    assert len(good.extras["curve"]["discarded"]) == 17
    with pytest.raises(UsageError, match=r"after 70% of the pairs .* needs at least 1,000 non-mated pairs"):
        evaluate(scores, pairs, "fiqa-edc-each-step", draws=0)


def test_the_start_at_an_fnmr(rng):
    pairs, scores = faces(rng)
    assert evaluate(scores, pairs, "fiqa-edc-fnmr", draws=0).extras["fnmr_start"] == pytest.approx(0.05)


def test_what_has_no_curve_is_refused(rng):
    pairs, scores = faces(rng, 20, 1000)
    apart = Comparisons(pairs.a, pairs.b, np.where(pairs.mated, 1.0, 0.0), pairs.mated)
    with pytest.raises(UsageError, match="no mated pair fails"):
        evaluate(scores, apart, "fiqa-edc", draws=0)
    few, scores = faces(rng, 20, 100)
    with pytest.raises(UsageError, match="needs at least 1,000 non-mated pairs, not 100"):
        evaluate(scores, few, "fiqa-edc", draws=0)
