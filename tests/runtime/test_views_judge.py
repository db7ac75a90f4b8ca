"""An exported network of several views runs like the embedded judge; what it cannot say stays empty."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from mien.core.errors import ModelError
from mien.core.views import Five, InputView, Random, ViewPreprocess, Windows
from mien.runtime.judge import Judge, Scale
from mien.runtime.scorer import Scorer
from runtime.tiny_judge import edit_card

FIVE = ViewPreprocess({"face": InputView(Five(32), resize_px=48)})


def write(folder: Path, preprocess: ViewPreprocess, *, inputs: tuple[str, ...] = ("face",)) -> Path:
    """A network that answers the mean of all that it sees, inputs added up."""
    nodes = [helper.make_node("ReduceMean", [name], [f"{name}.mean"], axes=[1, 2, 3, 4], keepdims=0) for name in inputs]
    nodes.append(helper.make_node("Sum", [f"{name}.mean" for name in inputs], ["quality"]))
    seen = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", None, 3, None, None]) for n in inputs]
    quality = helper.make_tensor_value_info("quality", TensorProto.FLOAT, ["n"])
    model = helper.make_model(
        helper.make_graph(nodes, "mean", seen, [quality]), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    path = folder / "views.onnx"
    onnx.save(model, path)
    card = {
        "schema": 1,
        "name": "mean-of-views",
        "version": "1",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "preprocess": preprocess.to_dict(),
        "raw_range": [-2.0, 2.0],
        "interval": {"factor": None},
        "population": {"raw_quantiles": None},
    }
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


@pytest.fixture
def pictures(rng: np.random.Generator) -> list[Image.Image]:
    sizes = [(60, 80), (80, 60), (64, 64)]
    return [Image.fromarray(rng.integers(0, 256, (h, w, 3), dtype=np.uint8)) for w, h in sizes]


def test_the_raw_score_is_the_network_on_the_views_of_the_card(tmp_path: Path, pictures: list[Image.Image]) -> None:
    scorer = Scorer(write(tmp_path, FIVE))
    for picture in pictures:
        row = scorer.score(picture)
        expected = float(FIVE(picture)["face"].mean())
        assert row.raw == pytest.approx(expected, abs=1e-5)
        assert row.score == pytest.approx(100 * (expected + 2) / 4, abs=1e-3)


def test_what_the_network_cannot_say_stays_empty(tmp_path: Path, pictures: list[Image.Image]) -> None:
    row = Scorer(write(tmp_path, FIVE)).score(pictures[0])
    assert (row.score_lo, row.score_hi, row.percentile, row.sharpness, row.compression) == (None,) * 5
    assert row.status == "ok"
    assert row._repr_html_().count("(") == 0  # no interval is shown


def test_pictures_with_different_numbers_of_views_share_a_stream(tmp_path: Path, pictures: list[Image.Image]) -> None:
    windows = ViewPreprocess({"face": InputView(Windows(32, n=6, stride_px=16))})
    scorer = Scorer(write(tmp_path, windows), batch=8)
    small = pictures[0].crop((0, 0, 40, 50))
    assert len(windows(small)["face"]) != len(windows(pictures[0])["face"])
    together = [row.raw for row in scorer.stream([*pictures, small, pictures[0]])]
    assert together == pytest.approx([scorer.score(p).raw for p in [*pictures, small, pictures[0]]], abs=1e-6)


def test_pictures_of_several_views_are_asked_one_at_a_time(pictures: list[Image.Image]) -> None:
    asked: list[int] = []

    def network(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        asked.append(len(batch["face"]))
        return {"quality": batch["face"].mean((1, 2, 3, 4))}

    judge = Judge("mean@1", FIVE, Scale((-2.0, 2.0)), network)
    rows = judge([judge.prepare(picture) for picture in pictures])
    assert asked == [1, 1, 1]
    assert [row.raw for row in rows] == pytest.approx([float(FIVE(p)["face"].mean()) for p in pictures], abs=1e-5)


def test_several_inputs_are_prepared_each_in_its_own_way(tmp_path: Path, pictures: list[Image.Image]) -> None:
    both = ViewPreprocess({"face": FIVE.inputs["face"], "crop": InputView(Random(24, n=3, seed=5))})
    row = Scorer(write(tmp_path, both, inputs=("face", "crop"))).score(pictures[1])
    expected = sum(float(v.mean()) for v in both(pictures[1]).values())
    assert row.raw == pytest.approx(expected, abs=1e-5)


def test_a_picture_smaller_than_a_crop_is_too_small(tmp_path: Path) -> None:
    crops = ViewPreprocess({"face": InputView(Random(64, n=2))})
    rows = list(Scorer(write(tmp_path, crops)).stream([np.zeros((40, 90, 3), np.uint8)]))
    assert [(r.status, r.score) for r in rows] == [("too_small", None)]
    assert "64" in rows[0].error


def test_a_network_that_does_not_fit_its_card_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, FIVE)
    edit_card(path, preprocess=ViewPreprocess({"eyes": FIVE.inputs["face"]}).to_dict())
    with pytest.raises(ModelError, match="does not fit its card"):
        Judge.load(path)


@pytest.mark.parametrize("change", [{"crop": {"kind": "spiral"}}, {"blur": 3}, {"crop": {"kind": "five"}}])
def test_an_unknown_preparation_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = write(tmp_path, FIVE)
    views = FIVE.to_dict()
    views["inputs"]["face"] |= change
    with pytest.raises(ModelError, match="unknown preprocess"):
        Judge.load(edit_card(path, preprocess=views))
