"""The ablation trains every row of its table, with as many steps each, on what its name says."""

import importlib
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
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
    quick = ablation.judge.QUICK
    small = replace(quick, student=replace(quick.student, depths=(0, 1, 1, 1), epochs=1, map_weight=0.1))
    monkeypatch.setattr(ablation, "WHOLE", small)
    monkeypatch.setattr(ablation, "SIZE_PX", 64)
    monkeypatch.setattr(ablation, "ROWS", [row for row in ablation.ROWS if row.start is None])
    places = {"--data": tmp_path, "--backbone": tmp_path / "net.npz", "--work": tmp_path / "work", "--out": table}
    monkeypatch.setattr(sys, "argv", ["ablation.py", *(str(word) for pair in places.items() for word in pair)])
    ablation.main()
    rows = json.loads(table.read_text())["rows"]
    assert list(rows) == [row.name for row in ablation.ROWS]
    assert rows["without degraded views"]["epochs"] == 3  # a third of the views
    assert "| everything |" in capsys.readouterr().out


def test_a_row_without_degraded_views_has_none(ablation):
    views = ablation.Views(
        np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8),
        np.arange(12, dtype=np.int32) // 6,
        np.full(12, 0.5, np.float32),
        np.zeros((12, 4), np.float32),
    )
    views.lost[[4, 5, 11], 1] = 0.4
    lesson = ablation.Lesson(views, np.arange(12.0, dtype=np.float32), np.zeros((12, 2), np.float16), ())
    kept = ablation.plain({"photos": lesson, "faces": lesson})
    assert kept["faces"].quality.tolist() == [0, 1, 2, 6, 7, 8]
    assert kept["faces"].views.pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 6, 7, 8]
    assert list(ablation.rated({"photos": lesson, "faces": lesson})) == ["photos"]
