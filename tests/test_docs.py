"""Pages that are made from data are up to date, and the examples on the page about scaling run as they stand."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

import scripts
from mien.apps.cli import app
from mien.models import zoo
from mien.subjective.scale import METHODS

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def networks() -> ModuleType:
    return scripts.load("docs/networks.py")


def test_the_page_of_the_networks_is_made_of_their_cards(networks: ModuleType) -> None:
    assert (DOCS / "networks.md").read_text(encoding="utf-8") == networks.page()


def test_every_network_has_a_card_and_every_card_a_network() -> None:
    assert {path.stem for path in zoo.CARDS.glob("*.json")} == set(zoo.MODELS)
    assert all(zoo.card(name)["name"] == name for name in zoo.names())


FIELDS = {
    *("name", "title", "task", "paper", "code", "weights", "input", "output", "direction", "raw_range", "data"),
    *("parameters", "macs", "numbers", "fixture", "quirks", "ambiguities"),
}


@pytest.mark.parametrize("name", zoo.names())
def test_a_card_has_every_field(name: str) -> None:
    assert zoo.card(name).keys() >= FIELDS


# ---- docs/scaling.md ----------------------------------------------------------------------------------------------

SCALING = (DOCS / "scaling.md").read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    """The blocks of one language of the page about scaling, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", SCALING, re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the two files that the first block of the page makes."""
    folder = tmp_path_factory.mktemp("study")
    with contextlib.chdir(folder):
        exec(compile(fenced("python")[0], "scaling.md", "exec"), {})
    return folder


@pytest.mark.parametrize("line", [line for block in fenced("") for line in block.splitlines()])
def test_every_command_about_scaling_runs(line: str, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study)
    command, *arguments = shlex.split(line)
    run = CliRunner().invoke(app, arguments)
    assert command == "mien"
    assert run.exit_code == 0, run.output
    assert run.stdout or "--out" in line


@pytest.mark.parametrize("block", fenced("python")[1:])
def test_every_python_block_about_scaling_runs(
    block: str, study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    exec(compile(block, "scaling.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_page_about_scaling_names_every_method() -> None:
    assert all(f"`{method}`" in SCALING for method in METHODS)
