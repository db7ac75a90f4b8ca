"""`mien models ...`: lists and cards without torch, conversion, and the proof with its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mien.apps import zoo_commands
from mien.core.errors import MissingExtraError, ModelError, UsageError
from mien.models import zoo
from mien.runtime.judge import list_models

HEAVY = {"torch", "torchvision", "timm", "safetensors", "scipy", "rich", "onnx", "urllib.request", "http.client"}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of cards with two in it: a whole one and a damaged one."""
    folder = tmp_path / "cards"
    folder.mkdir()
    facts = {
        "name": "uiqa",
        "title": "Three views of a large picture",
        "code": {"repo": "a/b", "licence": "MIT"},
        "weights": [{"file": "UIQA.pth", "licence": "CC BY-NC 4.0"}, {"file": "UIQA.npy", "licence": "CC BY-NC 4.0"}],
        "input": "three views of 480 x 480",
        "parameters": 82_853_231,
        "macs": {"value": 69_453_280_640, "input": "3 x [1, 3, 480, 480]"},
    }
    (folder / "uiqa.json").write_text(json.dumps(facts))
    (folder / "liqe.json").write_text("{damaged")
    monkeypatch.setattr(zoo, "CARDS", folder)
    return folder


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """From here on stdout passes for one."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for name, value in (("COLUMNS", str(columns)), ("TERM", "dumb"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)


# --- lists and cards ------------------------------------------------------------------------------------------------

WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "timm", "safetensors"):
    sys.modules[name] = None
from mien.apps.cli import app
def run(*arguments):
    try:
        app(arguments)
    except SystemExit as stopped:
        assert not stopped.code, arguments
run("models", "list")
run("models", "list", "--json")
run("models", "licences")
run("models", "show", "uiqa")
run("models", "show", "mien-judge", "--json")
print({name for name, module in sys.modules.items() if module is not None} & HEAVY, file=sys.stderr)
try:
    app(["models", "convert", "a.pt", "--as", "uiqa", "--out", "b.safetensors"])
except Exception as error:
    print(error, file=sys.stderr)
"""


def test_lists_and_cards_need_no_torch_and_conversion_says_so() -> None:
    code = f"HEAVY = {HEAVY!r}\n{WITHOUT_TORCH}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    imported, told = done.stderr.splitlines()
    assert imported == "set()"
    assert told == 'mien models convert needs an extra: pip install "mien[torch]"'


def test_a_pipe_gets_one_name_per_line_the_embedded_judges_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo_commands.list_networks() == 0
    assert capsys.readouterr().out.splitlines() == [*list_models(), *zoo.names()]


