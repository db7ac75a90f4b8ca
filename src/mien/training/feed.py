"""Stage 2: endless views, cut afresh for every step.

Plain views are windows of the undegraded pictures, some the whole picture; ladders were rendered before.
Everything lies in the memory of the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from mien.data.sample import Sample
from mien.training import zoom
from mien.training.ladders import GROUP, Ladders


@dataclass(frozen=True)
class Shown:
    """n views, the plain ones first, then the ladders group by group."""

    pixels: Tensor  #: (n, s, s, 3) float32 in whole grey levels
    label: Tensor  #: (n,) opinion of the picture behind it; nan where nobody was asked
    rated: Tensor  #: (n,) bool: the whole picture, as it was rated
    lost: Tensor  #: (n, 4) strength of the degradation per attribute, 0..1
    plain: int  #: how many are plain


@dataclass(frozen=True)
class FeedPlan:
    """What a step sees."""

    size_px: int = 224
    plain: int = 128  #: views
    ladders: int = 48  #: groups
    unrated_share: float = 0.15  #: of the plain views that show pictures without opinion
    whole_share: float = 0.5  #: of the plain views
    smallest: float = 0.25  #: share of the picture's area in a window
    widest_aspect: float = 1.7  #: windows are between 1/this and this times as wide as high, then squashed to a square


_AT_ONCE = 500  #: ladders on their way to the device


class Feed:
    """See the head of this file."""

    def __init__(
        self,
        pictures: npt.NDArray[np.uint8],
        label: npt.NDArray[np.float32],
        ladders: Sequence[Ladders],
        device: torch.device,
    ) -> None:
        """Move everything to the device.

        Args:
            pictures: (n, h, w, 3) undegraded.
            label: (n,) nan where nobody was asked.
            ladders: of these or other pictures, all of one size.
            device: where.
        """
        self.device = device
        self._pictures = torch.from_numpy(pictures).to(device)
        self._label = torch.from_numpy(label).to(device)
        asked = self._label.isfinite()
        self._pools = [pool.nonzero().squeeze(1) for pool in (asked, ~asked)]
        self._ladder_label = torch.from_numpy(np.concatenate([part.label for part in ladders])).to(device)
        self._lost = torch.from_numpy(np.concatenate([part.lost for part in ladders])).to(device)
        shape = (len(self._ladder_label), *ladders[0].pixels.shape[1:])
        self._ladders = torch.empty(shape, dtype=torch.uint8, device=device)
        first = 0
        for part in ladders:
            for i in range(0, len(part), _AT_ONCE):
                some = torch.from_numpy(np.array(part.pixels[i : i + _AT_ONCE]))
                self._ladders[first : first + len(some)] = some.to(device)
                first += len(some)

    def show(self, plan: FeedPlan, seed: int) -> Shown:
        """The views of one step: the same for the same seed on the same device."""
        chance = torch.Generator(self.device).manual_seed(seed)
        pixels, label, rated = self._plain(plan, chance)
        steps, ladder_label, lost = self._some_ladders(plan, chance)
        return Shown(
            torch.cat([pixels, steps.float()]),
            torch.cat([label, ladder_label]),
            torch.cat([rated, torch.zeros_like(ladder_label, dtype=torch.bool)]),
            torch.cat([lost.new_zeros(len(label), lost.shape[1]), lost]),
            len(label),
        )

    def _plain(self, plan: FeedPlan, chance: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        of_unrated = round(plan.unrated_share * plan.plain) if len(self._pools[1]) else 0
        numbers = zip(self._pools, (plan.plain - of_unrated, of_unrated), strict=True)
        index = torch.cat([pool[self._integers(len(pool), n, chance)] for pool, n in numbers])
        whole = self._uniform(len(index), chance) < plan.whole_share
        box = self._boxes(plan, whole, chance)
        kernels = list(zoom.FILTERS)
        kernel = kernels[int(self._integers(len(kernels), 1, chance))]
        pixels = zoom.windows(self._pictures[index], box, plan.size_px, kernel)
        label = self._label[index]
        return pixels, label, whole & label.isfinite()

    def _boxes(self, plan: FeedPlan, whole: Tensor, chance: torch.Generator) -> Tensor:
        """(n, 4) windows of random area, aspect, place and hand."""
        n, (h, w) = len(whole), self._pictures.shape[1:3]
        area = plan.smallest + (1 - plan.smallest) * self._uniform(n, chance)
        aspect = plan.widest_aspect ** (2 * self._uniform(n, chance) - 1)
        side_x = torch.where(whole, 1.0, (area * aspect).sqrt().clamp(max=1))
        side_y = torch.where(whole, 1.0, (area / aspect).sqrt().clamp(max=1))
        left, top = (1 - side_x) * self._uniform(n, chance), (1 - side_y) * self._uniform(n, chance)
        ends = torch.stack([left, left + side_x])
        mirrored = self._uniform(n, chance) < 0.5
        first, last = torch.where(mirrored, ends.flip(0), ends)
        return torch.stack([first * w, top * h, last * w, (top + side_y) * h], 1)

    def _some_ladders(self, plan: FeedPlan, chance: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        group = self._integers(len(self._ladders), plan.ladders, chance)
        pixels = self._ladders[group]
        mirrored = self._uniform(len(group), chance) < 0.5
        pixels = torch.where(mirrored[:, None, None, None, None], pixels.flip(3), pixels)
        return pixels.flatten(0, 1), self._ladder_label[group].repeat_interleave(GROUP), self._lost[group].flatten(0, 1)

    def _uniform(self, n: int, chance: torch.Generator) -> Tensor:
        return torch.rand(n, generator=chance, device=self.device)

    def _integers(self, below: int, n: int, chance: torch.Generator) -> Tensor:
        return torch.randint(max(1, below), (n,), generator=chance, device=self.device)


def pictures(samples: Sequence[Sample], side_px: int, *, workers: int = 2) -> npt.NDArray[np.uint8]:
    """(n, side_px, side_px, 3): whole pictures, squashed where they have another shape; read by so many threads."""
    with ThreadPoolExecutor(workers) as pool:
        return np.stack(list(pool.map(partial(_picture, side_px), samples)))


def whole(samples: Sequence[Sample], size_px: int) -> npt.NDArray[np.uint8]:
    """The undegraded whole pictures in whole grey levels, as pictures below `Preprocess.enough_px` are prepared.

    Returns:
        (n, size_px, size_px, 3) uint8.
    """
    square = (size_px, size_px)
    return np.stack([np.asarray(s.open().resize(square, Image.Resampling.BILINEAR)) for s in samples])


def _picture(side_px: int, sample: Sample) -> npt.NDArray[np.uint8]:
    picture, square = sample.open(), (side_px, side_px)
    return np.asarray(picture if picture.size == square else picture.resize(square, Image.Resampling.BICUBIC))
