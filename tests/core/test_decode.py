"""What each kind of file decodes to: formats, colour, orientation, sources, odd files."""

from __future__ import annotations

import io
import os
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.mutations import encode, scene, seeds, swapped_profile
from mien.core import files
from mien.core.decode import Limits, decode
from mien.core.errors import UnreadableImageError
from mien.core.sniff import SUFFIXES

decode_module: Any = import_module("mien.core.decode")  # the package may export the function under the same name

SCENE = scene()
RGB = Image.fromarray(SCENE)
ALPHA = Image.linear_gradient("L").resize(RGB.size)
DEEP = SCENE[..., 1].astype(np.uint16) * 257 + 100


def pixels(source: Any, **options: Any) -> np.ndarray:
    return np.asarray(decode(source, **options).pixels).astype(int)


def refused(source: Any, **options: Any) -> UnreadableImageError:
    with pytest.raises(UnreadableImageError) as caught:
        decode(source, **options)
    message = str(caught.value)
    assert message and message.isprintable(), "one printable line"
    return caught.value


def with_alpha(im: Image.Image) -> Image.Image:
    im = im.copy()
    im.putalpha(ALPHA)
    return im


def over_white(colour: np.ndarray) -> np.ndarray:
    alpha = np.asarray(ALPHA).astype(float)[..., None] / 255
    return colour * alpha + 255 * (1 - alpha)


def grey(array: np.ndarray) -> np.ndarray:
    return np.repeat(array[..., None], 3, axis=2)


PALETTE = RGB.quantize(32)
PALETTE_RGB = np.asarray(PALETTE.convert("RGB"))
INDEX = np.asarray(PALETTE)
ONE_BIT = RGB.convert("1")
CMYK = RGB.convert("CMYK")
L = np.asarray(RGB.convert("L"))
KEY = tuple(int(v) for v in SCENE[10, 20])


def second() -> dict[str, Any]:
    return {"save_all": True, "append_images": [RGB.transpose(Image.Transpose.ROTATE_180)]}


HALF = bytes([128]) * 32


def keyed() -> np.ndarray:
    return np.where((KEY == SCENE).all(axis=2, keepdims=True), 255, SCENE)


@dataclass(frozen=True)
class Case:
    name: str
    data: bytes
    expected: np.ndarray
    tolerance: float = 1.0  # mean absolute difference, levels of 255