def test_json_lines_say_all_that_is_known_and_null_for_the_rest(
    cards: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cache / "uiqa").mkdir(parents=True)
    (cache / "uiqa" / "UIQA.pth").write_bytes(b"x")
    (cache / "liqe").mkdir()
    (cache / "liqe" / "LIQE.pt.unverified").write_bytes(b"x")
    zoo_commands.list_networks(as_json=True)
    rows = {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert list(rows) == [*list_models(), *zoo.names()]
    assert rows["uiqa"] == {
        "name": "uiqa",
        "embedded": False,
        "title": "Three views of a large picture",
        "input": "three views of 480 x 480",
        "macs": 69_453_280_640,
        "macs_input": "3 x [1, 3, 480, 480]",
        "parameters": 82_853_231,
        "code_licence": "MIT",
        "weights_licence": "CC BY-NC 4.0",
        "in_cache": True,
    }
    for name in ("liqe", "maniqa"):  # a damaged card, and none
        assert rows[name]["parameters"] is None and rows[name]["weights_licence"] == "unknown: ask the authors"
        assert rows[name]["in_cache"] is False
    assert rows["sar"]["weights_licence"] == "none published"
    judge = rows[list_models()[0]]
    assert judge["embedded"] and judge["parameters"] > 1e6 and judge["macs"] > 1e8


@pytest.mark.usefixtures("cards")
def test_a_terminal_gets_a_table_that_fits(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    on_a_terminal(monkeypatch, 100)
    zoo_commands.list_networks()
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 100 for line in lines) and len(lines) == 1 + len(list_models()) + len(zoo.MODELS)
    assert lines[0].split() == ["name", "weights", "input", "GMACs", "M", "param.", "licence", "of", "weights"]
    uiqa, liqe = (next(line for line in lines if line.startswith(name)) for name in ("uiqa ", "liqe "))
    assert uiqa.split()[1] == "needed" and "69.45" in uiqa and "82.85" in uiqa and "CC BY-NC 4.0" in uiqa
    assert liqe.split()[1:5] == ["needed", "unknown", "?", "?"]


@pytest.mark.usefixtures("cards")
def test_a_narrow_terminal_cuts_texts_not_numbers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_a_terminal(monkeypatch, 80)
    zoo_commands.list_networks()
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    uiqa = next(line for line in lines if line.startswith("uiqa "))
    assert "69.45" in uiqa and "82.85" in uiqa and "…" in uiqa


@pytest.mark.usefixtures("cards")
def test_licences_of_code_and_weights_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo_commands.licences() == 0
    rows = {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["uiqa"] == {"name": "uiqa", "code_licence": "MIT", "weights_licence": "CC BY-NC 4.0"}
    assert rows.keys() == {*list_models(), *zoo.MODELS}


@pytest.mark.usefixtures("cards")
def test_licences_on_a_terminal_are_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_a_terminal(monkeypatch, 100)
    zoo_commands.licences()
    uiqa = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("uiqa "))
    assert uiqa.split() == ["uiqa", "MIT", "CC", "BY-NC", "4.0"]


def test_show_tells_the_card_and_where_the_weights_go(
    cards: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zoo_commands.show("uiqa")
    text = capsys.readouterr().out
    for part in ("Three views of a large picture", "CC BY-NC 4.0", str(cache / "uiqa"), "mien models pull uiqa"):
        assert part in text
    zoo_commands.show("uiqa", as_json=True)
    assert json.loads(capsys.readouterr().out) == json.loads((cards / "uiqa.json").read_text())


@pytest.mark.usefixtures("cards")
def test_show_knows_a_network_without_a_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo_commands.show("sar") == 0
    assert "none published" in capsys.readouterr().out


def test_show_knows_the_embedded_judges(capsys: pytest.CaptureFixture[str]) -> None:
    name = list_models()[0]
    zoo_commands.show(name, as_json=True)
    assert json.loads(capsys.readouterr().out)["sha256"]
    with pytest.raises(ModelError, match="is not in this release"):
        zoo_commands.show(f"{name}@999")


def test_an_unknown_name_offers_judges_and_networks() -> None:
    with pytest.raises(ModelError, match="did you mean mien-judge"):
        zoo_commands.show("mien-juge")
    with pytest.raises(ModelError, match="did you mean dover"):
        zoo_commands.show("dovre")


# --- conversion and proof, on a network of three numbers --------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The zoo knows `tiny`, a linear map of two numbers, and how its authors call it."""
    import torch
    from torch import nn

    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x)[:, 0]

    def run(net: nn.Module, case: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        return {"score": net(torch.from_numpy(inputs["x"])).numpy()}

    network, adapter = ModuleType("tiny_network"), ModuleType("mien.models.parity.cases.tiny_network")
    vars(network)["Tiny"], vars(adapter)["run"] = Tiny, run
    monkeypatch.setitem(sys.modules, network.__name__, network)
    monkeypatch.setitem(sys.modules, adapter.__name__, adapter)
    monkeypatch.setitem(zoo.MODELS, "tiny", "tiny_network:Tiny")
    yield adapter


@pytest.fixture
def fixture(tiny: ModuleType, tmp_path: Path) -> Path:
    """The authors' number for (1, -2), by hand from the weights of the recipe."""
    import numpy as np

    from mien.models.parity.fixture import Fixture

    facts: dict[str, Any] = {
        "seed": 7,
        "weights": {},
        "manifest": [["fc.weight", [1, 2], "float32"], ["fc.bias", [1], "float32"]],
        "cases": [],
    }
    state = Fixture("tiny", facts).state_dict()
    expected = float(np.dot(state["fc.weight"][0].numpy(), [1, -2]) + state["fc.bias"].numpy()[0])
    x = {"name": "x", "kind": "values", "dtype": "float32", "shape": [1, 2], "values": [1, -2]}
    facts["cases"] = [{"name": "one", "inputs": [x], "outputs": {"score": {"values": [expected]}}}]
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(facts))
    return path


def changed(path: Path, factor: float) -> Path:
    facts = json.loads(path.read_text())
    facts["cases"][0]["outputs"]["score"]["values"][0] *= factor
    path.write_text(json.dumps(facts))
    return path


def test_verify_prints_every_comparison_and_ends_with_one_line(
    fixture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert zoo_commands.verify_network("tiny", fixture) == 0
    header, manifest, case, last = capsys.readouterr().out.splitlines()
    assert header.split() == ["case", "step", "quantity", "absolute", "relative", "tolerance"]
    assert manifest.split()[:2] == ["-", "manifest"] and manifest.endswith("ok")
    assert case.split()[:3] == ["one", "tensor", "score"] and case.split()[-2:] == ["1e-04", "ok"]
    assert last.startswith("tiny: all 2 comparisons ok, the worst at 0.")


def test_verify_above_the_tolerance_is_exit_code_1(fixture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert zoo_commands.verify_network("tiny", changed(fixture, 1.001)) == 1
    *_, case, last = capsys.readouterr().out.splitlines()
    assert case.endswith("WRONG") and "1.0e-03" in case
    assert last == "tiny: 1 of 2 comparisons above their tolerance"


def test_verify_as_json_has_numbers_and_no_infinity(fixture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads(fixture.read_text())
    facts["cases"][0]["outputs"]["score"]["values"] = [1.0, 2.0]
    fixture.write_text(json.dumps(facts))
    assert zoo_commands.verify_network("tiny", fixture, as_json=True) == 1
    _, case = map(json.loads, capsys.readouterr().out.splitlines())
    assert case == {
        "case": "one",
        "step": "tensor",
        "quantity": "score",
        "absolute": None,
        "relative": None,
        "tolerance": 1e-4,
        "ok": False,
    }


def test_verify_of_what_is_no_fixture_of_the_network_is_wrong_usage(
    fixture: Path, tiny: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"missing\.json cannot be read: No such file"):
        zoo_commands.verify_network("tiny", tmp_path / "missing.json")
    (tmp_path / "text.json").write_text("[1]")
    with pytest.raises(UsageError, match="is not a parity fixture"):
        zoo_commands.verify_network("tiny", tmp_path / "text.json")
    with pytest.raises(ModelError, match="did you mean"):
        zoo_commands.verify_network("tinny", fixture)
    with pytest.raises(UsageError, match="is in mien with its weights"):
        zoo_commands.verify_network("mien-judge", fixture)
    facts = json.loads(fixture.read_text())
    facts["cases"][0]["inputs"][0]["name"] = "y"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(facts))
    with pytest.raises(UsageError, match="is not a fixture of tiny: it lacks 'x'"):
        zoo_commands.verify_network("tiny", other)
    facts["manifest"][0][0] = "conv.weight"
    other.write_text(json.dumps(facts))
    with pytest.raises(ModelError, match=r"missing: fc\.weight"):
        zoo_commands.verify_network("tiny", other)
    monkeypatch.delitem(sys.modules, tiny.__name__)
    with pytest.raises(UsageError, match="tiny cannot be verified: its authors published no code"):
        zoo_commands.verify_network("tiny", fixture)


@pytest.mark.usefixtures("tiny")
def test_convert_prints_the_path_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    source, out = tmp_path / "w.pt", tmp_path / "w.safetensors"
    torch.save({"fc.weight": torch.ones(1, 2), "fc.bias": torch.zeros(1)}, source)
    assert zoo_commands.convert_weights(source, "tiny", out, half=True) == 0
    assert capsys.readouterr().out == f"{out}\n" and out.stat().st_size < 400
    with pytest.raises(UsageError, match="--force"):
        zoo_commands.convert_weights(source, "tiny", out)
    with pytest.raises(ModelError, match="did you mean tiny"):
        zoo_commands.convert_weights(source, "tinny", out)


@pytest.mark.parametrize("missing", ["torch", "timm", "safetensors"])
def test_convert_and_verify_name_the_extra(
    missing: str, fixture: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r'mien models convert needs an extra: pip install "mien\[torch\]"'):
        zoo_commands.convert_weights(tmp_path / "w.pt", "tiny", tmp_path / "w.safetensors")
    with pytest.raises(MissingExtraError, match="mien models verify"):
        zoo_commands.verify_network("tiny", fixture)


# --- the command line -----------------------------------------------------------------------------------------------


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit code and stderr of the command line, in this process."""
    from mien.apps import cli

    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as stopped:
        patch.setattr(sys, "argv", ["mien", *arguments])
        cli.main()
    code = stopped.value.code
    return (code if isinstance(code, int) else 0), capsys.readouterr().err


def test_the_command_line_gives_the_exit_codes(
    fixture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(capsys, "models", "list") == (0, "")
    assert call(capsys, "models", "verify", "tiny", "--fixture", str(fixture)) == (0, "")
    assert call(capsys, "models", "verify", "tiny", "--fixture", str(changed(fixture, 2)))[0] == 1
    code, told = call(capsys, "models", "verify", "tiny", "--fixture", str(tmp_path / "missing.json"))
    assert code == 2 and told.startswith("mien: ") and told.count("\n") == 1
    assert call(capsys, "models", "verify", "tiny")[0] == 2  # --fixture is missing
    assert call(capsys, "models", "pull", "liqe", "-q")[0] == 2
    page = tmp_path / "page.pt"
    page.write_text("<html>")
    code, told = call(capsys, "models", "convert", str(page), "--as", "tiny", "--out", str(tmp_path / "w.safetensors"))
    assert code == 2 and "is a web page" in told
