"""The trials of a finder: each kind is what it says, and one that knows the truth has full marks."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import face_sources
from mien.core.types import Face
from mien.data import composites
from mien.data.composites import Scene, Sources
from mien.evaluation import finding


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return composites.read(face_sources.write(tmp_path_factory.mktemp("data")), "val")


@pytest.fixture(scope="module")
def pictures(sources: Sources) -> dict[str, list[Scene]]:
    return finding.trials(sources, 4)


def test_there_are_pictures_of_each_kind(sources: Sources, pictures: dict[str, list[Scene]]) -> None:
    assert set(pictures) == {*finding.KINDS, "photographs", "empty"}
    assert all(len(pictures[kind]) == 4 for kind in finding.KINDS)
    assert len(pictures["photographs"]) == len(sources.photographs) and len(pictures["empty"]) == len(sources.empty)
    assert [len(finding.trials(sources, 1, photographs=2)[kind]) for kind in ("photographs", "empty")] == [2, 2]


def test_sizes_and_turns_are_those_of_the_kind(pictures: dict[str, list[Scene]]) -> None:
    tiny = [composites._size(f.box) for s in pictures["tiny"] for f in s.faces]
    assert tiny and all(23 < size < 49 for size in tiny)
    for face in (f for s in pictures["turned"] for f in s.faces):
        (x1, y1), (x2, y2) = sorted(face.landmarks[:2])
        assert abs(y2 - y1) > 0.5 * abs(x2 - x1)  # 30 degrees and more


def test_the_pictures_of_a_fault_have_it(pictures: dict[str, list[Scene]]) -> None:
    def light(kind: str) -> float:
        return float(np.mean([np.asarray(s.picture).mean() for s in pictures[kind]]))

    assert light("dark") < 0.6 * light("clean")


def test_a_photograph_is_whole_and_its_faces_are_in_pixels(pictures: dict[str, list[Scene]]) -> None:
    shown = pictures["photographs"][0]  # 96 x 80
    assert shown.picture.size == (96, 80)
    assert shown.faces[0].box == pytest.approx((9.6, 16, 38.4, 48))
    assert any(s.ignored for s in pictures["photographs"])


def test_one_that_knows_the_truth_has_full_marks(pictures: dict[str, list[Scene]]) -> None:
    truth = {s.picture.tobytes(): s.faces for scenes in pictures.values() for s in scenes}

    def knows(picture: Image.Image) -> tuple[Face, ...]:
        return truth[picture.tobytes()]

    numbers = finding.report(finding.compare(knows, pictures), 0.5)
    for kind in (*finding.KINDS, "photographs"):
        assert numbers[kind]["recall"] == numbers[kind]["precision"] == numbers[kind]["average_precision"] == 1
        assert numbers[kind]["landmark_error"] == 0 and numbers[kind]["faces"] >= 3
    assert numbers["empty"] == {"pictures": len(pictures["empty"]), "faces": 0, "false_faces": 0.0}


def test_one_that_sees_a_face_everywhere_has_false_ones(pictures: dict[str, list[Scene]]) -> None:
    everywhere = Face((0, 0, 8, 8), ((2, 2), (6, 2), (4, 4), (2, 6), (6, 6)), 0.9)
    numbers = finding.report(finding.compare(lambda picture: [everywhere], pictures), 0.5)
    assert numbers["empty"]["false_faces"] == 1
    assert numbers["clean"]["recall"] == numbers["clean"]["precision"] == 0
    assert "landmark_error" not in numbers["clean"]
    assert finding.report(finding.compare(lambda picture: [everywhere], pictures), 0.95)["empty"]["false_faces"] == 0
