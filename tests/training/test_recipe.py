"""The recipe of the embedded judge, in its quick form, makes a model that scores pictures."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
import mien
import scripts
from mien.core.errors import UsageError
from mien.runtime.judge import EMBEDDED
from synthetic import write_backbone, write_biq2021, write_sfhq

PORTRAITS = Path(__file__).parents[2] / "examples" / "portraits"


@pytest.fixture(scope="module")
def recipe():
    return scripts.load("recipes/embedded_judge.py")


def test_a_smoke_test_does_not_replace_the_judge_that_ships(recipe):
    assert recipe.QUICK.name not in EMBEDDED


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
    again = recipe.run(recipe.QUICK, data, tmp_path / "net.npz", tmp_path / "work", tmp_path / "out")
    assert json.loads(again.read_text())["sha256"] == facts["sha256"]  # nothing is left to learn
    other = replace(recipe.QUICK, picture_px=80)
    with pytest.raises(UsageError, match="other data"):
        recipe.run(other, data, tmp_path / "net.npz", tmp_path / "work", tmp_path / "out")
    scorer = mien.load(card.with_suffix(".onnx"))
    rows = list(scorer.stream(sorted(PORTRAITS.glob("*.jpg"))))
    assert {row.status for row in rows} == {"ok"}
    assert len({round(row.score, 6) for row in rows}) > 1
