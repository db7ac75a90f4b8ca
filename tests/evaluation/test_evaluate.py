"""`evaluate`: what every protocol of labels shares. Small tables, few draws."""

import json
from dataclasses import replace

import numpy as np
import pytest

from mien.core.errors import UsageError
from mien.evaluation import protocols
from mien.evaluation.correlation import krcc, plcc, srcc
from mien.evaluation.evaluate import evaluate
from mien.evaluation.protocol import Cost
from mien.evaluation.result import Fit, paired_difference
from mien.evaluation.tables import Labels

PORTRAIT = protocols.load("ntire24-portrait")


def scenes(rng, sizes=(7, 9, 12, 8), noise=1.0):
    """Labels of some scenes with their own levels, and noisy predictions."""
    groups = tuple(f"s{i}" for i, n in enumerate(sizes) for _ in range(n))
    values = rng.normal(size=sum(sizes))
    labels = Labels(tuple(f"{i:03}.jpg" for i in range(sum(sizes))), values, groups, source="labels")
    return labels, dict(zip(labels.names, (values + noise * rng.normal(size=sum(sizes))).tolist(), strict=True))


def inside(labels, predictions, metric):
    """The metric in each group, straight from the definition."""
    x, y, g = np.array([predictions[n] for n in labels.names]), labels.values, np.array(labels.groups)
    return np.array([metric(x[g == name], y[g == name]) for name in np.unique(g)])


@pytest.mark.parametrize("sizes", [(7, 9, 12, 8), (7, 9, 12)])
def test_ntire24_is_the_median_of_the_means_inside_the_scenes(rng, sizes):
    labels, predictions = scenes(rng, sizes)
    result = evaluate(predictions, labels, PORTRAIT, draws=50)
    table = [inside(labels, predictions, metric) for metric in (srcc, plcc, krcc)]
    assert [result.total[m].value for m in ("srcc", "plcc", "krcc")] == pytest.approx([np.median(t) for t in table])
    assert result.main.value == pytest.approx(np.median(np.mean(table, axis=0)), abs=1e-12)
    assert result.groups["s1"].n == 9
    assert result.groups["s1"].values["main"].value == pytest.approx(np.mean(table, axis=0)[1])
    assert all(e.low <= e.high for e in result.total.values())


def test_vsr_pools_in_fishers_z_or_plainly(rng):
    labels, predictions = scenes(rng)
    r = inside(labels, predictions, srcc)
    fisher = evaluate(predictions, labels, "aim24-vsr", draws=0).total["srcc"].value
    plain = evaluate(predictions, labels, "aim24-vsr-mean", draws=0).total["srcc"].value
    assert plain == pytest.approx(r.mean())
    assert fisher == pytest.approx(np.tanh(np.mean(np.arctanh(r))))
    assert fisher != pytest.approx(plain, abs=1e-4)


def test_a_perfect_group_does_not_break_fishers_z(rng):
    labels, _ = scenes(rng)
    perfect = dict(zip(labels.names, labels.values.tolist(), strict=True))
    assert evaluate(perfect, labels, "aim24-vsr", draws=5).total["srcc"].value == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["vquala25-fiqa", "ntire25-xgc-talking-head", "ntire24-aigc"])
def test_the_mean_of_srcc_and_plcc_over_all_rows(rng, name):
    labels, predictions = scenes(rng)
    x = [predictions[n] for n in labels.names]
    result = evaluate(predictions, labels, name, draws=20)
    assert result.main.value == pytest.approx((srcc(x, labels.values) + plcc(x, labels.values)) / 2, abs=1e-12)


def test_the_order_of_the_rows_and_of_the_predictions_changes_nothing(rng):
    labels, predictions = scenes(rng)
    order = rng.permutation(len(labels.names))
    groups = tuple(labels.groups[i] for i in order)
    shuffled = replace(labels, names=tuple(labels.names[i] for i in order), values=labels.values[order], groups=groups)
    one = evaluate(predictions, labels, PORTRAIT, draws=40)
    two = evaluate(dict(reversed(predictions.items())), shuffled, PORTRAIT, draws=40)
    assert one.to_dict() == two.to_dict()


def test_a_positive_map_of_its_own_in_each_scene_changes_nothing_and_a_negative_one_the_sign(rng):
    labels, predictions = scenes(rng)
    slope = dict(zip(sorted(set(labels.groups)), (0.1, 3, 70, 1e-3), strict=True))
    moved = {n: slope[g] * predictions[n] - 5 * slope[g] for n, g in zip(labels.names, labels.groups, strict=True)}
    one, two = (evaluate(p, labels, PORTRAIT, draws=0) for p in (predictions, moved))
    turned = evaluate({n: -p for n, p in moved.items()}, labels, PORTRAIT, draws=0)
    for metric in PORTRAIT.columns:
        assert two.total[metric].value == pytest.approx(one.total[metric].value, abs=1e-9)
        assert turned.total[metric].value == pytest.approx(-one.total[metric].value, abs=1e-9)


