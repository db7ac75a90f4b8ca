"""`mien scale` from outside: rows, tables, files, the page, and what it says when a file cannot be scaled."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr
from typer.testing import CliRunner

from mien.apps.cli import app
from mien.apps.scale_command import SHOWN, summary_lines, table_lines
from mien.apps.scale_report import Study, page
from mien.core.errors import MienError, UsageError
from mien.subjective.bt500 import bt500
from mien.subjective.mos import mos
from mien.subjective.scale import examine_ratings
from mien.subjective.tables import Ratings


def mien(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mien", "scale", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=120, text=True)


def scale(*arguments: object) -> list[dict[str, object]]:
    """In this process, which is quicker: the rows on stdout, or the error itself."""
    run = CliRunner().invoke(app, ["scale", *map(str, arguments), "--quiet"])
    if isinstance(run.exception, MienError):
        raise run.exception
    assert run.exit_code == 0, run.output
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture
def ratings(tmp_path: Path, rng: np.random.Generator) -> Path:
    """12 stimuli, 10 observers, one of whom clicks at random."""
    quality, lines = np.linspace(1.5, 4.5, 12), ["stimulus,observer,score"]
    for i in range(10):
        votes = rng.uniform(1, 5, 12) if i == 9 else quality + 0.6 * rng.normal(size=12)
        lines += [f"p{j:02},o{i},{min(max(round(v), 1), 5)}" for j, v in enumerate(votes.tolist())]
    path = tmp_path / "ratings.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def votes(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Two scenes of 4 pictures, every pair once by each of 8 observers."""
    lines = ["left,right,choice,observer,scene"]
    for scene in "xy":
        for i in range(4):
            for j in range(i):
                for o in range(8):
                    side = "a" if rng.random() < ndtr((i - j) / 1.4826) else "b"
                    lines.append(f"{scene}{i},{scene}{j},{side},o{o},{scene}")
    path = tmp_path / "votes.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


COLUMNS = ("--column", "item_a=left", "--column", "item_b=right")


# ---- rows ---------------------------------------------------------------------------------------------------------


def test_piped_it_is_one_row_of_the_design_for_each_item_and_the_summary_is_on_stderr(ratings: Path):
    run = mien(ratings, "--method", "mos", "--half-width", "0.25")
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0
    assert [list(row) for row in rows] == [["item", "score", "ci_low", "ci_high", "n"]] * 12
    assert [row["item"] for row in rows] == [f"p{j:02}" for j in range(12)]
    assert all(row["ci_low"] < row["score"] < row["ci_high"] and row["n"] == 10 for row in rows)
    assert "12 items, 120 votes, mos; unit: the scale of the votes" in run.stderr
    assert "95 %, Student t over the votes" in run.stderr
    assert re.search(r"for ± 0.25 a typical item needs about \d+ votes; it has 10", run.stderr)


@pytest.mark.parametrize("method", ["mos", "bt500", "p913", "p910", "zscore"])
def test_every_method_of_ratings(ratings: Path, method: str):
    rows = scale(ratings, "--method", method)
    assert len(rows) == 12
    assert np.corrcoef([float(str(row["score"])) for row in rows], np.arange(12))[0, 1] > 0.9


@pytest.mark.parametrize("method", ["bradley-terry", "thurstone", "jod"])
def test_every_method_of_votes_by_group(votes: Path, method: str):
    draws = ("--draws", "40") if method == "jod" else ()
    rows = scale(votes, "--method", method, *COLUMNS, "--groups", "scene", *draws)
    assert [row["group"] for row in rows] == ["x"] * 4 + ["y"] * 4
    assert list(rows[0]) == ["item", "score", "ci_low", "ci_high", "n", "group"]
    assert all(row["n"] == 24 for row in rows)
    for scene in "xy":
        scores = [float(str(row["score"])) for row in rows if row["group"] == scene]
        assert sum(scores) == pytest.approx(0, abs=1e-5)
        assert scores[0] < scores[3]


