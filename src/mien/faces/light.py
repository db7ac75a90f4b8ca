"""Light and colour of a face, on the aligned square of 512 px: OFIQ's formulas on our regions.

OFIQ takes the hull of 98 landmarks and parsed skin; here an ellipse from the brows to the chin stands for the face, and
hair, glasses or a hand inside it count as face. What lies beyond the edge of the picture is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.core.types import Face
from mien.faces.align import Similarity, to_template, warp

SIZE_PX = 512
FACE_CENTRE, FACE_AXES = (256.0, 330.0), (115.0, 130.0)  #: of the ellipse, px of the square; brows to chin, jaw to jaw
DARK, BRIGHT = range(0, 26), range(247, 256)  #: under- and over-exposed luminance (OFIQ)
CHEEK_SHARE = 0.3  #: side of a cheek's square in distances between the eyes (OFIQ)
SKIN_A, SKIN_B = (5.0, 25.0), (5.0, 35.0)  #: CIELAB a and b that skin has (OFIQ)
_ENOUGH = 0.5  #: share of a region that has to lie inside the picture

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Light:
    """None: too little of the region lies inside the picture, or it says nothing."""

    mean: float | None = None  #: of luminance, 0..1
    variance: float | None = None  #: of luminance 0..1
    dynamic_range: float | None = None  #: entropy of luminance, 0..8 bits
    under_exposed: float | None = None  #: share of the face, 0..1
    over_exposed: float | None = None
    overlap: float | None = None  #: of the histograms of both cheeks, 0..1; 1 = lit alike
    balance: float | None = None  #: luminance of the darker cheek over that of the brighter one, 0..1
    skin_colour: float | None = None  #: CIELAB distance of the cheeks from skin; None for grey pictures


def light_of(picture: Image.Image, face: Face) -> Light:
    """Measure one face.

    Args:
        picture: upright, mode RGB.
        face: found in this picture.

    Raises:
        UsageError: landmarks that cannot be aligned.
    """
    transform = to_template(face, SIZE_PX)
    pixels = np.asarray(warp(picture, transform, (SIZE_PX, SIZE_PX)))
    inside = _inside(transform.inverse(), picture.size)
    grey = luminance(pixels)
    cheeks = [inside & cheek for cheek in _cheeks(transform(face.landmarks))]
    visible = inside & _ellipse()
    enough = visible.sum() >= _ENOUGH * _ellipse().sum()
    on_cheeks = all(c.sum() >= _ENOUGH * (CHEEK_SHARE * _eye_distance(transform(face.landmarks))) ** 2 for c in cheeks)
    tone = _tone(_histogram(grey[visible])) if enough else {}
    sides = _sides(grey, cheeks) if on_cheeks else {}
    colour = _skin_distance(pixels[cheeks[0] | cheeks[1]]) if on_cheeks else None
    return Light(**tone, **sides, skin_colour=colour)


def luminance(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(..., 3) sRGB to (...) relative luminance, linear in light, 0..255, rounded (OFIQ; BT.709 weights)."""
    linear = _linear()[pixels]
    return np.rint(255 * (linear @ np.array([0.2126, 0.7152, 0.0722]))).astype(np.uint8)


@lru_cache(maxsize=1)
def _linear() -> npt.NDArray[np.float64]:
    """(256,) light 0..1 of an sRGB value (IEC 61966-2-1)."""
    v = np.arange(256) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


@lru_cache(maxsize=1)
def _middles() -> npt.NDArray[np.float64]:
    """(2, SIZE_PX, SIZE_PX): x and y of the middle of each pixel."""
    return np.mgrid[:SIZE_PX, :SIZE_PX][::-1] + 0.5


@lru_cache(maxsize=1)
def _ellipse() -> Mask:
    x, y = _middles()
    (cx, cy), (ax, ay) = FACE_CENTRE, FACE_AXES
    return ((x - cx) / ax) ** 2 + ((y - cy) / ay) ** 2 <= 1


def _inside(back: Similarity, size: tuple[int, int]) -> Mask:
    """Which pixels of the square come from the picture."""
    x, y = back(_middles().reshape(2, -1).T).T.reshape(2, SIZE_PX, SIZE_PX)
    return (x >= 0) & (y >= 0) & (x < size[0]) & (y < size[1])


def _eye_distance(landmarks: npt.NDArray[np.float64]) -> float:
    return float(np.linalg.norm(landmarks[1] - landmarks[0]))


def _cheeks(landmarks: npt.NDArray[np.float64]) -> list[Mask]:
    """Squares under the eyes, half the way down to the mouth; the person's right one first."""
    x, y = _middles()
    half = CHEEK_SHARE * _eye_distance(landmarks) / 2
    down = (landmarks[3:].mean(0) - landmarks[:2].mean(0)) / 2
    return [(np.abs(x - cx) <= half) & (np.abs(y - cy) <= half) for cx, cy in landmarks[:2] + down]


def _histogram(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(256,), sums to 1."""
    return np.bincount(grey.ravel(), minlength=256) / grey.size


def _tone(histogram: npt.NDArray[np.float64]) -> dict[str, float]:
    levels = np.arange(256) / 255
    mean = float(histogram @ levels)
    present = histogram[histogram > 0]
    return {
        "mean": mean,
        "variance": float(histogram @ (levels - mean) ** 2),
        "dynamic_range": float(-(present * np.log2(present)).sum()) + 0.0,  # no negative zero
        "under_exposed": float(histogram[list(DARK)].sum()),
        "over_exposed": float(histogram[list(BRIGHT)].sum()),
    }


def _sides(grey: npt.NDArray[np.uint8], cheeks: list[Mask]) -> dict[str, float]:
    right, left = (grey[cheek] for cheek in cheeks)
    darker, brighter = sorted((float(right.mean()), float(left.mean())))
    return {
        "overlap": float(np.minimum(_histogram(right), _histogram(left)).sum()),
        "balance": darker / brighter if brighter > 0 else 1.0,
    }


def _skin_distance(pixels: npt.NDArray[np.uint8]) -> float | None:
    """OFIQ's distance of mean a and b from what skin has; 100 where one is negative; None where there is no colour."""
    if (pixels == pixels[:, :1]).all():
        return None
    a, b = _lab(pixels)[:, 1:].mean(0)
    if a < 0 or b < 0:
        return 100.0
    return float(np.hypot(*(max(low - v, v - high, 0.0) for v, (low, high) in ((a, SKIN_A), (b, SKIN_B)))))


def _lab(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """(n, 3) sRGB to CIELAB under D65."""
    to_xyz = np.array(
        [(0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041)]
    )
    t = _linear()[pixels] @ to_xyz.T / to_xyz.sum(1)  # over white
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], axis=1)
