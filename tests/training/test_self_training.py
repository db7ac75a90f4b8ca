"""Teacher, its labels, better teacher, its labels, student: what each learns from, and going on after a kill."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from mien.core.errors import UsageError
from mien.core.weights import sha256_of
from mien.data import table
from mien.data.sample import Sample
from mien.evaluation import logistic
from mien.training import parts as parts_module
from mien.training import pseudo_labels, self_training
from mien.training.loop import Way
from mien.training.measure import predict
from mien.training.parallel import Machine
from mien.training.parts import divide
from mien.training.self_training import Pictures, SelfTraining, distill
from mien.training.sources import Source, read
from training.tables import RECIPE, write_table

HERE = Machine(torch.device("cpu"))
BOTH = SelfTraining(
    "both", "none", replace(RECIPE, name="teacher", epochs=2), replace(RECIPE, name="student", epochs=2)
)
FILES = ["1-teacher/best.pt", "2-labels-u1.csv", "3-teacher-plus/best.pt", "4-labels-u2.csv", "5-student/best.pt"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    root = tmp_path_factory.mktemp("pictures")
    labels = write_table(root / "labelled", 40)
    for name, first in (("u1", 100), ("u2", 200)):
        write_table(root / name, 12, first=first, score=False).unlink()
    (root / "u2" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    u1, u2 = (tuple(str(p) for p in sorted((root / name).iterdir())) for name in ("u1", "u2"))
    return Pictures((Source(labels),), u1, u2)


@pytest.fixture(scope="module")
def whole(pictures: Pictures, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    assert distill(BOTH, pictures, out, HERE, Way()) == out / "student.onnx"
    return out


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_every_step_leaves_a_file_whose_hash_is_on_record(whole):
    chain = json.loads((whole / "chain.json").read_text())
    assert list(chain) == FILES
    assert all(sha256_of(whole / name) == digest for name, digest in chain.items())
    record = json.loads((whole / "2-labels-u1.json").read_text())
    assert record["sha256"] == chain["2-labels-u1.csv"]
    assert record["judge_sha256"] == chain["1-teacher/best.pt"]
    card = json.loads((whole / "student.json").read_text())
    assert f"2-labels-u1.csv, sha256 {chain['2-labels-u1.csv']}" in card["training"]["data"]


def test_each_step_learns_from_the_right_pictures(pictures, tmp_path, monkeypatch):
    seen = []
    fit = self_training.fit_from

    def watched(recipe, parts, out, *rest):
        origins = [s.name.partition("/")[0] if "/" in s.name else "labelled" for s in parts.train]
        seen.append((recipe.name, {o: origins.count(o) for o in origins}, len(parts.val)))
        return fit(recipe, parts, out, *rest)

    monkeypatch.setattr(self_training, "fit_from", watched)
    distill(BOTH, pictures, tmp_path, HERE, Way())
    u1, u2 = {"2-labels-u1": 12}, {"4-labels-u2": 12}
    assert seen == [
        ("teacher", {"labelled": 32}, 8),
        ("teacher", {"labelled": 32, **u1}, 8),
        ("student", {"labelled": 32, **u1, **u2}, 8),
    ]


def test_labels_are_the_teachers_numbers_through_a_logistic_fitted_on_the_labelled_table(whole, pictures):
    parts = divide(table.read(pictures.labelled[0].path.parent), RECIPE.split)
    net = RECIPE.network()
    net.load_state_dict(torch.load(whole / "1-teacher" / "best.pt", weights_only=True)["state_dict"])
    from concurrent.futures import ThreadPoolExecutor

    labelled = (*parts.train, *parts.val)
    with ThreadPoolExecutor(1) as pool:
        known = predict(BOTH.teacher, net, labelled, HERE, pool)["quality"]
        raw = predict(BOTH.teacher, net, [table.Sample(p, Path(p)) for p in pictures.u1], HERE, pool)["quality"]
    expected = logistic.fit_for_others(known, [s.label for s in labelled])(raw)
    found = rows(whole / "2-labels-u1.csv")
    assert [row["path"] for row in found] == [str(p) for p in pictures.u1]
    assert np.allclose([float(row["score"]) for row in found], expected, atol=1e-5)
    assert np.allclose([float(row["raw"]) for row in found], raw, atol=1e-5)


def test_a_picture_that_cannot_be_read_is_left_out_and_counted(whole):
    record = json.loads((whole / "4-labels-u2.json").read_text())
    assert (record["pictures"], record["unreadable"]) == (12, 1)
    assert "broken" not in (whole / "4-labels-u2.csv").read_text()


class StopError(Exception):
    """Where a run is cut off."""


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", ["1-teacher", "3-teacher-plus", "5-student"])
def test_a_run_that_stopped_goes_on_at_its_step_with_the_same_result(whole, pictures, tmp_path, monkeypatch, stop_at):
    fit = self_training.fit_from
    trained = []

    def cut(recipe, parts, out, *rest):
        trained.append(out.name)
        if out.name == stop_at and trained.count(stop_at) == 1:
            raise StopError
        return fit(recipe, parts, out, *rest)

    monkeypatch.setattr(self_training, "fit_from", cut)
    with pytest.raises(StopError):
        distill(BOTH, pictures, tmp_path, HERE, Way())
    done = {name: (tmp_path / name).stat().st_mtime_ns for name in FILES if (tmp_path / name).exists()}
    distill(BOTH, pictures, tmp_path, HERE, Way(resume=True))
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in done} == done  # nothing was made twice
    assert json.loads((tmp_path / "chain.json").read_text()) == json.loads((whole / "chain.json").read_text())


def test_labelling_goes_on_in_the_middle(pictures, tmp_path):
    calls: list[list[str]] = []

    def score(paths):
        calls.append(list(paths))
        for i, path in enumerate(paths):
            if len(calls) == 1 and i == 5:
                raise StopError
            yield path, float(i)

    file = tmp_path / "raw.jsonl"
    with pytest.raises(StopError):
        pseudo_labels.collect(pictures.u1, score, file, "key")
    with file.open("a") as stream:
        stream.write('["half a li')  # a kill in the middle of a line
    raw = pseudo_labels.collect(pictures.u1, score, file, "key")
    assert list(raw) == list(pictures.u1)
    assert calls[1] == list(pictures.u1[5:])
    with pytest.raises(UsageError, match="was begun with another model"):
        pseudo_labels.collect(pictures.u1, score, file, "other")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["1-teacher/best.pt", "2-labels-u1.csv"])
def test_a_file_that_was_changed_is_not_gone_on_with(pictures, tmp_path, name):
    short = replace(BOTH, teacher=replace(BOTH.teacher, epochs=1), student=replace(BOTH.student, epochs=1))
    distill(short, pictures, tmp_path, HERE, Way())
    with (tmp_path / name).open("ab") as stream:
        stream.write(b"\n")
    with pytest.raises(UsageError, match="was changed since this run wrote it"):
        distill(short, pictures, tmp_path, HERE, Way(resume=True))


def test_other_unlabelled_pictures_are_another_run(whole, pictures):
    with pytest.raises(UsageError, match="of other pictures: begin again with --overwrite"):
        distill(BOTH, replace(pictures, u1=pictures.u1[:-1]), whole, HERE, Way(resume=True))


def test_pictures_that_cannot_be_read_at_all_are_refused(pictures, tmp_path):
    (tmp_path / "x.png").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="none of 1 pictures could be read: there is nothing to label"):
        distill(BOTH, replace(pictures, u1=(str(tmp_path / "x.png"),)), tmp_path / "out", HERE, Way())


@pytest.mark.parametrize("part", ["train", "val", "held", "test"])
def test_labelled_pictures_of_any_part_are_not_labelled_again(pictures, tmp_path, monkeypatch, part):
    learned = _learned_by_the_student(monkeypatch)
    rows = [f"../labelled/p{i}.png,{5 - i % 5},{'test' if i % 10 == 0 else 'train'}" for i in range(40)]
    labels = _table(pictures.labelled[0].path.parent, tmp_path, rows)
    held = replace(BOTH, student=replace(BOTH.student, calibrate=True))
    monkeypatch.setattr(parts_module, "FEWEST_HELD", 4)
    parts = divide(read([Source(labels)]), RECIPE.split, hold=True)
    known = getattr(parts, part)[0].file
    (tmp_path / "link.png").symlink_to(known.resolve())
    told: list[str] = []
    given = Pictures((Source(labels),), (*pictures.u1, str(known), str(tmp_path / "link.png")), pictures.u2)
    with pytest.raises(StopError):
        distill(held, given, tmp_path / "out", HERE, Way(tell=told.append))
    assert known.resolve() not in [s.file.resolve() for s in learned if s.name.startswith("2-labels-u1/")]
    facts = (
        f"--u1: 2 of 14 pictures are in the labelled table or were given before and are left out, the first is {known}"
    )
    assert facts in told


def test_a_picture_of_both_unlabelled_sets_is_of_the_first_one(pictures, tmp_path, monkeypatch):
    learned = _learned_by_the_student(monkeypatch)
    told: list[str] = []
    twice = replace(pictures, u2=(*pictures.u2, pictures.u1[3]))
    with pytest.raises(StopError):
        distill(BOTH, twice, tmp_path, HERE, Way(tell=told.append))
    assert [s.name.partition("/")[0] for s in learned if s.file == Path(pictures.u1[3])] == ["2-labels-u1"]
    assert f"left out, the first is {pictures.u1[3]}" in " ".join(told)


def test_a_set_of_labelled_pictures_alone_is_refused(pictures, tmp_path):
    known = tuple(str(pictures.labelled[0].path.parent / f"p{i}.png") for i in range(3))
    with pytest.raises(UsageError, match=r"--u2: 3 of 3 pictures .* the first is .*p0\.png; none is left to label"):
        distill(BOTH, replace(pictures, u2=known), tmp_path, HERE, Way())
    assert not (tmp_path / "1-teacher").exists()  # said before hours of learning


def _table(pictures: Path, folder: Path, rows: list[str]) -> Path:
    """A table of split pictures that lie beside its folder."""
    (folder / "labelled").symlink_to(pictures)
    (folder / "table").mkdir()
    (folder / "table" / "labels.csv").write_text("\n".join(["path,score,split", *rows]) + "\n")
    return folder / "table" / "labels.csv"


def _learned_by_the_student(monkeypatch: pytest.MonkeyPatch) -> list[Sample]:
    """What the student is about to learn from, when the run is cut off there; the teachers learn for one epoch."""
    fit, learned = self_training.fit_from, []

    def cut(recipe, parts, out, *rest):
        if out.name == "5-student":
            learned.extend(parts.train)
            raise StopError
        return fit(replace(recipe, epochs=1), parts, out, *rest)

    monkeypatch.setattr(self_training, "fit_from", cut)
    return learned


def test_paths_below_the_table_are_relative_to_it(tmp_path):
    made = pseudo_labels.write(tmp_path / "l.csv", {str(tmp_path / "a" / "b.png"): 1.0, "/else.png": 2.0}, None, {})
    assert [row["path"] for row in rows(made.path)] == ["a/b.png", "/else.png"]
    assert [row["score"] for row in rows(made.path)] == ["1.000000", "2.000000"]
