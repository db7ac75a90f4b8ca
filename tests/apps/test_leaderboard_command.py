"""`mien leaderboard`: every output, safe to open, and honest about what it could not rank."""

from __future__ import annotations

import base64
import csv
import hashlib
import html.parser
import json
import re

import numpy as np
import pytest

from mien.apps.leaderboard_command import LeaderboardOptions, make_leaderboard
from mien.apps.plots import Axis, place_labels, spanning
from mien.core.errors import UsageError

HOSTILE = "=HYPERLINK(1)<script>alert(1)<&|`*"
SCENES = ("day", "dusk", "night", "dawn")


class Tags(html.parser.HTMLParser):
    """Tags and attributes of a page; fails when a non-void element is not closed."""

    VOID = frozenset({"meta", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def count(self, tag, css):
        return sum(1 for t, a in self.tags if t == tag and css in (a.get("class") or "").split())


def write_csv(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three submissions, one of them with costs, and labels of four scenes with 12 pictures each."""
    folder = tmp_path_factory.mktemp("submissions")
    rng = np.random.default_rng(0)
    rows = [(f"{scene}/{i}.jpg", float(rng.normal()), scene) for scene in SCENES for i in range(12)]
    write_csv(folder / "labels.csv", ["image", "label", "scene"], rows)
    for name, noise in (("good", 0.2), ("fair", 1.0), (HOSTILE, 4.0)):
        scores = [(image, label + noise * rng.normal()) for image, label, _ in rows]
        write_csv(folder / f"{name}.csv", ["image", "score"], scores)
    (folder / "good.cost.json").write_text('{"macs": 3e12, "parameters": 1e6, "seconds": 0.5}')
    (folder / "fair.cost.json").write_text('{"macs": 2e9, "parameters": 3e6, "seconds": 0.01}')
    return folder


@pytest.fixture(scope="module")
def outputs(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    files = tuple(out / f"board.{suffix}" for suffix in ("html", "md", "csv", "json"))
    code = make_leaderboard(
        LeaderboardOptions("ntire24-portrait", folder, out=files, draws=300, quiet=True, dataset="made up")
    )
    assert code == 0
    return {path.suffix[1:]: path.read_text(encoding="utf-8") for path in files}


# ---- the page -----------------------------------------------------------------------------------------------------


def test_the_page_is_well_formed_and_loads_and_runs_nothing(outputs):
    page = outputs["html"]
    for tag, attributes in Tags(page).tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "img", "form")
        assert not attributes.keys() & {"src", "href", "srcset", "action", "style"}, (tag, attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in page and "url(" not in page and "http" not in page.split("</head>")[1]


def test_the_policy_allows_nothing_but_the_style_of_the_page(outputs):
    page = outputs["html"]
    (policy,) = [a["content"] for t, a in Tags(page).tags if a.get("http-equiv") == "Content-Security-Policy"]
    (style,) = re.findall("<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ") and f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy and "script-src" not in policy


def test_names_of_strangers_stay_text(outputs):
    tags = Tags(outputs["html"])
    assert HOSTILE in tags.text
    assert "<script" not in outputs["html"]


def test_every_submission_scene_and_point_is_drawn(outputs):
    tags = Tags(outputs["html"])
    assert tags.count("circle", "group") == 3 * len(SCENES)
    assert tags.count("g", "cloud") == tags.count("polyline", "fit") == 3
    assert len(re.findall(r'<circle [^>]*r="1.9"/>', outputs["html"])) == 3 * 48
    assert tags.count("circle", "solid") == 3 * 2  # three kinds of cost, known for two submissions
    assert tags.count("tr", "published") == 16
    assert tags.count("line", "whisker") == 6 and tags.count("line", "limit") == 2


def test_every_picture_has_a_description(outputs):
    pictures = [a for t, a in Tags(outputs["html"]).tags if t == "svg"]
    assert pictures and all(a.get("role") == "img" and "aria-label" in a for a in pictures)


def test_a_cost_over_the_limit_is_marked(outputs):
    assert Tags(outputs["html"]).count("td", "over") == 1  # 3 T MACs, the limit is 2.5


def test_no_number_is_nan(outputs):
    for text in outputs.values():
        assert not re.search(r"\b(nan|inf|NaN|Infinity)\b", text)


# ---- tables -------------------------------------------------------------------------------------------------------


def test_csv_has_all_rows_and_no_formula(outputs):
    rows = list(csv.DictReader(outputs["csv"].splitlines()))
    assert [r["model"] for r in rows[:3]] == ["good", "fair", f"'{HOSTILE}"]
    assert [r["kind"] for r in rows] == ["submission"] * 3 + ["published"] * 16
    assert float(rows[0]["main_low"]) <= float(rows[0]["main"]) <= float(rows[0]["main_high"])
    assert (rows[0]["rank"], rows[0]["groups"], float(rows[0]["macs"])) == ("1", "a", 3e12)
    assert not [r for r in rows if any((cell or "").startswith(("=", "+", "@")) for cell in r.values())]


def test_markdown_has_one_row_for_each_line_and_equal_cells(outputs):
    lines = [line for line in outputs["md"].splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 3 + 16
    assert len({len(re.sub(r"\\\|", "", line).split("|")) for line in lines}) == 1
    assert r"\<script\>" in outputs["md"] and "published: hidden test" in outputs["md"]
    assert "Holm" in outputs["md"] and "2404.11159" in outputs["md"]


def test_json_records_name_task_dataset_metric_value_model(outputs):
    found = json.loads(outputs["json"])
    assert all(r.keys() >= {"task", "dataset", "metric", "value", "model", "published"} for r in found)
    assert {r["dataset"] for r in found} == {"made up", "PIQ23 test", "hidden test"}
    assert {r["metric"] for r in found if r["model"] == "good"} == {"srcc", "plcc", "krcc", "main"}


def test_terminal_shows_the_table_and_how_it_was_made(folder, capsys):
    assert make_leaderboard(LeaderboardOptions("ntire24-portrait", folder, draws=100, published="PIQ23 test")) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    names = [line for line in lines if "published: PIQ23 test" in line]
    assert len(names) == 8 and "hidden test" not in text
    good = next(i for i, line in enumerate(lines) if " good " in line)
    assert good < lines.index(names[0])  # set among the submissions: it is better than the published rows
    assert "higher is better" in text and "Holm" in text and "3 T" in text


# ---- what cannot be ranked ----------------------------------------------------------------------------------------


def test_refused_submissions_are_named_everywhere_and_the_others_ranked(folder, tmp_path, capsys):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    write_csv(tmp_path / "short.csv", ["image", "score"], [("day/0.jpg", 1)])
    outs = tuple(tmp_path / f"out.{suffix}" for suffix in ("html", "md", "csv"))
    options = LeaderboardOptions("ntire24-portrait", tmp_path, out=outs, draws=0, quiet=True)
    assert make_leaderboard(options) == 3
    captured = capsys.readouterr()
    assert "mien: short: " in captured.err and "no prediction for 47 names" in captured.err
    for out in outs:
        assert "no prediction for 47 names" in out.read_text(encoding="utf-8")
    assert make_leaderboard(options) == 3  # its own output is not a submission
    assert "out.csv" not in capsys.readouterr().err


def test_nothing_to_rank_is_exit_code_4(tmp_path, capsys):
    write_csv(tmp_path / "labels.csv", ["image", "label"], [("a", 1), ("b", 2), ("c", 3)])
    assert make_leaderboard(LeaderboardOptions("plain", tmp_path)) == 4
    assert "no submission could be ranked" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "plane"}, "no protocol 'plane'"),
        ({"labels": "nowhere.csv"}, "no labels: nowhere.csv is not there"),
        ({"out": "board.pdf"}, r"--out must be named \*.csv, \*.md, \*.html, \*.json, not board.pdf"),
        ({"out": "no/such/board.md"}, "there is no folder no/such"),
        ({"published": "x"}, "no published table 'x'"),
        ({"alpha": 0.0}, "alpha must be between 0 and 1"),
    ],
)
def test_wrong_usage_is_told(folder, options, message):
    from pathlib import Path

    given = {"name": "ntire24-portrait", "folder": folder, "draws": 0, "quiet": True, **options}
    if "labels" in options:
        given["labels"] = Path(options["labels"])
    if "out" in options:
        given["out"] = (Path(options["out"]),)
    with pytest.raises(UsageError, match=message):
        make_leaderboard(LeaderboardOptions(**given))


# ---- other kinds of protocol --------------------------------------------------------------------------------------


def test_votes_have_a_board_without_scatter_plots(tmp_path, rng):
    items = [f"m{i}" for i in range(5)]
    rows = [
        (a, b, int(rng.integers(0, 16)), clip)
        for clip in ("x", "y", "z")
        for i, a in enumerate(items)
        for b in items[:i]
    ]
    votes = [(f"{c}/{a}", f"{c}/{b}", v, 15 - v, c) for a, b, v, c in rows]
    write_csv(tmp_path / "labels.csv", ["item_a", "item_b", "votes_a", "votes_b", "clip"], votes)
    names = [f"{c}/{item}" for c in ("x", "y", "z") for item in items]
    for k in range(2):
        write_csv(tmp_path / f"s{k}.csv", ["video", "score"], [(n, float(rng.normal())) for n in names])
    out = tmp_path / "o.html"
    assert make_leaderboard(LeaderboardOptions("adth-qa", tmp_path, out=(out,), draws=100, quiet=True)) == 0
    tags = Tags(out.read_text(encoding="utf-8"))
    assert tags.count("g", "cloud") == 0 and tags.count("circle", "group") == 6


# ---- plots --------------------------------------------------------------------------------------------------------


def test_an_axis_maps_its_ends_and_has_round_ticks():
    axis = Axis(0.0, 1.0, 100.0, 300.0)
    assert (axis(0.0), axis(1.0), axis(0.25)) == (100.0, 300.0, 150.0)
    assert axis.ticks == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    log = Axis(0.01, 100.0, 0.0, 400.0, log=True)
    assert log(1.0) == pytest.approx(200.0) and log.ticks == pytest.approx([0.01, 0.1, 1, 10, 100])


def test_an_axis_of_one_value_or_none_is_still_an_axis():
    for values in ([], [3.0], [0.0, 0.0], [-2.0]):
        axis = spanning(values, 0, 100)
        assert axis.low < axis.high and all(0 <= axis(tick) <= 100 for tick in axis.ticks)


def test_names_that_would_overlap_are_left_out():
    frame = (0.0, 0.0, 400.0, 100.0)
    assert len(place_labels([(50, 50, "one"), (250, 50, "two")], frame)) == 2
    assert len(place_labels([(200, 50, "many")] * 9, frame)) < 9
