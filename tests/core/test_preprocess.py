"""What the network reads of a picture: a square of floats, whole grey levels where nothing could be reduced."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.core.preprocess import Preprocess

PORTRAIT = Path(__file__).parents[2] / "examples" / "portraits" / "portrait.jpg"
BILINEAR = Image.Resampling.BILINEAR


@pytest.fixture(scope="module")
def portrait():
    with Image.open(PORTRAIT) as picture:
        return picture.convert("RGB")


def in_floats(picture, size_px, box=None):
    """The slow reference: Pillow's filter on each channel in single precision."""
    channels = [channel.convert("F") for channel in picture.split()]
    return np.stack([np.asarray(c.resize((size_px, size_px), BILINEAR, box=box)) for c in channels], -1)


def test_a_small_picture_is_resized_in_whole_grey_levels(portrait):
    values = Preprocess(size_px=160)(portrait)
    assert (values.shape, values.dtype) == ((160, 160, 3), np.float32)
    assert (values == np.asarray(portrait.resize((160, 160), BILINEAR))).all()


def test_a_square_of_the_right_size_stays_as_it_is(portrait):
    square = portrait.resize((64, 64))
    assert (Preprocess(size_px=64)(square) == np.asarray(square)).all()


@pytest.mark.parametrize("size", [(512, 512), (700, 520), (1000, 1400), (2048, 3000)])
def test_a_picture_that_a_decoder_may_reduce_keeps_fractions_of_grey_levels(portrait, size):
    picture = portrait.resize(size, Image.Resampling.BICUBIC)
    values = Preprocess(size_px=64)(picture)
    assert (values % 1 != 0).mean() > 0.9
    reference = in_floats(picture, 64)
    assert np.abs(values - reference).mean() < 1.3  # edges: two filters that differ a little
    assert abs((values - reference).mean()) < 0.1


@pytest.mark.parametrize("turn", [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_90])
@pytest.mark.parametrize("size", [(1024, 768), (1030, 770), (1031, 777)])
def test_turning_the_picture_turns_the_square(portrait, size, turn):
    picture = portrait.resize(size)
    turned = Preprocess(size_px=64)(picture.transpose(turn))
    axes = turned[:, ::-1] if turn == Image.Transpose.FLIP_LEFT_RIGHT else np.rot90(turned, -1)
    assert np.abs(axes - Preprocess(size_px=64)(picture)).mean() < 0.2


def test_the_part_in_the_box_is_the_picture(portrait):
    picture = portrait.resize((1200, 1200))
    box = (100.5, 50.0, 900.5, 850.0)
    values = Preprocess(size_px=64)(picture, box)
    assert np.abs(values - in_floats(picture, 64, box=box)).mean() < 1.0
    assert np.abs(values - Preprocess(size_px=64)(picture)).mean() > 5.0


@pytest.mark.parametrize(("share", "clipped"), [(0.0, False), (0.2, False), (0.3, True), (1.0, True)])
@pytest.mark.parametrize("end", [0.0, 4.0, 251.0, 255.0])
def test_a_picture_is_clipped_when_more_than_a_quarter_of_it_is_at_the_ends(share, clipped, end):
    values = np.full((10, 10, 3), 128.0, np.float32)
    values[: round(10 * share)] = end
    assert Preprocess(size_px=10).is_clipped(values) == clipped
