"""Windows: what Pillow would have cut and resized, for many pictures at once."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

torch = pytest.importorskip("torch")
from mien.training import zoom  # noqa: E402

PILLOW = {
    "bilinear": Image.Resampling.BILINEAR,
    "box": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


@pytest.fixture(scope="module")
def photograph():
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    return Image.fromarray(noise).filter(ImageFilter.GaussianBlur(1))


def cut(picture, box, size_px, kernel="bilinear"):
    pixels = torch.from_numpy(np.array(picture))[None]
    return zoom.windows(pixels, torch.tensor([box], dtype=torch.float32), size_px, kernel)[0].numpy()


@pytest.mark.parametrize("kernel", zoom.FILTERS)
@pytest.mark.parametrize("box", [(0, 0, 120, 90), (11, 7, 111, 80), (30, 20, 60, 44)])
def test_it_is_what_pillow_makes_up_to_a_grey_level(photograph, kernel, box):
    expected = np.asarray(photograph.resize((64, 64), PILLOW[kernel], box=box)).astype(float)
    off = np.abs(cut(photograph, box, 64, kernel) - expected)
    if kernel == "box":  # where a place lies on the border of two pixels, either is right
        assert np.quantile(off, 0.97) <= 1
    else:
        assert off.max() <= 1


def test_a_window_whose_ends_are_exchanged_is_mirrored(photograph):
    assert np.array_equal(cut(photograph, (100, 10, 20, 70), 32), cut(photograph, (20, 10, 100, 70), 32)[:, ::-1])


def test_values_are_whole_grey_levels_inside_the_range():
    edges = Image.fromarray(np.random.default_rng(1).choice([0, 255], (40, 40, 3)).astype(np.uint8))
    seen = cut(edges, (3, 3, 30, 30), 64, "lanczos")
    assert seen.min() == 0
    assert seen.max() == 255
    assert np.array_equal(seen, np.rint(seen))


def test_every_picture_of_a_batch_has_its_own_window(photograph):
    boxes = [(0, 0, 50, 50), (60, 30, 120, 90)]
    pixels = torch.from_numpy(np.array(photograph))[None].expand(2, -1, -1, -1)
    both = zoom.windows(pixels, torch.tensor(boxes, dtype=torch.float32), 16, "bilinear").numpy()
    for seen, box in zip(both, boxes, strict=True):
        assert np.array_equal(seen, cut(photograph, box, 16))