def test_lower_is_better_negates(rng):
    labels, predictions = scenes(rng)
    distances = {name: -value for name, value in predictions.items()}
    result = evaluate(distances, labels, PORTRAIT, draws=0, lower_is_better=True)
    assert result.total == evaluate(predictions, labels, PORTRAIT, draws=0).total
    assert any("negated" in note for note in result.notes)


def test_an_undefined_scene_is_named_or_counts_as_zero(rng):
    labels, predictions = scenes(rng, (7, 8, 9))
    predictions |= {name: 1.0 for name, g in zip(labels.names, labels.groups, strict=True) if g == "s1"}
    with pytest.raises(UsageError, match="scene s1: srcc is undefined: one side is constant"):
        evaluate(predictions, labels, PORTRAIT, draws=0)
    result = evaluate(predictions, labels, PORTRAIT, draws=20, undefined="zero")
    assert result.groups["s1"].values["main"].value == 0
    assert "correlation counted as 0, predictions constant: 1 scene (s1)" in result.notes


def test_constant_labels_and_small_scenes_are_never_zero(rng):
    labels, predictions = scenes(rng, (7, 2))
    with pytest.raises(UsageError, match="scene s1: srcc is undefined: a correlation needs at least 3 rows, not 2"):
        evaluate(predictions, labels, PORTRAIT, draws=0, undefined="zero")
    flat = replace(labels, values=np.zeros(9))
    with pytest.raises(UsageError, match="scene s0: srcc is undefined: one side is constant"):
        evaluate(predictions, flat, PORTRAIT, draws=0, undefined="zero")


def test_a_prediction_that_is_not_finite_is_refused(rng):
    labels, predictions = scenes(rng)
    with pytest.raises(UsageError, match=r"000\.jpg is not a finite number"):
        evaluate(predictions | {"000.jpg": float("nan")}, labels, PORTRAIT)


def test_rows_of_other_splits_are_told(rng):
    labels, predictions = scenes(rng)
    some = replace(labels, left_out=frozenset({"other.jpg"}))
    result = evaluate(predictions | {"other.jpg": 1.0}, some, PORTRAIT, draws=0)
    assert "1 predictions belong to rows of the label file that were not selected" in result.notes


def test_json_has_no_nan_and_no_draws(rng):
    labels, predictions = scenes(rng)
    result = evaluate(predictions, labels, PORTRAIT, draws=20)
    found = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert found["total"]["main"]["low"] <= found["total"]["main"]["value"]
    assert "samples" not in found and found["unknowns"]


def test_one_scene_has_no_interval_of_the_total(rng):
    labels, predictions = scenes(rng, (20,))
    result = evaluate(predictions, labels, PORTRAIT, draws=20)
    assert result.main.low is None and result.groups["s0"].values["main"].low is not None


# -- the bootstrap ------------------------------------------------------------------------------------------------


def test_whole_scenes_or_rows_inside_them(rng):
    labels, predictions = scenes(rng, (30,) * 12)
    whole = evaluate(predictions, labels, PORTRAIT, draws=100)
    rows = evaluate(predictions, labels, PORTRAIT, draws=100, resample="rows")
    values = {g.values["srcc"].value for g in whole.groups.values()}
    middles = {(a + b) / 2 for a in values for b in values}
    assert {round(v, 12) for v in whole.samples["srcc"]} <= {round(v, 12) for v in middles}
    assert not {round(v, 12) for v in rows.samples["srcc"]} <= {round(v, 12) for v in middles}
    assert whole.total["srcc"].value == rows.total["srcc"].value
    with pytest.raises(UsageError, match="no groups to resample"):
        evaluate(predictions, labels, "plain", resample="groups")


def test_identical_submissions_do_not_differ_and_a_better_one_does(rng):
    labels, predictions = scenes(rng, (20,) * 10, noise=2.0)
    better = {n: p + 6 * v for (n, p), v in zip(predictions.items(), labels.values, strict=True)}
    a, same, b = (evaluate(p, labels, "plain", draws=300) for p in (predictions, dict(predictions), better))
    none = paired_difference(a, same)
    assert (none.value, none.low, none.high, none.p) == (0, 0, 0, 1)
    found = paired_difference(b, a, "plcc")
    assert found.low > 0 and found.p == pytest.approx(2 / 301)
    assert found.value == pytest.approx(b.total["plcc"].value - a.total["plcc"].value)
    turned = paired_difference(a, b, "plcc")
    assert (turned.low, turned.high, turned.p) == pytest.approx((-found.high, -found.low, found.p))


