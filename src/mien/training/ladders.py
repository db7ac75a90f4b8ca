"""Stage 1: ladders. A window of a picture, undegraded, then one chain of degradations at two strengths.

Every loss that knows of degradations compares inside such a group of three. They are rendered once, on the CPU, because
real encoders are among them; the file holds uint8 views, ready for the network.
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
from PIL import Image

from mien.core.types import ATTRIBUTES
from mien.data.degradations import Degradation, attribute_strengths, degrade
from mien.data.sample import Sample

GROUP = 3
#: what the judge learned from; new kinds stay out, because the number and the order decide what a seed draws
JUDGE_KINDS = ("blur", "motion", "downscale", "noise", "dark", "bright", "jpeg", "webp")
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class LadderPlan:
    """How many ladders a picture gives, and how wild they are."""

    size_px: int = 224
    per_picture: int = 1
    whole_share: float = 0.4  #: of the ladders that show the whole picture instead of a window
    smallest_crop: float = 0.4  #: share of the area
    widest_aspect: float = 1.7  #: windows are between 1/this and this times as wide as high, then squashed to a square
    chain_share: float = 0.4  #: of the ladders that combine two kinds instead of one
    seed: int = 20261120
    kinds: tuple[str, ...] = JUDGE_KINDS  #: of degradation
    enlarged_px: tuple[int, int] | None = None  #: range of the long side that pictures are enlarged to before


@dataclass(frozen=True)
class Ladders:
    """The ladders of a list of pictures, opened from disk; aligned arrays of g groups."""

    pixels: npt.NDArray[np.uint8]  #: (g, 3, s, s, 3) memory-mapped; undegraded, weaker, stronger
    label: npt.NDArray[np.float32]  #: (g,) opinion of the picture; nan where nobody was asked
    lost: npt.NDArray[np.float32]  #: (g, 3, 4) strength per attribute, 0..1

    def __len__(self) -> int:
        """Number of groups."""
        return len(self.label)


def build(samples: Sequence[Sample], plan: LadderPlan, out: Path, *, workers: int = 2) -> Ladders:
    """Write `out.npy` and `out.npz`, unless they are there for the same plan and pictures.

    Args:
        samples: pictures in order; their labels travel with their ladders.
        plan: what to make of each.
        out: path without suffix.
        workers: processes.

    Returns:
        The opened ladders.
    """
    key = _key(samples, plan)
    pixels, table = out.with_suffix(".npy"), out.with_suffix(".npz")
    if not (pixels.is_file() and _is_current(table, key)):
        table.unlink(missing_ok=True)  # it would vouch for half of other pixels if this were killed
        shape = (len(samples) * plan.per_picture, GROUP, plan.size_px, plan.size_px, 3)
        open_memmap(pixels, mode="w+", dtype=np.uint8, shape=shape).flush()
        jobs = [range(i, min(i + 16, len(samples))) for i in range(0, len(samples), 16)]
        with ProcessPoolExecutor(workers) as pool:
            lost = list(pool.map(partial(_fill, pixels, samples, plan), jobs))
        label = np.array([np.nan if s.label is None else s.label for s in samples], np.float32)
        np.savez(table, key=key, label=label.repeat(plan.per_picture), lost=np.concatenate(lost))
    with np.load(table, allow_pickle=False) as file:
        return Ladders(np.load(pixels, mmap_mode="r", allow_pickle=False), file["label"], file["lost"])


def _key(samples: Sequence[Sample], plan: LadderPlan) -> str:
    names = [(s.name, s.label, s.size) for s in samples]
    return hashlib.sha256(json.dumps([asdict(plan), names]).encode()).hexdigest()


def _is_current(table: Path, key: str) -> bool:
    if not table.is_file():
        return False
    with np.load(table, allow_pickle=False) as old:
        return str(old["key"]) == key


def _fill(out: Path, samples: Sequence[Sample], plan: LadderPlan, job: range) -> npt.NDArray[np.float32]:
    """Render the pictures of one job into the file; what their views have lost, (g, 3, 4)."""
    pixels = np.load(out, mmap_mode="r+")
    lost = []
    for i in job:
        rng = np.random.default_rng([plan.seed, i])
        picture = samples[i].open()
        for k in range(i * plan.per_picture, (i + 1) * plan.per_picture):
            views = _ladder(picture, plan, rng)
            pixels[k] = np.stack([np.asarray(view) for view, _ in views])
            lost.append([[strengths[a] for a in ATTRIBUTES] for _, strengths in views])
    return np.array(lost, np.float32)


def _ladder(
    picture: Image.Image, plan: LadderPlan, rng: np.random.Generator
) -> list[tuple[Image.Image, dict[str, float]]]:
    """One window (or the whole), and the same chain of degradations twice, weaker and stronger."""
    if plan.enlarged_px is not None:
        picture = _enlarged(picture, int(rng.integers(*plan.enlarged_px)))
    crop = picture if rng.random() < plan.whole_share else _crop(picture, plan, rng)
    kinds = rng.choice(list(plan.kinds), size=2 if rng.random() < plan.chain_share else 1, replace=False)
    strong = rng.uniform(0.25, 1.0, len(kinds))
    weak = strong * rng.uniform(0.15, 0.7, len(kinds))
    seed, resampling = int(rng.integers(2**32)), _FILTERS[rng.integers(len(_FILTERS))]
    group = []
    for strengths in (np.zeros(len(kinds)), weak, strong):
        steps = tuple(Degradation(str(k), float(s)) for k, s in zip(kinds, strengths, strict=True))
        view = degrade(crop, steps, seed=seed).resize((plan.size_px, plan.size_px), resampling)
        group.append((view, attribute_strengths(steps)))
    return group


def _enlarged(picture: Image.Image, long_px: int) -> Image.Image:
    """With this long side, unless it is larger already: faults of the size that they have in larger pictures."""
    scale = long_px / max(picture.size)
    if scale <= 1:
        return picture
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)


def _crop(picture: Image.Image, plan: LadderPlan, rng: np.random.Generator) -> Image.Image:
    """A window of random area and aspect; shrunk to fit where it would stick out."""
    area = rng.uniform(plan.smallest_crop, 1.0) * picture.width * picture.height
    aspect = np.exp(rng.uniform(-1, 1) * np.log(plan.widest_aspect))
    w = min(round(float(np.sqrt(area * aspect))), picture.width)
    h = min(round(float(np.sqrt(area / aspect))), picture.height)
    x, y = int(rng.integers(picture.width - w + 1)), int(rng.integers(picture.height - h + 1))
    return picture.crop((x, y, x + w, y + h))
