"""Faces for tests that need no real ones: coloured rectangles, and a finder that finds them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from mien.core.types import Face

RED, GREEN, BLUE, YELLOW = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)
Box = tuple[int, int, int, int]


class MarkFinder:
    """Finds at most one rectangle of each colour, in the order of the colours; a face with the landmarks of `face`."""

    model_id = "marks@1"

    def __init__(self, colours: Sequence[tuple[int, int, int]] = (RED, GREEN, BLUE, YELLOW)) -> None:
        self.colours = colours

    def find(self, picture: Image.Image) -> list[Face]:
        pixels = np.asarray(picture, np.int16)
        found = []
        for colour in self.colours:
            rows, columns = np.nonzero(np.abs(pixels - colour).max(axis=2) < 60)
            if len(rows):
                found.append(face(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
        return found


def face(x1: float, y1: float, x2: float, y2: float, confidence: float = 0.9) -> Face:
    """A face in a box, looking straight ahead."""
    places = ((0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8))
    right_eye, left_eye, nose, mouth_right, mouth_left = (
        (float(x1 + u * (x2 - x1)), float(y1 + v * (y2 - y1))) for u, v in places
    )
    box = (float(x1), float(y1), float(x2), float(y2))
    return Face(box, (right_eye, left_eye, nose, mouth_right, mouth_left), confidence)


def picture(width: int, height: int, marks: dict[tuple[int, int, int], Box], *, seed: int = 0) -> Image.Image:
    """A grey picture with rectangles; `marks` maps colours to boxes."""
    noise = np.random.default_rng(seed).integers(100, 140, (height, width, 1), dtype=np.uint8)
    made = Image.fromarray(np.repeat(noise, 3, axis=2))
    for colour, box in marks.items():
        made.paste(colour, box)
    return made


def crop(picture: Image.Image, found: Face) -> Image.Image:
    """In place of the aligned crop: the box alone."""
    return picture.crop(tuple(map(round, found.box)))
