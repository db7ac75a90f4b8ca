"""The finder: what comes out of the network, in pixels of the picture; what it refuses; and YuNet, run by others."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faces import tiny_finder
from mien.core.errors import ModelError, UsageError
from mien.core.types import Face
from mien.faces import find
from mien.faces.find import Finder, decode, nms

SHARED = Path(__file__).parents[3] / "shared"
YUNET = SHARED / "models" / "yunet_n_dynamic.onnx"


@pytest.fixture(scope="module")
def finder(tmp_path_factory: pytest.TempPathFactory) -> Finder:
    return Finder.load(tiny_finder.write(tmp_path_factory.mktemp("finder") / "red.onnx"))


def picture(width: int, height: int, *cells: tuple[int, int], cell_px: int = 8, red: int = 255) -> Image.Image:
    """Blue, with red cells at (column, row)."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, :, 2] = 90
    for column, row in cells:
        pixels[row * cell_px : (row + 1) * cell_px, column * cell_px : (column + 1) * cell_px, 0] = red
    return Image.fromarray(pixels)


def test_a_face_has_its_box_and_landmarks_in_pixels_of_the_picture(finder: Finder) -> None:
    (face,) = finder.find(picture(160, 96, (5, 3)))
    assert face.box == pytest.approx((32, 16, 56, 40))
    expected = [(8 * (5 + x), 8 * (3 + y)) for x, y in np.reshape(tiny_finder.KPS, (5, 2))]
    assert np.allclose(face.landmarks, expected)
    assert face.confidence == pytest.approx(1.0)


def test_an_array_is_found_as_its_picture_is(finder: Finder) -> None:
    shown = picture(160, 96, (5, 3), (15, 6))
    assert finder.find(np.asarray(shown)) == finder.find(shown)
    assert finder.find(np.asarray(shown)[:, ::-1]) != finder.find(shown)  # a view with negative strides


def test_both_kinds_of_input_see_the_same_colours(finder: Finder, tmp_path: Path) -> None:
    bgr = Finder.load(tiny_finder.write(tmp_path / "bgr.onnx", rgb=False))
    shown = picture(160, 96, (5, 3))
    assert bgr.find(shown) == finder.find(shown)
    blue = Image.fromarray(np.asarray(shown)[:, :, ::-1])
    assert bgr.find(blue) == finder.find(blue) == []


def test_a_large_picture_is_shrunk_and_its_faces_are_not(tmp_path: Path) -> None:
    small = Finder.load(tiny_finder.write(tmp_path / "red.onnx"), size_px=160)
    (face,) = small.find(picture(800, 480, (5, 3), cell_px=40))  # 5 px of it are one of the network
    assert face.box == pytest.approx((160, 80, 280, 200), abs=0.5)
    assert face.landmarks[0] == pytest.approx((5 * 36, 5 * 20), abs=0.5)


