"""The walk of docs/studies.md, command by command: from pictures to a judge of pictures that nobody was asked about."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from mien.apps.cli import app
from mien.apps.study.folder import open_study
from mien.apps.study.hosted import host
from mien.data.degradations import chain, degrade
from mien.evaluation.correlation import srcc

from .conftest import opened
from .people import chooser, joined, vote_all

ROOT = Path(__file__).parents[3]
WALK = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8").partition("## From pictures to a judge")[2]
COMMANDS = [line.split() for line in re.findall(r"^mien .*$", WALK.split("```")[1], re.MULTILINE)]

Truth = dict[str, float]


def write_pictures(folder: Path, n: int, seed: int) -> Truth:
    """Parts of a portrait, from as they are to dark and noisy; their quality in JOD."""
    portrait = Image.open(ROOT / "examples" / "portraits" / "portrait.jpg")
    rng, truth = np.random.default_rng(seed), {}
    folder.mkdir()
    for i, strength in enumerate(rng.permutation(np.linspace(0, 1, n))):
        left, top = rng.integers(0, 256, 2).tolist()
        part = portrait.crop((left, top, left + 256, top + 256)).resize((96, 96))
        degrade(part, chain({"dark": 0.8, "noise": 0.8}, strength), seed=i).save(folder / f"{i:02d}.png")
        truth[f"{i:02d}.png"] = 2 - 4 * float(strength)
    return truth


def mien(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, f"mien {' '.join(arguments)}\n{result.output}\n{result.exception!r}"
    return result.stdout


def ask(folder: Path, truth: Truth, observers: int) -> None:
    """What happens while `mien study serve` runs."""
    study, rng = open_study(folder), np.random.default_rng(7)
    with opened(study.database) as database:
        hosted = host(database, study)
        for _ in range(observers):
            vote_all(database, hosted, joined(database, hosted), chooser(hosted, truth, rng))


@pytest.mark.slow
def test_the_documented_walk_ends_with_a_judge_that_beats_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("torch", reason="the extra train is not installed")
    monkeypatch.chdir(tmp_path)
    truth, unseen = write_pictures(Path("photos"), 48, seed=1), write_pictures(Path("unseen"), 40, seed=2)
    assert [command[1] for command in COMMANDS] == ["study", "study", "study", "scale", "train"]
    for _, *command in COMMANDS:
        if command[:2] == ["study", "serve"]:
            ask(Path(command[2]), truth, observers=12)
        else:
            small = ["--quick", "--epochs", "20", "--device", "cpu"] if command[0] == "train" else []
            mien(*command, *small)
    with Path("photos/labels.csv").open(newline="") as file:
        found = {row["item"]: float(row["score"]) for row in csv.DictReader(file)}
    assert found.keys() == truth.keys()
    assert srcc(list(found.values()), [truth[item] for item in found]) >= 0.97
    rows = [
        json.loads(line) for line in mien("score", "unseen", "--model", "runs/judge-net/judge-net.onnx").splitlines()
    ]
    quality = {Path(row["path"]).name: row["raw"] for row in rows}
    # chance gives 0 +- 0.16 for 40 pictures
    assert srcc([quality[name] for name in unseen], list(unseen.values())) > 0.6
