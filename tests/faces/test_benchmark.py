"""`benchmarks/faces.py` in small: two finders side by side, as a table and as JSON."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

import face_sources
import scripts
from faces import tiny_finder
from mien.core.types import Face
from mien.faces.find import Finder


@pytest.fixture
def benchmark() -> ModuleType:
    return scripts.load("benchmarks/faces.py")


def test_two_finders_side_by_side(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = face_sources.write(tmp_path / "data")
    originals = root / "biq2021" / "originals"
    originals.mkdir()
    for name in ("p0.jpg", "p2.jpg"):  # with people, and without
        red = np.zeros((512, 512, 3), np.uint8)
        red[240:256, 240:256, 0] = 250
        Image.fromarray(red).save(originals / name)
    ours = tiny_finder.write(tmp_path / "ours.onnx", card=True)
    theirs = tiny_finder.write(tmp_path / "theirs.onnx", rgb=False)
    small = ["--each", "1", "--photographs", "2", "--rounds", "1", "--json", str(tmp_path / "out.json")]
    command = ["faces.py", "--data", str(root), "--finder", str(ours), "--yardstick", str(theirs), *small]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setattr(benchmark, "LOWEST", 0.6)  # half of a coloured picture is red enough for less
    monkeypatch.setattr(benchmark, "LOOKS_PX", (64,))
    real = Finder.find_at

    def small_alone(finder: Finder, picture: Image.Image, size_px: int, confidence: float) -> list[Face]:
        return real(finder, picture, size_px, confidence) if size_px <= 320 else []

    monkeypatch.setattr(Finder, "find_at", small_alone)  # so it takes the second look to see the originals' red
    benchmark.main()
    told = capsys.readouterr().out
    facts = json.loads((tmp_path / "out.json").read_text())
    other = f"theirs.onnx@{hashlib.sha256(theirs.read_bytes()).hexdigest()[:8]}"
    assert f"tiny-finder@7 (confidence 0.4) and {other} (0.7), 320 px" in told
    first, second = (result["kinds"] for result in facts["results"])
    assert first.keys() == second.keys() >= {"clean", "turned", "photographs", "empty"}
    assert first["clean"]["average_precision"] == second["clean"]["average_precision"]  # the same network, twice
    assert set(facts["ms"]) == {"320", "640"} and set(facts["by_size"]) == {"tiny-finder@7", other}
    assert facts["originals"]["tiny-finder@7"] == {"pictures": 1, "first_look": 0, "both_looks": 1}
    assert facts["targets"]["fewer false faces without people"] is False
    assert "BROKEN fewer false faces without people" in told
