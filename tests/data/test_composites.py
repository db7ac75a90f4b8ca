"""Scenes: the truth about a pasted face is where its pixels are; plans are kept; a seed is a scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import face_sources
from mien.core.errors import UsageError
from mien.core.types import Face
from mien.data import biq2021, composites, sfhq
from mien.data.composites import ScenePlan, Seen, Sources, least_visible, scene, turned_box
from mien.data.degradations import Degradation
from mien.data.face_labels import shared_area
from mien.data.sample import Sample

PLAN = ScenePlan(size_px=128, face_px=(20.0, 60.0))
ONE = replace(
    PLAN,
    kinds=(("composite", 1.0),),
    most_faces=1,
    covered_share=0.0,
    degraded_share=0.0,
    turned_share=0.0,
    pieces=0,
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return face_sources.write(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def sources(root: Path) -> Sources:
    return composites.read(root, "train")


def test_the_tables_say_who_was_seen(root: Path) -> None:
    seen = biq2021.faces(root / "biq2021")
    assert [len(seen[f"p{i}.jpg"] or ()) for i in (0, 3, 2)] == [2, 1, 0]
    assert seen["p1.jpg"] is None and seen["p2.jpg"] == ()  # something doubtful; nothing at all
    assert seen["p3.jpg"] is not None
    assert seen["p3.jpg"][0].box == pytest.approx((0.1, 0.2, 0.4, 0.6))
    face = sfhq.faces(root / "sfhq")["images/f7.png"]
    assert face.box == (30, 24, 66, 72) and face.landmarks[2] == pytest.approx((48, 52.8))


def test_the_parts_stay_apart_and_doubtful_photographs_stay_out(root: Path, sources: Sources) -> None:
    held = composites.read(root, "val")
    for name in ("portraits", "photographs", "empty"):
        first, second = ({getattr(p, "sample", p).name for p in getattr(s, name)} for s in (sources, held))
        assert first and second and not first & second
    assert {s.name for s in sources.empty} == {f"p{i}.jpg" for i in range(24) if i % 3 and i % 9 != 1}
    assert len(sources.photographs) == 8 and sum(len(p.doubtful) for p in sources.photographs) == 4


def test_doubtful_photographs_come_along_when_asked_for(root: Path, sources: Sources) -> None:
    both = composites.read(root, "train", doubtful=True)
    assert both.empty == sources.empty and set(both.photographs) >= set(sources.photographs)
    table = root / "biq2021" / "faces.csv"
    before = table.read_text()
    try:
        table.write_text(before.replace(",0.93,", ",0.74,"))  # nobody is sure any more
        assert len(composites.read(root, "train", doubtful=True).photographs) == 8
        with pytest.raises(UsageError, match="no photographs"):
            composites.read(root, "train")
    finally:
        table.write_text(before)


def test_photographs_can_give_faces_to_cut_out(root: Path, sources: Sources) -> None:
    assert sources.cut_out == ()
    given = composites.read(root, "train", cut_px=20)
    assert {seen.sample.name for seen in given.cut_out} == {f"p{i}.jpg" for i in range(24) if i % 3 == 0}
    for seen in given.cut_out:
        (face,), (w, h) = seen.faces, seen.sample.open().size
        assert face.box == pytest.approx((0.1 * w, 0.2 * h, 0.4 * w, 0.6 * h))
        assert [f.box for f in seen.others] == [
            pytest.approx((0.5 * w, 0.2 * h, 0.8 * w, 0.6 * h)) for _ in range(int(seen.sample.name[1:-4]) % 6 == 0)
        ]
    assert composites.read(root, "train", cut_px=60).cut_out == ()  # they are 30 px


def test_faces_that_touch_others_or_the_edge_are_not_cut_out(root: Path, sources: Sources) -> None:
    (seen,) = [s for s in sources.photographs if s.sample.name == "p3.jpg"]
    face = seen.faces[0]
    beside = replace(face, box=(0.35, 0.2, 0.65, 0.6))
    beyond = replace(face, box=(-0.1, 0.2, 0.2, 0.6))
    touched = [replace(seen, faces=faces, doubtful=doubtful) for faces, doubtful in [
        ((face, beside), ()), ((face,), (beside,)), ((beyond,), ())
    ]]  # fmt: skip
    assert [len(list(composites._cut_out([s], 5, None))) for s in (seen, *touched)] == [1, 0, 0, 0]


def test_another_face_is_never_cut_out_with_the_first() -> None:
    box, other = (20.0, 20.0, 60.0, 70.0), (60.0, 20.0, 100.0, 70.0)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mask = np.asarray(composites._mask((120, 100), box, rng, [other]))
        assert mask[45, 40] > 200 and mask[45, 66] < 30 and mask[45, 80] < 30


def test_eyes_nose_and_mouth_of_somebody_else_lie_on_the_landmarks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composites, "_coloured_like", lambda picture, shown, mask: picture)
    dots(FACE, COLOURS).save(tmp_path / "dots.png")
    lender = Seen(Sample("dots", tmp_path / "dots.png"), (FACE,))
    t, size = np.deg2rad(25), 0.6
    turn = size * np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    points = np.array(FACE.landmarks) @ turn.T + 30
    low, high = points.min(0) - 20, points.max(0) + 20
    target = Face((*low, *high), tuple(map(tuple, points)), 1.0)
    grey = Image.new("RGB", (160, 160), (90, 90, 90))
    orders = set()
    for seed in range(12):
        shown = composites._exchanged(grey, target, Sources((lender,), (), ()), np.random.default_rng(seed))
        made = composites.Scene(
            shown.resize((128, 128), box=(16, 16, 144, 144)), (target.moved((1, 1), (-16, -16)),), (), "composite"
        )
        orders |= {order for order in ORDERS if shows(made, order)}
        pixels = np.asarray(shown).copy()
        x1, y1, x2, y2 = (round(v) for v in target.box)
        pixels[y1:y2, x1:x2] = 90
        assert (pixels == 90).all(), "something changed outside of the box"
    assert orders == set(ORDERS)


def test_a_face_of_another_pose_is_not_lent(tmp_path: Path) -> None:
    dots(FACE, COLOURS).save(tmp_path / "dots.png")
    points = list(FACE.landmarks)
    points[2] = (140, 100)  # the nose of a profile
    lender = Seen(Sample("dots", tmp_path / "dots.png"), (replace(FACE, landmarks=tuple(points)),))
    grey = Image.new("RGB", (200, 200), (90, 90, 90))
    assert composites._exchanged(grey, FACE, Sources((lender,), (), ()), np.random.default_rng(0)) is grey


def test_a_face_is_not_lent_where_more_is_wanted_than_its_picture_shows(tmp_path: Path) -> None:
    """The landmarks are the same; one box ends inside of the picture that lends, the other a pixel outside."""
    dots(FACE, COLOURS).save(tmp_path / "dots.png")
    sources = Sources((Seen(Sample("dots", tmp_path / "dots.png"), (FACE,)),), (), ())
    grey = Image.new("RGB", (300, 300), (90, 90, 90))
    x1, y1, _, y2 = FACE.box
    for x2, is_lent in ((FACE.box[2], True), (201.0, False)):
        shown = composites._exchanged(grey, replace(FACE, box=(x1, y1, x2, y2)), sources, np.random.default_rng(1))
        assert (shown is not grey) == is_lent


def test_lent_faces_take_the_colours_of_the_place() -> None:
    rng = np.random.default_rng(0)
    lent = Image.fromarray(np.clip(rng.normal(200, 10, (40, 40, 3)), 0, 255).astype(np.uint8))
    there = Image.fromarray(np.clip(rng.normal((60, 80, 100), 15, (40, 40, 3)), 0, 255).astype(np.uint8))
    result = np.asarray(composites._coloured_like(lent, there, Image.new("L", (40, 40), 255)), np.float32)
    assert np.allclose(result.mean((0, 1)), (60, 80, 100), atol=2) and np.allclose(result.std((0, 1)), 15, atol=2)


@pytest.mark.parametrize("kind", ["composite", "photograph"])
def test_exchange_changes_pixels_and_no_truth(
    root: Path, kind: composites.Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = composites.read(root, "train", cut_px=20)
    plan = replace(ONE, kinds=((kind, 1.0),), face_px=(40.0, 60.0), exchanged_share=1.0)
    exchanged = [scene(given, plan, seed) for seed in range(8)]
    real = composites._lent
    monkeypatch.setattr(composites, "_lent", lambda picture, *rest: (real(picture, *rest), picture)[1])
    as_they_were = [scene(given, plan, seed) for seed in range(8)]  # the same chance, but no face is lent
    assert [(m.faces, m.ignored) for m in exchanged] == [(m.faces, m.ignored) for m in as_they_were]
    pairs = zip(exchanged, as_they_were, strict=True)
    assert sum(one.picture.tobytes() != other.picture.tobytes() for one, other in pairs) > 3


def test_cut_out_faces_come_into_composites(dotted: Sources, tmp_path: Path) -> None:
    dots(FACE, [(255, 0, 0)] * len(COLOURS)).save(tmp_path / "red.png")
    red = Seen(Sample("red", tmp_path / "red.png"), (FACE,))
    first, second = replace(dotted, portraits=2 * dotted.portraits), replace(dotted, portraits=(red, red))
    both = replace(dotted, cut_out=(red,))
    pictures = [[scene(s, ONE, seed).picture.tobytes() for seed in range(12)] for s in (first, second, both)]
    assert sum(a == c for a, _, c in zip(*pictures, strict=True)) > 2
    assert sum(b == c for _, b, c in zip(*pictures, strict=True)) > 2


def test_a_part_without_pictures_is_refused(root: Path) -> None:
    with pytest.raises(UsageError, match="has no portraits and no photographs and no empty in its test part"):
        composites.read(root, "test")


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no .*faces\.csv: expected"):
        composites.read(tmp_path, "train")


def test_a_seed_is_a_scene(sources: Sources) -> None:
    one, again, other = (scene(sources, PLAN, seed) for seed in ((1, 5), (1, 5), (1, 6)))
    assert one.picture.tobytes() == again.picture.tobytes()
    assert (one.faces, one.ignored, one.kind) == (again.faces, again.ignored, again.kind)
    assert one.picture.tobytes() != other.picture.tobytes()


def dots(face: Face, colours: Sequence[tuple[int, int, int]]) -> Image.Image:
    """A black tile with a dot of a colour at each landmark."""
    pixels = np.zeros((200, 200, 3), np.uint8)
    for (x, y), colour in zip(face.landmarks, colours, strict=True):
        pixels[round(y) - 3 : round(y) + 3, round(x) - 3 : round(x) + 3] = colour
    return Image.fromarray(pixels)


COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))
ORDERS = {"as it is": (0, 1, 2, 3, 4), "mirrored": (1, 0, 2, 4, 3)}
FACE = Face((60, 40, 140, 150), ((80, 80), (120, 80), (100, 100), (84, 126), (116, 126)), 1.0)


@pytest.fixture
def dotted(tmp_path: Path) -> Sources:
    """One portrait of coloured dots, and a grey photograph."""
    dots(FACE, COLOURS).save(tmp_path / "dots.png")
    Image.new("RGB", (128, 128), (90, 90, 90)).save(tmp_path / "grey.png")
    portrait = Seen(Sample("dots", tmp_path / "dots.png"), (FACE,))
    return Sources((portrait,), (), (Sample("grey", tmp_path / "grey.png"),))


@pytest.mark.parametrize("turned", [False, True])
def test_the_pixels_of_a_landmark_are_where_the_truth_says(
    dotted: Sources, turned: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composites, "_relit", lambda picture, rng: picture)
    plan = replace(ONE, face_px=(40.0, 70.0), turned_share=float(turned), turned_deg=(30.0, 90.0))
    orders = []
    for seed in range(12):
        made = scene(dotted, plan, seed)
        orders.append([order for order in ORDERS if shows(made, order)])
    assert all(orders), "some landmark is not where its dot is"
    assert {name for (name,) in orders} == set(ORDERS)


def shows(made: composites.Scene, order: str) -> bool:
    """Whether each landmark of the one face lies on its dot, which a mirrored portrait has on the other side."""
    pixels, (face,) = np.asarray(made.picture).astype(int), made.faces
    for (x, y), dot in zip(face.landmarks, ORDERS[order], strict=True):
        if 2 <= x < 126 and 2 <= y < 126:
            around = pixels[round(y) - 2 : round(y) + 2, round(x) - 2 : round(x) + 2].reshape(-1, 3)
            if np.abs(around - COLOURS[dot]).max(1).min() > 110:
                return False
    return True


def test_a_turned_box_holds_the_turned_ellipse_and_nothing_more() -> None:
    t = np.linspace(0, 2 * np.pi, 20_000)
    for angle in (0.0, 33.0, 90.0, -120.0):
        a = np.deg2rad(angle)
        x, y = 20 * np.cos(t), 35 * np.sin(t)
        x, y = 7 + x * np.cos(a) - y * np.sin(a), 11 + x * np.sin(a) + y * np.cos(a)
        assert turned_box((-13, -24, 27, 46), angle) == pytest.approx((x.min(), y.min(), x.max(), y.max()), abs=1e-4)


def test_sizes_and_angles_keep_to_the_plan(sources: Sources) -> None:
    plan = replace(ONE, face_px=(24.0, 40.0), leaning_deg=0.0)
    sizes = [composites._size(f.box) for i in range(30) for f in scene(sources, plan, i).faces]
    assert len(sizes) == 30
    assert 23 < min(sizes) < 28 and 36 < max(sizes) < 41
    for i in range(10):
        (face,) = scene(sources, replace(ONE, turned_share=1.0, turned_deg=(60.0, 90.0)), i).faces
        (x1, y1), (x2, y2) = face.landmarks[:2]
        assert abs(y2 - y1) > abs(x2 - x1)


def test_faces_of_one_scene_keep_apart(sources: Sources) -> None:
    crowded = replace(ONE, most_faces=8)
    made = [scene(sources, crowded, i) for i in range(12)]
    assert max(len(m.faces) for m in made) >= 3
    for m in made:
        for i, one in enumerate(m.faces):
            for other in m.faces[:i]:
                small = min(composites._size(one.box), composites._size(other.box)) ** 2
                assert shared_area(one.box, other.box) < 0.15 * small + 1e-6


def test_what_comes_to_lie_in_front_hides_what_was_there(sources: Sources) -> None:
    faces = tuple(replace(FACE, box=(x, 40.0, x + 40, 80.0)) for x in (0.0, 40.0, 80.0))
    made = composites.Scene(Image.new("RGB", (128, 128)), faces, (), "composite")
    mask = Image.new("L", (128, 128))
    mask.paste(255, (0, 40, 52, 80))  # all of the first, 30 % of the second, nothing of the third
    after = composites._hidden(made, mask)
    assert after.faces == faces[2:] and after.ignored == (faces[1].box,)
    assert composites._hidden(made, Image.new("L", (128, 128))) == made


def test_a_cover_changes_the_face_and_not_the_truth(sources: Sources) -> None:
    changed = []
    for i in range(8):
        bare, covered = (scene(sources, replace(ONE, covered_share=share), i) for share in (0.0, 1.0))
        assert bare.faces == covered.faces
        x1, y1, x2, y2 = (round(min(max(v, 0), 128)) for v in bare.faces[0].box)
        differs = (np.asarray(bare.picture) != np.asarray(covered.picture)).any(2)[y1:y2, x1:x2]
        changed.append(differs.mean())
    assert 0.1 < np.median(changed) < 0.7


def test_empty_scenes_are_empty_and_kinds_have_their_shares(sources: Sources) -> None:
    made = [scene(sources, PLAN, i) for i in range(80)]
    assert {m.kind for m in made} == {"composite", "photograph", "empty"}
    assert sum(m.kind == "composite" for m in made) > sum(m.kind == "empty" for m in made)
    assert all(not m.faces and not m.ignored for m in made if m.kind == "empty")
    assert all(m.picture.size == (128, 128) and m.picture.mode == "RGB" for m in made)


def test_a_photograph_keeps_sure_faces_and_ignores_doubtful_ones(sources: Sources) -> None:
    plan = replace(PLAN, kinds=(("photograph", 1.0),), degraded_share=0.0)
    made = [scene(sources, plan, i) for i in range(40)]
    assert any(m.faces for m in made) and any(m.ignored for m in made)
    for m in made:
        for face in m.faces:
            assert composites._part_inside(face.box, 128) >= 0.6
            x1, y1, x2, y2 = face.box
            assert np.allclose(face.landmarks, face_sources.points_of((x1, y1, x2, y2)))


def test_what_nobody_could_see_is_ignored(sources: Sources) -> None:
    assert least_visible((), 320) == 0
    assert least_visible((Degradation("motion", 1.0),), 320) == pytest.approx(51.2)
    assert least_visible((Degradation("color_cast", 1.0), Degradation("noise", 0.9)), 320) == 16
    assert least_visible((Degradation("noise", 0.9), Degradation("downscale", 1.0)), 320) == 48  # the worst of all
    plan = replace(ONE, face_px=(20.0, 24.0), degraded_share=1.0, degradations=("downscale",), strength=(0.9, 1.0))
    made = scene(sources, plan, 0)
    assert made.faces == () and len(made.ignored) == 1
