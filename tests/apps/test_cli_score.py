"""`mien score` in this process with a scorer that needs no pictures: what goes where, and every exit code."""

import json
import re
import sys
from pathlib import Path

import pytest

from mien.apps import cli, report, terminal
from mien.core.discover import display_path
from mien.core.tables import read_rows
from mien.core.types import COLUMNS, Score
from mien.runtime import scorer

RUN = {"model": "fake@1", "preprocess": "squash8"}


class FakeScorer:
    """Scores a name: the number in it; `bad` has no score; `stop` is Ctrl-C; `boom` is a defect."""

    model_id, preprocess_id = RUN["model"], RUN["preprocess"]
    asked: list = []  # noqa: RUF012
    options: dict = {}  # noqa: RUF012

    def __init__(self, model=None, **options):
        FakeScorer.asked, FakeScorer.options = [], {"model": model} | options

    def stream(self, sources):
        for source in sources:
            FakeScorer.asked.append(source)
            name = "" if isinstance(source, bytes) else Path(source).stem
            if name == "stop":
                raise KeyboardInterrupt
            if name == "boom":
                raise RuntimeError("the sky\nfell")
            path = "" if isinstance(source, bytes) else display_path(source)
            if "bad" in name:
                yield Score(path=path, status="decode_error", error="truncated", **RUN)
            else:
                value = float("".join(c for c in name if c.isdigit()) or 50)
                yield Score(path=path, score=value, score_lo=value - 1, score_hi=value + 1, raw=value / 100, ms=1.0,
                            percentile=value, width=64, height=64, **RUN)  # fmt: skip


@pytest.fixture
def mien(monkeypatch, command_line):
    """Runs the command line inside an empty folder with the fake scorer; gives stdout and stderr."""
    monkeypatch.setattr(scorer, "Scorer", FakeScorer)
    return command_line


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"not read by the fake")


def rows_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_piped_rows_are_json_lines_and_the_rest_is_on_stderr(mien):
    touch("in/7.jpg", "in/sub/3.png", "in/notes.txt")
    out, err = mien("score", "in")
    rows = rows_of(out)
    assert [tuple(row) for row in rows] == [COLUMNS, COLUMNS]
    assert [(row["path"], row["score"]) for row in rows] == [("in/7.jpg", 7.0), ("in/sub/3.png", 3.0)]
    assert "2 of 2 pictures scored, mean 5.0 (0..100, higher is better)" in err


def test_options_reach_the_scorer(mien):
    touch("1.jpg")
    mien("score", "1.jpg", "--model", "x.onnx", "--exact", "--batch", 3, "--threads", 2)
    assert FakeScorer.options == {"model": "x.onnx", "exact": True, "batch": 3, "threads": 2}


def test_some_unreadable_is_3_and_each_has_its_row_and_its_line(mien):
    touch("1.jpg", "bad.jpg")
    out, err = mien("score", "1.jpg", "bad.jpg", "gone.bad.jpg", code=3)
    assert [row["status"] for row in rows_of(out)] == ["ok", "decode_error", "decode_error"]
    assert "2 without a score: 2 decode_error" in err
    assert "  decode_error  bad.jpg: truncated" in err


def test_nothing_scored_is_4(mien):
    touch("bad.jpg")
    out, _ = mien("score", "bad.jpg", code=4)
    assert len(rows_of(out)) == 1
    Path("empty").mkdir()
    out, err = mien("score", "empty", "--out", "x.csv", code=4)
    assert (out, err) == ("", "mien: no pictures found\n")
    assert not Path("x.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "nothing to score: name pictures or folders"),
        ("1.jpg --faces some", "--faces some: it is one of whole, best, all"),
        ("1.jpg --finder f.onnx", "--finder belongs to --faces best or --faces all"),
        ("- --files-from -", "stdin can be one picture"),
        ("1.jpg --report in.html", "cannot write in.html: it is a folder"),
        ("1.jpg --threads 100000", "threads"),
        ("1.jpg --null", "--null belongs to --files-from"),
        ("1.jpg --resume", "belong to --out"),
        ("1.jpg --out x.txt", r"must be named *.csv, *.jsonl, *.parquet, not x.txt"),
        ("1.jpg --out no/x.csv", "there is no folder no"),
        ("1.jpg --out x.csv --resume --overwrite", "exclude each other"),
        ("1.jpg --report x.csv", "a report must be named *.html"),
        ("1.jpg --report no/x.html", "there is no folder no"),
        ("--files-from absent.txt", "cannot read absent.txt: No such file"),
        ("1.jpg --batch 0", "batch"),
        ("1.jpg --colour red", "--colour"),
    ],
)
def test_wrong_usage_is_2_and_scores_nothing(mien, arguments, message):
    touch("1.jpg", "in.html/2.jpg")
    FakeScorer.asked = []
    out, err = mien("score", *arguments.split(), code=2)
    assert message in err and out == ""
    assert FakeScorer.asked == []


