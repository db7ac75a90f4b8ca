"""Broken files on purpose, seeded: small valid pictures of every format, and ways to damage them.

`for name, data in mutated_files(2000, seed=0)` gives the same operations in the same order for the same seed; the bytes
depend on the encoders of the installed Pillow.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

INTERESTING = (0, 1, 2, 3, 4, 8, 0x7F, 0x80, 0xFE, 0xFF)


def scene(width: int = 64, height: int = 48) -> npt.NDArray[np.uint8]:
    """A synthetic picture, (h, w, 3) uint8: two gradients, a disc and a little texture; no symmetry."""
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    disc = (x - 0.4) ** 2 + (y - 0.3) ** 2 < 0.04
    texture = 12 * np.sin(90 * x * (1 + y))
    planes = [220 * x + texture, 200 * y + 60 * disc, 180 * (1 - x) * (1 - y) + 70 * disc + texture]
    return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)


def encode(im: Image.Image, form: str, **options: object) -> bytes:
    """The bytes of one file."""
    out = io.BytesIO()
    im.copy().save(out, form, **options)  # an encoder may leave its settings on the picture
    return out.getvalue()


@cache
def swapped_profile() -> bytes:
    """An ICC profile in which red and blue have changed places: converting to sRGB swaps them."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    icc = icc[:24] + bytes(12) + icc[36:84] + bytes(16) + icc[100:]  # no date, no hash: the same bytes every day
    for old, new in (
        (b"rXYZ", b"?XYZ"),
        (b"bXYZ", b"rXYZ"),
        (b"?XYZ", b"bXYZ"),
        ("sRGB".encode("utf-16-be"), bytes(8)),
    ):
        assert old in icc
        icc = icc.replace(old, new)
    return icc


@cache
def seeds() -> dict[str, bytes]:
    """Small valid files, by name; the name ends in the usual suffix."""
    rgb = Image.fromarray(scene())
    small = Image.fromarray(scene(48, 40))
    alpha = rgb.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(rgb.size))
    deep = Image.fromarray(scene()[..., 1].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    tagged = {"exif": exif.tobytes(), "icc_profile": swapped_profile()}
    frames = {"save_all": True, "append_images": [rgb.transpose(Image.Transpose.ROTATE_180)], "duration": 80}
    return {
        "plain.jpg": encode(rgb, "JPEG", quality=85),
        "tagged.jpg": encode(rgb, "JPEG", quality=85, **tagged),
        "progressive.jpg": encode(rgb, "JPEG", progressive=True, subsampling=0),
        "grey.jpg": encode(rgb.convert("L"), "JPEG"),
        "cmyk.jpg": encode(rgb.convert("CMYK"), "JPEG"),
        "two.mpo": encode(rgb, "MPO", save_all=True, append_images=[small]),
        "rgb.png": encode(small, "PNG", **tagged),
        "alpha.png": encode(alpha.resize((48, 40)), "PNG"),
        "palette.png": encode(small.quantize(32), "PNG", transparency=3),
        "deep.png": encode(deep, "PNG"),
        "animated.png": encode(small, "PNG", save_all=True, append_images=[small.rotate(90)]),
        "lossy.webp": encode(rgb, "WEBP", quality=80, **tagged),
        "lossless.webp": encode(alpha, "WEBP", lossless=True),
        "animated.webp": encode(rgb, "WEBP", **frames),
        "plain.avif": encode(rgb, "AVIF", quality=70, speed=10, max_threads=1),
        "raw.tif": encode(small, "TIFF", **tagged),
        "lzw.tif": encode(rgb, "TIFF", compression="tiff_lzw"),
        "deflate.tif": encode(deep, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": encode(rgb, "TIFF", compression="jpeg"),
        "plain.gif": encode(rgb, "GIF"),
        "animated.gif": encode(rgb, "GIF", **frames),
        "plain.bmp": encode(small, "BMP"),
        "palette.bmp": encode(small.quantize(16), "BMP"),
        "box.jp2": encode(rgb, "JPEG2000"),
        "raw.j2k": encode(rgb, "JPEG2000", no_jp2=True, irreversible=True),
    }


Mutation = Callable[[bytearray, random.Random], None]


def _bit_flips(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 32))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _duplicate_block(data: bytearray, rng: random.Random) -> None:
    start, size = _block(data, rng)
    at = rng.randrange(len(data))
    data[at:at] = data[start : start + size]


def _delete_block(data: bytearray, rng: random.Random) -> None:
    start, size = _block(data, rng)
    del data[start : start + size]


def _edit_header(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 2, 4))):
        data[rng.randrange(min(len(data), 96))] = rng.choice(INTERESTING)


