"""From a table to a model file: it answers as torch does, its card says where it comes from, mien scores with it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")
import torch
from PIL import Image
from torch import nn

import mien
from mien.core.errors import ModelError, UsageError
from mien.core.weights import sha256_of
from mien.data import table
from mien.data.sample import Sample
from mien.models import export
from mien.training import deliver as deliver_module
from mien.training import recipes
from mien.training.deliver import data_sha256, write_checked
from mien.training.loop import LabelMap, Way
from mien.training.measure import agreement, chosen_by, predict
from mien.training.parallel import Machine
from mien.training.recipe import begin_parts
from mien.training.sources import Source, prepare, read
from mien.training.train import model_files, train
from training.tables import RECIPE, Small, write_table

HERE = Machine(torch.device("cpu"))


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("pictures"), 200)


@pytest.fixture(scope="module")
def judge_net(labels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 160 pictures, 20 that chose the epoch, and 20 that were held back."""
    recipe = replace(recipes.recipe("judge-net", quick=True), epochs=4, batch=16)
    model = train(recipe, [Source(labels)], tmp_path_factory.mktemp("run"), HERE, Way())
    assert model is not None
    return model


@pytest.fixture(scope="module")
def card(judge_net: Path) -> dict:
    return json.loads(judge_net.with_suffix(".json").read_text())


def test_the_card_names_data_parts_and_what_chose_the_epoch(card, judge_net, labels):
    training = card["training"]
    assert card["sha256"] == sha256_of(judge_net)
    assert training["data"] == ["labels.csv"]
    assert training["data_licence"] == "unknown" and card["licence"].startswith("unknown")
    assert training["pictures"] == {"train": 160, "val": 20, "held": 20, "test": 0}
    assert "drawn with seed 42; half of the validation part is held back" in training["split"]
    assert 1 <= training["chosen_epoch"] <= training["epochs"] == 4
    assert str(labels.parent) not in judge_net.with_suffix(".json").read_text()


def test_its_figures_are_of_pictures_that_were_not_trained_on(card, judge_net, labels):
    """The held-back part is scored again, by the file alone."""
    assert card["metrics"]["held"]["n"] == 20
    assert card["metrics"]["val"]["data"].startswith("not trained on; chose the epoch")
    parts = recipes.recipe("judge-net").split
    from mien.training.parts import divide

    held = divide(table.read(labels.parent), parts, hold=True).held
    rows = list(mien.load(judge_net).stream([s.file for s in held]))
    raw = np.array([row.raw for row in rows])
    again = agreement(LabelMap(1.0, 5.06).back(raw), held)
    assert again["srcc"] == pytest.approx(card["metrics"]["held"]["srcc"], abs=0.02)


def test_the_interval_is_calibrated_on_the_part_that_was_held_back(card, judge_net, labels):
    assert card["interval"]["factor"] > 0
    assert card["interval"]["n"] == 20
    row = mien.load(judge_net).score(labels.parent / "p3.png")
    assert row.score_lo is not None and row.score_hi is not None
    assert row.score_lo <= row.score <= row.score_hi


def test_a_small_table_has_no_interval_and_says_why(tmp_path):
    small = write_table(tmp_path / "small", 30)
    model = train(recipes.recipe("judge-net", quick=True), [Source(small)], tmp_path / "out", HERE, Way())
    assert model is not None
    facts = json.loads(model.with_suffix(".json").read_text())
    assert facts["interval"]["factor"] is None and "takes a validation part of 40" in facts["interval"]["method"]
    assert facts["population"]["raw_quantiles"] is None
    assert mien.load(model).score(small.parent / "p3.png").score_lo is None


def test_test_pictures_are_reported_apart(labels, tmp_path):
    rows = labels.read_text().splitlines()
    split = [f"{row},{'test' if i % 4 == 0 else 'val' if i % 4 == 1 else 'train'}" for i, row in enumerate(rows[1:])]
    (labels.parent / "split.csv").write_text("\n".join([rows[0] + ",split", *split]))
    model = train(RECIPE, [Source(labels.parent / "split.csv")], tmp_path, HERE, Way())
    assert model is not None
    facts = json.loads(model.with_suffix(".json").read_text())
    assert facts["training"]["pictures"] == {"train": 100, "val": 50, "held": 0, "test": 50}
    assert facts["training"]["split"] == "as the data set names them"
    assert facts["metrics"]["test"]["data"] == "neither trained on nor chosen by"
    assert facts["raw_range"] == [1.0, 5.06]


class Tilted(nn.Module):
    """Answers otherwise while it is exported."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.net, self.by = Small(0.0), by

    def judge(self, image: torch.Tensor) -> torch.Tensor:
        answer = self.net.judge(image)
        return answer * (1 + self.by) if torch.onnx.is_in_onnx_export() else answer


@pytest.mark.parametrize(("by", "refused"), [(2e-4, True), (1e-5, False)])
def test_a_file_that_differs_from_torch_is_refused(tmp_path, by, refused):
    torch.manual_seed(0)
    net = Tilted(by).eval()
    if not refused:
        assert write_checked(RECIPE, net, tmp_path / "a.onnx") <= 1e-4
        return
    with pytest.raises(ModelError, match=r"differs from torch by .* on 64 pictures, more than 1e-04"):
        write_checked(RECIPE, net, tmp_path / "a.onnx")


def test_a_square_file_that_differs_is_refused_and_nothing_is_left(labels, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(ModelError, match="differs from torch"):
        train(recipes.recipe("judge-net", quick=True), [Source(labels)], tmp_path, HERE, Way())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["best.pt", "checkpoint.pt", "log.jsonl"]


def test_pictures_are_seen_upright_as_at_scoring(tmp_path):
    """The same picture, stored turned with an EXIF note."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    picture.save(tmp_path / "a.png")
    note = Image.Exif()
    note[0x0112] = 6  # turn by 90 degrees clockwise to see it
    picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "b.png", exif=note)
    samples = [Sample(n, tmp_path / n, label=1.0) for n in ("a.png", "b.png")]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        quality = predict(RECIPE, Small(0.0), samples, HERE, pool)["quality"]
    assert quality[0] == quality[1]


