"""Scaling gives what the reference software gives: sureal for ratings, choix and pwcmp for votes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mien.subjective.scale import scale_ratings, scale_votes
from mien.subjective.tables import TableError, read_ratings, read_votes

DATA = Path(__file__).parents[3] / "shared" / "data" / "subjective"
SETS = ("nflx_public", "nflx_public_4outliers", "vqeghd3", "vqeg_frtv1_625_low", "toy_repetitions")
MODELS = {"mos": "MOS", "bt500": "BT500", "p913": "P913", "p910": "P910"}

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs ../shared/data/subjective")


def table(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@needs_data
@pytest.mark.parametrize("method", MODELS)
@pytest.mark.parametrize("name", SETS)
def test_scores_of_ratings_are_those_of_sureal(name: str, method: str) -> None:
    expected = {
        row["stimulus"]: float(row["score"])
        for row in table(f"{name}_expected_scores.csv")
        if row["model"] == MODELS[method] and row["score"]
    }
    if not expected:
        pytest.skip(f"sureal gives no {MODELS[method]} for {name}")
    scale = scale_ratings(read_ratings(DATA / f"{name}_ratings.csv"), method)[""]
    found = dict(zip(scale.items, scale.score, strict=True))
    assert found.keys() == expected.keys()
    assert max(abs(found[item] - expected[item]) for item in expected) <= 1e-6


VOTES = {"item_a": "stimulus_a", "item_b": "stimulus_b"}


@pytest.fixture(scope="module")
def lukas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The votes in the form of one trial a row."""
    path = tmp_path_factory.mktemp("votes") / "votes.csv"
    rows = table("lukas_pairwise_votes.csv")
    lines = [
        f"{r['stimulus_a']},{r['stimulus_b']},{'a' if r['preference_a'] == '1' else 'b'},{r['observer']},{r['content']}"
        for r in rows
    ]
    path.write_text("\n".join(["item_a,item_b,choice,observer,content", *lines]) + "\n")
    return path


@needs_data
def test_bradley_terry_is_that_of_choix(lukas: Path) -> None:
    scales = scale_votes(read_votes(lukas, groups="content"), "bradley-terry")
    expected = {
        r["stimulus"]: float(r["score"])
        for r in table("lukas_pairwise_expected.csv")
        if r["call"] == "choix opt_pairwise alpha=0.0"
    }
    found = {item: s for scale in scales.values() for item, s in zip(scale.items, scale.score, strict=True)}
    assert found.keys() == expected.keys()
    assert max(abs(found[item] - expected[item]) for item in expected) <= 1e-6


@needs_data
@pytest.mark.parametrize(("prior", "column"), [(True, "jod"), (False, "jod_noprior")])
def test_jod_is_that_of_pwcmp(lukas: Path, prior: bool, column: str) -> None:
    scales = scale_votes(read_votes(lukas, groups="content"), "jod", prior=prior, draws=0)
    expected = {
        r["stimulus"]: float(r[column]) for r in table("lukas_pairwise_expected_jod.csv") if r["content"] != "all"
    }
    found = {item: s for scale in scales.values() for item, s in zip(scale.items, scale.score, strict=True)}
    assert max(abs(found[item] - expected[item]) for item in expected) <= 1e-4


def test_two_items_of_bradley_terry_are_the_logit_of_their_votes(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("item_a,item_b,votes_a,votes_b\nx,y,30,10\n")
    scale = scale_votes(read_votes(path), "bradley-terry")[""]
    found = dict(zip(scale.items, scale.score, strict=True))
    assert found["x"] - found["y"] == pytest.approx(np.log(3), abs=1e-6)


def test_items_that_were_never_compared_are_not_put_on_one_scale(tmp_path: Path) -> None:
    path = tmp_path / "votes.csv"
    path.write_text("item_a,item_b,votes_a,votes_b\nx,y,3,1\nu,v,2,2\n")
    with pytest.raises(TableError, match="part"):
        scale_votes(read_votes(path), "bradley-terry")


def test_the_mean_opinion_is_the_mean_and_its_interval_is_students(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("stimulus,observer,score\n" + "".join(f"p,o{i},{v}\n" for i, v in enumerate((1, 2, 3, 4, 5))))
    scale = scale_ratings(read_ratings(path), "mos")[""]
    assert scale.score[0] == pytest.approx(3.0)
    assert scale.half_width[0] == pytest.approx(2.776445105 * np.sqrt(2.5 / 5), rel=1e-6)