def _edit_number(data: bytearray, rng: random.Random) -> None:
    """A size, offset or count becomes extreme."""
    width = rng.choice((2, 4))
    at = rng.randrange(min(len(data), rng.choice((64, 4096))))
    value = rng.choice((0, 1, 0x7FFF, 0xFFFF, 30_000, 65_500, 0x7FFFFFFF, 0xFFFFFFFF)) & ((1 << 8 * width) - 1)
    data[at : at + width] = value.to_bytes(width, rng.choice(("big", "little")))


def _swap_blocks(data: bytearray, rng: random.Random) -> None:
    size = rng.choice((4, 16, 64, 256))
    a, b = sorted((rng.randrange(len(data)), rng.randrange(len(data))))
    size = min(size, b - a, len(data) - b)
    data[a : a + size], data[b : b + size] = data[b : b + size], data[a : a + size]


def _blank_block(data: bytearray, rng: random.Random) -> None:
    start, size = _block(data, rng)
    data[start : start + size] = bytes([rng.choice(INTERESTING)]) * size


def _insert_noise(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 3, 16, 300)))


def _swap_chunks(data: bytearray, rng: random.Random) -> None:
    """Exchange two pieces cut where a chunk, marker or box may begin."""
    cuts = [i for i in range(len(data) - 1) if data[i] == 0xFF and data[i + 1] >= 0xC0]
    cuts += [i - 4 for i in range(4, len(data) - 4) if data[i : i + 4].isalpha()]
    if len(cuts) < 3:
        return _swap_blocks(data, rng)
    a, b, c = sorted(rng.sample(cuts, 3))
    data[a:c] = data[b:c] + data[a:b]
    return None


def _splice(data: bytearray, rng: random.Random) -> None:
    """The head of one file with the tail of another."""
    other = rng.choice(list(seeds().values()))
    data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]


def _block(data: bytearray, rng: random.Random) -> tuple[int, int]:
    start = rng.randrange(len(data))
    return start, min(rng.choice((1, 2, 4, 16, 64, 512)), len(data) - start)


MUTATIONS: dict[str, Mutation] = {
    "bit_flips": _bit_flips,
    "truncate": _truncate,
    "duplicate_block": _duplicate_block,
    "delete_block": _delete_block,
    "edit_header": _edit_header,
    "edit_number": _edit_number,
    "swap_blocks": _swap_blocks,
    "swap_chunks": _swap_chunks,
    "blank_block": _blank_block,
    "insert_noise": _insert_noise,
    "splice": _splice,
}


def mutated_files(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield `count` damaged files as (name, bytes); formats and mutations take turns, every fifth file gets several.

    The name tells how to make the file again: `00017-truncate-lossy.webp` (unique, valid as a file name).
    """
    files = list(seeds().items())
    kinds = list(MUTATIONS.items())
    for i in range(count):
        rng = random.Random(f"{seed}-{i}")
        name, valid = files[i % len(files)]
        kind, mutate = kinds[(i // len(files) + i) % len(kinds)]
        data = bytearray(valid)
        mutate(data, rng)
        for _ in range(rng.choice((0, 0, 0, 0, 1, 3))):
            if data:
                rng.choice(kinds)[1](data, rng)
        yield f"{i:05d}-{kind}-{name}", bytes(data)
