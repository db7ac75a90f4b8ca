"""From any mode that Pillow decodes to RGB in sRGB, over white, 8 bits."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image

from mien.core.errors import UnreadableImageError

if TYPE_CHECKING:
    from PIL.ImageCms import ImageCmsProfile, ImageCmsTransform

_MAX_PROFILE_BYTES = 8 * 2**20
_KEYED = ("1", "L", "P", "RGB")  # modes in which `info["transparency"]` names a colour, or an alpha table (P)
_FROM_16_BITS = [(v * 255 + 32767) // 65535 for v in range(65536)]


def flatten(im: Image.Image) -> Image.Image:
    """Drop palette, alpha and depth, pixel by pixel.

    Args:
        im: any mode, loaded.

    Returns:
        Mode L, RGB, CMYK or LAB; transparent parts over white; 16 bits mapped from 0..65535 to 0..255.

    Raises:
        UnreadableImageError: `unsupported`, the mode has no defined range (floating point).
    """
    if im.mode == "F":
        raise UnreadableImageError(
            "unsupported", "floating-point pixels have no defined white; convert to 8 or 16 bits"
        )
    if im.mode.startswith("I"):
        return im.convert("I").point(_FROM_16_BITS, "L")
    if im.mode in _KEYED and "transparency" in im.info:
        im = im.convert("RGBA" if im.mode in ("P", "RGB") else "LA")
    elif im.mode in ("P", "PA"):
        transparent = im.mode == "PA" or (im.palette is not None and im.palette.mode == "RGBA")
        im = im.convert("RGBA" if transparent else "RGB")
    elif im.mode in ("La", "RGBa"):
        im = im.convert(im.mode.upper())
    if im.mode in ("LA", "RGBA"):
        return _over_white(im)
    if im.mode in ("L", "RGB", "CMYK", "LAB"):
        return im
    return im.convert("L" if im.mode == "1" else "RGB")


def _over_white(im: Image.Image) -> Image.Image:
    base = im.mode[:-1]
    paper = Image.new(base, im.size, "white")
    paper.paste(im.convert(base), mask=im.getchannel("A"))
    return paper


def to_srgb(im: Image.Image, profile: object = None) -> Image.Image:
    """Convert to mode RGB, sRGB.

    Args:
        im: mode L, RGB, CMYK or LAB.
        profile: ICC profile of the file. One that is broken or made for another mode is ignored, as viewers do.

    Returns:
        Mode RGB; `im` itself when there is nothing to do.
    """
    if isinstance(profile, bytes) and 128 < len(profile) <= _MAX_PROFILE_BYTES and not _is_srgb(profile):
        transform = _transform(profile, im.mode)
        if transform is not None:
            return transform.apply(im)
    if im.mode == "LAB":
        return _from_lab().apply(im)
    return im if im.mode == "RGB" else im.convert("RGB")


def _is_srgb(profile: bytes) -> bool:
    """Whether the description tag says sRGB (most profiles do, and then there is nothing to convert)."""
    for i in range(min(int.from_bytes(profile[128:132], "big"), 100)):
        entry = profile[132 + 12 * i : 144 + 12 * i]
        if entry[:4] == b"desc":
            start, size = int.from_bytes(entry[4:8], "big"), int.from_bytes(entry[8:12], "big")
            return b"sRGB" in profile[start : start + size].replace(b"\0", b"")  # ASCII in version 2, UTF-16 in 4
    return False


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCmsTransform | None:
    """The way from a profile to sRGB; None when there is none. Pictures of one camera share it."""
    from io import BytesIO

    from PIL import ImageCms

    intent, flags = ImageCms.Intent.RELATIVE_COLORIMETRIC, ImageCms.Flags.BLACKPOINTCOMPENSATION
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        return ImageCms.ImageCmsTransform(source, _srgb(), mode, "RGB", intent, flags=flags)
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None


@lru_cache(maxsize=1)
def _from_lab() -> ImageCmsTransform:
    from PIL import ImageCms

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB", 5000))
    return ImageCms.ImageCmsTransform(lab, _srgb(), "LAB", "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)


def _srgb() -> ImageCmsProfile:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
