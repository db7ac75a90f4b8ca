"""Alignment: the transform to 1e-9, the pixels against bilinear interpolation in float64, half a pixel never lost."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from mien.core.errors import UsageError
from mien.core.types import Face
from mien.faces.align import TEMPLATES, Similarity, aligned, fit, roll_degrees, to_template, upright_crop, warp


def face_at(transform: Similarity, size_px: int = 112) -> Face:
    """A face whose landmarks are the template, moved by `transform`, and a box around them."""
    points = transform(TEMPLATES[size_px])
    (x1, y1), (x2, y2) = points.min(0), points.max(0)
    return Face((x1, y1, x2, y2), tuple(map(tuple, points.tolist())), 1.0)


def turn(degrees: float, scale: float, dx: float, dy: float) -> Similarity:
    angle = np.radians(degrees)
    return Similarity(scale * np.cos(angle), scale * np.sin(angle), dx, dy)


def waves(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A smooth colour field over the plane; no wave is shorter than 50 px."""
    red = 128 + 60 * np.sin(x / 17) + 50 * np.cos(y / 23)
    green = 120 + 90 * np.sin((x + y) / 31)
    blue = 130 + 80 * np.cos((2 * x - y) / 40)
    return np.stack([red, green, blue], axis=-1)


def painted(width: int, height: int) -> Image.Image:
    """`waves`, sampled in the middle of each pixel."""
    y, x = np.mgrid[:height, :width] + 0.5
    return Image.fromarray(np.rint(waves(x, y)).astype(np.uint8))


@pytest.fixture(scope="module")
def large() -> Image.Image:
    return painted(1300, 1300)


