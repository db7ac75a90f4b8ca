"""`mien gate` in this process, with a scorer and a finder that are no networks: verdicts, copies, exit codes."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

from faces.drawn import face_at, portrait
from mien.core.discover import display_path
from mien.core.errors import ModelError
from mien.core.rows import tidy
from mien.core.tables import SUFFIXES
from mien.core.types import COLUMNS, Score
from mien.faces.measures import MEASURES
from mien.faces.policy import parse_policy
from mien.runtime import scorer

RUN = {"model": "fake@1", "preprocess": "squash8"}
FACE = face_at(200, 170, 95)
Mien = Callable[..., tuple[str, str]]


class FakeScorer:
    """Scores a name: the number in it; `bad` has no score; `stop` is Ctrl-C."""

    model_id, preprocess_id = RUN["model"], RUN["preprocess"]
    options: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, model: Any = None, **options: Any) -> None:
        FakeScorer.options = {"model": model} | options

    def stream(self, sources: Any) -> Any:
        for source in sources:
            name = Path(source).stem
            if name == "stop":
                raise KeyboardInterrupt
            path = display_path(source)
            if "bad" in name:
                yield Score(path=path, status="decode_error", error="truncated", **RUN)
            else:
                value = float("".join(c for c in name if c.isdigit()) or 50)
                attributes = dict.fromkeys(("sharpness", "exposure", "noise", "compression"), value)
                yield Score(path=path, score=value, raw=value / 100, width=64, height=64, ms=1.0, **attributes, **RUN)


@pytest.fixture
def mien(monkeypatch: pytest.MonkeyPatch, command_line: Mien) -> Mien:
    """Runs `mien gate` inside an empty folder; gives stdout and stderr."""
    monkeypatch.setattr(scorer, "Scorer", FakeScorer)
    return partial(command_line, "gate")


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Finds `FACE` where the upper left pixel is not black."""

    class Finder:
        @classmethod
        def load(cls, path: Path | None = None) -> Finder:
            if path is not None and path.name == "broken.onnx":
                raise ModelError("broken.onnx is no finder")
            return cls()

        def find(self, picture: Image.Image) -> list[Any]:
            return [FACE] if picture.getpixel((0, 0)) != (0, 0, 0) else []

    _install(monkeypatch, Finder)


@pytest.fixture
def no_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    class Finder:
        @classmethod
        def load(cls, path: Path | None = None) -> Finder:
            raise ModelError("no finder, name one")

    _install(monkeypatch, Finder)


def _install(monkeypatch: pytest.MonkeyPatch, finder: type) -> None:
    module = ModuleType("mien.faces.find")
    module.Finder = finder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mien.faces.find", module)


