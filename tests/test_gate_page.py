"""The page about gates: its commands run as they stand, its tables are those of the code."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from mien.apps import cli
from mien.faces.measures import MEASURES
from mien.faces.policy import PICTURE, names, parse_policy

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")


def fenced(language: str) -> list[str]:
    """The blocks of one language, in order."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples, and a folder with twelve pictures."""
    folder = tmp_path_factory.mktemp("album")
    (folder / "photos").mkdir()
    shutil.copytree(ROOT / "examples", folder / "examples")
    portraits = sorted((folder / "examples" / "portraits").glob("*.jpg"))
    for i, path in enumerate([*portraits, *portraits][:12]):
        shutil.copy(path, folder / "photos" / f"{i}.jpg")
    return folder


def test_the_commands_run_in_their_order(
    album: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.chdir(album)
    codes = []
    for line in (line for block in fenced("") for line in block.splitlines()):
        command, _, into = line.partition(" > ")
        monkeypatch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capfdbinary.readouterr()
        assert end.value.code in (0, 1), err.decode()
        codes.append(end.value.code)
        if into:
            Path(into).write_bytes(out)
    assert codes == [1, 1, 1, 0, 0, 0, 1]
    refused = sorted(path.stem for path in Path("refused").iterdir())
    assert refused == ["blocky", "dark", "grainy", "shaken", "soft", "too-small"]
    verdicts = Path("verdicts.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in verdicts if ",pass," in line] == ["examples/portraits/portrait.jpg"]


def test_the_python_runs(album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(album)
    with redirect_stdout(io.StringIO()) as out:
        for block in fenced("python"):
            exec(compile(block, "gate.md", "exec"), {})
    assert out.getvalue().startswith("False\nscore 36.") and "sharpness 33" in out.getvalue()


def test_the_policy_on_the_page_is_one() -> None:
    (block,) = fenced("toml")
    assert [rule.quantity for rule in parse_policy(block).rules] == ["score", "sharpness", "width"]


def test_the_tables_are_those_of_the_code() -> None:
    for name, measure in MEASURES.items():
        assert f"| `{name}` | {measure.unit} | {measure.meaning} | {measure.component} |\n" in PAGE
    assert all(f"`{name}`" in PAGE for name in (*PICTURE, *names()))