CASES = [
    Case("jpeg", encode(RGB, "JPEG", quality=95), SCENE, 6),
    Case("jpeg progressive 4:4:4", encode(RGB, "JPEG", quality=97, progressive=True, subsampling=0), SCENE, 2),
    Case("jpeg grey", encode(RGB.convert("L"), "JPEG", quality=97), grey(L), 2),
    Case("jpeg cmyk, adobe inverted", encode(CMYK, "JPEG", quality=97), np.asarray(CMYK.convert("RGB")), 3),
    Case("mpo, first picture", encode(RGB, "MPO", quality=97, **second()), SCENE, 6),
    Case("png rgb", encode(RGB, "PNG"), SCENE, 0),
    Case("png grey", encode(RGB.convert("L"), "PNG"), grey(L), 0),
    Case("png grey + alpha", encode(with_alpha(RGB.convert("L")), "PNG"), over_white(grey(L))),
    Case("png rgba", encode(with_alpha(RGB), "PNG"), over_white(SCENE)),
    Case("png 1 bit", encode(ONE_BIT, "PNG"), grey(np.asarray(ONE_BIT) * 255), 0),
    Case("png 16 bits", encode(Image.fromarray(DEEP), "PNG"), grey(np.round(DEEP / 257)), 0),
    Case("png palette", encode(PALETTE, "PNG"), PALETTE_RGB, 0),
    Case(
        "png palette, one transparent colour",
        encode(PALETTE, "PNG", transparency=5),
        np.where((INDEX == 5)[..., None], 255, PALETTE_RGB),
        0,
    ),
    Case("png palette, alpha table", encode(PALETTE, "PNG", transparency=HALF), (PALETTE_RGB + 254.0) / 2),
    Case("png rgb, colour key", encode(RGB, "PNG", transparency=KEY), keyed(), 0),
    Case("png animated", encode(RGB, "PNG", **second()), SCENE, 0),
    Case("gif", encode(PALETTE, "GIF"), PALETTE_RGB, 0),
    Case("gif animated", encode(PALETTE, "GIF", **second()), PALETTE_RGB, 0),
    Case("webp", encode(RGB, "WEBP", quality=95), SCENE, 6),
    Case("webp lossless", encode(RGB, "WEBP", lossless=True), SCENE, 0),
    Case("webp rgba", encode(with_alpha(RGB), "WEBP", lossless=True, exact=True), over_white(SCENE)),
    Case("webp animated", encode(RGB, "WEBP", lossless=True, **second()), SCENE, 0),
    Case("avif", encode(RGB, "AVIF", quality=95, subsampling="4:4:4"), SCENE, 3),
    Case("avif rgba", encode(with_alpha(RGB), "AVIF", quality=95, subsampling="4:4:4"), over_white(SCENE), 3),
    Case("tiff", encode(RGB, "TIFF"), SCENE, 0),
    Case("tiff lzw", encode(RGB, "TIFF", compression="tiff_lzw"), SCENE, 0),
    Case("tiff jpeg", encode(RGB, "TIFF", compression="jpeg", quality=97), SCENE, 6),
    Case("tiff 16 bits", encode(Image.fromarray(DEEP), "TIFF"), grey(np.round(DEEP / 257)), 0),
    Case("tiff 32-bit integers", encode(Image.fromarray(DEEP.astype(np.int32)), "TIFF"), grey(np.round(DEEP / 257)), 0),
    Case("tiff 1 bit", encode(ONE_BIT, "TIFF", compression="group4"), grey(np.asarray(ONE_BIT) * 255), 0),
    Case("tiff cmyk", encode(CMYK, "TIFF"), np.asarray(CMYK.convert("RGB")), 0),
    Case("tiff rgba", encode(with_alpha(RGB), "TIFF"), over_white(SCENE)),
    Case("tiff, first of two pages", encode(RGB, "TIFF", **second()), SCENE, 0),
    Case("bmp", encode(RGB, "BMP"), SCENE, 0),
    Case("bmp palette", encode(PALETTE, "BMP"), PALETTE_RGB, 0),
    Case("jpeg 2000", encode(RGB, "JPEG2000"), SCENE, 0),
    Case("jpeg 2000 codestream", encode(RGB, "JPEG2000", no_jp2=True), SCENE, 0),
    Case("jpeg 2000 16 bits", encode(Image.fromarray(DEEP), "JPEG2000"), grey(np.round(DEEP / 257)), 0),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_formats_and_modes(case, tmp_path):
    picture = decode(case.data)
    assert (picture.pixels.mode, picture.pixels.size) == ("RGB", RGB.size)
    assert (picture.width, picture.height) == RGB.size
    assert np.abs(pixels(case.data) - case.expected).mean() <= case.tolerance
    assert not picture.pixels.info
    assert type(picture.pixels) is Image.Image
    path = tmp_path / "name without suffix"
    path.write_bytes(case.data)
    assert decode(path).pixels.tobytes() == decode(str(path)).pixels.tobytes() == picture.pixels.tobytes()
    assert decode(Image.open(io.BytesIO(case.data))).pixels.tobytes() == picture.pixels.tobytes()


def test_lab_goes_back_to_the_colours_it_came_from():
    from PIL import ImageCms

    flat = RGB.resize((16, 16))
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB", 5000)
    lab = ImageCms.profileToProfile(flat, *profiles, outputMode="LAB")
    assert lab is not None
    assert np.abs(pixels(encode(lab, "TIFF")) - np.asarray(flat)).mean() < 3


def test_floating_point_is_refused():
    data = encode(Image.fromarray(SCENE[..., 0].astype(np.float32)), "TIFF")
    error = refused(data)
    assert error.status == "unsupported"
    assert "floating-point" in str(error)


def test_heic_with_and_without_the_extra(monkeypatch):
    heif = pytest.importorskip("pillow_heif", reason="needs mien[heic]")
    out = io.BytesIO()
    heif.from_pillow(RGB).save(out, quality=95, chroma=444)
    assert np.abs(pixels(out.getvalue()) - SCENE).mean() < 4
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    assert_needs_extra(out.getvalue())


def test_heic_names_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    assert_needs_extra(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))


