"""What the scorer of faces promises: a row for each face, in pixels of the upright picture; one row at least."""

from __future__ import annotations

import io
import json
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from faces.marks import BLUE, GREEN, RED, MarkFinder, crop, face, picture
from mien.core.errors import ModelError, UnreadableImageError, UsageError
from mien.core.rows import tidy
from mien.core.types import Face
from mien.faces import scorer as module
from mien.faces.scorer import FaceScorer

PORTRAIT = Path(__file__).parents[2] / "examples" / "portraits" / "portrait.jpg"
REAL_CROP = module._crop

THREE = {RED: (10, 10, 40, 50), GREEN: (100, 20, 190, 120), BLUE: (60, 60, 80, 90)}  # in the order of no rule


@pytest.fixture(autouse=True)
def box_is_the_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_crop", crop)


def scorer(judge: Path, *, faces: str = "all", finder: object = None, **options: object) -> FaceScorer:
    return FaceScorer(judge, faces=faces, finder=finder or MarkFinder(), **{"threads": 2} | options)  # type: ignore[arg-type]


def box(row: mien.Score) -> tuple[float | None, ...]:
    return (row.x1, row.y1, row.x2, row.y2)


# ---- which rows ---------------------------------------------------------------------------------------------------


def test_all_gives_a_row_for_each_face_the_largest_first(tiny_judge: Path) -> None:
    rows = list(scorer(tiny_judge).stream([picture(200, 150, THREE)]))
    assert [box(row) for row in rows] == [THREE[GREEN], THREE[RED], THREE[BLUE]]
    assert [(row.face_index, row.n_faces) for row in rows] == [(0, 3), (1, 3), (2, 3)]
    assert {(row.status, row.width, row.height) for row in rows} == {("ok", 200, 150)}


def test_best_gives_one_row_for_the_largest_face_and_says_how_many_there_are(tiny_judge: Path) -> None:
    (row,) = scorer(tiny_judge, faces="best").stream([picture(200, 150, THREE)])
    assert (box(row), row.face_index, row.n_faces) == (THREE[GREEN], 0, 3)


def test_between_equal_boxes_confidence_decides_and_then_the_left_one(tiny_judge: Path) -> None:
    class Four:
        model_id = "four@1"

        def find(self, picture: Image.Image) -> list[Face]:
            return [face(60, 0, 80, 20), face(30, 0, 50, 20), face(0, 0, 20, 20, 0.8), face(90, 0, 115, 20, 0.1)]

    rows = list(scorer(tiny_judge, finder=Four()).stream([picture(200, 150, {})]))
    assert [row.x1 for row in rows] == [90, 30, 60, 0]
    assert [row.face_confidence for row in rows] == [0.1, 0.9, 0.9, 0.8]


def test_a_face_is_judged_by_its_crop_alone(tiny_judge: Path) -> None:
    """The row of a face has the score that the judge gives its crop as a picture."""
    whole = picture(200, 150, THREE)
    rows = list(scorer(tiny_judge).stream([whole]))
    for row, colour in zip(rows, (GREEN, RED, BLUE), strict=True):
        alone = mien.Scorer(tiny_judge).score(whole.crop(THREE[colour]))
        assert row.score == pytest.approx(alone.score, abs=1e-4)
        assert row.sharpness == pytest.approx(alone.sharpness, abs=1e-4)


def test_faces_are_on_the_scale_that_the_card_gives_for_them(tiny_judge: Path, tmp_path: Path) -> None:
    own = tmp_path / tiny_judge.name
    shutil.copy(tiny_judge, own)
    facts = json.loads(tiny_judge.with_suffix(".json").read_text())
    same = {name: facts[name] for name in ("interval", "population")}
    own.with_suffix(".json").write_text(json.dumps(facts | {"faces": {"raw_range": [-1.0, 2.0], **same}}))
    for row in scorer(own).stream([picture(200, 150, THREE)]):
        assert row.raw is not None and row.score == pytest.approx(100 * (row.raw + 1) / 3)
    whole = mien.Scorer(own).score(picture(200, 150, THREE))
    assert whole.raw is not None and whole.score == pytest.approx(100 * whole.raw)


