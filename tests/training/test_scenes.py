"""Scenes on disk: what was rendered is what is read, once, whatever the number of processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import face_sources

pytest.importorskip("torch")

from mien.data import composites
from mien.data.composites import ScenePlan, Sources, scene
from mien.training import scenes

PLAN = ScenePlan(size_px=64, face_px=(16.0, 40.0))


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return composites.read(face_sources.write(tmp_path_factory.mktemp("data")), "train")


def test_what_was_rendered_is_what_is_read(sources: Sources, tmp_path: Path) -> None:
    drawn = scenes.build(sources, PLAN, 60, 3, tmp_path / "scenes", workers=2)
    assert len(drawn) == 60
    for i in (0, 17, 59):
        made = scene(sources, PLAN, (3, i))
        boxes, landmarks, ignored = drawn.marks(i)
        assert np.array_equal(drawn.pixels[i], np.asarray(made.picture))
        assert np.allclose(boxes, [*(f.box for f in made.faces), *made.ignored] or np.zeros((0, 4)), atol=1e-4)
        assert np.allclose(landmarks[~ignored], [f.landmarks for f in made.faces] or np.zeros((0, 5, 2)), atol=1e-4)
        assert ignored.sum() == len(made.ignored) and np.isnan(landmarks[ignored]).all()


def test_scenes_are_rendered_once(sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = np.array(scenes.build(sources, PLAN, 4, 3, tmp_path / "scenes", workers=1).pixels)
    with monkeypatch.context() as patch:
        patch.setattr(scenes, "ProcessPoolExecutor", None)  # nobody may render
        scenes.build(sources, PLAN, 4, 3, tmp_path / "scenes", workers=1)
        with pytest.raises(TypeError):
            scenes.build(sources, PLAN, 4, 4, tmp_path / "scenes", workers=1)
        with pytest.raises(TypeError):  # the pixels were of neither seed, so nobody takes them for finished ones
            scenes.build(sources, PLAN, 4, 3, tmp_path / "scenes", workers=1)
    more = scenes.build(sources, PLAN, 6, 3, tmp_path / "scenes", workers=1)
    assert np.array_equal(more.pixels[:4], first)