def test_the_options_of_jod(votes: Path):
    base = (votes, "--method", "jod", *COLUMNS, "--where", "scene=x")
    plain = scale(*base, "--draws", "0")
    anchored = scale(*base, "--draws", "0", "--anchor", "x2")
    assert [row["ci_low"] for row in plain] == [None] * 4
    assert anchored[2]["score"] == 0
    assert float(str(anchored[3]["score"])) == pytest.approx(
        float(str(plain[3]["score"])) - float(str(plain[2]["score"])), abs=2e-6
    )
    assert scale(*base, "--draws", "60", "--seed", "1") == scale(*base, "--draws", "60", "--seed", "1")
    assert scale(*base, "--draws", "60", "--seed", "1") != scale(*base, "--draws", "60", "--seed", "2")
    assert scale(*base, "--draws", "0", "--no-prior") != plain


def test_dmos_takes_the_reference_that_a_column_marks(tmp_path: Path):
    path = tmp_path / "r.csv"
    path.write_text("stimulus,observer,score,reference\nr,a,5,1\np,a,3,0\nr,b,4,1\np,b,3,0\n")
    rows = scale(path, "--method", "dmos")
    assert [(row["item"], row["score"]) for row in rows] == [("p", 3.5), ("r", 5.0)]
    assert [row["score"] for row in scale(path, "--method", "dmos", "--top", "10")] == [8.5, 10.0]


# ---- files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_the_suffix_of_out_decides_the_form_and_all_forms_have_the_same_rows(ratings: Path, suffix: str):
    out = ratings.with_name(f"scores.{suffix}")
    expected = scale(ratings, "--method", "p910")
    assert scale(ratings, "--method", "p910", "--out", out) == []
    if suffix == "csv":
        with out.open(newline="", encoding="utf-8") as stream:
            found = [row | {k: float(row[k]) for k in row if k != "item"} for row in csv.DictReader(stream)]
    elif suffix == "jsonl":
        found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    else:
        found = pytest.importorskip("pyarrow.parquet").read_table(out).to_pylist()
    assert found == expected


def test_the_observers_have_a_table_of_their_own(ratings: Path):
    out = ratings.with_name("observers.csv")
    scale(ratings, "--method", "p910", "--observers", out)
    with out.open(newline="", encoding="utf-8") as stream:
        rows = {row["observer"]: row for row in csv.DictReader(stream)}
    assert {"n", "bias", "bias_low", "inconsistency", "correlation", "distance", "inspect"} <= set(rows["o0"])
    assert max(rows, key=lambda name: float(rows[name]["inconsistency"])) == "o9"
    assert max(rows, key=lambda name: float(rows[name]["distance"])) == "o9"
    assert rows["o9"]["inspect"] == "True"


def test_a_file_that_is_there_stays_when_the_new_one_cannot_be_made(ratings: Path):
    out = ratings.with_name("scores.csv")
    out.write_text("mine")
    with pytest.raises(UsageError):
        scale(ratings, "--method", "bradley-terry", "--out", out)
    assert out.read_text() == "mine"
    assert sorted(path.name for path in ratings.parent.iterdir()) == ["ratings.csv", "scores.csv"]


# ---- for people ---------------------------------------------------------------------------------------------------


