"""`mien score --model NAME --weights FILE`: a checkpoint in every form that authors publish, and all that is wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from mien.apps import cli  # noqa: E402
from mien.models.parity import fixture  # noqa: E402

FIXTURE = fixture.read(Path(__file__).parents[1] / "fixtures" / "parity" / "efficient_fiqa_student.json")
CASE = next(case for case in FIXTURE.cases if case["name"] == "end_to_end_image")
EXPECTED = CASE["outputs"]["score"]["values"][0]
STUDENT = "efficient-fiqa-student"


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("picture") / "face.png"
    Image.fromarray(FIXTURE.input(CASE["inputs"][0])).save(path)
    return str(path)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def saved(path: Path, checkpoint: Any) -> str:
    torch.save(checkpoint, path)
    return str(path)


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the command line, in this process."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(sys, "argv", ["mien", *arguments])
        cli.main()
    code = stopped.value.code
    told = capsys.readouterr()
    return (code if isinstance(code, int) else 0), told.out, told.err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that says why."""
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("mien: ") and err.count("\n") == 1 and "unexpected" not in err.split(":")[1]
    return err


FORMS = {
    "plain": lambda state: state,
    "data parallel": lambda state: {f"module.{key}": value for key, value in state.items()},
    "in a container, beside other things": lambda state: {"model_state_dict": state, "epoch": 3, "best": 0.97},
    "half precision": lambda state: {key: value.half() for key, value in state.items()},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_checkpoint_in_any_form_gives_the_official_score(
    form: str, picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = saved(tmp_path / "student.pt", FORMS[form](FIXTURE.state_dict()))
    code, out, err = call(capsys, "score", picture, "--model", STUDENT, "--weights", weights)
    assert code == 0, err
    row = json.loads(out)
    assert row["raw"] == pytest.approx(EXPECTED, rel=2e-2 if form == "half precision" else 1e-4)
    assert row["model"].startswith(f"{STUDENT}@")


def test_weights_of_another_network_are_named_by_what_is_missing_and_too_much(
    picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = FIXTURE.state_dict()
    del state["quality.0.weight"]
    state["fc.weight"] = torch.ones(3)
    told = refused(capsys, "score", picture, "--model", STUDENT, "--weights", saved(tmp_path / "w.pt", state))
    assert "these are not weights of efficient-fiqa-student" in told
    assert "missing: quality.0.weight" in told and "1 are unexpected: fc.weight" in told
    state = FIXTURE.state_dict() | {"quality.0.weight": torch.ones(2, 168)}
    told = refused(capsys, "score", picture, "--model", STUDENT, "--weights", saved(tmp_path / "w.pt", state))
    assert "quality.0.weight: [2, 168] in the file, [128, 168] in the network" in told


def test_a_truncated_checkpoint_is_told(picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path(saved(tmp_path / "w.pt", FIXTURE.state_dict()))
    path.write_bytes(path.read_bytes()[:-5000])
    told = refused(capsys, "score", picture, "--model", STUDENT, "--weights", str(path))
    assert f"{path} is damaged" in told and "Fetch it again" in told


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "eficient-fiqa", "--weights", "w.pt"), "did you mean efficient-fiqa-teacher"),
        (("--model", STUDENT, "--weights", "nowhere.pt"), "nowhere.pt cannot be read: No such file"),
        (("--model", STUDENT), "which weights for efficient-fiqa-student? there are none in the cache"),
        (("--model", "adaface-ir50", "--weights", "w.pt"), "does not judge single pictures: identity of"),
        (("--model", "dover", "--weights", "w.pt"), "does not judge single pictures: quality of a video"),
        (("--model", "dn-piqa", "--weights", "w.pt", "--raw-range", "-3", "3"), "it also wants liqe"),
        (("--model", "rq-net", "--weights", "w.pt"), "pass raw_range=(LOW, HIGH) (--raw-range LOW HIGH)"),
    ],
)
def test_what_cannot_work_is_told_in_one_line(
    arguments: tuple[str, ...], message: str, picture: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(capsys, "score", picture, *arguments)


@pytest.mark.parametrize("verb", [("score", "face.png", "--model", STUDENT), ("export", STUDENT)])
def test_without_torch_the_extra_is_named(
    verb: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (64, 64)).save(tmp_path / "face.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert 'pip install "mien[torch]"' in refused(capsys, *verb, "--weights", "w.pt")
