"""`mien score --faces`: rows for faces, and a run that was killed in the middle of a picture."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from faces.marks import BLUE, GREEN, RED, MarkFinder, crop, picture
from mien.apps import terminal
from mien.core.errors import ModelError
from mien.core.tables import read_rows
from mien.faces import scorer

Mien = Callable[..., tuple[str, str]]
SHOWN = ("path", "status", "face_index", "n_faces", "x1", "score", "landmarks")


@pytest.fixture
def mien(monkeypatch: pytest.MonkeyPatch, command_line: Mien, tiny_judge: Path) -> Mien:
    """Runs `mien score in --faces ...` in a folder with three pictures: three faces, none, one."""
    monkeypatch.setattr(scorer, "_embedded_finder", MarkFinder)
    monkeypatch.setattr(scorer, "_crop", crop)
    Path("in").mkdir()
    three = {RED: (10, 10, 40, 50), GREEN: (100, 20, 190, 120), BLUE: (60, 60, 80, 90)}
    for name, marks in (("a", three), ("b", {}), ("c", {RED: (50, 30, 90, 80)})):
        picture(200, 150, marks).save(f"in/{name}.png")

    def run(*arguments: object, code: int = 3) -> tuple[str, str]:
        return command_line("score", "in", "--model", tiny_judge, "--threads", 1, *arguments, code=code)

    return run


def test_all_gives_a_row_for_each_face_and_one_where_there_is_none(mien: Mien) -> None:
    out, err = mien("--faces", "all")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["path"], row["face_index"], row["n_faces"], row["x1"]) for row in rows] == [
        *(("in/a.png", 0, 3, 100.0), ("in/a.png", 1, 3, 10.0), ("in/a.png", 2, 3, 60.0)),
        ("in/b.png", None, 0, None),
        ("in/c.png", 0, 1, 50.0),
    ]
    assert rows[0]["landmarks"] == [[127.0, 60.0], [163.0, 60.0], [145.0, 80.0], [131.5, 100.0], [158.5, 100.0]]
    assert "4 faces scored in 3 pictures" in err
    assert "1 without a score: 1 no_face" in err and "no_face  in/b.png: no face was found" in err


def test_best_gives_one_row_for_each_picture(mien: Mien) -> None:
    out, err = mien("--faces", "best")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["face_index"], row["n_faces"]) for row in rows] == [(0, 3), (None, 0), (0, 1)]
    assert "2 faces scored in 3 pictures" in err


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_run_that_is_killed_after_any_line_goes_on_as_if_nothing_had_happened(mien: Mien, suffix: str) -> None:
    whole, killed = Path(f"whole.{suffix}"), Path(f"killed.{suffix}")
    mien("--faces", "all", "--out", whole)
    wanted = [[row[c] for c in SHOWN] for row in read_rows(whole)]
    lines = whole.read_bytes().splitlines(keepends=True)
    for n in range(len(lines) + 1):
        torn = lines[n][:40] if n < len(lines) else b""
        killed.write_bytes(b"".join(lines[:n]) + torn)
        mien("--faces", "all", "--out", killed, "--resume")
        assert [[row[c] for c in SHOWN] for row in read_rows(killed)] == wanted, f"killed after line {n}"


def test_progress_and_the_rest_of_a_resumed_run_count_pictures(mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "PLAIN_SECONDS", 0.0)
    _, err = mien("--faces", "all", "--out", "x.jsonl")
    assert [line.split(",")[0] for line in err.splitlines()[:5]] == [
        *["1/3 pictures"] * 3, "2/3 pictures", "3/3 pictures"]  # fmt: skip
    rows = Path("x.jsonl").read_bytes().splitlines(keepends=True)
    Path("x.jsonl").write_bytes(b"".join(rows[:4]))
    _, err = mien("--faces", "all", "--out", "x.jsonl", "--resume")
    assert "4 faces scored in 3 pictures" in err and "2 from the run before" in err


def test_resume_with_another_choice_of_faces_is_refused(mien: Mien) -> None:
    mien("--faces", "all", "--out", "x.csv")
    _, err = mien("--faces", "best", "--out", "x.csv", "--resume", code=2)
    assert "x.csv was written with a row for every face: use another file, or --overwrite" in err
    _, err = mien("--out", "x.csv", "--resume", code=2)
    assert "x.csv was written with preprocess marks@1-face25-squash256-2" in err


def test_the_terminal_shows_which_face(mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal.sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")
    out, _ = mien("--faces", "all")
    assert sorted(line.split()[-2:] for line in out.splitlines() if ".png" in line and "no_face" not in line) == [
        ["1/1", "in/c.png"], ["1/3", "in/a.png"], ["2/3", "in/a.png"], ["3/3", "in/a.png"]]  # fmt: skip


def test_the_finder_of_a_file_is_used_and_one_that_fails_to_load_is_2(
    mien: Mien, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Finder(MarkFinder):
        @classmethod
        def load(cls, path: Path | None = None) -> Finder:
            if path != Path("f.onnx"):
                raise ModelError(f"there is no finder {path}")
            return cls([BLUE])

    module = types.ModuleType("mien.faces.find")
    module.Finder = Finder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mien.faces.find", module)
    out, _ = mien("--faces", "all", "--finder", "f.onnx")
    assert [json.loads(line)["n_faces"] for line in out.splitlines()] == [1, 0, 0]
    _, err = mien("--faces", "all", "--finder", "g.onnx", code=2)
    assert err == "mien: there is no finder g.onnx\n"
