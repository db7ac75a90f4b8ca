"""What a file is, told from its first bytes and never from its name: the allow-list, and names for the rest."""

from __future__ import annotations

from typing import NoReturn

from mien.core.errors import UnreadableImageError

HEAD_BYTES = 1024  #: how much of a file `identify` wants to see

_SUFFIXES: dict[str, tuple[str, ...]] = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "PNG": (".png", ".apng"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "TIFF": (".tif", ".tiff"),
    "GIF": (".gif",),
    "BMP": (".bmp", ".dib"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "HEIF": (".heic", ".heif", ".hif"),  # needs the extra `heic`
}
FORMATS: tuple[str, ...] = tuple(_SUFFIXES)  #: the allow-list; HEIF only with the extra `heic`
SUFFIXES: frozenset[str] = frozenset(s for group in _SUFFIXES.values() for s in group)  #: lower case, with the dot
_FORMAT_OF = {suffix: name for name, group in _SUFFIXES.items() for suffix in group}

# Most of these are TIFF inside, and a TIFF reader would hand out the thumbnail.
_RAW_SUFFIXES = {".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef"} | {
    ".nrw",
    ".orf",
    ".pef",
    ".raf",
    ".raw",
    ".rw2",
    ".sr2",
    ".srf",
    ".srw",
}

_PICTURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
)
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"8BPS", "a Photoshop document"),
    (b"\xff\x0a", "a JPEG XL picture"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture"),
    (b"\0\0\1\0", "an icon"),
    (b"\0\5\x16\7", "macOS metadata (AppleDouble)"),
    (b"v/1\1", "an OpenEXR picture"),
    (b"#?RADIANCE", "a Radiance HDR picture"),
    (b"DDS ", "a DirectDraw texture"),
    (b"qoif", "a QOI picture"),
    (b"SIMPLE  =", "a FITS file"),
    (b"FUJIFILMCCD-RAW", "a camera raw file"),
    (b"IIRO", "a camera raw file"),
    (b"IIRS", "a camera raw file"),
    (b"IIU\0", "a camera raw file"),
    (b"PK\3\4", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x1aE\xdf\xa3", "a Matroska video"),
    (b"\0\0\1\xba", "an MPEG video"),
    (b"OggS", "an Ogg file"),
    (b"ID3", "an MP3 file"),
    (b"RIFF", "a RIFF file (video or sound)"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
)
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)


def identify(head: bytes) -> str | None:
    """The name in `FORMATS` of what starts with these bytes; None when it is not in the list."""
    for magic, name in _PICTURES:
        if head.startswith(magic):
            return None if head[8:10] == b"CR" and name == "TIFF" else name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    brands = _brands(head)
    return "AVIF" if brands & _AVIF_BRANDS else "HEIF" if brands & _HEIF_BRANDS else None


def _brands(head: bytes) -> set[bytes]:
    """Major and compatible brands of an ISO media file; empty for anything else."""
    if head[4:8] != b"ftyp":
        return set()
    box = head[8 : min(int.from_bytes(head[:4], "big"), len(head))]
    return {box[i : i + 4] for i in range(0, len(box), 4) if i != 4}  # the second word is a version number


def refuse(head: bytes, suffix: str) -> NoReturn:
    """Say what these bytes are, after `identify` found nothing.

    Raises:
        UnreadableImageError: `unsupported` for another kind of file, `decode_error` for a would-be picture.
    """
    other = _other(head)
    if other:
        raise UnreadableImageError("unsupported", f"this is {other}; mien reads {', '.join(FORMATS)}")
    what = _text(head) or "no known format"
    if suffix and suffix not in SUFFIXES:
        raise UnreadableImageError("unsupported", f"{suffix} files are not pictures that mien reads (found: {what})")
    raise UnreadableImageError("decode_error", f"expected a {_FORMAT_OF.get(suffix, 'picture')}, found {what}")


def refuse_raw(suffix: str) -> None:
    """Turn down camera raw files by name: their first picture is only a thumbnail."""
    if suffix in _RAW_SUFFIXES:
        raise UnreadableImageError("unsupported", f"{suffix} is a camera raw file; export it as JPEG or TIFF first")


def _other(head: bytes) -> str | None:
    if head[:4] in (b"II*\0", b"MM\0*"):
        return "a camera raw file"  # `identify` took every other TIFF
    if head[4:8] == b"ftyp":
        return "a video (ISO media file)"
    if head[:1] == b"P" and head[1:2] in b"1234567" and head[2:3] in b" \n\r\t" and len(head) > 2:
        return "a PNM picture"
    if b"<svg" in head[:HEAD_BYTES].lower() and _text(head):
        return "an SVG drawing"
    return next((name for magic, name in _OTHERS if head.startswith(magic)), None)


def _text(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and len(head) > 2:
        return "UTF-16 text"
    try:
        text = head[: HEAD_BYTES - 4].decode("utf-8") if len(head) < HEAD_BYTES else head.decode("utf-8", "ignore")
    except UnicodeDecodeError:
        return None
    if not text or sum(not c.isprintable() and c not in "\r\n\t\f\ufeff" for c in text):
        return None
    low = text.lstrip("\ufeff \r\n\t").lower()
    if low.startswith("version https://git-lfs"):
        return "a Git LFS pointer (the picture itself was not downloaded)"
    if low.startswith(("<!doctype html", "<html")):
        return "an HTML page (a failed download?)"
    return "text"
