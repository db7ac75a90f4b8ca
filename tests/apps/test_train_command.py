"""`mien train`, `mien pseudo-label` and `mien distill` as a user types them."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("torch")
from mien.apps import train_command
from mien.apps.cli import app
from mien.apps.train_command import RunOptions
from mien.core.errors import MienError, MissingExtraError, UsageError
from mien.core.weights import sha256_of
from training.tables import write_table

TRAIN = ("train", "--quick", "--device", "cpu", "--data")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled pictures, and others."""
    root = tmp_path_factory.mktemp("work")
    write_table(root / "labelled", 40)
    write_table(root / "more", 10, first=100, score=False).unlink()
    write_table(root / "others", 10, first=200, score=False).unlink()
    (root / "few.csv").write_text("path,score\nlabelled/p0.png,1\n")
    return root


@pytest.fixture(scope="module")
def model(folder: Path) -> Path:
    result = mien(folder, *TRAIN, "labelled/labels.csv")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "runs/judge-net/judge-net.onnx\n"
    return folder / result.stdout.strip()


def mien(folder: Path, *arguments: str):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return CliRunner().invoke(app, list(arguments), catch_exceptions=True)


def refused(folder: Path, kind: type[MienError], *arguments: str) -> str:
    result = mien(folder, *arguments)
    assert isinstance(result.exception, kind), result.output
    return str(result.exception)


def test_one_command_makes_a_model_that_score_runs(folder, model):
    result = mien(folder, "score", "--model", str(model), "labelled/p0.png", "labelled/p4.png")
    assert result.exit_code == 0
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert rows[0]["model"].startswith("judge-net@")
    assert rows[0]["sharpness"] is not None


@pytest.mark.slow
def test_progress_and_the_next_command_are_on_stderr(folder):
    result = mien(folder, *TRAIN, "labelled/labels.csv", "--out", "told")
    assert "epoch 2/2: loss" in result.stderr
    assert "a trial (--quick): everything is there, but its scores mean nothing" in result.stderr
    quiet = mien(folder, *TRAIN, "labelled/labels.csv", "--out", "quiet", "--quiet")
    assert "epoch" not in quiet.stderr and quiet.stdout == "quiet/judge-net.onnx\n"


@pytest.mark.slow
def test_a_folder_is_its_labels_csv_and_columns_may_have_other_names(folder):
    text = (folder / "labelled" / "labels.csv").read_text()
    (folder / "labelled" / "theirs.csv").write_text(text.replace("path,score", "file,MOS", 1))
    by_folder = mien(folder, *TRAIN, "labelled", "--out", "f1")
    named = ("labelled/theirs.csv", "--column", "path=file", "--column", "score=MOS")
    by_names = mien(folder, *TRAIN, *named, "--out", "f2")
    assert by_folder.exit_code == by_names.exit_code == 0
    assert sha256_of(folder / "f1" / "judge-net.onnx") == sha256_of(folder / "f2" / "judge-net.onnx")


@pytest.mark.slow
def test_an_existing_run_is_gone_on_with_or_begun_again_on_request_only(folder, model):
    before = sha256_of(model)
    assert "--resume goes on with it" in refused(folder, UsageError, *TRAIN, "labelled")
    assert mien(folder, *TRAIN, "labelled", "--resume").exit_code == 0
    assert sha256_of(model) == before
    message = refused(folder, UsageError, *TRAIN, "labelled", "--resume", "--epochs", "5")
    assert "belongs to a run with another recipe, other settings" in message
    assert mien(folder, *TRAIN, "labelled", "--overwrite").exit_code == 0
    assert sha256_of(model) == before  # the same seed


@pytest.mark.slow
def test_settings_can_be_changed_on_the_command_line(folder):
    changes = ("--epochs", "1", "--batch", "4", "--accumulate", "2", "--learning-rate", "0.01", "--seed", "3", "--bf16")
    assert mien(folder, *TRAIN, "labelled", "--out", "changed", *changes).exit_code == 0
    settings = json.loads((folder / "changed" / "judge-net.json").read_text())["training"]["settings"]
    assert [settings[name] for name in ("epochs", "batch", "accumulate", "seed", "bf16")] == [1, 4, 2, 3, True]
    assert settings["optimizer"]["learning_rate"] == 0.01


