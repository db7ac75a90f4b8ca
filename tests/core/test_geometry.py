"""A picture decoded at reduced scale shows the same part of the world as one decoded in full, to a part of a pixel."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.core.decode import decode
from mien.core.preprocess import Preprocess

PORTRAIT = Path(__file__).parents[2] / "examples" / "portraits" / "portrait.jpg"
PREPROCESS = Preprocess(size_px=64)  # asks for 256 px and more


def difference(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).mean())


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(1031, 1543), (2063, 2049), (2048, 2048)])
def test_reduced_and_full_decoding_agree_for_odd_sizes_in_every_orientation(orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    with Image.open(PORTRAIT) as portrait:
        portrait.resize(size, Image.Resampling.LANCZOS).save(stream, "JPEG", quality=95, exif=exif)
    reduced, full = decode(stream.getvalue(), enough_px=PREPROCESS.enough_px), decode(stream.getvalue())
    assert reduced.pixels.width < full.pixels.width
    exact = PREPROCESS(full.pixels, full.box)
    assert difference(PREPROCESS(reduced.pixels, reduced.box), exact) < 0.4
    if size != (2048, 2048):
        assert difference(PREPROCESS(reduced.pixels), exact) > difference(
            PREPROCESS(reduced.pixels, reduced.box), exact
        )


def test_a_picture_that_is_not_reduced_is_all_picture():
    assert decode(PORTRAIT).box is None
    assert decode(PORTRAIT, enough_px=256).box is None


@pytest.mark.parametrize("size", [(1504, 2000), (2048, 2048), (2063, 2049)])
def test_how_a_decoder_rounds_hardly_reaches_the_network(size):
    """The mean square of what is left is about half of that between squares of whole grey levels, or less."""
    grain = np.random.default_rng(0).normal(0, 6, (size[1], size[0], 1))
    stream = io.BytesIO()
    with Image.open(PORTRAIT) as portrait:
        pixels = np.asarray(portrait.convert("RGB").resize(size, Image.Resampling.LANCZOS)) + grain
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=95)
    reduced, full = decode(stream.getvalue(), enough_px=PREPROCESS.enough_px), decode(stream.getvalue())

    def rounded(picture):
        square = picture.pixels.resize((64, 64), Image.Resampling.BILINEAR, box=picture.box)
        return np.asarray(square, np.float32)

    left = np.square(PREPROCESS(reduced.pixels, reduced.box) - PREPROCESS(full.pixels, full.box)).mean()
    assert left < 0.6 * np.square(rounded(reduced) - rounded(full)).mean()