def test_the_table_on_a_terminal_is_short_and_best_first(rng: np.random.Generator):
    found = {"": mos(Ratings.of(rng.uniform(1, 5, (60, 5))))}
    lines = table_lines(found)
    assert len(lines) == SHOWN + 2
    assert lines[0].split() == ["item", "score", "interval", "n"]
    assert lines[SHOWN // 2 + 1].startswith("... 40 more")
    scores = [float(line.split()[1]) for line in lines[1:] if "more" not in line]
    assert scores == sorted(scores, reverse=True)


def test_groups_are_one_line_each_and_notes_are_said_once(rng: np.random.Generator):
    lone = np.full((2, 2), np.nan)
    lone[:, 0] = 3
    found = {name: mos(Ratings.of(lone)) for name in ("x", "y")}
    assert [line.split()[0] for line in table_lines(found)] == ["group", "x", "y"]
    notes = [line for line in summary_lines(found) if line.startswith("note")]
    assert notes == ["note: 2 stimuli have a single vote: no interval (group x and others)"]
    assert "no intervals" in summary_lines(found)


# ---- the page -----------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Tags, their attributes and all text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "line", "circle", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "circle"):
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_loads_nothing(votes: Path):
    report = votes.with_name("report.html")
    scale(
        votes, "--method", "jod", *COLUMNS, "--groups", "scene", "--draws", "40", "--report", report, "--title", "Ours"
    )
    html = report.read_text(encoding="utf-8")
    found = Elements(html)
    assert not found.open
    assert "{{" not in html
    assert not {"script", "img", "link", "iframe"} & {tag for tag, _ in found.tags}
    assert not any(name in ("src", "href", "style", "onclick") for _, attrs in found.tags for name in attrs)
    assert "default-src 'none'" in html
    for words in ("Ours", "Scores", "Observers", "What more votes would buy", "agreement u", "95 %", "JOD"):
        assert words in found.text, words
    assert sum(tag == "svg" for tag, _ in found.tags) >= 2 + 8  # a plot for each scene, a bar for each observer


def test_the_page_names_who_is_left_out(rng: np.random.Generator):
    matrix = 3 + 0.5 * rng.normal(size=(12, 26))
    matrix[:, 25] = np.where(np.arange(12) % 2, 99, -99)
    ratings = Ratings.of(matrix, observers=[*(f"o{i:02}" for i in range(25)), "wild"])
    text = Elements(page(Study("t", "f", {"": examine_ratings(bt500(ratings), ratings)}))).text
    assert "screening left out 1 observer (wild)" in text
    assert "1 of 26 observers is left out by the rule of the method" in text
    assert re.search("wild12[\u2212.0-9]+left out", text)  # its row of the table; bars are no text


def test_names_cannot_break_the_page():
    bad = "<script>alert('&\"</script>"
    ratings = Ratings.of(np.array([[1.0, 2.0], [3.0, 4.0]]), stimuli=[bad, "b"], observers=[bad, "o"])
    html = page(Study(bad, bad, {bad: examine_ratings(mos(ratings), ratings)}))
    assert "<script" not in html
    assert bad in Elements(html).text


@pytest.mark.parametrize("items", [3, 200])
def test_many_items_are_a_plot_without_names(items: int, rng: np.random.Generator):
    ratings = Ratings.of(rng.uniform(1, 5, (items, 6)))
    found = Elements(page(Study("t", "f", {"": examine_ratings(mos(ratings), ratings)})))
    named = [attrs for tag, attrs in found.tags if tag == "g" and attrs.get("class") == "row"]
    assert len(named) == (items if items <= 80 else 0)
    assert not found.open


# ---- errors -------------------------------------------------------------------------------------------------------

HEAD, VOTE = "stimulus,observer,score\n", "item_a,item_b,votes_a,votes_b\n"
BAD = [
    ("mos", HEAD, "has no rows"),
    (
        "mos",
        "item,observer,score\np,o,3\n",
        "has no column stimulus.*it has item, observer, score.*--column OURS=THEIRS",
    ),
    ("mos", HEAD + "p,o,good\n", "score must be a finite number in every row; 1 row .line 2: 'good'"),
    ("mos", HEAD + "p,o,nan\n", "score must be a finite number"),
    ("mos", HEAD + ",o,3\n", "stimulus is empty; 1 row .line 2"),
    ("mos", HEAD + "p,o,\n", "no vote at all"),
    ("mos", HEAD + "p,o\n", "row 2 has 2 cells, the header 3"),
    ("mos", "stimulus,stimulus,score\np,o,3\n", "a header twice"),
    (
        "mos",
        HEAD[:-1] + ",repetition\np,o,3,1\np,o,4,1\n",
        "more than one row for the same repetition of: 1 name .p o 1",
    ),
    ("dmos", HEAD + "p,o,3\n", "dmos needs the column reference"),
    ("dmos", HEAD[:-1] + ",reference\np,o,3,r\n", "references that nobody rated: 1 name .r"),
    ("zscore", HEAD + "p,o,3\nq,o,3\n", "no observer has two different votes"),
    ("jod", "item_a,item_b\nx,y\n", "has neither choice nor votes_a and votes_b"),
    ("jod", VOTE + "x,x,1,0\n", "compared with itself: 1 row .line 2: x"),
    ("jod", VOTE + "x,y,-1,0\n", "votes must be at least 0"),
    ("jod", VOTE + "x,y,0,0\n", "no vote at all"),
    ("jod", "item_a,item_b,choice\nx,y,maybe\n", "choice must be a, b or tie.*line 2: 'maybe'"),
    ("jod", VOTE + "x,y,3,1\nu,v,2,2\n", "fall into 2 parts that were never compared.*--groups COLUMN.*--split"),
    ("bradley-terry", VOTE + "x,y,3,0\n", "no finite scores fit best: 1 item .x. won every comparison.*--alpha"),
    ("thurstone", VOTE + "x,y,3,0\n", "no finite scores fit best"),
]


@pytest.mark.parametrize(("method", "text", "message"), BAD, ids=[f"{method}: {m[:40]}" for method, _, m in BAD])
def test_a_table_that_cannot_be_scaled_is_refused_by_name(tmp_path: Path, method: str, text: str, message: str):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        scale(path, "--method", method)
    assert "bad.csv" in str(caught.value)


WRONG = [
    (("--method", "mean"), "--method mean: mos, bt500, p913, p910, zscore, dmos, bradley-terry, thurstone, jod"),
    (("--method", "mos", "--alpha", "1"), "--alpha belongs to --method bradley-terry or thurstone"),
    (("--method", "mos", "--split"), "--split belongs to --method bradley-terry or thurstone or jod"),
    (("--method", "p910", "--anchor", "x"), "--anchor belongs to --method jod"),
    (("--method", "jod", "--top", "9"), "--top belongs to --method dmos"),
    (("--method", "thurstone", "--alpha", "-1"), "--alpha -1: at least 0"),
    (("--method", "mos", "--half-width", "0"), "--half-width 0: more than 0"),
    (("--method", "mos", "--out", "x.txt"), r"--out must be named \*.csv, \*.jsonl, \*.parquet, not x.txt"),
    (("--method", "mos", "--report", "x.pdf"), r"--report must be named \*.html"),
    (("--method", "mos", "--out", "nowhere/x.csv"), "cannot write nowhere/x.csv: there is no folder nowhere"),
    (("--method", "mos", "--column", "score"), "--column score: want NAME=VALUE"),
    (("--method", "mos", "--groups", "scene"), "has no column scene .for --groups scene"),
    (("--method", "mos", "--where", "stimulus=x"), "no row with stimulus=x; there is 12 values"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_options_are_told(ratings: Path, arguments: tuple[str, ...], message: str):
    with pytest.raises(UsageError, match=message):
        scale(ratings, *arguments)


def test_an_error_is_one_line_and_exit_code_2(tmp_path: Path):
    run = mien(tmp_path / "none.csv", "--method", "mos")
    assert (run.returncode, run.stdout) == (2, "")
    assert re.fullmatch(r"mien: cannot read \S+none.csv: No such file or directory\n", run.stderr)


def test_an_anchor_that_is_no_item_and_a_group_that_falls_apart_are_named(votes: Path):
    with pytest.raises(UsageError, match=r"group x: .*no item 'x9'; there is 4 items \(x0, x1, x2, x3\)"):
        scale(votes, "--method", "jod", *COLUMNS, "--groups", "scene", "--anchor", "x9")
    with pytest.raises(UsageError, match="fall into 2 parts"):
        scale(votes, "--method", "jod", *COLUMNS)


def test_split_scales_parts_that_were_never_compared_each_alone(votes: Path):
    rows = scale(votes, "--method", "jod", *COLUMNS, "--split", "--draws", "0")
    by_scene = scale(votes, "--method", "jod", *COLUMNS, "--groups", "scene", "--draws", "0")
    assert [row["group"] for row in rows] == ["part 1"] * 4 + ["part 2"] * 4
    assert [(row["item"], row["score"]) for row in rows] == [(row["item"], row["score"]) for row in by_scene]
