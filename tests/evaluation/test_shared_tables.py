"""What the specifications say about public label tables, from the tables themselves and through `evaluate`."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mien.evaluation import protocols
from mien.evaluation.evaluate import evaluate
from mien.evaluation.tables import TableError, read_labels

SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside this checkout")

PORTRAIT = protocols.load("ntire24-portrait")
PIQ23 = SHARED / "piq23" / "scores.csv"


def piq23(group=None, **where):
    protocol = PORTRAIT
    return read_labels(PIQ23, protocol, columns={"label": "jod"}, where={"attribute": "Overall"} | where, group=group)


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def portraits():
    return rows_of(PIQ23)


def test_piq23_has_5116_pictures_in_50_scenes_of_45_to_125():
    sizes = Counter(piq23().groups)
    assert (sum(sizes.values()), len(sizes), min(sizes.values()), max(sizes.values())) == (5116, 50, 45, 125)


def test_piq23_attributes_must_be_selected():
    with pytest.raises(TableError, match="more than one label for 5,116 names"):
        read_labels(PIQ23, PORTRAIT, columns={"label": "jod"})


def test_piq23_conditions():
    conditions = Counter(piq23(group="condition").groups)
    assert conditions == {"Outdoor": 1616, "Indoor": 1397, "Night": 1248, "Lowlight": 855}


@pytest.mark.parametrize(
    ("attribute", "low", "high", "comparisons"),
    [("Overall", -7.13, 4.97, 741_636), ("Details", -7.28, 5.14, 745_738), ("Exposure", -6.68, 4.72, 598_194)],
)
def test_piq23_jod_ranges_zero_means_no_ties_and_comparisons(portraits, attribute, low, high, comparisons):
    rows = [row for row in portraits if row["attribute"] == attribute]
    jod, scene = np.array([float(row["jod"]) for row in rows]), np.array([row["scene"] for row in rows])
    assert (round(jod.min(), 2), round(jod.max(), 2)) == (low, high)
    ties = 0
    for name in np.unique(scene):
        inside = jod[scene == name]
        assert abs(inside.mean()) < 1e-6  # values are rounded to 6 digits here
        ties += len(inside) - len(np.unique(inside))
    assert ties == (1 if attribute == "Exposure" else 0)  # two pictures whose other columns differ: the rounding
    assert sum(int(row["comparisons"]) for row in rows) == comparisons


TEST_SCENES = {
    "Indoor": {1: 124, 5: 50, 10: 125, 11: 94},
    "Lowlight": {16: 87, 17: 102, 20: 125},
    "Night": {28: 112, 30: 114, 31: 112},
    "Outdoor": {33: 119, 34: 45, 43: 125, 45: 78, 46: 74},
}


def test_piq23_scene_split_through_the_protocol():
    labels = piq23(scene_split="test")
    perfect = dict(zip(labels.names, labels.values.tolist(), strict=True))
    result = evaluate(perfect, labels, PORTRAIT, draws=0)
    assert (result.n, len(result.groups)) == (1486, 15)
    expected = {f"{c}_Scene_{i}": n for c, scenes in TEST_SCENES.items() for i, n in scenes.items()}
    assert {name: group.n for name, group in result.groups.items()} == expected
    assert all(estimate.value == pytest.approx(1, abs=1e-12) for estimate in result.total.values())
    train = piq23(scene_split="train")
    assert (len(train.names), len(set(train.groups))) == (3630, 35)
    assert not set(train.groups) & set(labels.groups)


def test_piq23_device_split_has_all_scenes_and_is_not_centred():
    labels = piq23(device_split="test")
    sizes = Counter(labels.groups)
    assert (len(labels.names), len(sizes), min(sizes.values()), max(sizes.values())) == (1512, 50, 13, 37)
    assert len(piq23(device_split="train").names) == 3604
    groups = np.array(labels.groups)
    assert max(abs(labels.values[groups == name].mean()) for name in sizes) > 0.1


def test_the_opposite_of_the_labels_is_minus_one_in_every_scene():
    labels = piq23(device_split="test")
    result = evaluate(dict(zip(labels.names, -labels.values, strict=True)), labels, PORTRAIT, draws=0)
    assert all(estimate.value == pytest.approx(-1, abs=1e-12) for estimate in result.total.values())


def test_baselines_of_the_challenge_are_the_rows_of_the_repository():
    """Table 1 and the README agree after rounding: HyperIQA, SEM-HyperIQA, FULL-HyperIQA, Overall, scene split."""
    table = {r["model"].split()[0]: r for r in rows_of(SHARED / "piq23" / "published_benchmarks.csv") if keep(r)}
    for row in PORTRAIT.published:
        if row.table == "PIQ23 test" and "baseline" in row.name:
            there = table[row.name.split()[0]]
            for metric, column in (("srcc", "srocc"), ("plcc", "plcc"), ("krcc", "krocc")):
                assert row.values[metric] == pytest.approx(float(there[column]), abs=0.0051)


def keep(row):
    return row["split"] == "scene" and row["attribute"] == "Overall"


def test_uhd_iqa_labels():
    protocol = protocols.load("aim24-uhd")
    path, sizes = SHARED / "labels" / "uhd_iqa.csv", {}
    for split in ("training", "validation", "test"):
        labels = read_labels(path, protocol, columns={"label": "score"}, where={"split": split})
        sizes[split] = len(labels.names)
        if split == "training":
            y = labels.values
            assert (y.min(), y.max(), len(np.unique(y))) == (0.587, 0.8365, 451)
            assert (round(y.mean(), 4), round(y.std(), 4)) == (0.7325, 0.0465)
    assert sizes == {"training": 4269, "validation": 904, "test": 900}


def test_talking_head_labels_by_generator():
    protocol = protocols.load("ntire25-xgc-talking-head")
    path = SHARED / "labels" / "thqa_ntire.csv"
    sizes = Counter(row["split"] for row in rows_of(path))
    assert sorted(sizes.values()) == [1606, 1714, 8927]
    smallest = min(sizes, key=sizes.get)
    labels = read_labels(path, protocol, columns={"label": "mos"}, where={"split": smallest})
    assert labels.groups and len(labels.names) == 1606 and len(labels.left_out) == 12_247 - 1606


def test_adth_votes():
    protocol, wins = protocols.load("adth-qa"), {}
    for dimension in ("render", "lip", "head"):
        votes = read_labels(SHARED / "adthqa" / "votes.csv", protocol, where={"dimension": dimension})
        assert len(votes.a) == 36 and len(set(votes.groups)) == 6
        assert set((votes.votes_a + votes.votes_b).tolist()) == {15}
        wins[dimension] = sum(v for n, v in zip(votes.a, votes.votes_a, strict=True) if n.startswith("wav2lip/"))
        wins[dimension] += sum(v for n, v in zip(votes.b, votes.votes_b, strict=True) if n.startswith("wav2lip/"))
        ranking = {name: float(i) for i, name in enumerate(sorted(votes.names))}
        result = evaluate(ranking, votes, protocol, draws=50)
        assert set(result.groups) == {"GER1", "GER2", "Leijun", "May", "Obama", "Spanish"}
        assert result.extras["method_prior_soft"] <= result.extras["ceiling_soft"]
        assert 1 - result.extras["ceiling_soft"] <= result.main.value <= result.extras["ceiling_soft"]
    assert wins["head"] == 5


def test_adth_dimensions_must_be_selected():
    with pytest.raises(TableError, match="more than one row for 36 names"):
        read_labels(SHARED / "adthqa" / "votes.csv", protocols.load("adth-qa"))
