"""`mien export` and `mien.load`: an official checkpoint becomes a judge, in torch and as an ONNX file without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

import mien  # noqa: E402
from mien.core.errors import ModelError, UsageError  # noqa: E402
from mien.core.types import COLUMNS  # noqa: E402
from mien.models import export as export_module  # noqa: E402
from mien.models.export import export  # noqa: E402
from mien.models.parity import fixture  # noqa: E402

FIXTURE = fixture.read(Path(__file__).parents[1] / "fixtures" / "parity" / "efficient_fiqa_student.json")
CASE = next(case for case in FIXTURE.cases if case["name"] == "end_to_end_image")
EXPECTED = CASE["outputs"]["score"]["values"][0]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the authors would have published, had they drawn their weights by the fixture's recipe."""
    path = tmp_path_factory.mktemp("weights") / "student.pt"
    torch.save({"model_state_dict": FIXTURE.state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("picture") / "face.png"
    Image.fromarray(FIXTURE.input(CASE["inputs"][0])).save(path)
    return path


def test_a_picture_file_gets_the_official_score_through_the_front_door(checkpoint: Path, picture: Path) -> None:
    judge = mien.load("efficient-fiqa-student", weights=checkpoint)
    row = judge.score(picture)
    assert row.raw == pytest.approx(EXPECTED, rel=1e-4)
    assert tuple(row.to_dict()) == COLUMNS
    assert (row.width, row.height) == (413, 500)
    assert row.model.startswith("efficient-fiqa-student@")


@pytest.mark.slow
def test_the_exported_file_scores_the_same_without_torch(checkpoint: Path, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "student.onnx"
    assert export("efficient-fiqa-student", checkpoint, out) <= 1e-4
    script = "import sys, mien; print(mien.load(sys.argv[1]).score(sys.argv[2]).raw); assert 'torch' not in sys.modules"
    ran = subprocess.run([sys.executable, "-c", script, out, picture], capture_output=True, text=True, check=True)
    assert float(ran.stdout) == pytest.approx(EXPECTED, rel=1e-4)
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["name"] == "efficient-fiqa-student"


def test_an_export_that_differs_from_torch_is_refused_and_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(judge: object, model: Path, **_: object) -> float:
        return 2e-4

    monkeypatch.setattr(export_module, "write", lambda judge, out: out.write_bytes(b"x"))
    monkeypatch.setattr(export_module, "largest_difference", wrong)
    with pytest.raises(ModelError, match=r"differs from torch by 2\.0e-04"):
        export("efficient-fiqa-student", checkpoint, tmp_path / "student.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adaface-ir50", "adaface-ir50 does not judge single pictures: identity of an aligned face"),
        ("adaface-ir101", "does not judge single pictures"),
        ("dover", "does not judge single pictures: quality of a video"),
        ("fast-vqa", "does not judge single pictures: quality of a video"),
        ("fast-vqa-m", "does not judge single pictures: quality of a video"),
        ("dn-piqa", r"it also wants liqe: call the network's own judge\(overall, face, liqe\) in Python"),
        ("pqe", "it also wants liqe"),
        ("bdvqa", r"3\.2 GB of weights and an ONNX file holds 2\.1 GB"),
    ],
)
def test_what_cannot_be_exported_says_why_before_weights_are_read(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        export(name, tmp_path / "nowhere.pt", tmp_path / "net.onnx", raw_range=(0.0, 1.0))
    assert list(tmp_path.iterdir()) == []


def test_an_export_into_no_folder_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        export("efficient-fiqa-student", tmp_path / "student.pt", tmp_path / "no" / "net.onnx")


@pytest.mark.slow
def test_the_comparison_tells_how_far_it_is(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_module, "pictures", lambda n, made=export_module.pictures: made(2))
    seen: list[tuple[int, int]] = []
    export("efficient-fiqa-student", checkpoint, tmp_path / "a.onnx", watch=lambda *at: seen.append(at))
    assert seen == [(0, 64), (1, 64)]


def test_a_difference_is_found_when_the_weights_differ(checkpoint: Path, tmp_path: Path) -> None:
    judge = export_module.published_judge("efficient-fiqa-student", checkpoint)
    export_module.write(judge, tmp_path / "a.onnx")
    with torch.no_grad():
        next(reversed(list(judge.module.parameters()))).add_(0.5)
    assert export_module.largest_difference(judge, tmp_path / "a.onnx", n=2) > 1e-3


def test_the_pictures_of_the_check_differ_from_each_other() -> None:
    made = [np.asarray(p) for p in export_module.pictures(8)]
    assert len({m.tobytes() for m in made}) == 8
    assert [m.shape for m in made] == [(576, 640, 3)] * 8


def test_a_network_without_weights_says_what_to_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="--weights FILE"):
        mien.load("efficient-fiqa-student")


def test_weights_in_the_cache_are_found_by_name_if_there_is_no_doubt_which(
    checkpoint: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path))
    folder = tmp_path / "efficient-fiqa-student"
    folder.mkdir()
    (folder / "student.pt").write_bytes(checkpoint.read_bytes())
    assert mien.load("efficient-fiqa-student").score(picture).raw == pytest.approx(EXPECTED, rel=1e-4)
    (folder / "other.pt").write_bytes(checkpoint.read_bytes())
    with pytest.raises(ModelError, match="holds 2 files"):
        mien.load("efficient-fiqa-student")


def test_a_network_without_a_scale_asks_for_one(tmp_path: Path, checkpoint: Path) -> None:
    from mien.models import zoo

    card = zoo.card("efficient-fiqa-student") | {"raw_range": None}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo, "card", lambda name: card)
        with pytest.raises(ModelError, match="raw_range="):
            mien.load("efficient-fiqa-student", weights=checkpoint)
        scorer = mien.load("efficient-fiqa-student", weights=checkpoint, raw_range=(-1.0, 1.0))
    assert scorer.model_id.startswith("efficient-fiqa-student@")
