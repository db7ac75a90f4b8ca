"""Identity: the cosine of what a network says of two aligned faces, with a network that only averages blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from faces.drawn import face_at, portrait
from mien.core.errors import UnreadableImageError, UsageError
from mien.core.types import Face
from mien.faces.align import to_template
from mien.faces.identity import cosine, similarity

SMALL, LARGE = face_at(150, 120, 50), face_at(300, 280, 110, degrees=15)


def blocks(faces: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
    """(n, 588): means of 8 x 8 pixels about their own mean; what AdaFace would get."""
    assert all(face.size == (112, 112) and face.mode == "RGB" for face in faces)
    pixels = np.stack([np.asarray(face, np.float64) for face in faces]).reshape(-1, 14, 8, 14, 8, 3).mean((2, 4))
    return (pixels - pixels.mean((1, 2), keepdims=True)).reshape(len(faces), -1)


def textured(face: Face, size: int, seed: int) -> Image.Image:
    """The same random patches on the face wherever it is, seen through its landmarks."""
    patches = np.random.default_rng(seed).integers(0, 256, (14, 14, 3))
    y, x = np.mgrid[:size, :size] + 0.5
    u, v = to_template(face, 112)(np.stack([x.ravel(), y.ravel()], axis=1)).T
    columns, rows = (np.clip(w // 8, 0, 13).astype(int) for w in (u, v))
    return Image.fromarray(patches[rows, columns].reshape(size, size, 3).astype(np.uint8))


def test_the_same_face_in_another_place_size_and_tilt_is_alike() -> None:
    one, other = textured(SMALL, 300, seed=1), textured(LARGE, 600, seed=1)
    stranger = textured(LARGE, 600, seed=2)
    where = {one.size: SMALL, other.size: LARGE}
    alike = similarity(one, other, lambda picture: [where[picture.size]], blocks)
    different = similarity(one, stranger, lambda picture: [where[picture.size]], blocks)
    assert alike > 0.95
    assert abs(different) < 0.2


def test_the_largest_face_counts() -> None:
    picture = textured(SMALL, 300, seed=1)
    seen = similarity(picture, picture, lambda _: [SMALL, face_at(40, 40, 10)], blocks)
    assert seen == pytest.approx(1.0)


def test_a_picture_without_a_face_is_named() -> None:
    picture = portrait(300, 320, SMALL)
    with pytest.raises(UnreadableImageError, match=r"no face in the second picture \(80 x 90\)"):
        similarity(picture, Image.new("RGB", (80, 90)), lambda p: [SMALL] if p is picture else [], blocks)


def test_the_cosine() -> None:
    a = np.array([3.0, 4.0])
    assert cosine(a, 7 * a) == 1.0
    assert cosine(a, -a) == -1.0
    assert cosine(a, np.array([-4.0, 3.0])) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ([1.0, 2.0], [1.0], "two vectors of one length"),
        ([[1.0]], [[1.0]], "two vectors of one length"),
        ([0.0, 0.0], [1.0, 0.0], "points nowhere"),
        ([float("nan"), 0.0], [1.0, 0.0], "points nowhere"),
    ],
)
def test_what_has_no_angle_is_refused(a: list[float], b: list[float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        cosine(np.array(a), np.array(b))
