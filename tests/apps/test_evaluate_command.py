"""`mien evaluate` from outside: the table, JSON, exit codes, and what it says when files do not match."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from mien.apps.cli import app
from mien.apps.evaluate_command import need_scipy, pairs
from mien.core.errors import MienError, MissingExtraError, UsageError


def mien(*arguments):
    command = [sys.executable, "-m", "mien", "evaluate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, text=True)


def evaluate(*arguments):
    """In this process, which is quicker: (exit code, stdout), or the error itself."""
    run = CliRunner().invoke(app, ["evaluate", *map(str, arguments), "--draws", "50"])
    if isinstance(run.exception, MienError):
        raise run.exception
    return run.exit_code, run.stdout


@pytest.fixture
def files(tmp_path, rng):
    """30 test pictures in 3 scenes and 30 others to fit on; headers of other people, BOM, backslashes."""
    labels, predictions = tmp_path / "labels.csv", tmp_path / "predictions.csv"
    mos = rng.normal(size=60)
    rows = [f"set\\{i:02}.jpg,{mos[i]:.6f},s{i % 3},{'test' if i < 30 else 'val'}" for i in range(60)]
    labels.write_text("\n".join(["IMAGE PATH,JOD,scene,split", *rows]), encoding="utf-8-sig")
    rows = [f"set/{i:02}.jpg,{mos[i] + rng.normal():.6f}" for i in range(60)]
    predictions.write_text("\n".join(["image,score", *rows]), encoding="utf-8")
    columns = ("--column", "image=IMAGE PATH", "--column", "label=JOD")
    return predictions, ("--labels", labels, *columns, "--where", "split=test")


def test_the_table_that_a_paper_would_print(files):
    predictions, labels = files
    run = mien(predictions, *labels, "--protocol", "ntire24-portrait", "--draws", 200)
    assert (run.returncode, run.stderr) == (0, "")
    text = run.stdout
    for expected in ("30 images in 3 scenes", "median over the scenes", "s0", "fitted      none", "95 %; 200 draws"):
        assert expected in text
    assert "main score  median over the scenes of (srcc + plcc + krcc)/3" in text
    assert "30 predictions belong to rows of the label file that were not selected" in text
    assert "whether a logistic was fitted before PLCC: no fit" in text
    line = next(line for line in text.splitlines() if line.startswith("s1"))
    assert line.split()[1] == "10" and line.count("[") == 4


def test_json_to_a_file_beside_the_table_or_alone_on_stdout(files, tmp_path):
    predictions, labels = files
    code, text = evaluate(predictions, *labels, "--protocol", "plain", "--json", tmp_path / "r.json")
    _, alone = evaluate(predictions, *labels, "--protocol", "plain", "--json", "-")
    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert code == 0 and "plain: " in text
    assert found == json.loads(alone)
    assert found["n"] == 30 and set(found["total"]) == {"srcc", "plcc", "krcc", "rmse", "mae"}


def test_groups_on_request(files):
    predictions, labels = files
    _, text = evaluate(predictions, *labels, "--protocol", "plain", "--group", "scene")
    assert "30 images in 3 scenes" in text and "\ns2 " in text and "over all rows" in text


def test_a_fit_names_its_rows(files):
    predictions, labels = files
    _, text = evaluate(predictions, *labels, "--protocol", "plain", "--fit", "logistic4", "--fit-on", "split=val")
    assert "fitted      logistic4 on split=val (30 rows)" in text
    with pytest.raises(UsageError, match="go together"):
        evaluate(predictions, *labels, "--protocol", "plain", "--fit", "logistic4")
    with pytest.raises(UsageError, match="--fit spline: logistic4 or logistic5"):
        evaluate(predictions, *labels, "--protocol", "plain", "--fit", "spline", "--fit-on", "split=val")


def test_budgets(files, tmp_path):
    predictions, labels = files
    cost = tmp_path / "cost.json"
    cost.write_text('{"macs": 6e8, "parameters": 1e6, "bytes": 1}', encoding="utf-8")
    _, text = evaluate(predictions, *labels, "--protocol", "vquala25-fiqa", "--cost", cost)
    assert "MACs per picture: 600 M, limit 500 M: EXCEEDED" in text
    assert "parameters: 1 M, limit 5 M: kept" in text
    _, text = evaluate(predictions, *labels, "--protocol", "vquala25-fiqa")
    assert "MACs per picture: not given (--cost), limit 500 M" in text
    cost.write_text('{"macs": "many"}', encoding="utf-8")
    with pytest.raises(UsageError, match="macs must be a number of at least 0, not 'many'"):
        evaluate(predictions, *labels, "--protocol", "vquala25-fiqa", "--cost", cost)


def test_wrong_usage_is_one_line_and_exit_code_2(files, tmp_path):
    predictions, labels = files
    some = tmp_path / "some.csv"
    some.write_text("\n".join([*predictions.read_text().splitlines()[:-40], "set/new.jpg,1"]), encoding="utf-8")
    run = mien(some, *labels, "--protocol", "plain")
    assert run.returncode == 2 and run.stdout == "" and len(run.stderr.splitlines()) == 1
    assert "no prediction for 10 names (set/20.jpg" in run.stderr
    assert "predictions without a label: 1 name (set/new.jpg)" in run.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--protocol", "plane"), "no protocol 'plane': plain, ntire24-portrait"),
        (("--protocol", "plain", "--column", "label"), "--column label: want NAME=VALUE"),
        (("--protocol", "plain", "--undefined", "nan"), "--undefined nan: raise or zero"),
        (("--protocol", "plain", "--resample", "all"), "--resample all: groups or rows"),
        (("--protocol", "plain", "--group", "camera"), "no column camera"),
        (("--protocol", "plain", "--json", "/nowhere/r.json"), "cannot write /nowhere/r.json"),
    ],
)
def test_messages(files, arguments, message):
    predictions, labels = files
    with pytest.raises(UsageError, match=message):
        evaluate(predictions, *labels, *arguments)


def test_without_scipy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtraError, match=r'mien evaluate needs an extra: pip install "mien\[evaluate\]"'):
        need_scipy("mien evaluate")


def test_pairs():
    assert pairs(["a=b=c", "d="], "--where") == {"a": "b=c", "d": ""}
    with pytest.raises(UsageError, match="each name once"):
        pairs(["a=1", "a=2"], "--where")


def test_faces_and_votes_have_their_tables_too(tmp_path):
    rng = np.random.default_rng(0)
    pairs_of = [f"{i}a,{i}b,{0.5 * (i < 200) + 0.2 * rng.normal():.4f},{int(i < 200)}" for i in range(1200)]
    (tmp_path / "pairs.csv").write_text("\n".join(["image_a,image_b,similarity,mated", *pairs_of]))
    scores = [f"{i}{side},{rng.normal():.4f}" for i in range(1200) for side in "ab"]
    (tmp_path / "faces.csv").write_text("\n".join(["image,score", *scores]))
    _, text = evaluate(tmp_path / "faces.csv", "--labels", tmp_path / "pairs.csv", "--protocol", "fiqa-edc")
    assert (
        "1,200 pairs" in text
        and "pauc_relative" in text
        and "threshold" in text
        and "curve" not in text.split("what")[0]
    )
    votes = "item_a,item_b,votes_a,votes_b,clip\nw/1,m/1,9,6,1\nw/2,m/2,3,12,2\n"
    (tmp_path / "votes.csv").write_text(votes)
    (tmp_path / "heads.csv").write_text("video,score\nw/1,1\nm/1,2\nw/2,1\nm/2,2\n")
    _, text = evaluate(tmp_path / "heads.csv", "--labels", tmp_path / "votes.csv", "--protocol", "adth-qa")
    assert "0.6000" in text and "method_prior_soft" in text and "2 pairs in 2 clips" in text