@pytest.mark.slow
def test_lower_may_be_better(folder):
    text = (folder / "labelled" / "labels.csv").read_text().splitlines()
    turned = [text[0], *(f"{row.split(',')[0]},{10 - float(row.split(',')[1]):.2f}" for row in text[1:])]
    (folder / "labelled" / "dmos.csv").write_text("\n".join(turned))
    assert mien(folder, *TRAIN, "labelled/dmos.csv", "--lower-is-better", "--out", "dmos").exit_code == 0
    card = json.loads((folder / "dmos" / "judge-net.json").read_text())
    assert card["raw_scale"].startswith("0 is the label -9")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "jugde-net", "--data", "labelled"), "no recipe 'jugde-net'; did you mean judge-net"),
        (("train",), "nothing to learn from: --data names a CSV file"),
        (("train", "--data", "nowhere.csv"), r"no nowhere.csv: --data names a CSV file"),
        (
            ("train", "--data", "labelled", "--dataset", "konik10k", "--out", "n"),
            "no data set 'konik10k'; did you mean koniq10k",
        ),
        (("train", "--data", "labelled", "--column", "score"), "--column score: write OURS=THEIRS"),
        (("train", "--data", "a", "--data", "b", "--dataset", "spaq"), "2 times --data and 1 times --dataset"),
        (("distill", "--data", "labelled", "--u2", "more"), "--u1 names no pictures"),
        (("distill", "monet", "--data", "labelled"), "no recipe of a teacher and a student 'monet'"),
        (("pseudo-label", "mien-judge", "more", "--out", "x.txt"), "labels are written as .csv"),
        (("pseudo-label", "mien-jugde", "more", "--out", "x.csv"), "no model 'mien-jugde'"),
        (("pseudo-label", "mien-judge", "more", "--out", "no/x.csv"), "there is no folder no"),
    ],
)
def test_wrong_usage_is_one_line_that_says_what_to_do(folder, arguments, message):
    assert message in refused(folder, MienError, *arguments)


@pytest.mark.parametrize(("module", "extra"), [("scipy", "train"), ("onnx", "train"), ("torch", "train")])
@pytest.mark.parametrize("verb", ["train", "distill"])
def test_a_missing_extra_is_named(folder, monkeypatch, module, extra, verb):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == module else find(name))
    if module == "torch":
        monkeypatch.setitem(sys.modules, "torch", None)
    message = refused(folder, MissingExtraError, verb, "--data", "labelled")
    assert message == f'mien {verb} needs an extra: pip install "mien[{extra}]"'


@pytest.mark.parametrize("verb", ["train", "distill"])
def test_every_option_that_both_verbs_have_arrives(verb, tmp_path, monkeypatch):
    given: list[RunOptions] = []
    monkeypatch.setattr(train_command, f"{verb}_recipe", lambda name, options, *_, **__: given.append(options) or 0)
    flags = "--lower-is-better --resume --overwrite --bf16 --tensorboard --quick --quiet --data a --data b --dataset d"
    valued = "--column score=x --out o --epochs 3 --batch 4 --accumulate 2 --learning-rate 0.5 --seed 7 --device cpu"
    assert mien(tmp_path, verb, *flags.split(), *valued.split(), "--workers", "1", "--save-every", "9").exit_code == 0
    assert given == [
        RunOptions((Path("a"), Path("b")), ("d",), ("score=x",), True, Path("o"), True, True, 3, 4, 2, 0.5, 7, True,
                   "cpu", 1, 9.0, True, True, True)
    ]  # fmt: skip


