"""Any source to upright sRGB pixels, or one `UnreadableImageError` that says why not. Files come from strangers here.

What a file is, is told from its bytes (`sniff.py`); its size is read from the header and refused before a pixel is
decoded; colour ends as sRGB over white (`colour.py`); of metadata only the orientation and the ICC profile are used.
"""

from __future__ import annotations

import io
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, cast

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from mien.core.colour import flatten, to_srgb
from mien.core.errors import UnreadableImageError
from mien.core.files import Reader, one_line, open_regular
from mien.core.memory import one_at_a_time
from mien.core.png import essential_chunks, has_bulk
from mien.core.quiet import hush, hush_libtiff, quiet
from mien.core.sniff import FORMATS, HEAD_BYTES, SUFFIXES, identify, refuse, refuse_raw

__all__ = ["DEFAULT_LIMITS", "FORMATS", "SUFFIXES", "Limits", "Picture", "Source", "decode", "read_exif"]

Source: TypeAlias = str | os.PathLike[str] | bytes | Image.Image | npt.NDArray[np.uint8]
"""A path, the bytes of a file, a PIL picture (any mode), or a uint8 array (h, w, 3) in RGB."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused before a pixel is decoded."""

    max_pixels: int = 128_000_000  #: width times height, from the header
    max_side_px: int = 65_535
    min_side_px: int = 16
    max_bytes: int = 512 * 2**20  #: of the file


DEFAULT_LIMITS = Limits()


Box: TypeAlias = tuple[float, float, float, float]
"""(left, upper, right, lower) in pixels and fractions of them."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Upright pixels, perhaps reduced, and the size of the original."""

    pixels: Image.Image  #: mode RGB, sRGB, upright; no metadata
    width: int  #: pixels of the upright original
    height: int
    box: Box | None = None
    """The part of `pixels` that is the picture, where a reduced size had to be rounded up; None = all of it."""
    by_decoder: bool = False  #: whether the decoder itself reduced it, and did so before it cut colours off


_PLUGINS = {
    "JPEG": "JpegImagePlugin",
    "PNG": "PngImagePlugin",
    "WEBP": "WebPImagePlugin",
    "AVIF": "AvifImagePlugin",
    "TIFF": "TiffImagePlugin",
    "GIF": "GifImagePlugin",
    "BMP": "BmpImagePlugin",
    "JPEG2000": "Jpeg2KImagePlugin",
}
_EXIF_FIRST = ("JPEG", "WEBP", "AVIF", "HEIF")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MAX_HEADER_BYTES = 12 * 2**20  # Pillow joins the segments of a JPEG header in quadratic time
BIG_PX = 24_000_000  #: pictures above it are decoded one at a time
_TILE_PX = 4096 * 4096
_BAND_PX = 2_000_000
_OURS = (UnreadableImageError, Image.DecompressionBombError, MemoryError)  # `decode` knows what they mean

hush(Image)


def decode(source: Source, *, enough_px: int | None = None, limits: Limits = DEFAULT_LIMITS) -> Picture:
    """Decode the first frame of a picture: upright, sRGB, transparent parts over white.

    Args:
        source: path, bytes of a file, PIL picture, or uint8 array (h, w, 3) in RGB.
        enough_px: a reduced picture will do as long as both its sides stay this long; None = exact, full size.
            JPEG and JPEG 2000 then decode at reduced scale, and pictures above 24 megapixels are averaged down.
        limits: what to refuse unseen.

    Returns:
        The pixels, and the size of the upright original. Pictures above 24 megapixels decode one at a time.

    Raises:
        UnreadableImageError: nothing else, whatever the source. Its `status` is `missing` (no such file, no
            permission), `unsupported`, `decode_error`, `too_large` or `too_small`; the message is one line.
    """
    try:
        with quiet():
            return _decode(source, enough_px, limits)
    except UnreadableImageError:
        raise
    except Image.DecompressionBombError:
        raise UnreadableImageError("too_large", "its header asks for more pixels than Pillow allows") from None
    except MemoryError:
        raise UnreadableImageError("decode_error", "not enough memory to decode it") from None
    except Exception as error:
        raise UnreadableImageError("decode_error", one_line(error)) from None


def _decode(source: Source, enough_px: int | None, limits: Limits) -> Picture:
    if isinstance(source, Image.Image):
        return _from_pil(source, enough_px, limits)
    if isinstance(source, np.ndarray):
        return _from_array(source, limits)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_file(Reader(io.BytesIO(source)), len(source), "", enough_px, limits)
    if isinstance(source, (str, os.PathLike)):
        path = os.fsdecode(source)
        with open_regular(path) as (fp, size):
            return _from_file(fp, size, Path(path).suffix.lower(), enough_px, limits)
    raise UnreadableImageError("unsupported", f"cannot read a picture from {type(source).__name__}")


