"""Every block of the README runs as it stands there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The fenced blocks of one language, in order."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [block for found, block in fenced if found == language]


def command_lines() -> list[str]:
    lines = [line.split("  #")[0].rstrip() for block in blocks("") for line in block.splitlines()]
    return [line for line in lines if re.match(r"(find .*\| )?mien ", line)]


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README speaks of, and `mien` on its PATH."""
    folder = tmp_path_factory.mktemp("album")
    for name in ("photos", "shoot", "bin"):
        (folder / name).mkdir()
    portraits = ROOT / "examples" / "portraits"
    for target in ("photos/a.jpg", "photos/b.jpg", "shoot/c.jpg"):
        shutil.copy(portraits / "portrait.jpg", folder / target)
    shutil.copy(portraits / "dark.jpg", folder / "me.png")
    _write_tables(folder)
    _write_checkpoint(folder / "EdgeNeXt_XXS_checkpoint.pt")
    script = folder / "bin" / "mien"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mien "$@"\n')
    script.chmod(0o755)
    return folder


def _write_tables(folder: Path) -> None:
    """labels.csv with three scenes of six, predictions of them, two submissions, and what ten people said."""
    rng = np.random.default_rng(0)
    names = [f"{i}.jpg" for i in range(18)]
    labels = [f"{name},{i * 7 % 18},s{i % 3}" for i, name in enumerate(names)]
    (folder / "labels.csv").write_text("\n".join(["image,label,scene", *labels]) + "\n")
    (folder / "submissions").mkdir()
    for target in ("predictions.csv", "submissions/a.csv", "submissions/b.csv"):
        rows = [f"{name},{i * 7 % 18 + rng.normal(0, 4):.4f}" for i, name in enumerate(names)]
        (folder / target).write_text("\n".join(["image,score", *rows]) + "\n")
    ratings = [f"{name},p{p},{min(5, 1 + (i + p) % 5)}" for i, name in enumerate(names) for p in range(10)]
    (folder / "ratings.csv").write_text("\n".join(["stimulus,observer,score", *ratings]) + "\n")
    votes = [
        f"{s}{i}.jpg,{s}{j}.jpg,{6 + j - i},{4 + i - j},{s}" for s in "xy" for i in range(4) for j in range(i + 1, 4)
    ]
    (folder / "votes.csv").write_text("\n".join(["item_a,item_b,votes_a,votes_b,scene", *votes]) + "\n")


def _write_checkpoint(path: Path) -> None:
    """What the authors of Efficient-FIQA would publish, with the weights of the parity fixture."""
    torch = pytest.importorskip("torch")
    from mien.models.parity import fixture

    facts = fixture.read(ROOT / "tests" / "fixtures" / "parity" / "efficient_fiqa_student.json")
    torch.save(facts.state_dict(), path)


@pytest.mark.skipif(os.name != "posix", reason="the command lines are for a POSIX shell")
@pytest.mark.slow
def test_every_command_line_runs(album: Path):
    lines = command_lines()
    assert len(lines) >= 6
    path = f"{album / 'bin'}{os.pathsep}{os.environ['PATH']}"
    for line in lines:
        if " serve " in line:
            _serve(f"{line} --port 0", album, os.environ | {"PATH": path})
            continue
        done = subprocess.run(
            ["sh", "-c", line], cwd=album, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert done.stdout or "--out" in line, line


def _serve(line: str, folder: Path, environment: dict[str, str]) -> None:
    """A server says where it is, and runs until it is told to end."""
    server = subprocess.Popen(
        ["sh", "-c", f"exec {line}"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None and "http://" in server.stdout.readline(), line
    assert server.poll() is None
    server.terminate()
    server.communicate(timeout=60)


@pytest.mark.parametrize("block", blocks("python"))
def test_every_python_block_runs(block: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(ROOT)
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_the_two_commands_that_ci_runs_are_there():
    for name in ("score", "test"):
        assert f"<!-- command: {name} -->\n```\n" in README


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_into_the_repository_leads_somewhere(link: str):
    assert (ROOT / link).exists()
