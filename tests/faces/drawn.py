"""A face drawn from numbers: everything that is measured on it is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.core.types import Face
from mien.faces.align import TEMPLATES, Similarity
from mien.faces.pose import MEAN_FACE, Pose, rotation

SKIN = (200, 150, 120)


def face_at(x: float, y: float, eyes_px: float, *, degrees: float = 0.0) -> Face:
    """A frontal face by FFHQ's proportions, the middle of its eyes at (x, y); its box is 2 by 2.7 eye distances."""
    template = TEMPLATES[512]
    angle, scale = np.radians(degrees), eyes_px / np.linalg.norm(template[1] - template[0])
    turned = Similarity(scale * np.cos(angle), scale * np.sin(angle), 0.0, 0.0)
    points = turned(template) - turned(template)[:2].mean(0) + (x, y)
    cx, cy = x - 0.7 * eyes_px * np.sin(angle), y + 0.7 * eyes_px * np.cos(angle)
    half = (1.35 * eyes_px, 1.0 * eyes_px) if abs(degrees) == 90 else (1.0 * eyes_px, 1.35 * eyes_px)
    box = (cx - half[0], cy - half[1], cx + half[0], cy + half[1])
    return Face(box, tuple(map(tuple, points.tolist())), 1.0)


def portrait(
    width: int,
    height: int,
    face: Face,
    *,
    skin: tuple[int, int, int] = SKIN,
    other_half: tuple[int, int, int] | None = None,
    wall: tuple[int, int, int] = (90, 110, 130),
) -> Image.Image:
    """An even wall and an oval of skin, its half on the right in another colour."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:] = wall
    x1, y1, x2, y2 = face.box
    y, x = np.mgrid[:height, :width] + 0.5
    oval = ((x - (x1 + x2) / 2) / (x2 - x1) * 2) ** 2 + ((y - (y1 + y2) / 2) / (y2 - y1) * 2) ** 2 <= 1.4
    pixels[oval] = skin
    if other_half is not None:
        pixels[oval & (x >= (x1 + x2) / 2)] = other_half
    return Image.fromarray(pixels)


def projected(
    pose: Pose, *, distance: float = np.inf, scale: float = 40.0, model: npt.NDArray[np.float64] = MEAN_FACE
) -> Face:
    """The mean face, or another one, in this pose; the camera is `distance` distances between the eyes away."""
    x, y, z = rotation(pose) @ model.T
    nearer = 1.0 if np.isinf(distance) else distance / (distance - z)
    points = np.stack([x * nearer, y * nearer], axis=1) * scale + (311.5, 207.25)
    return Face((0, 0, 1, 1), tuple(map(tuple, points.tolist())), 1.0)