def _from_array(array: npt.NDArray[Any], limits: Limits) -> Picture:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        raise UnreadableImageError("unsupported", f"expected a uint8 array (h, w, 3), got {array.dtype} {array.shape}")
    height, width = array.shape[:2]
    _check_size((width, height), limits)
    return Picture(Image.fromarray(np.ascontiguousarray(array)), width, height)


def _from_pil(im: Image.Image, enough_px: int | None, limits: Limits) -> Picture:
    """The current frame of a picture that belongs to somebody else: it is not changed, and not shared."""
    _check_size(im.size, limits)
    with _turn(im.width * im.height):
        im.load()
        mine = _finish(im, im.size, enough_px)
    return mine if mine.pixels.im is not im.im else replace(mine, pixels=mine.pixels.copy())


# ---- files


def _from_file(fp: Reader, size: int, suffix: str, enough_px: int | None, limits: Limits) -> Picture:
    if size > limits.max_bytes:
        raise UnreadableImageError("too_large", f"the file has {size:,} bytes, the limit is {limits.max_bytes:,}")
    head = fp.read(HEAD_BYTES)
    if not head:
        raise UnreadableImageError("decode_error", "the file is empty")
    refuse_raw(suffix)
    form = identify(head) or refuse(head, suffix)
    try:
        return _read_patiently(fp, form, enough_px, limits)
    except _OURS:
        raise
    except Exception as error:
        raise UnreadableImageError("decode_error", f"cannot decode this {form}: {one_line(error)}") from None


def _read_patiently(fp: Reader, form: str, enough_px: int | None, limits: Limits) -> Picture:
    """Two tries where a failure may be the reader's and not the file's."""
    try:
        return _read(fp, form, enough_px, limits)
    except _OURS:
        raise
    except Exception as error:
        if form == "PNG" and isinstance(error, ValueError):  # a text chunk beyond Pillow's limits
            return _read(Reader(essential_chunks(fp)), form, enough_px, limits)
        if form == "JPEG2000" and enough_px:  # fewer resolution levels than asked for
            return _read(fp, form, None, limits)
        raise


def _read(fp: Reader, form: str, enough_px: int | None, limits: Limits) -> Picture:
    if form == "PNG" and has_bulk(fp):
        fp = Reader(essential_chunks(fp))
    with _plugin(form, fp) as im:
        size = im.size
        _check_size(size, limits)
        _check_tile(im)
        if enough_px:
            _ask_for_less(im, form, enough_px)
        progressive = form == "JPEG" and "progressive" in im.info  # keeps all coefficients, at any scale
        with _turn(size[0] * size[1] if progressive else im.width * im.height):
            try:
                im.load()
                if form not in ("JPEG", "JPEG2000"):  # these may be reduced; some other headers are only roughly right
                    size = im.size
                    _check_size(size, limits)
                return _finish(im, size, enough_px)
            finally:
                Image.Image.close(im)  # the full-size pixels go before the next one's turn; the file stays open


def _plugin(form: str, fp: Reader) -> Image.Image:
    """What `Image.open` does for one known format, with the plugin's own reason when it fails."""
    fp.seek(0)
    if form == "HEIF":
        return _heif(fp)
    module = import_module(f"PIL.{_PLUGINS[form]}")
    hush(module)
    hush(import_module("PIL.TiffImagePlugin"))  # reads EXIF for all formats
    if form == "TIFF":
        hush_libtiff()
    fp.bytes_left = _MAX_HEADER_BYTES if form == "JPEG" else float("inf")
    im = cast("Image.Image", Image.OPEN[form][0](cast("Any", fp), ""))
    fp.bytes_left = float("inf")
    return im


def _heif(fp: BinaryIO) -> Image.Image:
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]
    except ImportError:
        message = 'HEIC needs an extra: pip install "mien[heic]"'
        raise UnreadableImageError("unsupported", message) from None
    return pillow_heif.HeifImageFile(fp, "")


