"""What the network reads of a picture: a square of floats, whole grey levels where nothing could be reduced."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.core import preprocess
from mien.core.decode import decode
from mien.core.preprocess import Preprocess, read

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


def test_turning_moves_no_pixel_even_at_the_border(portrait):
    picture = portrait.resize((1030, 770))  # no whole blocks of four
    flipped = Preprocess(size_px=64)(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))[:, ::-1]
    assert np.abs(flipped - Preprocess(size_px=64)(picture))[:, [0, -1]].max() < 1.0


# ---- decoding


def jpeg(level, size=(1100, 1300), share=1.0):
    """Bytes of a grey with grain, the upper `share` of which has another level."""
    pixels = np.full((size[1], size[0], 3), 128.0)
    pixels[: round(share * size[1])] = level
    pixels += np.random.default_rng(0).normal(0, 6, (size[1], size[0], 1))
    stream = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=95)
    return stream.getvalue()


@pytest.fixture
def asked(monkeypatch):
    """`enough_px` of every call of the decoder."""
    calls = []

    def spy(source, *, enough_px=None):
        calls.append(enough_px)
        return decode(source, enough_px=enough_px)

    monkeypatch.setattr(preprocess, "decode", spy)
    return calls


@pytest.mark.parametrize(("level", "share"), [(128, 1.0), (2, 0.2), (253, 0.2)])
def test_a_large_jpeg_is_decoded_at_a_reduced_scale(asked, level, share):
    picture, _ = read(jpeg(level, share=share), Preprocess(size_px=64))
    assert asked == [256] and picture.by_decoder and picture.pixels.width < picture.width


@pytest.mark.parametrize("level", [2, 253])
def test_with_more_than_a_quarter_at_the_ends_of_the_range_it_is_decoded_in_full(asked, level):
    source = jpeg(level, share=0.4)
    picture, values = read(source, Preprocess(size_px=64))
    assert asked == [256, None] and picture.pixels.size == (picture.width, picture.height)
    assert (values == read(source, Preprocess(size_px=64), exact=True)[1]).all()


def test_exact_decodes_everything_in_full(asked):
    assert not read(jpeg(128), Preprocess(size_px=64), exact=True)[0].by_decoder
    assert asked == [None]


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_what_is_above_24_megapixels_is_decoded_once_whatever_it_shows(asked, form):
    stream = io.BytesIO()
    Image.new("L", (5000, 5000), 255).save(stream, form)
    read(stream.getvalue(), Preprocess(size_px=64))
    assert asked == [256]


def test_a_small_black_picture_is_decoded_once(asked):
    read(Image.new("RGB", (300, 300)), Preprocess(size_px=64))
    assert asked == [256]