def assert_needs_extra(data):
    error = refused(data)
    assert error.status == "unsupported"
    assert 'pip install "mien[heic]"' in str(error)


# ---- ICC profiles


def icc(space: bytes, connection: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A minimal version 2 profile."""
    d50 = struct.pack(">3i", 63190, 65536, 54061)
    tags = {b"wtpt": b"XYZ \0\0\0\0" + d50, **tags}
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    date = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head = struct.pack(">8x4s4s4s4s", b"\x02\x40\0\0", kind, space, connection) + date + b"acsp" + bytes(28) + d50
    head = head.ljust(128, b"\0") + struct.pack(">I", len(tags))
    return struct.pack(">I", 132 + 12 * len(tags) + len(body)) + head[4:] + table + body


def linear_grey() -> bytes:
    return icc(b"GRAY", b"XYZ ", b"mntr", {b"kTRC": b"curv\0\0\0\0\0\0\0\1\1\0"})


def cyan_only() -> bytes:
    """CMYK in which only cyan absorbs, evenly."""
    ramp = bytes(range(256))
    cube = b"".join(bytes([0 if c else 255, 128, 128]) for c in (0, 1) for _ in range(8))
    matrix = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    return icc(b"CMYK", b"Lab ", b"prtr", {b"A2B0": b"mft1\0\0\0\0\4\3\2\0" + matrix + ramp * 4 + cube + ramp * 3})


@pytest.mark.parametrize(
    ("form", "options", "tolerance"),
    [
        ("PNG", {}, 1),
        ("TIFF", {}, 1),
        ("WEBP", {"lossless": True}, 1),
        ("JPEG", {"quality": 97, "subsampling": 0}, 3),
        ("AVIF", {"quality": 97, "subsampling": "4:4:4"}, 3),
    ],
)
def test_profile_is_converted_to_srgb(form, options, tolerance):
    data = encode(RGB, form, icc_profile=swapped_profile(), **options)
    assert np.abs(pixels(data) - SCENE[..., ::-1]).mean() < tolerance
    assert np.abs(pixels(data) - SCENE).mean() > 20


def test_grey_profile():
    linear = L / 255
    expected = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    data = encode(RGB.convert("L"), "PNG", icc_profile=linear_grey())
    assert np.abs(pixels(data) - grey(expected)).max() <= 3


def test_cmyk_profile():
    flat = Image.merge("CMYK", [Image.new("L", (32, 32), v) for v in (0, 200, 200, 90)])
    plain = pixels(encode(flat, "JPEG", quality=97))
    assert plain.mean() < 200
    assert pixels(encode(flat, "JPEG", quality=97, icc_profile=cyan_only())).min() > 250


@pytest.mark.parametrize(
    "profile",
    [b"", b"nonsense", bytes(200), swapped_profile()[:300], linear_grey(), cyan_only()],
    ids=["empty", "short", "zeros", "truncated", "for grey", "for cmyk"],
)
def test_profile_that_does_not_fit_is_ignored(profile):
    assert np.array_equal(pixels(encode(RGB, "PNG", icc_profile=profile)), SCENE)


# ---- orientation


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels that a camera writes with this tag."""
    return {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]


def tag(orientation: Any) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True}),
    ],
)
def test_orientation_is_applied_to_the_byte(form, options, orientation):
    im = Image.fromarray(np.ascontiguousarray(stored(SCENE, orientation)))
    data = encode(im, form, exif=tag(orientation), **options)
    picture = decode(data)
    assert (picture.width, picture.height) == (64, 48)
    assert np.array_equal(np.asarray(picture.pixels), SCENE)
    assert np.array_equal(pixels(Image.open(io.BytesIO(data))), SCENE)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "AVIF"])
def test_orientation_of_reduced_and_lossy_files(form, orientation):
    upright = scene(640, 400)
    im = Image.fromarray(np.ascontiguousarray(stored(upright, orientation)))
    speed = {"speed": 10} if form == "AVIF" else {}
    picture = decode(encode(im, form, quality=95, exif=tag(orientation), **speed), enough_px=100)
    assert (picture.width, picture.height) == (640, 400)
    assert picture.pixels.size == ((160, 100) if form == "JPEG" else (640, 400))
    small = Image.fromarray(upright).resize(picture.pixels.size, Image.Resampling.BOX)
    assert np.abs(np.asarray(picture.pixels).astype(int) - np.asarray(small)).mean() < 6


