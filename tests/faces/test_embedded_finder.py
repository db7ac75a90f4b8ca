"""The finder that ships: small, honest in its card, at home in bad pictures, quiet where nobody is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien.faces.find import EMBEDDED, FOLDER, Finder
from synthetic import picture

PORTRAITS = Path(__file__).parents[2] / "examples" / "portraits"
NAMES = sorted(path.stem for path in PORTRAITS.glob("*.jpg"))


@pytest.fixture(scope="module")
def finder() -> Finder:
    return Finder.load()


@pytest.fixture(scope="module")
def card() -> dict:
    return json.loads((FOLDER / EMBEDDED).with_suffix(".json").read_text())


def opened(name: str) -> Image.Image:
    with Image.open(PORTRAITS / f"{name}.jpg") as file:
        return file.convert("RGB")


def overlap(a, b) -> float:
    """IoU of two boxes."""
    inside = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    both = np.prod(np.clip(inside, 0, None))
    return both / (np.prod(np.subtract(a[2:], a[:2])) + np.prod(np.subtract(b[2:], b[:2])) - both)


def test_it_is_half_a_megabyte_at_most():
    assert (FOLDER / EMBEDDED).stat().st_size <= 500_000


def test_its_card_says_what_it_learned_from_and_what_it_cannot(card):
    for field in ("licence", "input", "find", "training", "metrics", "known_failures"):
        assert card[field], field
    training = card["training"]
    assert training["start"] == "random weights" or len(training["start_sha256"]) == 64
    assert "YuNet" in json.dumps(card["training"]["data"])
    log = (FOLDER / EMBEDDED).with_suffix(".log.jsonl").read_text().splitlines()
    epochs = training.get("epochs_before", 0) + training["settings"]["training"]["epochs"]
    assert len(log) == training["epochs_logged"] == epochs


@pytest.mark.parametrize("name", NAMES)
def test_the_largest_face_of_the_portrait_is_found_however_bad_the_picture(finder, name):
    clean = finder.find(opened("portrait"))[0]
    face = finder.find(opened(name))[0]
    scale = opened(name).width / opened("portrait").width
    assert overlap(np.array(face.box), scale * np.array(clean.box)) > 0.6


@pytest.mark.parametrize("side", [128, 256, 512])
def test_a_portrait_is_found_at_every_size(finder, side):
    portrait = opened("portrait")
    face = finder.find(portrait.resize((side, side)))[0]
    scale = np.tile((side / portrait.width, side / portrait.height), 2)
    assert overlap(np.array(face.box), scale * np.array(finder.find(portrait)[0].box)) > 0.6


def test_its_landmarks_lie_where_a_face_has_them(finder):
    right_eye, left_eye, nose, right_mouth, left_mouth = finder.find(opened("portrait"))[0].landmarks
    assert right_eye[0] < nose[0] < left_eye[0]
    assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])
    assert right_mouth[0] < left_mouth[0]


def test_a_mirrored_picture_has_a_mirrored_face(finder):
    portrait = opened("portrait")
    face = finder.find(portrait)[0]
    mirrored = finder.find(portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT))[0]
    x1, y1, x2, y2 = mirrored.box
    assert overlap(np.array((portrait.width - x2, y1, portrait.width - x1, y2)), np.array(face.box)) > 0.7


def test_nobody_is_in_blobs_noise_and_flat_colour(finder):
    rng = np.random.default_rng(0)
    pictures = [picture(seed, (400, 300)) for seed in range(10)]
    pictures += [Image.fromarray(rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)) for _ in range(5)]
    pictures += [Image.new("RGB", (400, 300), level) for level in ("black", "grey", "white", "salmon")]
    assert [len(finder.find(p)) for p in pictures] == [0] * len(pictures)


def test_scores_of_faces_need_no_other_file():
    row = mien.Scorer(faces="best").score(PORTRAITS / "portrait.jpg")
    assert (row.status, row.face_index) == ("ok", 0)
    assert 70 < row.x2 - row.x1 < 120
    assert row.score > mien.Scorer(faces="best").score(PORTRAITS / "soft.jpg").score + 5