def test_an_empty_path_is_wrong_usage_and_not_stdin(mien):
    _, err = mien("score", "", code=2)
    assert err == "mien: one of the paths is empty (a shell variable that is not set?)\n"


def test_lists_of_files(mien):
    touch("1.jpg", "2.jpg", "in/3.jpg", "two\nlines 4.jpg")
    Path("list.txt").write_bytes(b"2.jpg\r\n\nin\n")
    out, _ = mien("score", "1.jpg", "--files-from", "list.txt")
    assert [row["score"] for row in rows_of(out)] == [1, 2, 3]
    out, _ = mien("score", "--files-from", "-", stdin=b"2.jpg\n1.jpg")
    assert [row["score"] for row in rows_of(out)] == [2, 1]
    out, _ = mien("score", "--files-from", "-", "-0", stdin=b"2.jpg\0two\nlines 4.jpg\0")
    assert [row["path"] for row in rows_of(out)] == ["2.jpg", "two\\nlines 4.jpg"]
    assert mien("score", "--files-from", "-", code=4)[1] == "mien: no pictures found\n"


def test_one_picture_from_stdin(mien):
    touch("1.jpg")
    out, _ = mien("score", "1.jpg", "-", stdin=b"\xff\xd8 bytes")
    assert [row["path"] for row in rows_of(out)] == ["-", "1.jpg"]
    assert FakeScorer.asked[0] == b"\xff\xd8 bytes"


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_out_takes_the_rows_and_resume_goes_on(mien, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow", reason="Parquet needs the extra 'parquet'")
    touch("in/1.jpg", "in/2.jpg", "in/bad.jpg")
    table = Path(f"x.{suffix}")
    out, err = mien("score", "in", "--out", table, code=3)
    assert out == "" and f"wrote {table}" in err
    first = list(read_rows(table))
    assert [row["path"] for row in first] == ["in/1.jpg", "in/2.jpg", "in/bad.jpg"]

    _, err = mien("score", "in", "--out", table, code=2)
    assert err == f"mien: {table} exists: --resume goes on with it, --overwrite starts again\n"
    assert list(read_rows(table)) == first

    touch("in/3.jpg")
    _, err = mien("score", "in", "--out", table, "--resume", code=3)  # the whole table counts
    assert FakeScorer.asked == ["in/3.jpg"]
    assert "3 of 4 pictures scored" in err and "3 from the run before" in err
    assert [row["path"] for row in read_rows(table)] == ["in/1.jpg", "in/2.jpg", "in/bad.jpg", "in/3.jpg"]

    mien("score", "in/1.jpg", "--out", table, "--overwrite")
    assert [row["path"] for row in read_rows(table)] == ["in/1.jpg"]


def test_resume_without_a_table_begins_one_and_with_all_done_asks_nothing(mien):
    touch("in/1.jpg")
    mien("score", "in", "--out", "x.csv", "--resume")
    mien("score", "in", "--out", "x.csv", "--resume")
    assert FakeScorer.asked == []
    assert len(list(read_rows(Path("x.csv")))) == 1


def test_resume_knows_odd_names(mien):
    names = ["in/a\udcff1.jpg", "in/two\nlines 2.jpg", "in/\u20283.jpg", 'in/"4",.jpg', "in/=5.jpg", "in/\x9b6.jpg"]
    touch(*names)
    mien("score", "in", "--out", "x.csv")
    assert len(FakeScorer.asked) == len(names)
    mien("score", "in", "--out", "x.csv", "--resume")
    assert FakeScorer.asked == []


def test_resume_with_another_model_is_refused(mien, monkeypatch):
    touch("1.jpg")
    mien("score", "1.jpg", "--out", "x.csv")
    monkeypatch.setattr(FakeScorer, "model_id", "fake@2")
    _, err = mien("score", "1.jpg", "--out", "x.csv", "--resume", code=2)
    assert "x.csv was written with model fake@1, this run has fake@2" in err


def test_interrupted_is_130_and_says_how_to_go_on(mien):
    touch("1.jpg", "stop.jpg", "2.jpg")
    _, err = mien("score", "1.jpg", "stop.jpg", "2.jpg", code=130)
    assert "interrupted after 1 of 3 pictures; with --out FILE a run can be resumed" in err
    _, err = mien("score", "1.jpg", "stop.jpg", "2.jpg", "--out", "x.jsonl", code=130)
    assert "interrupted after 1 of 3 pictures; the same command with --resume goes on" in err
    mien("score", "1.jpg", "2.jpg", "--out", "x.jsonl", "--resume")
    assert [row["path"] for row in read_rows(Path("x.jsonl"))] == ["1.jpg", "2.jpg"]


def test_a_defect_is_70_in_one_line(mien, monkeypatch):
    touch("boom.jpg")
    _, err = mien("score", "boom.jpg", code=70)
    assert err == "mien: unexpected RuntimeError: the sky\\nfell (MIEN_DEBUG=1 shows where)\n"
    monkeypatch.setenv("MIEN_DEBUG", "1")
    monkeypatch.setattr(sys, "argv", ["mien", "score", "boom.jpg"])
    with pytest.raises(RuntimeError, match="the sky"):
        cli.main()


def test_report_gets_every_row_with_and_without_a_table(mien, monkeypatch):
    calls = []
    monkeypatch.setattr(
        report,
        "write_report",
        lambda rows, out, **options: calls.append(([row["path"] for row in rows], out, options)),
    )
    touch("in/1.jpg", "in/2.jpg")
    mien("score", "in", "--report", "r.html")
    mien("score", "in/1.jpg", "--out", "x.csv")
    mien("score", "in", "--out", "x.csv", "--resume", "--report", "r.html", "--no-thumbnails")
    both = ["in/1.jpg", "in/2.jpg"]
    assert calls == [
        (both, Path("r.html"), {"title": "in", "thumbnails": True}),
        (both, Path("r.html"), {"title": "in", "thumbnails": False}),
    ]


def test_the_title_of_a_report_is_short(mien, monkeypatch):
    titles = []
    monkeypatch.setattr(report, "write_report", lambda rows, out, *, title, **_: titles.append(title))
    names = [f"{n}.jpg" for n in range(2000)]
    mien("score", *names, "--report", "r.html", "-q")
    mien("score", *names[:3], "--report", "r.html", "-q")
    mien("score", "--files-from", "-", "--report", "r.html", "-q", stdin=b"1.jpg")
    assert titles == ["0.jpg, 1.jpg, 2.jpg and 1,997 more", "0.jpg, 1.jpg, 2.jpg", "pictures of -"]


def test_a_report_that_cannot_be_written_is_2(mien, monkeypatch):
    def full(rows, out, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report, "write_report", full)
    touch("1.jpg")
    _, err = mien("score", "1.jpg", "--report", "r.html", code=2)
    assert "mien: cannot write r.html: No space left on device" in err


def test_terminal_shows_the_worst_and_how_many_there_are(mien, monkeypatch):
    touch(*(f"in/[red]{n}.jpg" for n in range(30)), "in/bad.jpg")
    monkeypatch.setattr(terminal.sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    out, err = mien("score", "in", code=3)
    out = re.sub(r"\x1b\[[0-9;]*m", "", out)
    shown = [line.split()[-1] for line in out.splitlines() if ".jpg" in line and "decode_error" not in line]
    assert shown == [f"in/[red]{n}.jpg" for n in range(20)]
    assert "the 20 worst of 30 pictures" in out and "30 of 31 pictures scored" in out
    assert "decode_error  in/bad.jpg: truncated" in out
    assert "{" not in out and err == ""


def test_quiet(mien, monkeypatch):
    touch("1.jpg")
    out, err = mien("score", "1.jpg", "-q")
    assert len(rows_of(out)) == 1 and err == ""
    assert mien("score", "1.jpg", "-q", "--out", "x.csv") == ("", "")


def test_progress_that_is_not_on_a_terminal_is_plain_lines(mien, monkeypatch):
    monkeypatch.setattr(terminal, "PLAIN_SECONDS", 0.0)
    touch("1.jpg", "2.jpg", "bad.jpg")
    _, err = mien("score", "1.jpg", "bad.jpg", "2.jpg", code=3)
    lines = err.splitlines()
    assert [line.split(",")[0] for line in lines[:3]] == ["1/3 pictures", "2/3 pictures", "3/3 pictures"]
    assert lines[2].endswith("/s, 0:00 left, 1 failed")


def test_stdout_that_is_full_is_one_line(mien, monkeypatch):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    touch("1.jpg")
    with open("/dev/full", "w") as full:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", full)
        _, err = mien("score", "1.jpg", "-q", code=2)
    assert err == "mien: cannot write to stdout: No space left on device\n"


def test_progress_on_a_terminal_is_a_bar_that_goes_away(mien, monkeypatch):
    monkeypatch.setattr(terminal.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    touch("1.jpg", "bad.jpg")
    out, err = mien("score", "1.jpg", "bad.jpg", code=3)
    assert len(rows_of(out)) == 2
    assert "2/2" in err and "1 failed" in err
    assert "\x1b[2K" in err  # the line of the bar is erased before the summary