def touch(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(f"pixels of {name}".encode())


def rows_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def policy_file(text: str) -> str:
    Path("mine.toml").write_text(text)
    return "mine.toml"


# ---- verdicts


def test_a_minimum_alone(mien: Mien) -> None:
    touch("in/70.jpg", "in/30.jpg", "in/50.jpg")
    out, err = mien("in", "--min", 50, code=1)
    rows = rows_of(out)
    assert [(row["path"], row["verdict"]) for row in rows] == [
        ("in/30.jpg", "fail"),
        ("in/50.jpg", "pass"),
        ("in/70.jpg", "pass"),
    ]
    assert tuple(rows[0]) == (*COLUMNS, "policy", "verdict", "reasons", "unknown")
    assert rows[0]["reasons"] == [
        {
            "quantity": "score",
            "value": 30.0,
            "min": 50.0,
            "max": None,
            "sentence": "score 30, wanted at least 50 (the judge's score, 0..100)",
        }
    ]
    assert rows[1]["reasons"] == []
    assert "2 of 3 pictures pass --min 50, 1 fail" in err and "  1 x score" in err


def test_a_policy_file_and_a_minimum_over_it(mien: Mien) -> None:
    touch("40.jpg", "60.jpg")
    path = policy_file('name = "mine"\n[rules.score]\nmin = 50\n[rules.percentile]\nmin = 10\n')
    out, err = mien("40.jpg", "60.jpg", "--policy", path, code=1)
    assert [row["verdict"] for row in rows_of(out)] == ["fail", "pass"]
    assert rows_of(out)[0]["policy"] == "mine"
    assert rows_of(out)[1]["unknown"] == ["percentile"] and "not told: percentile (2)" in err
    out, _ = mien("40.jpg", "60.jpg", "--policy", path, "--min", 30)
    assert [row["verdict"] for row in rows_of(out)] == ["pass", "pass"]


def test_options_reach_the_scorer(mien: Mien) -> None:
    touch("1.jpg")
    mien("1.jpg", "--min", 0, "--model", "x.onnx", "--batch", 3, "--threads", 2)
    assert FakeScorer.options == {"model": "x.onnx", "exact": False, "batch": 3, "threads": 2}


def test_a_list_of_files(mien: Mien) -> None:
    touch("1.jpg", "2.jpg", "list.txt")
    Path("list.txt").write_text("1.jpg\n2.jpg\n")
    assert len(rows_of(mien("--files-from", "list.txt", "--min", 0)[0])) == 2
    assert len(rows_of(mien("--files-from", "-", "--min", 0, stdin=b"2.jpg\n")[0])) == 1


# ---- exit codes


def test_what_cannot_be_read_has_a_row_and_no_verdict(mien: Mien) -> None:
    touch("60.jpg", "bad.jpg")
    out, err = mien("60.jpg", "bad.jpg", "--min", 50, code=3)
    row = rows_of(out)[1]
    assert (row["status"], row["verdict"], row["reasons"]) == ("decode_error", "", [])
    assert "1 could not be judged" in err and "  decode_error  bad.jpg: truncated" in err


def test_a_failure_says_more_than_an_unreadable_file(mien: Mien) -> None:
    touch("40.jpg", "bad.jpg")
    mien("40.jpg", "bad.jpg", "--min", 50, code=1)


def test_nothing_judged_is_4(mien: Mien) -> None:
    touch("bad.jpg")
    mien("bad.jpg", "--min", 50, code=4)
    Path("empty").mkdir()
    out, err = mien("empty", "--min", 50, code=4)
    assert (out, err) == ("", "mien: no pictures found\n")


def test_ctrl_c_is_130(mien: Mien) -> None:
    touch("stop.jpg")
    assert mien("stop.jpg", "--min", 50, code=130)[1].endswith("mien: interrupted\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "nothing to judge: name pictures or folders"),
        ("1.jpg", "Give --policy FILE, or a profile (avatar, passport, training-data), or --min SCORE"),
        ("1.jpg --policy pasport", "no policy 'pasport': it is no file"),
        ("1.jpg --min 5 --overwrite", "--overwrite belongs to --out"),
        ("1.jpg --min 5 --out x.txt", "must be named *.csv, *.jsonl, *.parquet, not x.txt"),
        ("1.jpg --min 5 --out no/x.csv", "there is no folder no"),
        ("1.jpg --min 5 --out there.csv", "there.csv exists: --overwrite begins it again"),
        ("1.jpg --min 5 --copy-pass a --copy-fail ./a", "are the same folder"),
        ("1.jpg --min 5 --copy-pass there.csv", "cannot make the folder there.csv"),
        ("--files-from absent.txt --min 5", "cannot read absent.txt: No such file"),
        ("1.jpg --min 5 --reject 0.2", "--reject belongs to --calibrate"),
        ("1.jpg --calibrate in", "--calibrate DIR measures and prints a policy, it takes no PATH"),
        ("1.jpg --min 5 --weights w.pt", "--weights belongs to the published network that --model names"),
        ("1.jpg --min 5 --raw-range 0 1", "--raw-range belongs to --weights"),
        ("1.jpg --min 5 --finder f.onnx", "--finder finds nothing here: no rule of --min 5 is about a face"),
        ("--calibrate in --min 5", "it takes no --min"),
        ("--calibrate in --reject 10", "--reject 10 is no share"),
    ],
)
def test_wrong_usage_is_2(mien: Mien, arguments: str, message: str) -> None:
    touch("1.jpg", "there.csv", "in/2.jpg")
    out, err = mien(*arguments.split(), code=2)
    assert message in err and out == ""