def test_only_what_was_resampled_together_is_compared(rng):
    labels, predictions = scenes(rng)
    a = evaluate(predictions, labels, "plain", draws=20)
    with pytest.raises(UsageError, match="not resampled together"):
        paired_difference(a, evaluate(predictions, labels, "plain", draws=20, seed=1))
    with pytest.raises(UsageError, match="no draws of srcc"):
        paired_difference(*[evaluate(predictions, labels, "plain", draws=0)] * 2)


# -- the fit ------------------------------------------------------------------------------------------------------


def two_splits(rng):
    values = rng.uniform(size=60)
    names = tuple(f"{i:02}" for i in range(60))
    predictions = dict(zip(names, (np.exp(6 * values) + rng.normal(size=60)).tolist(), strict=True))
    test, other = Labels(names[:30], values[:30], source="labels"), Labels(names[30:], values[30:])
    return replace(test, left_out=frozenset(names[30:])), other, predictions


def test_a_fit_on_another_split_changes_plcc_rmse_mae_only(rng):
    test, other, predictions = two_splits(rng)
    raw = evaluate(predictions, test, "plain", draws=20)
    fitted = evaluate(predictions, test, "plain", draws=20, fit=Fit("logistic4", other, "split=validation"))
    assert fitted.total["plcc"].value > raw.total["plcc"].value + 0.01
    assert fitted.total["rmse"].value < 0.1 < raw.total["rmse"].value
    for metric in ("srcc", "krcc"):
        assert fitted.total[metric] == raw.total[metric]
    assert fitted.fitted.startswith("logistic4 on split=validation (30 rows)") and raw.fitted == "none"
    assert not any("has seen" in note for note in fitted.notes)


def test_a_fit_on_the_evaluated_labels_is_told(rng):
    test, _, predictions = two_splits(rng)
    fitted = evaluate(predictions, test, "plain", draws=0, fit=Fit("logistic5", test, "split=test"))
    assert "the fit has seen the labels of 30 of the 30 evaluated rows" in fitted.notes


def test_the_portrait_protocol_fits_each_scene_and_refuses_seven_rows_of_few_values(rng):
    labels, predictions = scenes(rng, (12, 15))
    result = evaluate(predictions, labels, PORTRAIT, draws=0, fit=Fit("logistic4", labels, "split=test"))
    assert "one for each scene" in result.fitted
    small, few = scenes(rng, (12, 4))
    with pytest.raises(UsageError, match="scene s1 of x: logistic4 needs at least 5 different predictions, not 4"):
        evaluate(few, small, PORTRAIT, draws=0, fit=Fit("logistic4", small, "x"))


# -- budgets and other kinds --------------------------------------------------------------------------------------


def test_budgets(rng):
    labels, predictions = scenes(rng)

    def verdicts(name, **cost):
        return [v.ok for v in evaluate(predictions, labels, name, draws=0, cost=Cost(**cost)).budget]

    assert verdicts("vquala25-fiqa", macs=0.3313e9, parameters=1.1796e6) == [True, True]
    assert verdicts("vquala25-fiqa", macs=2 * 0.4949e9, parameters=5e6) == [False, True]
    assert verdicts("vquala25-fiqa") == [None, None]
    assert verdicts("aim24-uhd", macs=43.5e9) == [True] and verdicts("aim24-uhd", macs=69.7e9) == [False]
    assert verdicts("ais24-vqa", seconds=0.99) == [True] and verdicts("ais24-vqa", seconds=1.0) == [False]
    assert verdicts("plain") == []


def test_labels_of_another_kind_are_refused(rng):
    labels, predictions = scenes(rng)
    with pytest.raises(UsageError, match="adth-qa needs a table of votes, not Labels"):
        evaluate(predictions, labels, "adth-qa")
    with pytest.raises(UsageError, match="no protocol 'pliain': plain"):
        evaluate(predictions, labels, "pliain")


def test_generators_are_compared_by_their_means(rng):
    labels, predictions = scenes(rng, (5, 6, 7, 8))
    found = evaluate(predictions, labels, "ntire25-xgc-talking-head", draws=0).extras["group_means"]
    x, g = np.array([predictions[n] for n in labels.names]), np.array(labels.groups)
    means = [[side[g == name].mean() for name in np.unique(g)] for side in (x, labels.values)]
    assert found == {"n": 4, "srcc": pytest.approx(srcc(*means)), "plcc": pytest.approx(plcc(*means))}