def test_agreement_is_none_where_it_is_undefined_and_counts_inside_scenes():
    samples = [Sample(str(i), Path(), label=float(i % 5), scene=f"s{i // 5}") for i in range(10)]
    assert agreement(np.zeros(10), samples)["srcc"] is None
    shifted = [s.label + 100 * (i // 5) for i, s in enumerate(samples) if s.label is not None]
    found = agreement(shifted, samples)
    assert found["srcc_inside"] == 1.0 and found["srcc"] is not None and found["srcc"] < 0.6


def test_an_epoch_is_chosen_by_the_sum_of_metrics():
    metrics = {"srcc": 0.5, "rmse": 2.0, "plcc": None}
    assert chosen_by(metrics, ("srcc", "-rmse")) == -1.5
    assert chosen_by(metrics, ("srcc_inside",)) == 0.5  # without scenes all pictures are one
    assert chosen_by({"srcc": 0.5, "srcc_inside": None}, ("srcc_inside",)) == 0.5  # scenes of one or two
    assert chosen_by({"srcc": 0.5, "srcc_inside": 0.3}, ("srcc_inside",)) == 0.3
    assert chosen_by(metrics, ("plcc",)) is None


def test_the_hash_of_the_data_sees_names_labels_and_pixels(labels):
    samples = table.read(labels.parent)[:3]
    known = data_sha256(samples)
    assert data_sha256(samples) == known
    other = replace(samples[0], file=samples[1].file), *samples[1:]
    for changed in (samples[:2], (replace(samples[0], label=1.5), *samples[1:]), other):
        assert data_sha256(changed) != known


def test_a_backbone_is_given_its_weights_and_nothing_else(tmp_path):
    source, net = Small(), Small()
    body = {**source.body.state_dict()} | {"fc.weight": torch.zeros(3)}
    begin_parts(net, body, parts=("body",))
    assert torch.equal(net.body[0].weight, source.body[0].weight)
    assert not torch.equal(net.head.weight, source.head.weight)
    with pytest.raises(ModelError, match=r"these are no weights for body: 0\.weight is missing or of another size"):
        begin_parts(net, {"x": torch.zeros(1)}, parts=("body",))
    begin_parts(net, source.state_dict(), parts=("body",))
    assert torch.equal(net.head.weight, source.head.weight)


def test_several_data_sets_are_told_apart(labels, tmp_path):
    other = write_table(tmp_path / "b", 10)
    other = other.rename(other.with_name("other.csv"))
    samples = read([Source(labels), Source(other)])
    assert {s.subset for s in samples} == {"labels.csv", "other.csv"}
    assert samples[0].name == "labels.csv/p0.png"
    with pytest.raises(UsageError, match=r"two data sets are called labels\.csv"):
        read([Source(labels), Source(labels)])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["path,score", "absent.png,1"], r"bad\.csv names 1 pictures, and 1 .* the first is .*absent\.png"),
        (["path,score", "p0.png,nan"], "score must be a finite number, not 'nan'"),
        (["path,score", "p0.png,good"], "score must be a finite number, not 'good'"),
        (["path,quality", "p0.png,1"], "has no column score or mos or label"),
        (["path,score", *(f"p{i}.png,3" for i in range(9))], "all 7 pictures of the training part have the same score"),
        (["path,score", "p0.png,1", "p1.png,2"], "pictures with a score in the .* part are too few"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_explained(labels, tmp_path, rows, message):
    bad = labels.parent / "bad.csv"
    bad.write_text("\n".join(rows))
    with pytest.raises(UsageError, match=message):
        train(RECIPE, [Source(bad)], tmp_path, HERE, Way())


@pytest.mark.slow
def test_a_kill_before_the_card_is_in_place_leaves_no_model_with_the_card_of_another(tmp_path, labels, monkeypatch):
    """The old model and its card stay until both new ones are written."""
    for name in model_files(RECIPE.name):
        (tmp_path / name).write_text("old")

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(deliver_module, "json", SimpleNamespace(dumps=killed))
    with pytest.raises(KeyboardInterrupt):
        train(RECIPE, [Source(labels)], tmp_path, HERE, Way())
    assert [(tmp_path / name).read_text() for name in model_files(RECIPE.name)] == ["old", "old"]
    assert not list(tmp_path.glob(".*"))


def test_a_folder_with_a_run_is_not_touched_without_a_word(tmp_path):
    made = ("a.pt", "board")
    prepare(tmp_path, made, resume=False, overwrite=False)
    (tmp_path / "a.pt").touch()
    (tmp_path / "board").mkdir()
    (tmp_path / "mine.txt").touch()
    with pytest.raises(UsageError, match=r"holds a run \(a\.pt\): --resume goes on with it, --overwrite starts again"):
        prepare(tmp_path, made, resume=False, overwrite=False)
    prepare(tmp_path, made, resume=True, overwrite=False)
    with pytest.raises(UsageError, match="exclude each other"):
        prepare(tmp_path, made, resume=True, overwrite=True)
    prepare(tmp_path, made, resume=False, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(UsageError, match="is a file"):
        prepare(tmp_path / "mine.txt", made, resume=False, overwrite=False)