# ---- files


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_in_a_file(mien: Mien, suffix: str) -> None:
    touch("40.jpg", "60.jpg")
    out, err = mien("40.jpg", "60.jpg", "--min", 50, "--out", f"rows{suffix}", code=1)
    assert out == "" and f"wrote rows{suffix}" in err
    match suffix:
        case ".csv":
            rows: list[Any] = list(csv.DictReader(io.StringIO(Path("rows.csv").read_text())))
        case ".jsonl":
            rows = rows_of(Path("rows.jsonl").read_text())
        case _:
            rows = pytest.importorskip("pyarrow.parquet").read_table("rows.parquet").to_pylist()
    assert [row["verdict"] for row in rows] == ["fail", "pass"]
    told = rows[0]["reasons"]
    assert (told[0]["sentence"] if suffix == ".jsonl" else told).startswith("score 40, wanted at least 50")
    mien("60.jpg", "--min", 50, "--out", f"rows{suffix}", "--overwrite")
    assert not list(Path().glob(".rows*"))


def test_an_interrupted_run_leaves_no_half_table(mien: Mien) -> None:
    touch("60.jpg", "stop.jpg")
    mien("60.jpg", "stop.jpg", "--min", 50, "--out", "rows.csv", code=130)
    assert sorted(path.name for path in Path().iterdir()) == ["60.jpg", "stop.jpg"]


def test_copies_by_verdict(mien: Mien) -> None:
    touch("in/70.jpg", "in/30.jpg", "in/bad.jpg")
    mien("in", "--min", 50, "--copy-pass", "good/ones", "--copy-fail", "rest", code=1)
    assert Path("good/ones/70.jpg").read_bytes() == b"pixels of in/70.jpg"
    assert [path.name for path in Path("good/ones").iterdir()] == ["70.jpg"]
    assert [path.name for path in Path("rest").iterdir()] == ["30.jpg"]  # bad.jpg has no verdict


def test_a_copy_never_overwrites(mien: Mien) -> None:
    touch("a/70.jpg", "b/70.jpg", "c/70.jpg", "good/70.jpg")
    for _ in range(2):  # the second run finds its copies and makes no more
        mien("a", "b", "c", "--min", 50, "--copy-pass", "good")
        assert {path.name: path.read_text() for path in Path("good").iterdir()} == {
            "70.jpg": "pixels of good/70.jpg",
            "70-2.jpg": "pixels of a/70.jpg",
            "70-3.jpg": "pixels of b/70.jpg",
            "70-4.jpg": "pixels of c/70.jpg",
        }


def test_a_file_of_the_same_size_and_time_is_another_one(mien: Mien) -> None:
    touch("a/70.jpg", "b/70.jpg")
    for path in ("a/70.jpg", "b/70.jpg"):
        os.utime(path, (1e9, 1e9))
    mien("a", "b", "--min", 50, "--copy-pass", "good")
    assert {path.read_text() for path in Path("good").iterdir()} == {"pixels of a/70.jpg", "pixels of b/70.jpg"}


# ---- faces


ABOUT_FACES = "[rules.inter_eye_px]\nmin = 90\n[rules.eyes_covered]\nmax = 0.1\n[rules.HeadPoseYaw]\nmin = 90\n"


def test_a_face_is_measured_where_the_policy_is_about_faces(mien: Mien, finder: None) -> None:
    portrait(400, 420, FACE).save("70.png")
    out, _ = mien("70.png", "--policy", policy_file(ABOUT_FACES))
    (row,) = rows_of(out)
    assert row["verdict"] == "pass" and row["unknown"] == ["eyes_covered"]
    assert row["inter_eye_px"] == pytest.approx(95, abs=0.2)
    assert (row["face_index"], row["n_faces"], row["x1"]) == (0, 1, pytest.approx(FACE.box[0], abs=1e-4))
    columns = (*COLUMNS, *(name for name in MEASURES if name != "n_faces"), "policy", "verdict", "reasons", "unknown")
    assert tuple(row) == columns


def test_the_row_says_where_the_largest_face_is_as_score_does(mien: Mien, finder: None) -> None:
    portrait(400, 420, FACE).save("70.png")
    path = policy_file(ABOUT_FACES)
    (row,) = rows_of(mien("70.png", "--policy", path)[0])
    alone = tidy(Score(landmarks=FACE.landmarks, face_confidence=FACE.confidence).to_dict())
    assert (row["landmarks"], row["face_confidence"]) == (alone["landmarks"], alone["face_confidence"])
    mien("70.png", "--policy", path, "--out", "rows.csv")
    (cells,) = csv.DictReader(io.StringIO(Path("rows.csv").read_text()))
    assert json.loads(cells["landmarks"]) == alone["landmarks"]
    Image.new("RGB", (100, 100)).save("70.png")  # without a face
    (row,) = rows_of(mien("70.png", "--policy", path, code=1)[0])
    assert (row["landmarks"], row["face_confidence"]) == (None, None)