def read_exif(path: str | os.PathLike[str]) -> Image.Exif:
    """EXIF of a file without a look at its pixels; empty where there is none, or no picture.

    Only of formats that keep it before the pixels: JPEG, WebP, AVIF and HEIC.
    """
    try:
        with quiet(), open_regular(os.fsdecode(path)) as (fp, _):
            form = identify(fp.read(HEAD_BYTES))
            if form not in _EXIF_FIRST:
                return Image.Exif()
            with _plugin(form, fp) as im:
                exif = im.getexif()
                exif.get_ifd(ExifTags.IFD.Exif)  # read now: the file is closed afterwards
                return exif
    except Exception:  # EXIF is a guest here, and the file may be anything
        return Image.Exif()


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width * height > limits.max_pixels or max(size) > limits.max_side_px:
        limit = f"{limits.max_pixels:,} pixels and {limits.max_side_px:,} a side"
        raise UnreadableImageError("too_large", f"{width} x {height} pixels, the limit is {limit}")
    if min(size) < limits.min_side_px:
        raise UnreadableImageError("too_small", f"{width} x {height} pixels, the minimum is {limits.min_side_px}")


def _check_tile(im: Image.Image) -> None:
    """A TIFF tile is decoded as a whole, however little of it lies inside the picture."""
    tags = getattr(im, "tag_v2", {})
    width, height = tags.get(322), tags.get(323)
    if isinstance(width, int) and isinstance(height, int) and width * height > max(_TILE_PX, 4 * im.width * im.height):
        raise UnreadableImageError("too_large", f"TIFF tiles of {width} x {height} pixels, more than it shows")


def _ask_for_less(im: Image.Image, form: str, enough_px: int) -> None:
    """Choose the smallest reduced scale of the decoder that leaves both sides long enough."""
    if form == "JPEG":
        cast("Any", im).draft(None, (enough_px, enough_px))
    elif form == "JPEG2000":
        cast("Any", im).reduce = next((r for r in range(5, 0, -1) if _reducible(im.size, r, enough_px)), 0)


def _reducible(size: tuple[int, int], halvings: int, enough_px: int) -> bool:
    """Whether JPEG 2000 can be read at this scale: Pillow rounds to the nearest, the format up; they have to agree."""
    reduced = [-(-side >> halvings) for side in size]
    return min(reduced) >= enough_px and reduced == [(side + (1 << halvings >> 1)) >> halvings for side in size]


# ---- pixels


def _turn(pixels: int) -> AbstractContextManager[None]:
    return one_at_a_time() if pixels > BIG_PX else nullcontext()


def _finish(im: Image.Image, size: tuple[int, int], enough_px: int | None) -> Picture:
    """Loaded pixels of the file to pixels for us; `size` is the full size, before the orientation is applied."""
    orientation = _orientation(im)
    profile = im.info.get("icc_profile")
    factor = min(im.size) // enough_px if enough_px and im.width * im.height > BIG_PX else 1
    out = to_srgb(_shrink(im, factor) if factor > 1 else flatten(im), profile)
    box = _box(out.size, size, orientation)
    if orientation in _UPRIGHT:
        out = out.transpose(_UPRIGHT[orientation])
    width, height = size if orientation < 5 else size[::-1]
    return Picture(_bare(out), width, height, box, by_decoder=im.size != size)


def _box(reduced: tuple[int, int], size: tuple[int, int], orientation: int) -> Box | None:
    """Where the picture lies in its reduced pixels once they are upright: 1001 px at half scale are 500.5 of 501."""
    (w, h), scale = reduced, round(size[0] / reduced[0])
    right, lower = size[0] / scale, size[1] / scale
    if (right, lower) == reduced:
        return None
    return {
        2: (w - right, 0, w, lower),
        3: (w - right, h - lower, w, h),
        4: (0, h - lower, right, h),
        5: (0, 0, lower, right),
        6: (h - lower, 0, h, right),
        7: (h - lower, w - right, h, w),
        8: (0, w - right, lower, w),
    }.get(orientation, (0, 0, right, lower))


def _shrink(im: Image.Image, factor: int) -> Image.Image:
    """Average blocks of factor x factor pixels, band by band, so that no second full picture is ever in memory."""
    width, height = im.size
    rows = max(1, _BAND_PX // (width * factor)) * factor
    out = None
    for top in range(0, height, rows):
        band = flatten(im.crop((0, top, width, min(top + rows, height)))).reduce(factor)
        if out is None:
            out = Image.new(band.mode, (band.width, -(-height // factor)))
        out.paste(band, (0, top // factor))
    assert out is not None
    return out


def _orientation(im: Image.Image) -> int:
    """1..8; 1 when EXIF is absent or makes no sense."""
    try:
        value = im.getexif().get(0x0112, 1)
    except Exception:  # EXIF is a guest here: whatever is wrong with it, the pixels count
        return 1
    return value if isinstance(value, int) and value in _UPRIGHT else 1


def _bare(im: Image.Image) -> Image.Image:
    """The same pixels without metadata: a plain picture that shares their memory."""
    plain = im._new(im.im)
    plain.info = {}
    return plain
