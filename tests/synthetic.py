"""Small data sets in the official layouts, with pictures that a seed makes."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from mien.models.mobilenet_v2 import WIDTHS


def picture(seed: int, size: tuple[int, int] = (96, 80)) -> Image.Image:
    """Coloured blobs and edges; differs for each seed."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def write_biq2021(root: Path, n_train: int = 24, n_val: int = 12, shards: tuple[str, ...] = ("a", "b")) -> None:
    """labels.csv, people.csv and shards; opinions fall with blur, so that there is something to learn."""
    root.mkdir(parents=True)
    rows, tars = [], {name: tarfile.open(root / f"{name}.tar", "w") for name in shards}  # noqa: SIM115
    for i in range(n_train + n_val):
        shard = shards[i % len(shards)]
        blurred = picture(i).filter(ImageFilter.GaussianBlur(i % 4))
        stream = io.BytesIO()
        blurred.save(stream, "PNG")
        member = tarfile.TarInfo(f"p{i}.png")
        member.size = len(stream.getvalue())
        tars[shard].addfile(member, io.BytesIO(stream.getvalue()))
        split = "train" if i < n_train else "val"
        rows.append(
            [f"p{i}.jpg", f"p{i}.png", f"{shard}.tar", 0.9 - 0.2 * (i % 4) + 0.01 * (i % 3), f"ss{i // 2 % 2}", split]
        )
    for tar in tars.values():
        tar.close()
    with (root / "labels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["name", "file", "shard", "mos", "subset", "split"], *rows])
    people = [[row[0], int(i % 2 == 0), int(i % 4 == 0)] for i, row in enumerate(rows)]
    with (root / "people.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["name", "has_face", "portrait"], *people])


def write_sfhq(root: Path, n: int = 24) -> None:
    """faces.csv and its pictures."""
    (root / "images").mkdir(parents=True)
    names = [f"images/f{i}.png" for i in range(n)]
    for i, name in enumerate(names):
        picture(1000 + i, (96, 96)).save(root / name)
    with (root / "faces.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["file", "generator"], *([name, "seeded"] for name in names)])


def write_backbone(path: Path, seed: int = 0) -> None:
    """Random folded convolutions with the shapes of MobileNetV2 1.0."""
    rng = np.random.default_rng(seed)
    shapes = [(32, 3, 3, 3), (32, 1, 3, 3), (16, 32, 1, 1)]
    c = 16
    for width in WIDTHS:
        shapes += [(6 * c, c, 1, 1), (6 * c, 1, 3, 3), (width, 6 * c, 1, 1)]
        c = width
    shapes.append((1280, 320, 1, 1))
    arrays = {}
    for i, shape in enumerate(shapes):
        arrays[f"{i:02d}.weight"] = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float16)
        arrays[f"{i:02d}.bias"] = np.zeros(shape[0], np.float32)
    np.savez(path, **arrays)
