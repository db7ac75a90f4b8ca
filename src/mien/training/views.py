"""Stage 1: views. Every picture is seen several times: whole, cropped, and degraded by known amounts.

Views come in groups of three, and a group is what the losses compare:
    plain group     three different crops of one picture, undegraded
    ladder group    one crop undegraded, then one chain of degradations at a lower and a higher strength
The file holds uint8 views, ready for the network; the table beside it says where each comes from.
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
class ViewPlan:
    """How many groups a picture gives, and how wild they are."""

    size_px: int = 256
    plain_groups: int = 1
    ladder_groups: int = 2
    smallest_crop: float = 0.4  #: share of the area
    widest_aspect: float = 1.7  #: crops are between 1/this and this times as wide as high, then squashed to a square
    chain_share: float = 0.4  #: of the ladders that combine two kinds instead of one
    seed: int = 20261120
    kinds: tuple[str, ...] = JUDGE_KINDS  #: of degradation, that ladders draw from
    enlarged_px: tuple[int, int] | None = None  #: range of the long side that pictures are enlarged to before ladders

    @property
    def per_picture(self) -> int:
        """Views of one picture."""
        return GROUP * (self.plain_groups + self.ladder_groups)


@dataclass(frozen=True)
class Views:
    """The views of a list of pictures, opened from disk.

    Arrays are aligned on their first axis, n views: `pixels` (n, s, s, 3) uint8 and memory-mapped, `picture` (n,) index
    into the list of samples, `label` (n,) with nan where nobody was asked, `lost` (n, 4) strength per attribute 0..1.
    """

    pixels: npt.NDArray[np.uint8]
    picture: npt.NDArray[np.int32]
    label: npt.NDArray[np.float32]
    lost: npt.NDArray[np.float32]

    @property
    def groups(self) -> int:
        """Number of groups of three consecutive views."""
        return len(self.picture) // GROUP


def build(samples: Sequence[Sample], plan: ViewPlan, out: Path, *, workers: int = 2) -> Views:
    """Write `out.npy` and `out.npz`, unless they are there for the same plan and pictures.

    Args:
        samples: pictures in order; their labels travel with their views.
        plan: what to make of each.
        out: path without suffix.
        workers: processes.

    Returns:
        The opened views.
    """
    key = _key(samples, plan)
    pixels, table = out.with_suffix(".npy"), out.with_suffix(".npz")
    if not _is_current(table, key):
        shape = (len(samples) * plan.per_picture, plan.size_px, plan.size_px, 3)
        open_memmap(pixels, mode="w+", dtype=np.uint8, shape=shape).flush()
        jobs = [range(i, min(i + 64, len(samples))) for i in range(0, len(samples), 64)]
        with ProcessPoolExecutor(workers) as pool:
            lost = list(pool.map(partial(_fill, pixels, samples, plan), jobs))
        picture = np.repeat(np.arange(len(samples), dtype=np.int32), plan.per_picture)
        label = np.array([np.nan if s.label is None else s.label for s in samples], np.float32)
        np.savez(table, key=key, picture=picture, label=label[picture], lost=np.concatenate(lost))
    return load(out)


def load(out: Path) -> Views:
    """Open what `build` wrote."""
    with np.load(out.with_suffix(".npz"), allow_pickle=False) as table:
        return Views(
            np.load(out.with_suffix(".npy"), mmap_mode="r", allow_pickle=False),
            table["picture"],
            table["label"],
            table["lost"],
        )


def whole(samples: Sequence[Sample], size_px: int) -> npt.NDArray[np.uint8]:
    """The undegraded whole pictures in whole grey levels, as pictures below `Preprocess.enough_px` are prepared.

    Returns:
        (n, size_px, size_px, 3) uint8.
    """
    square = (size_px, size_px)
    return np.stack([np.asarray(s.open().resize(square, Image.Resampling.BILINEAR)) for s in samples])


def _key(samples: Sequence[Sample], plan: ViewPlan) -> str:
    names = [(s.name, s.label, s.size) for s in samples]
    settings = asdict(plan)
    for choice, usual in (("kinds", JUDGE_KINDS), ("enlarged_px", None)):
        if getattr(plan, choice) == usual:
            del settings[choice]  # so that views from before there was a choice stay valid
    return hashlib.sha256(json.dumps([settings, names]).encode()).hexdigest()


def _is_current(table: Path, key: str) -> bool:
    if not table.is_file():
        return False
    with np.load(table, allow_pickle=False) as old:
        return str(old["key"]) == key


def _fill(out: Path, samples: Sequence[Sample], plan: ViewPlan, job: range) -> npt.NDArray[np.float32]:
    """Render the pictures of one job into the file; the strengths of their views, (n, 4)."""
    pixels = np.load(out, mmap_mode="r+")
    lost = []
    for i in job:
        rng = np.random.default_rng([plan.seed, i])
        picture = samples[i].open()
        groups = [_plain_group(picture, plan, rng) for _ in range(plan.plain_groups)]
        groups += [_ladder_group(picture, plan, rng) for _ in range(plan.ladder_groups)]
        views = [view for group in groups for view in group]
        for k, (view, strengths) in enumerate(views):
            pixels[i * plan.per_picture + k] = np.asarray(view)
            lost.append([strengths[a] for a in ATTRIBUTES])
    return np.array(lost, np.float32)


Group = list[tuple[Image.Image, dict[str, float]]]


def _plain_group(picture: Image.Image, plan: ViewPlan, rng: np.random.Generator) -> Group:
    """The whole picture and two crops."""
    full = picture.resize((plan.size_px, plan.size_px), Image.Resampling.BILINEAR)
    crops = [_squash(_crop(picture, plan, rng), plan, rng) for _ in range(GROUP - 1)]
    return [(view, attribute_strengths(())) for view in (full, *crops)]


def _ladder_group(picture: Image.Image, plan: ViewPlan, rng: np.random.Generator) -> Group:
    """One crop (or the whole), and the same chain of degradations twice, weaker and stronger."""
    if plan.enlarged_px is not None:
        picture = _enlarged(picture, int(rng.integers(*plan.enlarged_px)))
    crop = _crop(picture, plan, rng) if rng.random() < 0.6 else picture
    kinds = rng.choice(list(plan.kinds), size=2 if rng.random() < plan.chain_share else 1, replace=False)
    strong = rng.uniform(0.25, 1.0, len(kinds))
    weak = strong * rng.uniform(0.15, 0.7, len(kinds))
    seed, resampling = int(rng.integers(2**32)), _FILTERS[rng.integers(len(_FILTERS))]
    group: Group = []
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


def _crop(picture: Image.Image, plan: ViewPlan, rng: np.random.Generator) -> Image.Image:
    """A window of random area and aspect; shrunk to fit where it would stick out."""
    area = rng.uniform(plan.smallest_crop, 1.0) * picture.width * picture.height
    aspect = np.exp(rng.uniform(-1, 1) * np.log(plan.widest_aspect))
    w = min(round(float(np.sqrt(area * aspect))), picture.width)
    h = min(round(float(np.sqrt(area / aspect))), picture.height)
    x, y = int(rng.integers(picture.width - w + 1)), int(rng.integers(picture.height - h + 1))
    return picture.crop((x, y, x + w, y + h))


def _squash(picture: Image.Image, plan: ViewPlan, rng: np.random.Generator) -> Image.Image:
    return picture.resize((plan.size_px, plan.size_px), _FILTERS[rng.integers(len(_FILTERS))])
