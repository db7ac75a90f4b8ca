"""From a decoded picture to the tensor that a network reads: one `Preprocess` per network, part of its card."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.core.decode import BIG_PX, Box, Picture, Source, decode

#: weights of four neighbours: after a bilinear resize to twice the side, both together are about one bilinear resize
_OUTER, _INNER = np.array([1 / 16, 7 / 16], np.float32)
_NEAR_END = 5.0  #: grey levels
_MOST_AT_ENDS = 0.25  #: of all values; chosen with `benchmarks/reduced_decoding.py`


@dataclass(frozen=True, slots=True)
class Preprocess:
    """Squash the whole picture to a square; normalisation is inside the network.

    The aspect ratio is not kept: every pixel is seen and nothing is cropped or padded. The judge is trained on views
    of many aspect ratios squashed in the same way.

    The last step for pictures that a decoder may shrink is in floating point: a network that sees fine grain also sees
    which way a grey level was rounded, and two decoders never round all of them alike.
    """

    size_px: int  #: side of the square
    reducing_gap: float = 4.0
    """A decoder may shrink the picture as long as both sides stay this many times `size_px`; at least 2."""

    @property
    def id(self) -> str:
        """Name that rows carry; two scores compare only when it is equal."""
        return f"squash{self.size_px}-2"

    @property
    def enough_px(self) -> int:
        """Smallest side of a reduced decoding that leaves the score as good as unchanged."""
        return round(self.size_px * self.reducing_gap)

    def __call__(self, picture: Image.Image, box: Box | None = None) -> npt.NDArray[np.float32]:
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
        factor = self._quick_reduction(picture) if box is None else 1
        return _halved(self._squashed(picture.reduce(factor) if factor > 1 else picture, box, 2 * self.size_px))

    def _quick_reduction(self, picture: Image.Image) -> int:
        """To average by first, which is quick. Only where all blocks are whole: then turning moves no block."""
        factor = 1
        while min(picture.size) >= 4 * factor * self.size_px and not any(side % (2 * factor) for side in picture.size):
            factor *= 2
        return factor

    def _squashed(self, picture: Image.Image, box: Box | None, side_px: int) -> npt.NDArray[np.uint8]:
        square = (side_px, side_px)
        if picture.size != square or box is not None:
            picture = picture.resize(square, Image.Resampling.BILINEAR, box=box)
        return np.asarray(picture, dtype=np.uint8)


def read(source: Source, preprocess: Preprocess, *, exact: bool = False) -> tuple[Picture, npt.NDArray[np.float32]]:
    """Decode a picture, at a reduced scale where that leaves the score as it is, and squash it.

    A picture with much at the ends of the range of colours is decoded in full up to 24 megapixels: there a full decoder
    cuts off half of the noise, and the mean moves away from the end; a reduced one averages first, and nothing is left
    to cut.

    Args:
        source: as for `mien.core.decode.decode`.
        preprocess: of the network.
        exact: decode every picture in full.

    Raises:
        UnreadableImageError: see `mien.core.decode.decode`.
    """
    picture = decode(source, enough_px=None if exact else preprocess.enough_px)
    values = preprocess(picture.pixels, picture.box)
    if picture.by_decoder and picture.width * picture.height <= BIG_PX and _is_clipped(values):
        picture = decode(source)
        values = preprocess(picture.pixels, picture.box)
    return picture, values


def _is_clipped(values: npt.NDArray[np.float32]) -> bool:
    return float(((values <= _NEAR_END) | (values >= 255 - _NEAR_END)).mean()) > _MOST_AT_ENDS


def _halved(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """(2 s, 2 s, 3) -> (s, s, 3), each value of 4 x 4; the border is repeated."""
    wide = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), "edge")
    rows = _OUTER * wide[:-3:2] + _INNER * wide[1:-2:2] + _INNER * wide[2:-1:2] + _OUTER * wide[3::2]
    return _OUTER * rows[:, :-3:2] + _INNER * rows[:, 1:-2:2] + _INNER * rows[:, 2:-1:2] + _OUTER * rows[:, 3::2]