def test_where_there_is_no_face_the_row_says_so_and_has_no_other_number(tiny_judge: Path) -> None:
    for faces in ("best", "all"):
        (row,) = scorer(tiny_judge, faces=faces).stream([picture(200, 150, {})])
        assert (row.status, row.n_faces) == ("no_face", 0)
        assert row.error == "no face was found in 200 x 150 pixels"
        assert {k for k, v in row.to_dict().items() if isinstance(v, int | float)} == {"n_faces"}


def test_a_file_that_cannot_be_read_keeps_its_row_among_the_others(tiny_judge: Path, tmp_path: Path) -> None:
    picture(200, 150, THREE).save(tmp_path / "three.png")
    picture(200, 150, {}).save(tmp_path / "none.png")
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff torn")
    paths = [str(tmp_path / name) for name in ("torn.jpg", "three.png", "gone.jpg", "none.png")]
    rows = list(scorer(tiny_judge).stream(paths))
    assert [Path(row.path).name for row in rows] == ["torn.jpg", *["three.png"] * 3, "gone.jpg", "none.png"]
    assert [row.status for row in rows] == ["decode_error", "ok", "ok", "ok", "missing", "no_face"]
    assert rows[0].n_faces is None  # nobody could look


def test_rows_name_the_judge_the_finder_and_the_crop(tiny_judge: Path) -> None:
    made = scorer(tiny_judge)
    rows = list(made.stream([picture(200, 150, THREE), picture(200, 150, {}), b""]))
    assert {(row.model, row.preprocess) for row in rows} == {("tiny@1", "marks@1-face25-squash256-2")}
    assert (made.model_id, made.preprocess_id) == ("tiny@1", "marks@1-face25-squash256-2")


