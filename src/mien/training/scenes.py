"""Scenes on disk: `mien.data.composites` rendered once, so that an epoch of the finder costs no rendering.

OUT.npy holds the pixels, OUT.npz the faces, one after the other, with the scene that each belongs to. OUT.npz is
written last: what was killed before is rendered again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from numpy.lib.format import open_memmap

from mien.core.types import Face
from mien.data.composites import EDITION, ScenePlan, Sources, scene

Marks = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.bool_]]
_NOWHERE = np.full((5, 2), np.nan, np.float32)


@dataclass(frozen=True)
class Scenes:
    """Opened from disk; faces and regions to ignore of scene i are the rows `start[i]` to `start[i + 1]`."""

    pixels: npt.NDArray[np.uint8]  #: (n, s, s, 3) memory-mapped
    start: npt.NDArray[np.int64]  #: (n + 1,)
    boxes: npt.NDArray[np.float32]  #: (m, 4) x1, y1, x2, y2, pixels
    landmarks: npt.NDArray[np.float32]  #: (m, 5, 2) nan where ignored
    ignored: npt.NDArray[np.bool_]  #: (m,)

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self.pixels)

    def marks(self, i: int) -> Marks:
        """Boxes, landmarks and whether to ignore them, of one scene."""
        rows = slice(int(self.start[i]), int(self.start[i + 1]))
        return self.boxes[rows], self.landmarks[rows], self.ignored[rows]


def build(sources: Sources, plan: ScenePlan, count: int, seed: int, out: Path, *, workers: int = 2) -> Scenes:
    """Write `out.npy` and `out.npz`, unless they are there for the same plan and pictures.

    Args:
        sources: see `mien.data.composites.read`.
        plan: how scenes come out.
        count: of scenes; more of them begin with the same ones.
        seed: of all chance.
        out: path without suffix.
        workers: processes; the result does not depend on their number.

    Returns:
        The opened scenes.
    """
    key = _key(sources, plan, count, seed)
    pixels, table = out.with_suffix(".npy"), out.with_suffix(".npz")
    if not _is_current(table, key):
        out.parent.mkdir(parents=True, exist_ok=True)
        table.unlink(missing_ok=True)  # whose pixels are about to go
        open_memmap(pixels, mode="w+", dtype=np.uint8, shape=(count, plan.size_px, plan.size_px, 3)).flush()
        jobs = [range(i, min(i + 50, count)) for i in range(0, count, 50)]
        with ProcessPoolExecutor(workers) as pool:
            marks = [m for job in pool.map(partial(_fill, pixels, sources, plan, seed), jobs) for m in job]
        boxes, landmarks, ignored = (np.concatenate(column) for column in zip(*marks, strict=True))
        start = np.cumsum([0, *(len(m[0]) for m in marks)])
        fresh = table.with_name(f".{table.name}.new.npz")
        np.savez(fresh, key=key, start=start, boxes=boxes, landmarks=landmarks, ignored=ignored)
        fresh.replace(table)
    return load(out)


def load(out: Path) -> Scenes:
    """Open what `build` wrote."""
    with np.load(out.with_suffix(".npz"), allow_pickle=False) as table:
        pixels = np.load(out.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
        return Scenes(pixels, table["start"], table["boxes"], table["landmarks"], table["ignored"])


def _fill(out: Path, sources: Sources, plan: ScenePlan, seed: int, job: range) -> list[Marks]:
    pixels = np.load(out, mmap_mode="r+")
    marks = []
    for i in job:
        made = scene(sources, plan, (seed, i))
        pixels[i] = np.asarray(made.picture)
        marks.append(_marks(made.faces, made.ignored))
    return marks


def _marks(faces: Sequence[Face], ignored: Sequence[tuple[float, ...]]) -> Marks:
    boxes = np.array([*(face.box for face in faces), *ignored], np.float32).reshape(-1, 4)
    points = [*(np.array(face.landmarks, np.float32) for face in faces), *(_NOWHERE for _ in ignored)]
    return boxes, np.array(points, np.float32).reshape(-1, 5, 2), np.arange(len(boxes)) >= len(faces)


def _key(sources: Sources, plan: ScenePlan, count: int, seed: int) -> str:
    seen = [
        (s.sample.name, [asdict(f) for f in (*s.faces, *s.doubtful, *s.others)])
        for s in (*sources.portraits, *sources.cut_out, *sources.photographs)
    ]
    names = [sample.name for sample in sources.empty]
    return hashlib.sha256(json.dumps([EDITION, asdict(plan), count, seed, seen, names]).encode()).hexdigest()


def _is_current(table: Path, key: str) -> bool:
    if not table.is_file():
        return False
    with np.load(table, allow_pickle=False) as old:
        return str(old["key"]) == key