@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", bytes(60_000)])
def test_malformed_exif_is_ignored(exif):
    assert np.array_equal(pixels(encode(RGB, "PNG", exif=exif)), SCENE)
    assert decode(encode(RGB, "JPEG", exif=exif)).width == 64


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_impossible_orientation_is_ignored(value):
    assert np.array_equal(pixels(encode(RGB, "PNG", exif=tag(value))), SCENE)


# ---- reduced decoding


@pytest.mark.parametrize(
    ("enough", "size"), [(None, (800, 600)), (601, (800, 600)), (300, (400, 300)), (75, (100, 75))]
)
@pytest.mark.parametrize("form", ["JPEG", "JPEG2000"])
def test_reduced_scale_keeps_enough(form, enough, size):
    data = encode(Image.fromarray(scene(800, 600)), form)
    picture = decode(data, enough_px=enough)
    assert picture.pixels.size == size
    assert (picture.width, picture.height) == (800, 600)


@pytest.mark.parametrize("size", [(1023, 777), (601, 401), (333, 517)])
@pytest.mark.parametrize("enough", [16, 50, 100])
def test_jpeg2000_of_odd_sizes(size, enough):
    picture = decode(encode(Image.fromarray(scene(*size)), "JPEG2000"), enough_px=enough)
    assert (picture.width, picture.height) == size
    assert enough <= min(picture.pixels.size) <= min(size) // 2 + 1


def test_jpeg2000_with_fewer_levels_than_asked_for():
    data = encode(Image.fromarray(scene(256, 256)), "JPEG2000", num_resolutions=2)
    assert decode(data, enough_px=32).pixels.size == (256, 256)


def test_big_pictures_are_averaged_down_in_bands(monkeypatch):
    monkeypatch.setattr(decode_module, "BIG_PX", 1000)
    monkeypatch.setattr(decode_module, "_BAND_PX", 700)
    im = with_alpha(RGB).resize((61, 45))
    picture = decode(encode(im, "PNG"), enough_px=16)
    paper = Image.new("RGB", im.size, "white")
    paper.paste(im, mask=im)
    assert (picture.width, picture.height, picture.pixels.size) == (61, 45, (31, 23))
    assert np.array_equal(np.asarray(picture.pixels), np.asarray(paper.reduce(2)))


def test_one_big_picture_at_a_time(monkeypatch):
    inside, most = 0, 0
    guard, finish = threading.Lock(), decode_module._finish

    def slow(*args):
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        time.sleep(0.03)
        with guard:
            inside -= 1
        return finish(*args)

    monkeypatch.setattr(decode_module, "_finish", slow)
    data = encode(RGB, "PNG")
    for limit, expected in ((1000, 1), (10_000, 4)):
        monkeypatch.setattr(decode_module, "BIG_PX", limit)
        most = 0
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(decode, [data] * 4))
        assert most == expected


# ---- sources


def test_all_sources_give_the_same_pixels(tmp_path):
    path = tmp_path / "a.png"
    RGB.save(path)
    data = path.read_bytes()
    sources = [path, str(path), data, bytearray(data), memoryview(data), RGB, Image.open(path), SCENE, SCENE.copy("F")]
    for source in sources:
        assert np.array_equal(np.asarray(decode(source).pixels), SCENE), type(source)


def test_a_pil_picture_is_neither_changed_nor_shared():
    mine = RGB.copy()
    mine.info["note"] = "keep"
    picture = decode(mine)
    picture.pixels.putpixel((0, 0), (1, 2, 3))
    assert np.array_equal(np.asarray(mine), SCENE)
    assert mine.info == {"note": "keep"}
    assert not picture.pixels.info


@pytest.mark.parametrize(
    "source",
    [
        SCENE.astype(float),
        SCENE[..., 0],
        np.zeros((20, 20, 4), np.uint8),
        None,
        17,
        ["a.jpg"],
    ],
    ids=lambda s: type(s).__name__,
)
def test_other_sources_are_refused(source):
    assert refused(source).status == "unsupported"


