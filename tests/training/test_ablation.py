"""The ablation trains every row of its table on what its name says."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
from synthetic import write_backbone, write_biq2021, write_sfhq

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def ablation(monkeypatch):
    monkeypatch.syspath_prepend(str(RECIPES))
    module = importlib.import_module("ablation")
    yield module
    for name in ("ablation", "embedded_judge"):
        sys.modules.pop(name, None)


@pytest.mark.slow
@pytest.mark.heavy
def test_the_table_in_small(ablation, monkeypatch, tmp_path, capsys):
    table = tmp_path / "table.json"
    write_biq2021(tmp_path / "biq2021", n_train=24, n_val=24)
    write_sfhq(tmp_path / "sfhq")
    write_backbone(tmp_path / "net.npz")
    monkeypatch.setattr(ablation, "WHOLE", replace(ablation.judge.QUICK, probed=2))
    places = {"--data": tmp_path, "--backbone": tmp_path / "net.npz", "--work": tmp_path / "work", "--out": table}
    monkeypatch.setattr(sys, "argv", ["ablation.py", *(str(word) for pair in places.items() for word in pair)])
    ablation.main()
    rows = json.loads(table.read_text())["rows"]
    assert list(rows) == [row.name for row in ablation.ROWS]
    assert len({row["srcc_pooled"] for row in rows.values()}) > 3
    assert "| everything |" in capsys.readouterr().out


def test_every_row_learns_from_as_many_views(ablation):
    whole = ablation.WHOLE.student

    def views(recipe):
        return recipe.views.plain + 3 * recipe.views.ladders + recipe.mixed

    recipes = {row.name: row.student(whole) for row in ablation.ROWS}
    assert {views(recipe) for recipe in recipes.values()} == {views(whole)}
    alone = recipes["opinions of people alone: no teacher, no pseudo-labels, no degradations"]
    assert (alone.views.ladders, alone.mixed, alone.opinion_share, alone.views.whole_share) == (0, 0, 1.0, 1.0)
    assert recipes["without degraded views"].views.ladders == 0
