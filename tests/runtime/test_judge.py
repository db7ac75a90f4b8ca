"""What a judge promises: how its numbers are read, and which files it refuses."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from mien.core.errors import ModelError
from mien.core.types import ATTRIBUTES
from mien.faces.scorer import MARGIN
from mien.runtime import judge as judge_module
from mien.runtime.judge import EMBEDDED, FOLDER, Judge, Scale, card, list_models
from runtime.tiny_judge import edit_card, write

SCALE = Scale(raw_range=(1.0, 5.0), interval_factor=2.0, raw_quantiles=(1.0, 2.0, 4.0))


@pytest.fixture
def copy(tiny_judge: Path, tmp_path: Path) -> Path:
    """The tiny judge, free to be changed."""
    for suffix in (".onnx", ".json"):
        shutil.copy(tiny_judge.with_suffix(suffix), tmp_path)
    return tmp_path / tiny_judge.name


@pytest.fixture
def squares(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(1, 256, (5, 256, 256, 3), dtype=np.uint8).astype(np.float32)


def prepared(squares: np.ndarray) -> list[dict[str, np.ndarray]]:
    return [{"image": square} for square in squares]


@pytest.mark.parametrize(("raw", "score"), [(1.0, 0.0), (5.0, 100.0), (3.0, 50.0), (0.2, 0.0), (9.0, 100.0)])
def test_score_maps_the_training_range_to_0_100_and_clips(raw: float, score: float) -> None:
    assert SCALE.score(raw) == score


@pytest.mark.parametrize(("raw", "percentile"), [(0.0, 0.0), (1.5, 25.0), (2.0, 50.0), (3.0, 75.0), (4.0, 100.0)])
def test_percentile_is_interpolated_in_the_population(raw: float, percentile: float) -> None:
    assert SCALE.percentile(raw) == percentile


def test_the_interval_is_the_score_of_raw_minus_and_plus_factor_times_spread(
    tiny_judge: Path, squares: np.ndarray
) -> None:
    judge = Judge.load(tiny_judge, threads=1)
    spread = judge._network({"image": squares})["spread"]
    for row, s in zip(judge(prepared(squares)), np.asarray(spread), strict=True):
        assert row.raw is not None
        assert row.score_lo == pytest.approx(max(100 * (row.raw - 1.7 * s), 0.0))
        assert row.score_hi == pytest.approx(min(100 * (row.raw + 1.7 * s), 100.0))


def test_attributes_come_in_the_order_of_the_row(tiny_judge: Path, squares: np.ndarray) -> None:
    judge = Judge.load(tiny_judge, threads=1)
    expected = judge._network({"image": squares})["attributes"]
    found = [[getattr(row, a) for a in ATTRIBUTES] for row in judge(prepared(squares))]
    assert found == expected.tolist()


def test_the_judge_tells_pictures_apart(tiny_judge: Path, squares: np.ndarray) -> None:
    dark = squares / 4
    judge = Judge.load(tiny_judge, threads=1)
    assert judge(prepared(squares))[0].raw != pytest.approx(judge(prepared(dark))[0].raw, abs=0.01)


def test_a_number_that_is_not_finite_becomes_model_error_and_spares_the_neighbours(
    tiny_judge: Path, squares: np.ndarray
) -> None:
    judge = Judge.load(tiny_judge, threads=1)
    healthy = judge(prepared(squares))
    squares[2] = 0  # the tiny judge answers NaN
    rows = judge(prepared(squares))
    assert [r.status for r in rows] == ["ok", "ok", "model_error", "ok", "ok"]
    assert (rows[2].score, rows[2].raw, rows[2].sharpness) == (None, None, None)
    assert [r.score for r in rows[:2] + rows[3:]] == [r.score for r in healthy[:2] + healthy[3:]]


def test_every_embedded_judge_loads_by_name_and_by_name_and_version() -> None:
    assert list_models() == list(EMBEDDED)
    for name in list_models():
        version = card(name)["version"]
        assert Judge.load(name, threads=1).model_id == f"{name}@{version}"
        assert Judge.load(f"{name}@{version}", threads=1).model_id == f"{name}@{version}"


def test_the_registry_names_exactly_the_files_that_ship() -> None:
    assert sorted(EMBEDDED.values()) == sorted(p.name for p in FOLDER.glob("*.onnx"))


def test_without_a_name_the_default_judge_is_loaded() -> None:
    assert Judge.load(threads=1).model_id == Judge.load(judge_module.DEFAULT, threads=1).model_id


def test_card_is_the_json_beside_the_network(tiny_judge: Path) -> None:
    assert card(str(tiny_judge))["population"]["name"] == "even numbers"


def test_an_unknown_name_is_refused_with_the_names_that_exist() -> None:
    with pytest.raises(ModelError, match=r"no model 'mein-judge'.* one of: .*mien-judge"):
        Judge.load("mein-judge")


def test_a_model_file_that_is_not_there_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no file .*gone\.onnx"):
        Judge.load(tmp_path / "gone.onnx")


def test_another_version_of_an_embedded_judge_is_refused() -> None:
    with pytest.raises(ModelError, match=r"mien-judge@999 is not in this release"):
        Judge.load("mien-judge@999")


def test_an_altered_network_is_refused(copy: Path) -> None:
    network = bytearray(copy.read_bytes())
    network[len(network) // 2] ^= 1
    copy.write_bytes(network)
    with pytest.raises(ModelError, match=r"not the file that its card describes: sha256 .* again"):
        Judge.load(copy)


FACES = {"raw_range": [0.2, 0.6], "interval": {"factor": 3.0}, "population": {"raw_quantiles": [0.1, 0.5, 0.9]}}


def test_a_card_may_have_another_scale_for_faces(copy: Path, squares: np.ndarray) -> None:
    judge = Judge.load(edit_card(copy, faces=FACES))
    assert judge.for_faces.model_id == judge.model_id
    for row, face in zip(judge(prepared(squares)), judge.for_faces(prepared(squares)), strict=True):
        assert row.raw is not None and face.raw == row.raw
        assert face.score == pytest.approx(min(max(100 * (row.raw - 0.2) / 0.4, 0), 100))
        assert face.score != row.score


def test_without_one_faces_are_read_like_pictures(tiny_judge: Path) -> None:
    judge = Judge.load(tiny_judge, threads=1)
    assert judge.for_faces is judge


@pytest.mark.parametrize("change", [{"raw_range": [1.0, 0.0]}, {"interval": {"factor": -1}}])
def test_a_scale_for_faces_that_makes_no_sense_is_refused(copy: Path, change: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"the card of tiny-1.onnx has a scale that"):
        Judge.load(edit_card(copy, faces=FACES | change))


def test_the_card_of_the_embedded_judge_says_what_its_scale_for_faces_rests_on() -> None:
    faces = card("mien-judge")["faces"]
    assert "nobody rated faces alone" in faces["rests_on"]
    assert faces["metrics"]["held out"]["n"] >= 50
    assert faces["interval"]["coverage_held_out"] == pytest.approx(faces["interval"]["level"], abs=0.1)
    assert faces["margin"] == MARGIN


def test_a_network_without_its_card_is_refused(copy: Path) -> None:
    copy.with_suffix(".json").unlink()
    with pytest.raises(ModelError, match=r"tiny-1.onnx has no card: put tiny-1.json"):
        Judge.load(copy)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2}', "\udcff"])
def test_a_card_that_is_not_one_is_refused(copy: Path, text: str) -> None:
    copy.with_suffix(".json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=r"tiny-1\.json"):
        Judge.load(copy)


@pytest.mark.parametrize("name", ["name", "version", "sha256", "preprocess", "raw_range", "interval", "population"])
def test_a_card_without_a_needed_field_is_refused_and_the_field_named(copy: Path, name: str) -> None:
    with pytest.raises(ModelError, match=rf"the card of tiny-1.onnx lacks '{name}"):
        Judge.load(edit_card(copy, **{name: None}))


@pytest.mark.parametrize(
    "change",
    [
        {"raw_range": [1.0, 0.0]},
        {"raw_range": [0.0, "much"]},
        {"raw_range": [0.0]},
        {"interval": {"factor": float("nan")}},
        {"interval": {"factor": -1}},
        {"population": {"raw_quantiles": [0.2, 0.1]}},
        {"population": {"raw_quantiles": []}},
    ],
)
def test_a_card_with_a_scale_that_makes_no_sense_is_refused(copy: Path, change: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"the card of tiny-1.onnx has a scale that"):
        Judge.load(edit_card(copy, **change))


@pytest.mark.parametrize(
    "change", [{"crop_px": 3}, {"interpolation": "sinc"}, {"size_px": "big"}, {"size_px": 0}, {"reducing_gap": 1.9}]
)
def test_a_card_with_a_preprocess_of_the_future_is_refused(copy: Path, change: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"unknown preprocess"):
        Judge.load(edit_card(copy, preprocess={"size_px": 256} | change))


def test_a_network_of_another_size_than_its_card_is_refused(copy: Path) -> None:
    with pytest.raises(ModelError, match=r"no judge: wanted one input image float32 \(n, 128, 128, 3\)"):
        Judge.load(edit_card(copy, preprocess={"size_px": 128}))


@pytest.mark.parametrize("options", [{"dtype": TensorProto.UINT8}, {"batch": 1}])
def test_a_network_with_another_input_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"tiny-1.onnx is no judge.* Export it again"):
        Judge.load(write(tmp_path, **options))


def test_a_file_that_onnxruntime_cannot_open_is_refused(copy: Path) -> None:
    copy.write_bytes(b"not a network")
    edit_card(copy, sha256=hashlib.sha256(b"not a network").hexdigest())
    with pytest.raises(ModelError, match=r"onnxruntime \S+ cannot open tiny-1.onnx"):
        Judge.load(copy)


def test_loading_and_scoring_print_nothing(tiny_judge: Path) -> None:
    code = (
        "import sys, numpy as np; from mien.runtime.judge import Judge;"
        "Judge.load(sys.argv[1])([{'image': np.ones((256, 256, 3), np.float32)}])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tiny_judge)], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