def test_closed_pil_picture():
    im = Image.open(io.BytesIO(seeds()["plain.jpg"]))
    im.close()
    assert refused(im).status == "decode_error"


def test_an_array_keeps_within_the_limits():
    assert refused(np.zeros((0, 0, 3), np.uint8)).status == "too_small"
    assert refused(SCENE, limits=Limits(max_pixels=1000)).status == "too_large"


# ---- odd files


@pytest.mark.parametrize(
    ("name", "content", "status", "says"),
    [
        ("a.jpg", b"", "decode_error", "empty"),
        ("a.jpg", b"just a few words\n" * 200, "decode_error", "expected a JPEG, found text"),
        ("a.jpg", "Grüße\n".encode() * 300, "decode_error", "found text"),
        ("a.png", b"<!DOCTYPE html><html>no</html>", "decode_error", "HTML"),
        ("a.webp", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "decode_error", "LFS"),
        ("a.jpg", b"\x00\x01\x02\x03" * 99, "decode_error", "no known format"),
        ("a", b"\x00\x01\x02\x03" * 99, "decode_error", "no known format"),
        ("notes.txt", b"just a few words", "unsupported", ".txt"),
        ("a.xyz", b"\x00\x01\x02\x03" * 99, "unsupported", ".xyz"),
        ("a.jpg", b"%PDF-1.7\n" + bytes(99), "unsupported", "PDF"),
        ("a.svg", b'<?xml version="1.0"?><svg xmlns="..."/>', "unsupported", "SVG"),
        ("a.mov", b"\0\0\0\x14ftypqt  \0\0\0\0qt  moov", "unsupported", "video"),
        ("a.ppm", b"P6\n20 20\n255\n" + bytes(1200), "unsupported", "PNM"),
        ("a.nef", seeds()["raw.tif"], "unsupported", "camera raw"),
        ("a.tif", b"II*\0\x10\0\0\0CR\2\0" + bytes(99), "unsupported", "camera raw"),
        ("a.ico", b"\0\0\1\0\1\0" + bytes(99), "unsupported", "icon"),
        ("a.jpg", seeds()["plain.jpg"][:700], "decode_error", "JPEG"),
        ("a.jpg", b"\xff\xd8\xff", "decode_error", "JPEG"),
        ("a.png", seeds()["rgb.png"][:2000], "decode_error", "truncated"),
        ("1x1.png", encode(RGB.resize((1, 1)), "PNG"), "too_small", "1 x 1"),
        ("thin.png", encode(RGB.resize((500, 15)), "PNG"), "too_small", "500 x 15"),
    ],
)
def test_odd_content(tmp_path, name, content, status, says):
    path = tmp_path / name
    path.write_bytes(content)
    error = refused(path)
    assert error.status == status
    assert says in str(error)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF", "BMP", "JPEG2000"])
def test_every_truncation_is_noticed(form):
    data = encode(RGB, form)
    for share in (0.02, 0.2, 0.5, 0.9):
        assert refused(data[: int(len(data) * share)]).status in ("decode_error", "unsupported")


def test_what_is_not_there(tmp_path):
    assert "No such file" in str(refused(tmp_path / "a.jpg"))
    loop = tmp_path / "loop.jpg"
    loop.symlink_to(loop)
    assert "symbolic links" in str(refused(loop))
    for path in (loop, tmp_path / "a.jpg", "", "a\0b.jpg", "x" * 5000, "\ud800.jpg", tmp_path / "a.jpg" / "b.jpg"):
        assert refused(path).status == "missing"


