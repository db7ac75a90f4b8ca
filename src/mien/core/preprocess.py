"""From a decoded picture to the tensor that a network reads: one `Preprocess` per network, part of its card."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "box": Image.Resampling.BOX}

Interpolation = Literal["bilinear", "bicubic", "box"]


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Squash the whole picture to a square; normalisation is inside the network.

    The aspect ratio is not kept: every pixel is seen and nothing is cropped or padded. The judge is trained on views
    of many aspect ratios squashed in the same way.
    """

    size_px: int  #: side of the square
    interpolation: Interpolation = "bilinear"
    reducing_gap: float = 4.0  #: a decoder may shrink the picture as long as both sides stay this many times `size_px`

    @property
    def id(self) -> str:
        """Name that rows carry; two scores compare only when it is equal."""
        return f"squash{self.size_px}-{self.interpolation}"

    @property
    def enough_px(self) -> int:
        """Smallest side of a reduced decoding that leaves the score as good as unchanged."""
        return round(self.size_px * self.reducing_gap)

    def __call__(
        self, picture: Image.Image, box: tuple[float, float, float, float] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Resize with anti-aliasing.

        Args:
            picture: upright, mode RGB, any size.
            box: the part to take, (left, upper, right, lower) in pixels and fractions of them; None = all.

        Returns:
            (size_px, size_px, 3) uint8, RGB.
        """
        square = (self.size_px, self.size_px)
        if picture.size != square or box is not None:
            picture = picture.resize(square, _FILTERS[self.interpolation], box=box)
        return np.asarray(picture, dtype=np.uint8)