def test_a_face_that_is_too_small_fails_with_the_measured_size(mien: Mien, finder: None) -> None:
    portrait(400, 420, FACE).save("70.png")
    out, _ = mien("70.png", "--policy", policy_file("[rules.inter_eye_px]\nmin = 120\n"), code=1)
    assert rows_of(out)[0]["reasons"][0]["sentence"].startswith("inter_eye_px 95 px, wanted at least 120")


def test_no_face_fails_a_policy_about_faces_and_keeps_its_score(mien: Mien, finder: None) -> None:
    Image.new("RGB", (100, 100)).save("70.png")
    out, err = mien("70.png", "--policy", policy_file(ABOUT_FACES), code=1)
    (row,) = rows_of(out)
    assert (row["status"], row["score"], row["n_faces"], row["inter_eye_px"]) == ("ok", 70.0, 0, None)
    assert [reason["sentence"] for reason in row["reasons"]] == ["n_faces 0, wanted at least 1 (faces in the picture)"]
    assert "  1 x n_faces" in err


def test_a_profile_on_a_drawn_passport_picture(mien: Mien, finder: None) -> None:
    portrait(480, 620, face_at(200, 170, 95)).save("70.png")
    out, _ = mien("70.png", "--policy", "passport", code=1)
    assert {reason["quantity"] for reason in rows_of(out)[0]["reasons"]} == {"dynamic_range"}  # it is drawn, after all


def test_a_policy_about_faces_without_a_finder_is_wrong_usage(mien: Mien, no_finder: None) -> None:
    touch("70.png")
    _, err = mien("70.png", "--policy", "passport", code=2)
    assert err == "mien: the policy passport is about faces, and nothing can find them: no finder, name one\n"
    mien("70.png", "--min", 5)  # needs none


def test_a_finder_that_is_none_is_told_as_it_is(mien: Mien, finder: None) -> None:
    touch("70.png")
    _, err = mien("70.png", "--policy", "avatar", "--finder", "broken.onnx", code=2)
    assert err == "mien: broken.onnx is no finder\n"


# ---- thresholds from data


def test_calibrate_prints_a_policy_that_gate_reads(mien: Mien) -> None:
    touch(*(f"in/{i}.jpg" for i in range(10, 60)))
    out, _ = mien("--calibrate", "in", "--reject", 0.1)
    assert out.startswith("# limits from 50 pictures of in\n")
    found = parse_policy(out)
    assert [rule.quantity for rule in found.rules] == ["score", "sharpness", "exposure", "noise", "compression"]
    assert {rule.min for rule in found.rules} == {15.0}  # all of them refuse the same five pictures
    Path("mine.toml").write_text(out)
    rows = rows_of(mien("in", "--policy", "mine.toml", code=1)[0])
    assert sum(row["verdict"] == "fail" for row in rows) == 5


def test_calibrate_takes_the_rules_of_a_policy(mien: Mien) -> None:
    touch(*(f"in/{i}.jpg" for i in range(10, 60)), "in/bad.jpg")
    path = policy_file('name = "mine"\n[rules.noise]\nmin = 99\n')
    out, err = mien("--calibrate", "in", "--policy", path, code=3)
    assert tomllib.loads(out)["rules"].keys() == {"noise"}
    assert "1 of 51 could not be read" in err


def test_calibrate_with_a_finder_is_about_faces_too(mien: Mien, finder: None) -> None:
    Path("in").mkdir()
    for i in range(10, 20):
        portrait(400, 420, FACE).save(f"in/{i}.png")
    found = parse_policy(mien("--calibrate", "in", "--finder", "f.onnx")[0])
    limits = {rule.quantity: (rule.min, rule.max) for rule in found.rules}
    assert limits["n_faces"] == (1, None)
    assert limits["inter_eye_px"][0] == pytest.approx(95, abs=0.1)
    assert limits["over_exposed"] == (None, 0.0)


def test_too_few_pictures_are_refused(mien: Mien) -> None:
    touch("in/1.jpg")
    assert "thresholds from 1 usable pictures mean nothing" in mien("--calibrate", "in", code=2)[1]