def test_permission_denied(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    RGB.save(path)

    def deny(*args, **more):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(files.os, "open", deny)
    error = refused(path)
    assert (error.status, str(error)) == ("missing", "Permission denied")


def test_directories(tmp_path, monkeypatch):
    folder = tmp_path / "x.jpg"
    folder.mkdir()
    assert (refused(folder).status, str(refused(folder))) == ("unsupported", "this is a directory, not a picture")

    def deny(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(files.os, "scandir", deny)
    assert (refused(folder).status, str(refused(folder))) == ("missing", "Permission denied")


def test_pipes_and_devices_never_block(tmp_path, monkeypatch):
    pipe = tmp_path / "pipe.jpg"
    os.mkfifo(pipe)
    assert "named pipe" in str(refused(pipe))
    assert refused("/dev/zero").status == "unsupported"
    regular = Path(__file__).stat()
    monkeypatch.setattr(files.os, "stat", lambda path: regular)  # replaced after the first look
    assert refused(pipe).status == "unsupported"


def test_vanished_after_the_first_look(tmp_path, monkeypatch):
    regular = Path(__file__).stat()
    monkeypatch.setattr(files.os, "stat", lambda path: regular)
    assert refused(tmp_path / "gone.jpg").status == "missing"


def test_name_that_is_not_utf8(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\xfe\n.png"
    Path(os.fsdecode(path)).write_bytes(encode(RGB, "PNG"))
    assert decode(os.fsdecode(path)).width == 64


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def test_files_are_closed(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(seeds()["two.mpo"])
    before = open_files()
    for _ in range(5):
        decode(path)
        path.with_suffix(".gif").write_bytes(seeds()["animated.gif"][:300])
        refused(path.with_suffix(".gif"))
    after = open_files()
    assert after == before


def test_out_of_memory_is_one_bad_file(monkeypatch):
    def fail(*args):
        raise MemoryError

    monkeypatch.setattr(decode_module, "flatten", fail)
    error = refused(seeds()["rgb.png"])
    assert (error.status, "memory" in str(error)) == ("decode_error", True)


# ---- what Pillow says on the way


def test_pillow_is_silent_for_us_and_only_for_us(capfd, caplog):
    """Warnings are errors in these tests: one that came through would turn the picture into a decode_error."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\xff\0\0\x10\0\0\0\0\0\0\0"
    data = encode(RGB, "JPEG", exif=exif)
    with pytest.warns(UserWarning, match="EXIF|Tag|Truncated"):
        Image.open(io.BytesIO(data)).getexif()
    with ThreadPoolExecutor(4) as pool:
        assert {p.width for p in pool.map(decode, [data] * 40)} == {64}
    with pytest.warns(UserWarning, match="EXIF|Tag|Truncated"):
        Image.open(io.BytesIO(data)).getexif()
    refused(encode(RGB, "TIFF").replace(struct.pack("<HHIH", 277, 3, 1, 3), struct.pack("<HHIH", 277, 3, 1, 99)))
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "name", ["plain.jpg", "two.mpo", "rgb.png", "lossy.webp", "plain.avif", "lzw.tif", "plain.gif"]
)
def test_a_large_picture_that_we_accept_does_not_warn(name, monkeypatch):
    """Pillow warns above 89 megapixels, in `open` and in some plugins."""
    data = seeds()[name]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1900)
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(io.BytesIO(data))
    assert decode(data).pixels.mode == "RGB"


# ---- bulky metadata


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_bulky_png_chunks_do_not_cost_the_picture():
    plain = encode(Image.fromarray(np.ascontiguousarray(stored(SCENE, 6))), "PNG", exif=tag(6))
    zeros = zlib.compress(bytes(20_000_000), 9)
    bulk = {
        "text": chunk(b"tEXt", b"note\0" + b"x" * 10_000_000),
        "compressed text": chunk(b"zTXt", b"note\0\0" + zeros),
        "international text": chunk(b"iTXt", b"note\0\1\0\0\0" + zeros),
        "profile": chunk(b"iCCP", b"icc\0\0" + zeros),
    }
    idat = plain.index(b"IDAT") - 4
    for name, extra in bulk.items():
        start = time.perf_counter()
        assert np.array_equal(pixels(plain[:idat] + extra + plain[idat:]), SCENE), f"{name} before the pixels"
        if name != "profile":
            assert np.array_equal(pixels(plain[:-12] + extra + plain[-12:]), SCENE), f"{name} after the pixels"
        assert time.perf_counter() - start < 2, name


def test_headers_of_a_million_pieces_are_given_up():
    jpeg = seeds()["plain.jpg"]
    piece = b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)
    start = time.perf_counter()
    error = refused(jpeg[:2] + piece * 1000 + jpeg[2:])
    assert "header" in str(error)
    assert time.perf_counter() - start < 5


def test_suffixes_are_lower_case_with_a_dot():
    assert {".jpg", ".heic", ".tif", ".mpo", ".avif"} <= SUFFIXES
    assert all(s == s.lower() and s.startswith(".") for s in SUFFIXES)
