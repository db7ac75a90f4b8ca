"""`recipes/face_finder.py` in small: from pictures to a finder that the package reads, with its card."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

import face_sources
import scripts

pytest.importorskip("torch")

from mien.faces.find import EMBEDDED, FOLDER, Finder


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    return scripts.load("recipes/face_finder.py")


def test_the_quick_recipe_makes_a_finder_with_its_card(recipe: ModuleType, tmp_path: Path) -> None:
    root = face_sources.write(tmp_path / "data")
    teacher = FOLDER / EMBEDDED
    card = recipe.run(recipe.QUICK, root, teacher, tmp_path / "work", tmp_path / "out")
    facts = json.loads(card.read_text())
    assert facts["training"]["start"] == "random weights"
    assert facts["training"]["scenes"]["count"] == recipe.QUICK.scenes
    assert facts["metrics"]["clean"].keys() >= {"recall", "average_precision", "false_faces", "pictures"}
    assert facts["known_failures"] and "YuNet" in facts["training"]["data"][0]["faces"]
    log = card.with_name(f"{recipe.QUICK.name}-{recipe.QUICK.version}.log.jsonl").read_text().splitlines()
    assert len(log) == facts["training"]["epochs_logged"] == recipe.QUICK.training.epochs
    assert "average_precision" in json.loads(log[-1])
    assert teacher.name in facts["training"]["teacher"]
    finder = Finder.load(card.with_suffix(".onnx"))
    assert finder.model_id == f"{recipe.QUICK.name}@{recipe.QUICK.version}"
    assert (finder.size_px, finder.confidence) == (640, facts["find"]["confidence"])
    assert isinstance(finder.find(Image.new("RGB", (50, 70))), list)

    again = recipe.run(recipe.QUICK, root, teacher, tmp_path / "work", tmp_path / "out")
    assert json.loads(again.read_text())["sha256"] == facts["sha256"]  # nothing is left to learn


@pytest.mark.slow
def test_without_a_teacher_the_tables_are_learned_from(recipe: ModuleType, tmp_path: Path) -> None:
    root = face_sources.write(tmp_path / "data")
    short = replace(recipe.QUICK, training=replace(recipe.QUICK.training, epochs=1))
    facts = json.loads(recipe.run(short, root, None, tmp_path / "work", tmp_path / "out").read_text())
    assert facts["training"]["teacher"] is None and facts["training"]["portraits_labelled"] == "by their table"


@pytest.mark.slow
def test_a_run_that_goes_on_from_another_says_so(recipe: ModuleType, tmp_path: Path) -> None:
    root = face_sources.write(tmp_path / "data")
    short = replace(recipe.QUICK, training=replace(recipe.QUICK.training, epochs=1))
    recipe.run(short, root, None, tmp_path / "first", tmp_path / "out")
    begin = recipe.Begin(tmp_path / "first" / "checkpoint.pt", "drawn@1")
    facts = json.loads(recipe.run(short, root, None, tmp_path / "second", tmp_path / "out", begin).read_text())
    assert (facts["training"]["epochs_before"], facts["training"]["epochs_logged"]) == (1, 2)
    assert "drawn@1 after its 1 epochs" in facts["training"]["start"]
    assert facts["training"]["start_sha256"] == hashlib.sha256(begin.checkpoint.read_bytes()).hexdigest()


def test_a_smaller_run_never_writes_where_the_shipped_finder_lies(
    recipe: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(recipe, "run", lambda recipe, root, teacher, work, out, begin: asked.append((work, out)))
    for options in ([], ["--quick"], ["--scenes", "50"], ["--epochs", "1"], ["--work", "w", "--out", "o"]):
        monkeypatch.setattr("sys.argv", ["face_finder.py", "--data", "d", *options])
        recipe.main()
    (work, out), *smaller, named = asked
    assert out == FOLDER and named == (Path("w"), Path("o"))
    assert all(w / "out" == o for w, o in smaller)
    assert len({work, *(w for w, _ in smaller[:2])}) == 3  # scenes of another run are not rendered over