def test_pseudo_labels_are_a_table_that_train_reads(folder, model):
    arguments = ("pseudo-label", str(model), "more", "--out", "pseudo.csv", "--fit", "labelled/labels.csv")
    result = mien(folder, *arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout == "pseudo.csv\n"
    record = json.loads((folder / "pseudo.json").read_text())
    assert record["sha256"] == sha256_of(folder / "pseudo.csv")
    assert record["map"]["method"] == "logistic4" and record["fitted_on"] == 40
    assert not (folder / "pseudo.csv.raw.jsonl").exists()
    with (folder / "pseudo.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["path"] for row in rows] == [f"more/p{i}.png" for i in range(100, 110)]
    scores = [float(row["score"]) for row in rows]
    assert len(set(scores)) == 10 and min(scores) >= 1 and max(scores) <= 5.06  # however little the judge knows
    assert "pseudo.csv exists" in refused(folder, UsageError, *arguments)
    assert mien(folder, *arguments, "--overwrite").exit_code == 0


def test_pseudo_labels_that_are_finished_are_said_to_be(tmp_path):
    write_table(tmp_path / "some", 3)
    (tmp_path / "some" / "broken.jpg").write_bytes(b"nothing")
    command = ("pseudo-label", "mien-judge", "some", "--out", "l.csv", "--resume")
    assert mien(tmp_path, *command).exit_code == 3  # nothing to resume yet: it begins
    before = (tmp_path / "l.csv").stat().st_mtime_ns
    again = mien(tmp_path, *command)
    assert (again.exit_code, again.stdout) == (3, "l.csv\n")
    assert "l.csv is finished: 3 labels, sha256 " in again.stderr
    assert (tmp_path / "l.csv").stat().st_mtime_ns == before
    (tmp_path / "some" / "p0.png").unlink()
    assert "or of other pictures: --overwrite" in refused(tmp_path, UsageError, *command)


def test_pseudo_labels_that_were_cut_off_before_their_record_go_on(tmp_path, monkeypatch):
    from mien.training import pseudo_labels

    write_table(tmp_path / "some", 3).unlink()
    command = ("pseudo-label", "mien-judge", "some", "--out", "l.csv")
    replaced = pseudo_labels._replace

    def cut(path, text):
        if path.suffix == ".json":
            raise KeyboardInterrupt
        replaced(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(pseudo_labels, "_replace", cut)
        assert mien(tmp_path, *command).exit_code != 0
    assert (tmp_path / "l.csv").exists() and not (tmp_path / "l.json").exists()
    assert mien(tmp_path, *command, "--resume").exit_code == 0
    assert json.loads((tmp_path / "l.json").read_text())["sha256"] == sha256_of(tmp_path / "l.csv")
    assert not (tmp_path / "l.csv.raw.jsonl").exists()


def test_a_table_that_no_run_made_is_not_written_over_by_resume(folder, tmp_path):
    mine = write_table(tmp_path / "some", 3)
    before = mine.read_text()
    message = refused(tmp_path, UsageError, "pseudo-label", "mien-judge", "some", "--out", str(mine), "--resume")
    assert "is not of a run that --resume could go on with" in message
    assert mine.read_text() == before


def test_an_old_model_and_its_card_go_with_the_run_that_is_overwritten(folder, tmp_path):
    for name in ("judge-net.onnx", "judge-net.json"):
        (tmp_path / name).write_text("old")
    command = (*TRAIN, "labelled", "--out", str(tmp_path))
    assert "holds a run (judge-net.onnx)" in refused(folder, UsageError, *command)
    assert "too few" in refused(folder, UsageError, *TRAIN, "few.csv", "--out", str(tmp_path), "--overwrite")
    assert not list(tmp_path.glob("judge-net.*"))


def test_without_a_fit_the_label_is_the_raw_number_and_unreadable_pictures_are_told(folder, tmp_path):
    write_table(tmp_path / "some", 3)
    (tmp_path / "some" / "broken.jpg").write_bytes(b"nothing")
    result = mien(tmp_path, "pseudo-label", "mien-judge", "some", "--out", "raw.csv")
    assert result.exit_code == 3
    assert "1 of 4 pictures have no label, the first is some/broken.jpg" in result.stderr
    with (tmp_path / "raw.csv").open(newline="") as stream:
        assert all(row["score"] == row["raw"] for row in csv.DictReader(stream))
    assert json.loads((tmp_path / "raw.json").read_text())["map"] is None


@pytest.mark.slow
def test_distill_makes_a_student_from_three_kinds_of_pictures(folder):
    command = ("distill", "--quick", "--device", "cpu", "--data", "labelled", "--u1", "more", "--u2", "others")
    result = mien(folder, *command, "--out", "chain")
    assert result.exit_code == 0, result.output
    assert result.stdout == "chain/judge-net.onnx\n"
    assert "5-student: judge-net learns from 52 pictures" in result.stderr
    assert "--resume goes on with it" in refused(folder, UsageError, *command, "--out", "chain")
    again = mien(folder, *command, "--out", "chain", "--resume")
    assert again.exit_code == 0 and "epoch 1/2" not in again.stderr