@pytest.mark.parametrize(
    ("side", "red", "confidence", "expected"),
    [(640, 230, 0.5, 1), (640, 190, 0.5, 0), (640, 230, 0.95, 0), (320, 230, 0.5, 0)],
)
def test_where_nothing_is_found_half_the_size_is_looked_at_by_who_must_be_surer(
    finder: Finder, side: int, red: int, confidence: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is red at a place shows only at half the size: the first look is at a picture without it."""
    asked = []
    real = finder.answers

    def answers(pixels: np.ndarray) -> dict[str, np.ndarray]:
        asked.append(pixels.shape[1])
        return real(pixels if len(asked) == 2 else np.zeros_like(pixels))

    monkeypatch.setattr(finder, "answers", answers)
    monkeypatch.setattr(finder, "confidence", confidence)
    faces = finder.find(picture(side, side, (5, 3), cell_px=16, red=red))  # 230 is 0.9, 190 is 0.75
    assert asked == ([640, 320] if side == 640 else [320])
    assert len(faces) == expected
    for face in faces:
        assert face.box == pytest.approx((64, 32, 112, 80))


def test_where_something_is_found_nothing_is_looked_at_again(finder: Finder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = finder.answers
    monkeypatch.setattr(finder, "answers", lambda pixels: (asked.append(1), real(pixels))[1])
    assert len(finder.find(picture(640, 640, (5, 3)))) == 1 and asked == [1]


@pytest.mark.parametrize(("width", "height"), [(8, 8), (20, 13), (33, 8), (8, 200)])
def test_a_small_picture_is_padded_and_not_lost(finder: Finder, width: int, height: int) -> None:
    (face,) = finder.find(picture(width, height, (0, 0)))
    assert face.box == pytest.approx((-8, -8, 16, 16))


def test_a_picture_with_an_extreme_shape_has_a_scale_on_each_axis() -> None:
    pixels, scale = find.fit(picture(6400, 8, (0, 0), cell_px=800), 64)
    assert (pixels.shape, scale) == ((32, 64, 3), (0.01, 0.125))
    assert pixels[0, 0, 0] == 255 and not pixels[1:].any()  # one row of the network is all of its height


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_every_mode_of_a_picture_is_looked_at(finder: Finder, mode: str) -> None:
    white = Image.new("RGB", (64, 64), "white").convert(mode)
    assert finder.find(white)


def test_faces_come_largest_first_and_equal_ones_by_confidence(tmp_path: Path) -> None:
    shown = np.asarray(picture(320, 64, (5, 3), red=200)) | np.asarray(picture(320, 64, (20, 3), red=250))
    found = Finder.load(tiny_finder.write(tmp_path / "red.onnx")).find(shown)
    assert [round(255 * face.confidence) for face in found] == [250, 200]
    small, large = (0.0, 0.0, 10.0, 10.0), (20.0, 0.0, 60.0, 40.0)
    candidates = find.Candidates(np.array([small, large]), np.zeros((2, 5, 2)), np.array([0.9, 0.8]))
    assert [face.box for face in find._faces(candidates, (1.0, 1.0), (100, 100))] == [large, small]


def test_what_lies_in_the_padding_is_no_face(finder: Finder) -> None:
    candidates = find.Candidates(np.array([[90.0, 0, 108, 10], [90, 0, 112, 10]]), np.zeros((2, 5, 2)), np.ones(2))
    assert [face.box[2] for face in find._faces(candidates, (1.0, 1.0), (100, 100))] == [108]


def test_confidence_decides_who_is_a_face(tmp_path: Path) -> None:
    file = tiny_finder.write(tmp_path / "red.onnx")
    dim = picture(64, 64, (3, 3), red=128)
    assert [len(Finder.load(file, confidence=c).find(dim)) for c in (0.4, 0.501, 0.503)] == [1, 1, 0]


def test_overlapping_boxes_become_one(tmp_path: Path) -> None:
    file = tiny_finder.write(tmp_path / "red.onnx")
    two = picture(96, 96, (5, 5), (6, 5))  # 24 px wide, 8 px apart: intersection over union 0.5
    assert [len(Finder.load(file, nms_iou=iou).find(two)) for iou in (0.45, 0.55)] == [1, 2]


def slow_nms(boxes: np.ndarray, confidence: np.ndarray, iou: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda k: (-confidence[k], k)):
        for j in kept:
            w = min(boxes[i][2], boxes[j][2]) - max(boxes[i][0], boxes[j][0])
            h = min(boxes[i][3], boxes[j][3]) - max(boxes[i][1], boxes[j][1])
            shared = max(w, 0) * max(h, 0)
            areas = [(boxes[k][2] - boxes[k][0]) * (boxes[k][3] - boxes[k][1]) for k in (i, j)]
            if shared > iou * (sum(areas) - shared):
                break
        else:
            kept.append(i)
    return kept


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.45, 1.0])
def test_suppression_equals_the_loop(iou: float, rng: np.random.Generator) -> None:
    corner, side = rng.uniform(0, 60, (120, 2)), rng.uniform(5, 40, (120, 2))
    boxes = np.concatenate([corner, corner + side], 1)
    confidence = rng.integers(0, 12, 120) / 12  # with ties
    assert nms(boxes, confidence, iou).tolist() == slow_nms(boxes, confidence, iou)


def test_suppression_of_nothing_is_nothing() -> None:
    assert nms(np.zeros((0, 4)), np.zeros(0), 0.5).tolist() == []


def answers(**changed: np.ndarray) -> dict[str, np.ndarray]:
    """Of a network that saw 64 x 32 px and found nothing."""
    empty = {
        f"{name}_{stride}": np.zeros((1, 64 // stride * (32 // stride), n), np.float32)
        for stride in find.STRIDES
        for name, n in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10))
    }
    return empty | changed


def test_the_place_of_an_answer_is_row_by_row_and_confidence_is_the_geometric_mean() -> None:
    cls, obj = np.zeros((2, 1, 8, 1), np.float32)
    cls[0, 6], obj[0, 6] = 0.9, 0.4  # stride 16 of 64 x 32: four columns, so row 1, column 2
    found = decode(answers(cls_16=cls, obj_16=obj), 64, 0.5)
    assert found.boxes.tolist() == [[24, 8, 40, 24]]
    assert found.confidence == pytest.approx([0.6])


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e4])
def test_numbers_that_are_not_finite_are_no_face(value: float) -> None:
    sure, bad = np.ones((1, 8, 1), np.float32), np.zeros((1, 8, 4), np.float32)
    bad[0, 3, 2] = value
    found = decode(answers(cls_16=sure, obj_16=sure, bbox_16=bad), 64, 0.5)
    assert len(found.confidence) == 7 and np.isfinite(found.boxes).all()
    sure[0, 3] = np.nan
    assert len(decode(answers(cls_16=sure, obj_16=sure), 64, 0.5).confidence) == 7


def test_a_picture_of_nothing_but_candidates_is_answered_with_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "MOST", 3)
    sure = np.linspace(0.1, 0.8, 8, dtype=np.float32).reshape(1, 8, 1)
    found = decode(answers(cls_16=sure, obj_16=sure), 64, 0.0)
    assert found.confidence == pytest.approx([0.6, 0.7, 0.8])


def test_the_card_names_the_finder_and_its_settings(tmp_path: Path) -> None:
    file = tiny_finder.write(tmp_path / "red.onnx", card=True)
    ours = Finder.load(file)
    assert (ours.model_id, ours.size_px, ours.confidence, ours.nms_iou) == ("tiny-finder@7", 128, 0.4, 0.3)
    assert Finder.load(file, size_px=320, confidence=0.9).size_px == 320
    file.with_suffix(".json").unlink()
    plain, known = Finder.load(file), hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    assert (plain.model_id, plain.size_px, plain.confidence) == (f"red.onnx@{known}", find.SIZE_PX, find.CONFIDENCE)


def test_a_file_that_is_not_the_one_of_its_card_is_refused(tmp_path: Path) -> None:
    file = tiny_finder.write(tmp_path / "red.onnx", card=True)
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"red\.onnx is not the file that its card describes"):
        Finder.load(file)


def test_without_an_embedded_finder_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(find, "FOLDER", tmp_path)
    with pytest.raises(ModelError, match=r"this release of mien ships no face finder\. Name one with --finder FILE"):
        Finder.load()
    tiny_finder.write(tmp_path / find.EMBEDDED, card=True)
    assert Finder.load().model_id == "tiny-finder@7"


def test_an_embedded_finder_without_its_card_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(find, "FOLDER", tmp_path)
    tiny_finder.write(tmp_path / find.EMBEDDED)
    with pytest.raises(ModelError, match="has no card"):
        Finder.load()


def test_a_file_that_is_no_finder_is_refused(tmp_path: Path, tiny_judge: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no finder .*absent"):
        Finder.load(tmp_path / "absent.onnx")
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"cannot open junk\.onnx"):
        Finder.load(junk)
    judge = tmp_path / "judge.onnx"
    judge.write_bytes(tiny_judge.read_bytes())
    with pytest.raises(ModelError, match=r"judge\.onnx is no face finder: wanted .* found .*quality"):
        Finder.load(judge)
    fixed = tiny_finder.write(tmp_path / "fixed.onnx", sides=(320, 320))
    with pytest.raises(ModelError, match=r"fixed\.onnx takes pictures of the shape .*320.* alone"):
        Finder.load(fixed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size_px": 31}, "a finder needs 32 px or more to look at, not 31"),
        ({"confidence": 1.5}, r"confidence of a finder must be in 0\.\.1, not 1\.5"),
        ({"nms_iou": -0.1}, r"nms_iou of a finder must be in 0\.\.1, not -0\.1"),
    ],
)
def test_an_option_outside_its_range_is_refused(tmp_path: Path, options: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Finder.load(tiny_finder.write(tmp_path / "red.onnx"), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("shown", "message"),
    [
        (np.zeros((5, 5), np.uint8), r"not at uint8 \(5, 5\)"),
        (np.zeros((5, 5, 3), np.float32), r"not at float32 \(5, 5, 3\)"),
        ("me.jpg", "not at str"),
        (np.zeros((0, 5, 3), np.uint8), "has no pixels to look at"),
        (Image.new("RGB", (0, 5)), "0 x 5 has no pixels"),
    ],
)
def test_what_is_no_picture_is_refused(finder: Finder, shown: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        finder.find(shown)  # type: ignore[arg-type]


# ---- YuNet, as others ran it ----------------------------------------------------------------------------------------

needs_yunet = pytest.mark.skipif(not YUNET.is_file(), reason="the shared networks are not beside the checkout")


def needs(data: str) -> pytest.MarkDecorator:
    there = (SHARED / "data" / data / "faces.csv").is_file()
    return pytest.mark.skipif(not there, reason=f"the shared data set {data} is not beside the checkout")


def table(data: str) -> list[dict[str, str]]:
    with (SHARED / "data" / data / "faces.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def overlap(face: Face, x: float, y: float, w: float, h: float) -> float:
    """Intersection over union."""
    x1, y1, x2, y2 = face.box
    shared = max(0.0, min(x2, x + w) - max(x1, x)) * max(0.0, min(y2, y + h) - max(y1, y))
    return shared / (face.area + w * h - shared)


@needs_yunet
@needs("sfhq")
def test_yunet_finds_the_synthetic_faces_where_others_found_them() -> None:
    yunet = Finder.load(YUNET, size_px=320)
    for row in table("sfhq")[::31]:
        with Image.open(SHARED / "data" / "sfhq" / row["file"]) as shown:
            face = yunet.find(shown)[0]
        assert overlap(face, *(float(row[f"face_{k}"]) for k in "xywh")) > 0.8
        nose = float(row["nose_x"]), float(row["nose_y"])
        assert np.hypot(*np.subtract(face.landmarks[2], nose)) < 0.06 * float(row["face_w"])
        assert face.landmarks[0][0] < face.landmarks[1][0]  # the right eye is on the left of the picture


@pytest.mark.slow
@needs_yunet
@needs("biq2021")
def test_yunet_finds_the_faces_in_photographs_that_others_found() -> None:
    from mien.data import biq2021

    rows = defaultdict(list)
    for row in table("biq2021"):
        rows[row["name"]].append(row)
    yunet = Finder.load(YUNET)
    shown = [s for s in biq2021.read(SHARED / "data" / "biq2021").samples if s.name in rows][::97]
    sure, again = 0, 0
    for sample in shown:
        image = sample.open()
        faces = yunet.find(image.resize((512, 512)))  # they looked at the originals, which have twice the detail
        for row in rows[sample.name]:
            if float(row["score"]) >= 0.85:
                sure += 1
                again += any(overlap(f, *(512 * float(row[k]) for k in "xywh")) > 0.5 for f in faces)
    assert sure >= 10 and again >= 0.9 * sure
