"""How a training picture becomes what a network reads: changed as a whole, then cropped at random places.

A `TrainViews` has the same inputs as the network's `ViewPreprocess`, with crops that are drawn anew each time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from mien.core.views import Fragments, InputView, Random

Arrays = dict[str, npt.NDArray[np.generic]]  #: input -> (v, ...) of one picture
Looks = Mapping[str, Image.Image]  #: input -> the picture that it is cut from
Change = Callable[[Image.Image, np.random.Generator], Image.Image]


@dataclass(frozen=True, slots=True)
class Mirror:
    """Left and right exchanged, with a probability."""

    p: float = 0.5

    def __call__(self, picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        """The picture or its mirror image."""
        return ImageOps.mirror(picture) if rng.random() < self.p else picture


@dataclass(frozen=True, slots=True)
class Turn:
    """Turned by up to so many degrees; the corners that come free are cut off with the rest of their margin."""

    most: float

    def __call__(self, picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        """The largest rectangle of the picture's aspect inside the turned picture."""
        angle = float(rng.uniform(-self.most, self.most))
        turned = picture.rotate(angle, Image.Resampling.BILINEAR)
        sine, cosine = abs(np.sin(np.deg2rad(angle))), abs(np.cos(np.deg2rad(angle)))
        w, h = picture.size
        scale = min(w / (w * cosine + h * sine), h / (w * sine + h * cosine))
        x, y = w * (1 - scale) / 2, h * (1 - scale) / 2
        return turned.crop((int(np.ceil(x)), int(np.ceil(y)), int(w - x), int(h - y)))


@dataclass(frozen=True, slots=True)
class Area:
    """A window of a random share of the area, of the picture's aspect."""

    smallest: float
    largest: float = 1.0

    def __call__(self, picture: Image.Image, rng: np.random.Generator) -> Image.Image:
        """A window at a random place."""
        scale = float(np.sqrt(rng.uniform(self.smallest, self.largest)))
        w, h = max(1, round(scale * picture.width)), max(1, round(scale * picture.height))
        x, y = int(rng.integers(picture.width - w + 1)), int(rng.integers(picture.height - h + 1))
        return picture.crop((x, y, x + w, y + h))


@dataclass(frozen=True)
class TrainViews:
    """Changes of the whole picture, the same for all inputs; then each input's crops, at random places.

    The places of crops of kind `random` and `fragments` are drawn anew for each picture and epoch; other kinds stay.
    """

    inputs: Mapping[str, InputView]
    changes: Sequence[Change] = ()

    def __call__(self, looks: Looks, rng: np.random.Generator) -> Arrays:
        """Prepare one picture.

        Args:
            looks: the picture that each input is cut from; the same object where two inputs see the same.
            rng: source of all chance.

        Returns:
            Input -> (v, 3, h, w) float32.
        """
        changed = self._changed(looks, rng)
        return {name: drawn(view, rng)(changed[name]) for name, view in self.inputs.items()}

    def _changed(self, looks: Looks, rng: np.random.Generator) -> Looks:
        """All inputs meet the same chances."""
        seed = int(rng.integers(2**32))
        made: dict[int, Image.Image] = {}
        for picture in looks.values():
            if id(picture) not in made:
                chance, result = np.random.default_rng(seed), picture
                for change in self.changes:
                    result = change(result, chance)
                made[id(picture)] = result
        return {name: made[id(picture)] for name, picture in looks.items()}


def drawn(view: InputView, rng: np.random.Generator) -> InputView:
    """The view with new places of its random crops."""
    seed = int(rng.integers(2**32))
    if isinstance(view.crop, Random | Fragments):
        return replace(view, crop=replace(view.crop, seed=seed))
    return view
