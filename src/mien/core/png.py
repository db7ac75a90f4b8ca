"""The chunks of a PNG that make the picture. Pillow gives up where text or a profile is large; we leave it out."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_BULK_BYTES = 2**20


def has_bulk(fp: BinaryIO) -> bool:
    """Whether more than a megabyte that is not pixels stands before the pixels."""
    bulk = 0
    for name, _, length in _chunks(fp):
        if name == b"IDAT" or bulk > _BULK_BYTES:
            break
        bulk += length
    return bulk > _BULK_BYTES


def essential_chunks(fp: BinaryIO) -> io.BytesIO:
    """A PNG of the same pixels, orientation and colour, without text, animation and oversized profiles."""
    out = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    out.seek(0, io.SEEK_END)
    for name, start, length in _chunks(fp):
        if name in _PIXELS or (name in (b"eXIf", b"iCCP") and length <= _BULK_BYTES):
            fp.seek(start)
            chunk = fp.read(length + 12)
            if name != b"iCCP" or _inflates_to_little(chunk[8:-4]):
                out.write(chunk)
    out.seek(0)
    return out


def _chunks(fp: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset and data length of each chunk up to the end of file; the position of `fp` may move in between."""
    start = 8
    while True:
        fp.seek(start)
        head = fp.read(8)
        if len(head) < 8:
            return
        length = int.from_bytes(head[:4], "big")
        yield head[4:], start, length
        start += length + 12


def _inflates_to_little(profile: bytes) -> bool:
    """Whether the body of an iCCP chunk (name, NUL, method, zlib stream) stays below Pillow's limit."""
    _, _, packed = profile.partition(b"\0")
    unpack = zlib.decompressobj()
    try:
        unpack.decompress(packed[1:], _BULK_BYTES)
    except zlib.error:
        return False
    return not unpack.unconsumed_tail
