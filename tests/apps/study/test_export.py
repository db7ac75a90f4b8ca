"""The files: what `mien scale` reads, one line for each vote; and a known scale that comes back from the votes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mien.apps.scale_command import ScaleOptions, scale_table
from mien.apps.study.database import Database
from mien.apps.study.export import LOG, OBSERVERS, RATINGS, VOTES, export
from mien.apps.study.hosted import Hosted, host
from mien.apps.study.votes import record, standing
from mien.core.errors import UsageError
from mien.evaluation.correlation import srcc
from mien.subjective.scale import scale_ratings
from mien.subjective.tables import read_ratings, read_votes

from .conftest import write_pictures
from .people import ballot, chooser, joined, vote_all


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def logged(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]


def test_pairs_become_a_vote_file(database: Database, hosted, tmp_path: Path):
    study = hosted("pairwise", design="full", ties=True, training=2, traps=1)
    somebody = joined(database, study)
    answers = iter(["left", "right", "tie"] * 20)
    seen = vote_all(database, study, somebody, lambda _: next(answers))
    assert export(database, study, tmp_path / "out") == {VOTES: 18, LOG: 21, OBSERVERS: 1}
    table = rows(tmp_path / "out" / VOTES)
    assert list(table[0]) == ["item_a", "item_b", "choice", "group", "observer"]
    main = [t for t in seen if t.role == "main"]
    assert [study.items[t.left_id].name for t in main] == [row["item_a"] for row in table]
    assert {row["observer"] for row in table} == {somebody.code}
    assert {row["choice"] for row in table} == {"a", "b", "tie"}
    groups = read_votes(tmp_path / "out" / VOTES)
    assert sorted(groups) == ["s0", "s1", "s2"] and all(len(v.items) == 4 for v in groups.values())


def test_ratings_become_a_rating_file(database: Database, hosted, tmp_path: Path):
    study = hosted("acr", repetitions=2, training=1, traps=1)
    somebody = joined(database, study)
    vote_all(database, study, somebody, lambda t: str(1 + t.first_id % 5))
    assert export(database, study, tmp_path)[RATINGS] == 24
    table = rows(tmp_path / RATINGS)
    assert list(table[0]) == ["stimulus", "observer", "score", "content", "reference", "repetition"]
    assert {(r["stimulus"], r["repetition"]) for r in table} == {
        (item.name, repetition) for item in study.items.values() for repetition in "12"
    }
    ratings = read_ratings(tmp_path / RATINGS)[""]
    assert len(ratings.stimuli) == 12 and ratings.observers == (somebody.code,)


@pytest.mark.parametrize("method", ["acr", "dcr"])
def test_a_reference_is_named_when_it_was_rated_itself(method: str, database: Database, make_study, tmp_path: Path):
    folder = write_pictures(tmp_path / "items", scenes=1, items=3)
    table = folder / "items.csv"
    table.write_text("image,reference\ns0/0.png,\ns0/1.png,s0/0.png\ns0/2.png,s0/0.png\n")
    study = host(database, make_study(method, items=table))
    vote_all(database, study, joined(database, study), lambda _: "4")
    export(database, study, tmp_path / "out")
    found = {row["stimulus"]: row["reference"] for row in rows(tmp_path / "out" / RATINGS)}
    named = "s0/0.png" if method == "acr" else ""
    assert {found["s0/1.png"], found["s0/2.png"]} == {named}
    read_ratings(tmp_path / "out" / RATINGS)


def test_the_log_tells_all_that_is_known_about_a_vote(database: Database, hosted, tmp_path: Path):
    study = hosted("pairwise", design="full", training=1, traps=1, per_observer=3)
    somebody = joined(database, study)
    first = standing(database, study, somebody).trials[0]
    record(database, study, somebody, ballot(first.id, "left", width=1280, height=720, ratio=1.5, shown_scale=0.5))
    vote_all_from_here = standing(database, study, somebody)
    while vote_all_from_here.trials:
        trial = vote_all_from_here.trials[0]
        wrong = {"left": "right", "right": "left"}
        answer = wrong[trial.expected] if trial.expected else "left"
        vote_all_from_here = record(database, study, somebody, ballot(trial.id, answer))
    export(database, study, tmp_path)
    log = logged(tmp_path)
    assert len(log) == 5 and all(line["subject"] == somebody.code and line["study"] == "study" for line in log)
    one = log[0]
    assert (one["role"], one["response_ms"], one["views"], one["session"]) == ("training", 900, 1, "one-session")
    assert (one["width"], one["height"], one["ratio"], one["shown_scale"]) == (1280, 720, 1.5, 0.5)
    assert one["method"] == "pairwise" and one["scene"] in ("s0", "s1", "s2") and str(one["time"]).endswith("+00:00")
    trap = next(line for line in log if line["trap"])
    assert trap["left"] is trap["right"] is None and trap["expected"] != trap["answer"]
    (person,) = rows(tmp_path / OBSERVERS)
    assert (person["answered"], person["traps"], person["traps_passed"]) == ("5", "1", "0")


def test_new_votes_are_added_at_the_end(database: Database, hosted, tmp_path: Path):
    study = hosted("acr")
    vote_all(database, study, joined(database, study), lambda _: "4")
    export(database, study, tmp_path)
    before = {name: (tmp_path / name).read_text() for name in (RATINGS, LOG)}
    vote_all(database, study, joined(database, study), lambda _: "2")
    export(database, study, tmp_path)
    assert all((tmp_path / name).read_text().startswith(text) for name, text in before.items())


def test_a_folder_that_cannot_be_written_is_told(database: Database, hosted, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write into"):
        export(database, hosted("acr"), tmp_path / "file" / "out")


# ---- a known scale comes back -------------------------------------------------------------------------------------


def true_scores(study: Hosted, spread: float) -> dict[str, float]:
    """Evenly spaced inside every scene, in an order that the names do not tell."""
    rng = np.random.default_rng(5)
    found: dict[str, float] = {}
    for items in study.scenes.values():
        values = rng.permutation(np.linspace(-spread, spread, len(items)))
        found |= {study.items[item].name: float(value) for item, value in zip(items, values, strict=True)}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("design", ["full", "active"])
def test_the_scale_of_simulated_observers_is_recovered_from_pairs(
    design: str, database: Database, make_study, tmp_path: Path
):
    study = host(
        database, make_study(items=write_pictures(tmp_path / "items", 2, 9), design=design, per_observer=60, traps=1)
    )
    truth = true_scores(study, 2.0)
    answer = chooser(study, truth, np.random.default_rng(6))
    for _ in range(12):
        vote_all(database, study, joined(database, study), answer)
    export(database, study, tmp_path / "out")
    labels = tmp_path / "labels.csv"
    scale_table(ScaleOptions(tmp_path / "out" / VOTES, "jod", out=labels, draws=0, quiet=True))
    for group in ("s0", "s1"):
        found = {row["item"]: float(row["score"]) for row in rows(labels) if row["group"] == group}
        assert len(found) == 9 and srcc(list(found.values()), [truth[item] for item in found]) >= 0.97


@pytest.mark.parametrize("method", ["mos", "p910"])
def test_the_scale_of_simulated_observers_is_recovered_from_ratings(
    method: str, database: Database, make_study, tmp_path: Path
):
    study = host(database, make_study("acr", items=write_pictures(tmp_path / "items", 2, 9), traps=1))
    truth, rng = true_scores(study, 1.6), np.random.default_rng(7)
    for _ in range(20):
        bias = rng.normal(0, 0.4)

        def answer(trial: object, bias: float = bias) -> str:
            value = truth[study.items[trial.first_id].name]  # type: ignore[attr-defined]
            return str(int(np.clip(round(3 + value + bias + rng.normal(0, 0.6)), 1, 5)))

        vote_all(database, study, joined(database, study), answer)
    export(database, study, tmp_path / "out")
    (scale,) = scale_ratings(read_ratings(tmp_path / "out" / RATINGS), method).values()
    assert srcc(scale.score, [truth[item] for item in scale.items]) >= 0.97
