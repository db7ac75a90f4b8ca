"""Alignment by five landmarks: a similarity transform to a template, and the warp that goes with it.

Pixels: as everywhere in mien the corner of a pixel is whole, so the middle of the first one is (0.5, 0.5). The
published templates count from the middle of the first pixel (they are made for OpenCV); here they are moved by half a
pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.core.errors import UsageError
from mien.core.types import LANDMARKS, Face

Points = npt.NDArray[np.float64]  #: (n, 2) x, y in pixels

_ARCFACE_112 = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
_FFHQ_512 = (
    (192.98138, 239.94708),
    (318.90277, 240.1936),
    (256.63416, 314.01935),
    (201.26117, 371.41043),
    (313.08905, 371.15118),
)

TEMPLATES: dict[int, Points] = {
    112: np.array(_ARCFACE_112) + 0.5,
    512: np.array(_FFHQ_512) + 0.5,
}
"""Side in pixels -> (5, 2), in the order of `LANDMARKS`.

112: ArcFace (Deng et al., CVPR 2019; deepinsight/insightface, face_align.py), which AdaFace is trained on, too.
512: where FFHQ puts the five points (xinntao/facexlib, face_restoration_helper.py), used by GFPGAN and CodeFormer.
"""

UPRIGHT_DEGREES = 10.0  #: a head tilted by less than this counts as upright; its pixels are not interpolated
_FINEST = 4.0  #: samples along each side of a pixel of the result, at most; larger pictures are averaged down first


@dataclass(frozen=True, slots=True)
class Similarity:
    """Turns, scales and moves, without mirroring: x' = a x - b y + dx, y' = b x + a y + dy."""

    a: float
    b: float
    dx: float
    dy: float

    @property
    def scale(self) -> float:
        """Length of a unit after the transform."""
        return math.hypot(self.a, self.b)

    @property
    def degrees(self) -> float:
        """Angle of rotation, -180..180; positive is clockwise on a screen, where y points down."""
        return math.degrees(math.atan2(self.b, self.a))

    def __call__(self, points: npt.ArrayLike) -> Points:
        """Map (n, 2) points."""
        x, y = np.asarray(points, np.float64).T
        return np.stack([self.a * x - self.b * y + self.dx, self.b * x + self.a * y + self.dy], axis=-1)

    def inverse(self) -> Similarity:
        """The way back."""
        square = self.a**2 + self.b**2
        a, b = self.a / square, -self.b / square
        return Similarity(a, b, -(a * self.dx - b * self.dy), -(b * self.dx + a * self.dy))


def fit(points: npt.ArrayLike, targets: npt.ArrayLike) -> Similarity:
    """The similarity transform that brings points to targets with the least sum of squared distances.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns" (PAMI 1991). In the
    plane his solution has a closed form: with points and targets as complex numbers it is a linear regression.

    Args:
        points: (n, 2).
        targets: (n, 2).

    Raises:
        UsageError: fewer than two different points, or numbers that are not finite.
    """
    p, q = np.asarray(points, np.float64), np.asarray(targets, np.float64)
    if p.shape != q.shape or p.ndim != 2 or p.shape[1] != 2:
        raise UsageError(f"points and targets are (n, 2) both, not {p.shape} and {q.shape}")
    if not (np.isfinite(p).all() and np.isfinite(q).all()):
        raise UsageError("points that are not finite cannot be aligned")
    z, w = (v[:, 0] + 1j * v[:, 1] for v in (p - p.mean(0), q - q.mean(0)))
    spread = float(np.vdot(z, z).real)
    if spread == 0.0:
        raise UsageError("points that all lie in one place cannot be aligned")
    c = complex(np.vdot(z, w)) / spread
    if c == 0:
        raise UsageError(
            "the targets have nothing in common with the points: the transform would shrink all to one place"
        )
    turned = Similarity(c.real, c.imag, 0.0, 0.0)
    dx, dy = (q.mean(0) - turned(p.mean(0)[None])[0]).tolist()
    return Similarity(c.real, c.imag, dx, dy)


def to_template(face: Face, size_px: int, *, margin: float = 0.0) -> Similarity:
    """From pixels of the picture to pixels of the aligned square.

    Args:
        face: with five landmarks.
        size_px: side of the square, a key of `TEMPLATES`.
        margin: share of the side that is added around what the template shows, on each of the four; the square keeps
            its size. Negative cuts into it.

    Raises:
        UsageError: no template of this size, a margin of -0.5 or less, or landmarks that cannot be aligned.
    """
    template = TEMPLATES.get(size_px)
    if template is None:
        sizes = " or ".join(map(str, TEMPLATES))
        raise UsageError(f"there is no template of {size_px} pixels: align to {sizes} and resize")
    if not margin > -0.5:
        raise UsageError(f"a margin of {margin} leaves nothing of the square; it is above -0.5")
    middle = size_px / 2
    return fit(face.landmarks, (template - middle) / (1 + 2 * margin) + middle)


def aligned(picture: Image.Image, face: Face, size_px: int, *, margin: float = 0.0) -> Image.Image:
    """The face as a square in which the five landmarks lie where the template wants them.

    Args:
        picture: upright, mode RGB.
        face: found in this picture.
        size_px: 112 (ArcFace, AdaFace) or 512 (FFHQ).
        margin: see `to_template`.

    Returns:
        (size_px, size_px), RGB; black beyond the edge of the picture, as the networks for these templates are trained.

    Raises:
        UsageError: see `to_template`.
    """
    return warp(picture, to_template(face, size_px, margin=margin), (size_px, size_px))


def warp(picture: Image.Image, transform: Similarity, size: tuple[int, int]) -> Image.Image:
    """Every pixel of the result is the mean over its own area of the bilinearly interpolated picture.

    Where the picture grows that is plain bilinear interpolation. Where it shrinks, the area is sampled about once per
    pixel of the picture, so nothing is left out (anti-aliasing); beyond a factor of 4 blocks of pixels are averaged
    before.

    Args:
        picture: mode RGB.
        transform: from its pixels to those of the result.
        size: width and height of the result.

    Returns:
        Mode RGB; black where the picture ends.
    """
    back = transform.inverse()
    blocks = int(2 * back.scale / _FINEST)
    if blocks > 1:
        picture = picture.reduce(blocks)
        back = Similarity(*(v / blocks for v in (back.a, back.b, back.dx, back.dy)))
    finer = max(1, math.ceil(back.scale))
    a, b = back.a / finer, back.b / finer
    fine = picture.transform(
        (size[0] * finer, size[1] * finer),
        Image.Transform.AFFINE,
        (a, -b, back.dx, b, a, back.dy),
        Image.Resampling.BILINEAR,
    )
    return fine if finer == 1 else fine.reduce(finer)


def roll_degrees(face: Face) -> float:
    """Angle of the line through the eyes, -180..180: 0 is upright, positive is clockwise on the screen."""
    (x1, y1), (x2, y2) = face.landmarks[LANDMARKS.index("right_eye")], face.landmarks[LANDMARKS.index("left_eye")]
    return math.degrees(math.atan2(y2 - y1, x2 - x1))


def upright_crop(picture: Image.Image, face: Face, *, margin: float = 0.25) -> Image.Image:
    """The face with its surroundings, turned upright by the line of the eyes; what a judge of faces sees.

    Quarter turns move pixels and change none. What is left of the rotation is only undone when it is
    `UPRIGHT_DEGREES` or more, by bicubic interpolation at the scale of the picture: nothing is enlarged or reduced.

    Args:
        picture: upright by its EXIF orientation, mode RGB.
        face: found in this picture.
        margin: share of the longer side of the box that is added on each side.

    Returns:
        A square, RGB, of the longer side of the box and its margins, in pixels of the picture. Beyond the edge of the
        picture it is mirrored, so that no hard line is judged that nobody photographed.

    Raises:
        UsageError: a box without area, or a margin of -0.5 or less.
    """
    x1, y1, x2, y2 = face.box
    side = max(x2 - x1, y2 - y1) * (1 + 2 * margin)
    if face.area <= 0 or not 0 < side < math.inf:
        raise UsageError(f"nothing to cut out: box {face.box} with a margin of {margin}")
    side_px = max(1, round(side))
    roll = roll_degrees(face)
    quarters = round(roll / 90)
    rest = roll - 90 * quarters
    if abs(rest) < UPRIGHT_DEGREES:
        crop = _square(picture, (x1 + x2) / 2, (y1 + y2) / 2, side_px)
    else:
        wide = math.ceil(side_px * math.sqrt(2)) + 4  # what the turned square covers, and bicubic's neighbours
        whole = _square(picture, (x1 + x2) / 2, (y1 + y2) / 2, wide)
        crop = _turned(whole, math.radians(rest), side_px)
    return crop.rotate(90 * (quarters % 4)) if quarters % 4 else crop


def _square(picture: Image.Image, x: float, y: float, side_px: int) -> Image.Image:
    """Whole pixels around a point, mirrored beyond the edge."""
    left, top = round(x - side_px / 2), round(y - side_px / 2)
    right, bottom = left + side_px, top + side_px
    inside = (max(left, 0), max(top, 0), min(right, picture.width), min(bottom, picture.height))
    if inside == (left, top, right, bottom):
        return picture.crop(inside)
    columns, rows = _mirrored(left, right, picture.width), _mirrored(top, bottom, picture.height)
    near = picture.crop((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return Image.fromarray(np.asarray(near)[rows - rows.min()][:, columns - columns.min()])


def _mirrored(start: int, stop: int, length: int) -> npt.NDArray[np.intp]:
    """Indices start..stop - 1 folded into 0..length - 1: ... 1 0 | 0 1 2 ... | ..."""
    i = np.arange(start, stop) % (2 * length)
    return np.minimum(i, 2 * length - 1 - i)


def _turned(picture: Image.Image, radians: float, side_px: int) -> Image.Image:
    """The middle of a picture after a rotation about its centre by -radians, at the same scale."""
    a, b = math.cos(radians), math.sin(radians)
    middle = side_px / 2
    dx = picture.width / 2 - a * middle + b * middle
    dy = picture.height / 2 - b * middle - a * middle
    return picture.transform(
        (side_px, side_px), Image.Transform.AFFINE, (a, -b, dx, b, a, dy), Image.Resampling.BICUBIC
    )
