"""BIQ2021 and SFHQ in small, with the tables about faces: drawn portraits, and photographs with drawn people."""

from __future__ import annotations

import csv
from pathlib import Path

from PIL import Image, ImageDraw

from mien.core.types import LANDMARKS
from synthetic import picture, write_biq2021

POINTS = ((0.32, 0.42), (0.68, 0.42), (0.5, 0.6), (0.38, 0.78), (0.62, 0.78))  #: in parts of the box
_COLUMNS = [f"{name}_{axis}" for name in LANDMARKS for axis in "xy"]


def draw_face(shown: Image.Image, box: tuple[float, float, float, float]) -> None:
    """An ellipse with eyes, nose and mouth."""
    draw, r = ImageDraw.Draw(shown), 0.06 * (box[2] - box[0])
    draw.ellipse(box, fill=(224, 172, 138))
    colours = ((30, 30, 60), (30, 30, 60), (180, 120, 100), (150, 40, 50), (150, 40, 50))
    for (x, y), colour in zip(points_of(box), colours, strict=True):
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)


def points_of(box: tuple[float, float, float, float]) -> list[tuple[float, float]]:
    x1, y1, x2, y2 = box
    return [(x1 + u * (x2 - x1), y1 + v * (y2 - y1)) for u, v in POINTS]


def write(root: Path) -> Path:
    """Both data sets; every third photograph has a sure face, every sixth also a doubtful one. Returns the folder."""
    write_biq2021(root / "biq2021")
    names = [f"p{i}.jpg" for i in range(36)]
    faces, people = [], []
    for i, name in enumerate(names):
        scores = [0.93] * (i % 3 == 0) + [0.74] * (i % 6 == 0)
        for k, score in enumerate(scores):
            box = (0.1 + 0.4 * k, 0.2, 0.4 + 0.4 * k, 0.6)
            points = [v for point in points_of(box) for v in point]
            faces.append([name, k, box[0], box[1], box[2] - box[0], box[3] - box[1], score, *points])
        people.append([name, max([0.55 * (i % 9 == 1), *scores])])
    header = ["name", "face", *"xywh", "score", *_COLUMNS]
    _write(root / "biq2021" / "faces.csv", [header, *faces])
    _write(root / "biq2021" / "people.csv", [["name", "best_score"], *people])
    (root / "sfhq" / "images").mkdir(parents=True)
    rows = []
    for i in range(24):
        shown = picture(2000 + i, (96, 96))
        box = (30.0, 24.0, 66.0, 72.0)
        draw_face(shown, box)
        shown.save(root / "sfhq" / "images" / f"f{i}.png")
        points = [v for point in points_of(box) for v in point]
        rows.append([f"images/f{i}.png", "drawn", 30, 24, 36, 48, 0.9, *points])
    header = ["file", "generator", "face_x", "face_y", "face_w", "face_h", "face_score", *_COLUMNS]
    _write(root / "sfhq" / "faces.csv", [header, *rows])
    return root


def _write(path: Path, rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows(rows)
