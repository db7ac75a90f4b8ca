"""Every command of docs/training.md runs as it stands there, in small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")
from mien.apps.cli import app
from mien.training import recipes
from training.tables import write_table

PAGE = (Path(__file__).parents[1] / "docs" / "training.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [block for found, block in fenced if found == language]


COMMANDS = [line.split() for block in blocks("") for line in block.splitlines() if line.startswith("mien ")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page speaks of: labels.csv, and folders of pictures."""
    table = write_table(tmp_path / "photos", 40)
    rows = table.read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join([rows[0], *(f"photos/{row}" for row in rows[1:])]))
    table.unlink()
    for name, first in (("unrated", 100), ("faces", 200)):
        write_table(tmp_path / name, 20, first=first, score=False).unlink()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_every_command_runs(folder: Path):
    assert {command[1] for command in COMMANDS} == {"train", "models", "score", "pseudo-label", "distill"}
    for command in COMMANDS:
        small = ["--quick", "--device", "cpu"] if command[1] in ("train", "distill") else []
        if "--epochs" in command:
            command = [*command[: command.index("--epochs") + 1], "1", *command[command.index("--epochs") + 2 :]]
        result = CliRunner().invoke(app, [*command[1:], *small])
        assert result.exit_code == 0, f"{' '.join(command)}\n{result.output}\n{result.exception!r}"
        assert result.stdout


def test_the_python_block_runs(folder: Path, capsys: pytest.CaptureFixture[str]):
    (block,) = blocks("python")
    exec(compile(block, "training.md", "exec"), {})
    assert capsys.readouterr().out.splitlines()[-1] == str(Path("runs/mine/mine.onnx"))
    assert (folder / "runs" / "mine" / "mine.onnx").is_file()


def test_the_files_of_a_run_are_the_ones_that_the_page_lists(folder: Path):
    CliRunner().invoke(app, ["train", "--data", "labels.csv", "--quick", "--device", "cpu"])
    for path in (folder / "runs" / "judge-net").iterdir():
        assert f"`{path.name}`" in PAGE


def test_every_recipe_is_in_the_table():
    table = PAGE.partition("| recipe |")[2].replace("`-student`", "`efficient-fiqa-student`")
    for name in recipes.RECIPES:
        assert f"`{name}`" in table, name
    for name in recipes.SELF_TRAININGS:
        assert f"mien distill {name}" in PAGE
