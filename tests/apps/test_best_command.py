"""`mien best`: which pictures of a burst are picked, what is written and copied."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from conftest import blobs
from faces.marks import RED, MarkFinder, crop, picture
from mien.apps import best_command
from mien.apps.bursts import Shot
from mien.core.rows import tidy
from mien.core.types import COLUMNS
from mien.faces import scorer
from mien.scoring import Scorer

Mien = Callable[..., tuple[str, str]]


@pytest.fixture
def mien(command_line: Mien, tiny_judge: Path) -> Mien:
    """Runs `mien best` in a folder with two bursts, of four and of two pictures, one of them torn."""
    Path("in").mkdir()
    for i, seconds in enumerate((0, 1, 2, 3, 30, 31)):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[0x9003] = f"2024:05:06 07:08:{seconds:02}"
        blobs(i, 120, 90).save(f"in/{i}.jpg", exif=exif)
    torn = Path("in/2.jpg").read_bytes()
    Path("in/2.jpg").write_bytes(torn[: len(torn) // 2])

    def run(*arguments: object, code: int = 3) -> tuple[str, str]:
        return command_line("best", *arguments, "--model", tiny_judge, code=code)

    return run


@pytest.fixture
def order(tiny_judge: Path, mien: Mien) -> dict[str, float]:
    """Scores by path; depends on `mien`, whose folder it reads."""
    rows = Scorer(tiny_judge, threads=1).stream([f"in/{i}.jpg" for i in range(6)])
    return {row.path: row.score for row in rows if row.score is not None}


def test_the_best_of_each_burst_is_picked(mien: Mien, order: dict[str, float]) -> None:
    out, err = mien("in")
    rows = [json.loads(line) for line in out.splitlines()]
    first = max(("in/0.jpg", "in/1.jpg", "in/3.jpg"), key=order.__getitem__)
    second = max(("in/4.jpg", "in/5.jpg"), key=order.__getitem__)
    assert [(r["path"], r["group"], r["n_group"], r["rank"]) for r in rows] == [(first, 1, 4, 1), (second, 2, 2, 1)]
    assert "2 of 6 pictures picked from 2 bursts" in err
    assert "decode_error  in/2.jpg" in err


def test_rows_are_those_of_score_and_more(mien: Mien, tiny_judge: Path) -> None:
    out, _ = mien("in")
    row = json.loads(out.splitlines()[0])
    assert tuple(row) == (*COLUMNS, "group", "n_group", "rank", "taken")
    assert row["taken"] == f"2024-05-06T07:08:0{Path(row['path']).stem}.000"
    alone = tidy(Scorer(tiny_judge).score(row["path"]).to_dict())
    for name in ("score", "sharpness", "width", "model", "preprocess"):
        assert row[name] == (pytest.approx(alone[name], abs=2e-4) if isinstance(alone[name], float) else alone[name])


def test_top_takes_more_and_the_best_comes_first(mien: Mien, order: dict[str, float]) -> None:
    rows = [json.loads(line) for line in mien("in", "--top", 2)[0].splitlines()]
    assert [(r["group"], r["rank"]) for r in rows] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    for burst in (rows[:2], rows[2:]):
        assert [r["path"] for r in burst] == sorted((r["path"] for r in burst), key=order.__getitem__, reverse=True)
    assert len(mien("in", "--top", 9)[0].splitlines()) == 5


def test_at_the_end_of_the_scale_the_raw_value_decides() -> None:
    rows = [{"score": score, "raw": raw} for score, raw in ((0.0, -0.3), (0.0, -0.1), (None, None), (0.0, -0.2))]
    lineup = [(Shot(str(i), None), row) for i, row in enumerate(rows)]
    assert [shot.path for shot, _ in best_command._best(lineup, 3)] == ["1", "3", "0"]


def test_gap_decides_what_is_a_burst(mien: Mien) -> None:
    assert len(mien("in", "--gap", 60)[0].splitlines()) == 1
    assert len(mien("in", "--gap", 0)[0].splitlines()) == 5


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_out_takes_the_rows(mien: Mien, suffix: str) -> None:
    out, err = mien("in", "--out", f"picks.{suffix}")
    text = Path(f"picks.{suffix}").read_text()
    assert out == "" and f"wrote picks.{suffix}" in err
    rows = list(csv.DictReader(io.StringIO(text))) if suffix == "csv" else [json.loads(x) for x in text.splitlines()]
    assert [str(row["group"]) for row in rows] == ["1", "2"]


def test_copies_keep_name_bytes_and_time_and_nothing_is_overwritten(mien: Mien) -> None:
    os.utime("in/4.jpg", (1e9, 1e9))
    os.utime("in/5.jpg", (1e9, 1e9))
    rows = [json.loads(line) for line in mien("in", "--copy-to", "picks")[0].splitlines()]
    for row in rows:
        copy = Path("picks") / Path(row["path"]).name
        assert copy.read_bytes() == Path(row["path"]).read_bytes()
        assert copy.stat().st_mtime == Path(row["path"]).stat().st_mtime
    before = {path.name: path.read_bytes() for path in Path("picks").iterdir()}
    assert len(before) == 2
    _, err = mien("in", "--copy-to", "picks", code=2)
    assert "is there already, and nothing is overwritten: give another folder" in err
    assert {path.name: path.read_bytes() for path in Path("picks").iterdir()} == before


def test_two_files_of_one_name_are_both_copied(mien: Mien) -> None:
    for folder in ("x", "y"):
        Path(folder).mkdir()
        blobs(ord(folder), 90, 90).save(f"{folder}/same.png")
    mien("x", "y", "--copy-to", "picks", code=0)
    assert (Path("picks/same.png").read_bytes(), Path("picks/same-2.png").read_bytes()) == (
        Path("x/same.png").read_bytes(), Path("y/same.png").read_bytes())  # fmt: skip


def test_faces_best_judges_the_largest_face(mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer, "_embedded_finder", MarkFinder)
    monkeypatch.setattr(scorer, "_crop", crop)
    Path("people").mkdir()
    picture(200, 150, {RED: (20, 30, 60, 80)}).save("people/a.png")
    picture(200, 150, {}).save("people/nobody.png")
    for path in Path("people").iterdir():
        os.utime(path, (1e9, 1e9))
    out, err = mien("people", "--faces", "best")
    (row,) = map(json.loads, out.splitlines())
    assert (row["path"], row["face_index"], row["n_faces"], row["n_group"]) == ("people/a.png", 0, 1, 2)
    assert "no_face  people/nobody.png" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("in --faces all", "--faces all: it is one of whole, best"),
        ("in --finder f.onnx", "--finder belongs to --faces best or --per-person"),
        ("in --faces whole --finder f.onnx", "--finder belongs to --faces best or --per-person"),
        ("in --gap -1", "--gap -1: seconds, at least 0"),
        ("in --gap nan", "--gap nan: seconds, at least 0"),
        ("in --out x.txt", "--out must be named *.csv"),
        ("in --copy-to in/0.jpg", "--copy-to in/0.jpg: it is not a folder"),
        ("in --top 0", "top"),
    ],
)
def test_wrong_usage_is_2(mien: Mien, arguments: str, message: str) -> None:
    out, err = mien(*arguments.split(), code=2)
    assert message in err and out == ""


def test_no_pictures_is_4(mien: Mien) -> None:
    Path("empty").mkdir()
    assert mien("empty", code=4)[1] == "mien: no pictures found\n"
    assert mien("in/2.jpg", code=4)[0] == ""
