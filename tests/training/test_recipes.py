"""Every recipe in its quick form, from a table to a model that scores; and what the full ones say."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("timm")
import torch

import mien
from mien.core.errors import UsageError
from mien.data import table
from mien.models import export, zoo
from mien.training import recipes
from mien.training.loop import Way
from mien.training.parallel import Machine
from mien.training.pictures import test_views as views_at_test
from mien.training.pictures import train_views
from mien.training.sources import Source
from mien.training.train import train
from synthetic import picture
from training.tables import write_table

HERE = Machine(torch.device("cpu"))
FAST = {"efficient-fiqa-teacher", "rq-net"}  # one input and two; the others take CI minutes together
NAMES = [pytest.param(name, marks=[] if name in FAST else [pytest.mark.slow]) for name in sorted(recipes.RECIPES)]


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("pictures"), 18, scenes=3)


@pytest.mark.parametrize("name", NAMES)
def test_a_quick_run_gives_a_model_that_scores(name, labels, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "PICTURES", 4)  # of the comparison with torch, see test_deliver.py
    recipe = recipes.recipe(name, quick=True)
    model = train(recipe, [Source(labels)], tmp_path, HERE, Way())
    assert model == tmp_path / f"{name}.onnx"
    card = json.loads(model.with_suffix(".json").read_text())
    assert card["metrics"]["onnx_against_torch"] <= 1e-4
    assert card["training"]["pictures"]["train"] + card["training"]["pictures"]["val"] == 18
    rows = list(mien.load(model).stream([labels.parent / f"p{i}.png" for i in range(6)]))
    assert {row.status for row in rows} == {"ok"}
    assert len({row.raw for row in rows}) > 1


@pytest.mark.parametrize("name", sorted(recipes.RECIPES))
def test_full_and_quick_differ_in_size_alone(name):
    full, quick = recipes.recipe(name), recipes.recipe(name, quick=True)
    may_differ = {"network", "views", "preprocess", "order", "epochs", "batch", "ema", "scenes"}
    if name == "judge-net":
        may_differ.add("optimizer")  # the few steps of its quick form are larger
    assert full.name == quick.name == name
    a, b = full.settings(), quick.settings()
    assert [f.name for f in fields(full) if f.name not in may_differ and a[f.name] != b[f.name]] == []
    assert json.loads(json.dumps(a)) == a  # a card can hold it


@pytest.mark.parametrize("name", sorted(recipes.RECIPES))
def test_views_of_the_full_recipe_have_the_sizes_of_its_network(name):
    """A large picture gives each input what the test preparation gives it, but for the number of views."""
    recipe, sample = recipes.recipe(name), table.Sample("a", Path("a"))
    photo = picture(0, (1500, 1400))
    trained = recipe.views(recipe.look(photo, None, recipe.inputs), np.random.default_rng(0))
    if name == "judge-net":
        assert trained["image"].shape == (3, 256, 256, 3)
        return
    assert sample.box is None
    tested = {n: v(photo) for n, v in recipe.preprocess.inputs.items()}  # type: ignore[union-attr]
    assert {n: x.shape[1:] for n, x in trained.items()} == {n: x.shape[1:] for n, x in tested.items()}


def test_every_system_of_the_survey_and_the_seeds_has_a_recipe():
    judges = set(zoo.names()) - {"adaface-ir50", "adaface-ir101"}  # identities, not quality
    without = {"fast-vqa", "fast-vqa-m", "dover"} | {"maniqa", "mobileiqa-student"}  # videos; parts of others
    assert judges - without <= set(recipes.RECIPES)


def test_an_unknown_recipe_offers_the_nearest():
    with pytest.raises(UsageError, match="no recipe 'monnet'; did you mean monet"):
        recipes.recipe("monnet")
    with pytest.raises(UsageError, match="there are: efficient-fiqa, judge-net"):
        recipes.self_training("xyz")


def test_faces_are_shown_where_their_edges_are_known(labels):
    sample = table.read(labels.parent)[0]
    recipe = recipes.recipe("sar", quick=True)
    whole, face = (views_at_test(recipe, replace(sample, box=box))["face"] for box in (None, (0.0, 0.0, 16.0, 16.0)))
    assert whole.shape == face.shape
    assert not np.array_equal(whole, face)  # the square of 512 px around the box


def test_too_many_scenes_are_refused(labels, tmp_path):
    many = write_table(tmp_path / "many", 20, scenes=5)
    with pytest.raises(UsageError, match="monet tells 3 scenes apart, but the data has 5"):
        train(recipes.recipe("monet", quick=True), [Source(many)], tmp_path / "out", HERE, Way())


def test_the_same_chance_gives_the_same_views_and_another_gives_others(labels):
    sample = table.read(labels.parent)[1]
    recipe = recipes.recipe("rq-net", quick=True)
    a, b, c = (train_views(recipe, sample, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert all(np.array_equal(a[name], b[name]) for name in a)
    assert not all(np.array_equal(a[name], c[name]) for name in a)