# ---- where the face is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_and_landmarks_are_those_of_the_upright_picture(tiny_judge: Path, orientation: int) -> None:
    """Stored turned or mirrored, with the EXIF orientation that undoes it: the row must not know."""
    t = Image.Transpose
    turned = {2: t.FLIP_LEFT_RIGHT, 3: t.ROTATE_180, 4: t.FLIP_TOP_BOTTOM, 5: t.TRANSPOSE, 6: t.ROTATE_90,
              7: t.TRANSVERSE, 8: t.ROTATE_270}  # fmt: skip
    upright = picture(200, 150, {RED: (20, 90, 60, 140)})
    stored = upright if orientation == 1 else upright.transpose(turned[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    stored.save(file, "PNG", exif=exif)
    (row,) = scorer(tiny_judge).stream([file.getvalue()])
    assert box(row) == (20, 90, 60, 140)
    assert (row.width, row.height) == (200, 150)
    assert row.landmarks == face(20, 90, 60, 140).landmarks
    (expected,) = scorer(tiny_judge).stream([upright])
    assert row.raw == expected.raw


@pytest.mark.parametrize("orientation", [1, 6])
def test_boxes_are_pixels_of_the_full_size_when_the_picture_was_decoded_smaller(
    tiny_judge: Path, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENOUGH_PX", 256)
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    picture(603, 561, {RED: (80, 120, 240, 320)}).save(file, "JPEG", quality=95, exif=exif)
    seen: list[int] = []

    class Watching(MarkFinder):
        def find(self, picture: Image.Image) -> list[Face]:
            seen.append(max(picture.size))
            return super().find(picture)

    wanted = (80, 120, 240, 320) if orientation == 1 else (561 - 320, 80, 561 - 120, 240)
    for exact in (False, True):
        (row,) = scorer(tiny_judge, finder=Watching(), exact=exact).stream([file.getvalue()])
        assert box(row) == pytest.approx(wanted, abs=2)  # a pixel of the reduced picture
        assert {row.width, row.height} == {603, 561}
    assert seen == [302, 603]


def test_24_megapixels_are_decoded_in_full_because_a_face_is_only_a_part_of_them() -> None:
    assert min(4000, 6000) / 2 < module.ENOUGH_PX


def test_a_box_that_sticks_out_of_the_picture_stays_as_it_was_found(tiny_judge: Path) -> None:
    class Edge:
        model_id = "edge@1"

        def find(self, picture: Image.Image) -> list[Face]:
            return [face(-20, -10, 80, 60)]

    (row,) = scorer(tiny_judge, finder=Edge()).stream([picture(200, 150, {})])
    assert (row.status, box(row)) == ("ok", (-20, -10, 80, 60))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_face_that_lies_on_its_side_is_judged_upright(quarters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The portrait turned by quarter turns: other boxes, the same number."""
    monkeypatch.setattr(module, "_crop", REAL_CROP)

    class Known:
        model_id = "known@1"

        def __init__(self, found: Face) -> None:
            self.found = found

        def find(self, picture: Image.Image) -> list[Face]:
            return [self.found]

    def turned(x: float, y: float) -> tuple[float, float]:
        for _ in range(quarters):  # counter-clockwise, as PIL turns
            x, y = y, 512 - x
        return x, y

    places = ((207.3, 105.1), (249.6, 105.5), (227.5, 127.5), (208.3, 143.0), (244.9, 143.1))
    right_eye, left_eye, nose, mouth_right, mouth_left = map(turned, *zip(*places, strict=True))
    (ax, ay), (bx, by) = turned(178, 65), turned(270, 177)
    lying = Face(
        (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)), (right_eye, left_eye, nose, mouth_right, mouth_left), 0.9
    )
    upright = Face((178, 65, 270, 177), places, 0.9)
    with Image.open(PORTRAIT) as opened:
        portrait = opened.convert("RGB")
    (wanted,) = FaceScorer(finder=Known(upright), threads=1).stream([portrait])
    (row,) = FaceScorer(finder=Known(lying), threads=1).stream([portrait.rotate(90 * quarters)])
    assert (wanted.status, row.raw) == ("ok", wanted.raw)


def test_the_row_is_written_with_landmarks_as_points(tiny_judge: Path) -> None:
    (row,) = scorer(tiny_judge).stream([picture(200, 150, {RED: (20, 90, 60, 140)})])
    assert tidy(row.to_dict())["landmarks"] == [
        [32.0, 110.0],
        [48.0, 110.0],
        [40.0, 120.0],
        [34.0, 130.0],
        [46.0, 130.0],
    ]


# ---- what can go wrong --------------------------------------------------------------------------------------------


def test_a_face_without_a_usable_number_has_a_row_that_says_where_it_is(tiny_judge: Path) -> None:
    """The tiny judge answers NaN to what is wholly black."""
    black = (0, 0, 0)
    finder = MarkFinder([GREEN, black])
    rows = list(
        scorer(tiny_judge, finder=finder).stream(
            [picture(200, 150, {GREEN: (100, 20, 190, 120), black: (10, 10, 40, 50)})]
        )
    )
    assert [row.status for row in rows] == ["ok", "model_error"]
    assert (box(rows[1]), rows[1].face_index, rows[1].n_faces) == ((10, 10, 40, 50), 1, 2)
    assert rows[1].score is None and rows[1].error


def test_a_finder_that_fails_gives_model_error_and_the_stream_goes_on(tiny_judge: Path) -> None:
    class Moody(MarkFinder):
        def find(self, picture: Image.Image) -> list[Face]:
            if picture.width == 201:
                raise RuntimeError("no\nroom")
            return super().find(picture)

    one = {RED: (10, 10, 40, 50)}
    rows = list(scorer(tiny_judge, finder=Moody()).stream([picture(201, 150, one), picture(200, 150, one)]))
    assert [(row.status, row.n_faces) for row in rows] == [("model_error", None), ("ok", 1)]
    assert rows[0].error == "the finder failed: RuntimeError: no room"


def test_a_crop_or_network_that_fails_gives_every_face_its_row(
    tiny_judge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Image.Image:
        raise MemoryError("no room")

    monkeypatch.setattr(module, "_crop", broken)
    rows = list(scorer(tiny_judge).stream([picture(200, 150, THREE)]))
    assert [(row.status, row.face_index, row.error) for row in rows] == [
        ("model_error", i, "MemoryError: no room") for i in range(3)
    ]


def test_a_face_that_is_too_small_for_the_judge_does_not_spoil_the_others(
    tiny_judge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = scorer(tiny_judge)
    prepare = made._judge.prepare

    def picky(crop: Image.Image) -> object:
        if crop.width == 20:  # the blue one
            raise UsageError("the network wants 32 px")
        return prepare(crop)

    monkeypatch.setattr(made._judge, "prepare", picky)
    rows = list(made.stream([picture(200, 150, THREE)]))
    assert [(row.status, row.face_index) for row in rows] == [("ok", 0), ("ok", 1), ("too_small", 2)]
    assert rows[2].error == "the network wants 32 px"


# ---- order, batches, memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_scores_do_not_depend_on_batch_threads_or_company(tiny_judge: Path, batch: int) -> None:
    pictures = [picture(200, 150, dict(list(THREE.items())[: n % 4]), seed=n) for n in range(9)]
    wanted = [row for one in pictures for row in scorer(tiny_judge, batch=8, threads=1).stream([one])]
    rows = list(scorer(tiny_judge, batch=batch, threads=3).stream(pictures))
    assert [(r.status, r.face_index, box(r)) for r in rows] == [(r.status, r.face_index, box(r)) for r in wanted]
    for row, other in zip(rows, wanted, strict=True):
        assert row.score == pytest.approx(other.score, abs=1e-4)


def test_a_crowd_is_cut_out_a_batch_at_a_time(tiny_judge: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many faces there are, no more than `batch` crops wait for the judge."""

    class Crowd:
        model_id = "crowd@1"

        def find(self, picture: Image.Image) -> list[Face]:
            return [face(x, 0, x + 20, 20) for x in range(100)]

    made = scorer(tiny_judge, finder=Crowd(), batch=8)
    asked: list[int] = []
    network = made._judge._network
    monkeypatch.setattr(made._judge, "_network", lambda batch: asked.append(len(batch["image"])) or network(batch))
    assert len(list(made.stream([picture(200, 150, {})]))) == 100
    assert sum(asked) == 100 and max(asked) == 8


def test_an_endless_source_is_read_a_bounded_number_ahead(tiny_judge: Path) -> None:
    read = 0

    def sources():
        nonlocal read
        while True:
            read += 1
            yield picture(60, 60, {RED: (10, 10, 40, 50)})

    rows = scorer(tiny_judge, threads=2).stream(sources())
    for _ in range(10):
        next(rows)
    assert read <= 10 + 2 * 2
    rows.close()  # type: ignore[attr-defined]
    assert [t for t in threading.enumerate() if t.name.startswith("mien-decode")] == []


# ---- the front door -----------------------------------------------------------------------------------------------


def test_the_front_door_takes_the_choice_of_faces_and_a_finder(tiny_judge: Path) -> None:
    one = picture(200, 150, THREE)
    assert len(list(mien.Scorer(tiny_judge, faces="all", finder=MarkFinder()).stream([one]))) == 3
    assert mien.load(tiny_judge, faces="best", finder=MarkFinder()).score(one).n_faces == 3
    assert mien.Scorer(tiny_judge).score(one).n_faces is None


def test_score_raises_what_the_row_would_say(tiny_judge: Path) -> None:
    best = mien.Scorer(tiny_judge, faces="best", finder=MarkFinder([(0, 0, 0)]))
    with pytest.raises(UnreadableImageError, match="no face was found in 200 x 150 pixels") as caught:
        best.score(picture(200, 150, {}))
    assert caught.value.status == "no_face"
    with pytest.raises(ModelError, match="not finite"):
        best.score(picture(200, 150, {(0, 0, 0): (10, 10, 40, 50)}))
    with pytest.raises(UsageError, match=r"several rows: use stream\(\[\.\.\.\]\), or faces='best'"):
        mien.Scorer(tiny_judge, faces="all", finder=MarkFinder()).score(picture(200, 150, THREE))


def test_options_that_make_no_sense_are_refused(tiny_judge: Path) -> None:
    with pytest.raises(UsageError, match="faces='some' is not known"):
        mien.Scorer(tiny_judge, faces="some")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a finder belongs to faces='best' or faces='all'"):
        mien.Scorer(tiny_judge, finder=MarkFinder())
    for wrong in ({"batch": 0}, {"threads": 0}):
        with pytest.raises(UsageError, match="at least 1"):
            mien.Scorer(tiny_judge, faces="all", finder=MarkFinder(), **wrong)


def test_one_picture_instead_of_several_is_refused(tiny_judge: Path) -> None:
    with pytest.raises(UsageError, match="several pictures"):
        scorer(tiny_judge).stream(np.zeros((99, 99, 3), np.uint8))
