"""The recipe of the embedded judge, in its quick form, makes a model that scores pictures."""

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
import mien
import scripts
from synthetic import write_backbone, write_biq2021, write_sfhq

PORTRAITS = Path(__file__).parents[2] / "examples" / "portraits"


@pytest.fixture(scope="module")
def recipe():
    return scripts.load("recipes/embedded_judge.py")


@pytest.mark.slow
def test_quick_run_from_pictures_to_scores(recipe, tmp_path):
    write_biq2021(tmp_path / "data" / "biq2021", n_train=24, n_val=24)
    write_sfhq(tmp_path / "data" / "sfhq")
    write_backbone(tmp_path / "net.npz")
    data = recipe.read(tmp_path / "data", recipe.QUICK)
    card = recipe.run(recipe.QUICK, data, tmp_path / "net.npz", tmp_path / "work", tmp_path / "out")
    facts = json.loads(card.read_text())
    assert facts["training"]["data"][0]["pictures"] == 24
    assert -1 <= facts["metrics"]["srcc"]["pooled"] <= 1
    assert facts["subgroups"]["with a face"]["n"] + facts["subgroups"]["without a face"]["n"] == 24
    assert facts["metrics"]["onnx_against_torch_max"] < 5e-3
    scorer = mien.load(card.with_suffix(".onnx"))
    rows = list(scorer.stream(sorted(PORTRAITS.glob("*.jpg"))))
    assert {row.status for row in rows} == {"ok"}
    assert len({round(row.score, 6) for row in rows}) > 1
