"""From a decoded picture to the tensor that a network reads: one `Preprocess` per network, part of its card."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

#: weights of four neighbours that halve a side about as Pillow's bilinear filter does
_OUTER, _INNER = np.array([1 / 16, 7 / 16], np.float32)
_NEAR_END = 5.0  #: grey levels
_MOST_AT_ENDS = 0.25  #: of all values; 6 % of photographs have more, and all that moved by more than 0.5 points for it


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Squash the whole picture to a square; normalisation is inside the network.

    The aspect ratio is not kept: every pixel is seen and nothing is cropped or padded. The judge is trained on views
    of many aspect ratios squashed in the same way.

    Pictures that a decoder may shrink are squashed in two steps, the second one in floating point: a network that sees
    fine grain also sees which way a grey level was rounded, and two decoders never round all of them alike.
    """

    size_px: int  #: side of the square
    reducing_gap: float = 4.0  #: a decoder may shrink the picture as long as both sides stay this many times `size_px`

    @property
    def id(self) -> str:
        """Name that rows carry; two scores compare only when it is equal."""
        return f"squash{self.size_px}-2"

    @property
    def enough_px(self) -> int:
        """Smallest side of a reduced decoding that leaves the score as good as unchanged."""
        return round(self.size_px * self.reducing_gap)

    def __call__(
        self, picture: Image.Image, box: tuple[float, float, float, float] | None = None
    ) -> npt.NDArray[np.float32]:
        """Resize with anti-aliasing, as Pillow's bilinear filter does.

        Args:
            picture: upright, mode RGB, any size.
            box: the part to take, (left, upper, right, lower) in pixels and fractions of them; None = all.

        Returns:
            (size_px, size_px, 3) float32, RGB, 0..255; whole numbers where a side of the part is below `enough_px`.
        """
        left, upper, right, lower = box or (0.0, 0.0, *picture.size)
        if min(right - left, lower - upper) < self.enough_px:
            return self._squashed(picture, box, self.size_px).astype(np.float32)
        factor = self._factor(picture) if box is None else 1
        return _halved(self._squashed(picture.reduce(factor) if factor > 1 else picture, box, 2 * self.size_px))

    def _factor(self, picture: Image.Image) -> int:
        """To average by first, which is quick. Only where all blocks are whole: then turning moves no block."""
        factor = 1
        while min(picture.size) >= 4 * factor * self.size_px and not any(side % (2 * factor) for side in picture.size):
            factor *= 2
        return factor

    def is_clipped(self, values: npt.NDArray[np.float32]) -> bool:
        """Whether much of a picture that was decoded at a reduced scale lies at the ends of the range of colours.

        There a full decoder cuts off half of the noise and the average moves away from the end; a reduced one averages
        first, and nothing is left to cut. The score is that of the full one.

        Args:
            values: what a call gave.
        """
        return float(((values <= _NEAR_END) | (values >= 255 - _NEAR_END)).mean()) > _MOST_AT_ENDS

    def _squashed(
        self, picture: Image.Image, box: tuple[float, float, float, float] | None, side_px: int
    ) -> npt.NDArray[np.uint8]:
        square = (side_px, side_px)
        if picture.size != square or box is not None:
            picture = picture.resize(square, Image.Resampling.BILINEAR, box=box)
        return np.asarray(picture, dtype=np.uint8)


def _halved(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(2 s, 2 s, 3) -> (s, s, 3), each value of 4 x 4; the border is repeated."""
    wide = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), "edge")
    rows = _OUTER * wide[:-3:2] + _INNER * wide[1:-2:2] + _INNER * wide[2:-1:2] + _OUTER * wide[3::2]
    return _OUTER * rows[:, :-3:2] + _INNER * rows[:, 1:-2:2] + _INNER * rows[:, 2:-1:2] + _OUTER * rows[:, 3::2]