def umeyama(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """(2, 3), as the paper has it, with a singular value decomposition (equations 40 to 43)."""
    centred_p, centred_q = p - p.mean(0), q - q.mean(0)
    u, d, vt = np.linalg.svd(centred_q.T @ centred_p / len(p))
    sign = np.diag([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ sign @ vt
    c = np.trace(np.diag(d) @ sign) / centred_p.var(0).sum()
    return np.column_stack([c * rotation, q.mean(0) - c * rotation @ p.mean(0)])


def bilinear(pixels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(n, 3) in float64 at (n, 2) points; the middle of the first pixel is (0.5, 0.5), edges are repeated."""
    x, y = (points - 0.5).T
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    fx, fy = (x - left)[:, None], (y - top)[:, None]

    def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return pixels[row.clip(0, len(pixels) - 1), column.clip(0, pixels.shape[1] - 1)].astype(np.float64)

    upper = at(top, left) * (1 - fx) + at(top, left + 1) * fx
    lower = at(top + 1, left) * (1 - fx) + at(top + 1, left + 1) * fx
    return upper * (1 - fy) + lower * fy


def middles(size_px: int) -> np.ndarray:
    """(n, 2) middle of every pixel of a square, row by row."""
    y, x = np.mgrid[:size_px, :size_px] + 0.5
    return np.stack([x.ravel(), y.ravel()], axis=1)


# ---- the transform


@pytest.mark.parametrize("size_px", [112, 512])
@pytest.mark.parametrize("degrees", [-170.0, -35.0, 0.0, 12.5, 90.0])
@pytest.mark.parametrize("scale", [0.13, 1.0, 7.7])
def test_landmarks_land_on_the_template(size_px: int, degrees: float, scale: float) -> None:
    face = face_at(turn(degrees, scale, 431.7, -52.3), size_px)
    found = to_template(face, size_px)
    np.testing.assert_allclose(found(face.landmarks), TEMPLATES[size_px], atol=1e-9)
    assert found.scale == pytest.approx(1 / scale, abs=1e-9)
    assert np.cos(np.radians(found.degrees + degrees)) == pytest.approx(1.0, abs=1e-12)


def test_the_fit_is_umeyamas_least_squares(rng: np.random.Generator) -> None:
    for _ in range(20):
        p, q = rng.normal(size=(2, 5, 2)) * 100
        q = 3 * p @ [[0.8, 0.6], [-0.6, 0.8]] + 0.3 * q  # far from exact, but no mirror image
        found, best = fit(p, q), umeyama(p, q)
        np.testing.assert_allclose([[found.a, -found.b, found.dx], [found.b, found.a, found.dy]], best, atol=1e-9)


def test_there_and_back(rng: np.random.Generator) -> None:
    transform = turn(33.0, 0.4, -80.0, 12.0)
    points = rng.normal(size=(9, 2)) * 500
    np.testing.assert_allclose(transform.inverse()(transform(points)), points, atol=1e-9)


def test_the_templates_are_the_published_ones_half_a_pixel_further() -> None:
    np.testing.assert_allclose(TEMPLATES[112][0], (38.7946, 52.1963))
    np.testing.assert_allclose(TEMPLATES[512][4], (313.58905, 371.65118))


def test_a_margin_leaves_the_size_and_shows_more_around_the_middle() -> None:
    face = face_at(turn(20.0, 2.0, 50.0, 60.0))
    without, wide = to_template(face, 112), to_template(face, 112, margin=0.25)
    assert wide.scale == pytest.approx(without.scale / 1.5)
    middle = without.inverse()([(56.0, 56.0)])
    np.testing.assert_allclose(wide(middle), [(56.0, 56.0)], atol=1e-9)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(5.0, 5.0)] * 5, "all lie in one place"),
        ([(float("nan"), 5.0), *[(1.0, 2.0)] * 4], "not finite"),
        ([(1.0, 2.0)] * 4, r"\(4, 2\) and \(5, 2\)"),
    ],
)
def test_points_that_say_nothing_are_refused(points: list[tuple[float, float]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        fit(points, TEMPLATES[112])


def test_other_sizes_and_impossible_margins_are_refused() -> None:
    face = face_at(turn(0, 1, 0, 0))
    with pytest.raises(UsageError, match="no template of 224 pixels: align to 112 or 512"):
        to_template(face, 224)
    with pytest.raises(UsageError, match=r"margin of -0\.5 leaves nothing"):
        to_template(face, 112, margin=-0.5)


# ---- the pixels


@pytest.mark.parametrize("degrees", [0.0, 27.0, -141.0])
def test_enlarging_is_bilinear_interpolation(degrees: float) -> None:
    picture = painted(160, 140)
    face = face_at(turn(degrees, 0.6, 80.0, 60.0))
    transform = to_template(face, 112)
    points = transform.inverse()(middles(112))
    inside = ((points > 0) & (points < [160, 140])).all(1)
    expected = bilinear(np.asarray(picture), points)
    found = np.asarray(aligned(picture, face, 112)).reshape(-1, 3)
    assert inside.mean() > 0.5
    np.testing.assert_allclose(found[inside], expected[inside], atol=1.0)  # it ends in 8 bits
    assert (found[~inside] == 0).all()


@pytest.mark.parametrize("scale", [1.7, 2.3, 3.6, 5.2, 9.1])
def test_shrinking_keeps_every_wave_where_it_is(scale: float, large: Image.Image) -> None:
    """Averaging over s px lowers a wave sin(k x) by about (s k)^2 / 24 in each direction; nothing may move, though."""
    transform = turn(-14.0, scale, 240.0, 130.0).inverse()
    found = np.asarray(warp(large, transform, (112, 112)), np.float64).reshape(-1, 3)
    points = transform.inverse()(middles(112))
    error = found - waves(*points.T)
    inside = ((points > 10) & (points < 1290)).all(1)
    assert inside.mean() > 0.85
    np.testing.assert_allclose(error[inside], 0.0, atol=1.5 + 150 * (scale / 17) ** 2 / 12)
    for axis in (0, 1):  # by a twentieth of a pixel of the picture, or more, and the error would follow the slope
        moved = points + 0.1 * np.eye(2)[axis]
        slope = (waves(*moved.T) - waves(*points.T))[inside]
        assert abs((slope * error[inside]).sum() / (slope**2).sum()) < 0.5


def test_shrinking_does_not_alias() -> None:
    """Stripes of one pixel become even grey, and a single white pixel keeps its light."""
    stripes = Image.fromarray(np.tile(np.array([[0, 255]], np.uint8), (600, 300)).repeat(3).reshape(600, 600, 3))
    found = np.asarray(warp(stripes, turn(30.0, 0.19, 40.0, -20.0), (112, 112)), int)[30:80, 30:80]
    assert np.abs(found - 127).max() < 26
    dark = Image.new("RGB", (600, 600))
    dark.paste((250, 250, 250), (300, 300, 306, 306))
    light = np.asarray(warp(dark, turn(30.0, 0.19, 40.0, -20.0), (112, 112)), float)[..., 0].sum()
    assert light == pytest.approx(36 * 250 * 0.19**2, rel=0.1)


def test_a_pixel_lands_in_its_own_place() -> None:
    """The identity returns the picture: with the other convention everything would be moved by half a pixel."""
    picture = painted(112, 112)
    assert warp(picture, Similarity(1, 0, 0, 0), (112, 112)).tobytes() == picture.tobytes()
    halved = np.asarray(warp(picture, Similarity(0.5, 0, 0, 0), (56, 56)), float)
    blocks = np.asarray(picture, float).reshape(56, 2, 56, 2, 3).mean((1, 3))
    np.testing.assert_allclose(halved, blocks, atol=1.0)


# ---- the crop that a judge sees


def test_an_upright_crop_is_cut_out_and_nothing_else() -> None:
    picture = painted(400, 300)
    face = Face((150, 80, 230, 180), face_at(turn(6.0, 0.7, 150, 80)).landmarks, 1.0)
    crop = upright_crop(picture, face, margin=0.25)
    assert crop.tobytes() == picture.crop((115, 55, 265, 205)).tobytes()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_change_no_pixel(quarters: int) -> None:
    picture = painted(400, 300)
    upright = Face((150, 80, 230, 180), face_at(turn(0.0, 0.7, 150, 80)).landmarks, 1.0)
    lying = picture.rotate(-90 * quarters, expand=True)  # clockwise

    def moved(x: float, y: float) -> tuple[float, float]:
        for i in range(quarters):
            x, y = (300, 400)[i % 2] - y, x
        return x, y

    corners = np.array([moved(*upright.box[:2]), moved(*upright.box[2:])])
    face = Face((*corners.min(0), *corners.max(0)), tuple(moved(*p) for p in upright.landmarks), 1.0)
    assert abs(roll_degrees(face)) == pytest.approx(180 if quarters == 2 else 90, abs=1)
    assert upright_crop(lying, face).tobytes() == upright_crop(picture, upright).tobytes()


def test_a_tilted_head_is_turned_upright_at_its_own_scale() -> None:
    picture = painted(500, 500)
    face = face_at(turn(40.0, 1.0, 260.0, 180.0))
    crop = upright_crop(picture, face, margin=0.4)
    x1, y1, x2, y2 = face.box
    side = max(x2 - x1, y2 - y1) * 1.8
    assert crop.size == (round(side), round(side))
    roll = np.radians(roll_degrees(face))
    rotation = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    points = (middles(crop.width) - crop.width / 2) @ rotation.T + [(x1 + x2) / 2, (y1 + y2) / 2]
    error = np.abs(np.asarray(crop, float).reshape(-1, 3) - waves(*points.T))
    assert error.max() < 4.5  # the crop begins at a whole pixel: up to half a pixel beside, and 8 bits


def test_beyond_the_edge_the_picture_is_mirrored() -> None:
    picture = painted(120, 100)
    face = Face((-20, 10, 60, 90), face_at(turn(0.0, 0.7, -20, 10)).landmarks, 1.0)
    crop = np.asarray(upright_crop(picture, face, margin=0.0))
    assert crop.shape == (80, 80, 3)
    np.testing.assert_array_equal(crop[:, 20:], np.asarray(picture)[10:90, :60])
    np.testing.assert_array_equal(crop[:, :20], np.asarray(picture)[10:90, 19::-1])


def test_a_box_without_area_is_refused() -> None:
    landmarks = face_at(turn(0, 1, 0, 0)).landmarks
    with pytest.raises(UsageError, match="nothing to cut out"):
        upright_crop(painted(50, 50), Face((10, 10, 10, 40), landmarks, 1.0))
    with pytest.raises(UsageError, match="nothing to cut out"):
        upright_crop(painted(50, 50), Face((10, 10, 30, 40), landmarks, 1.0), margin=-0.5)
