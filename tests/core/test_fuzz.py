"""Hostile files, 2,000 mutated ones and bombs: each decodes or is refused; quickly, silently, in little memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from core.mutations import MUTATIONS, encode, mutated_files, scene, seeds
from mien.core.decode import decode
from mien.core.errors import UnreadableImageError

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
ALLOWED = {"decode_error", "unsupported", "too_large", "too_small"}


def test_mutated_files_decode_or_are_refused(capfd, caplog):
    counts: Counter[str] = Counter()
    slowest = 0.0
    for i, (name, data) in enumerate(mutated_files(2000, seed=1)):
        start = time.perf_counter()
        try:
            picture = decode(data, enough_px=24 if i % 2 else None)
            status = "ok"
            assert (picture.pixels.mode, min(picture.pixels.size) >= 16) == ("RGB", True), name
        except UnreadableImageError as error:
            status = error.status
            assert str(error).isprintable(), name
        slowest = max(slowest, time.perf_counter() - start)
        assert status in ALLOWED | {"ok"}, name
        counts[status] += 1
    assert sum(counts.values()) == 2000
    assert counts["ok"] > 200, "the mutations destroy everything: nothing behind the headers is tested"
    assert counts["decode_error"] > 200, "the mutations damage nothing"
    assert slowest < 5
    assert not caplog.records
    assert capfd.readouterr() == ("", ""), "a library underneath printed something"


def test_mutations_are_seeded():
    first, again, other = (list(mutated_files(120, seed)) for seed in (3, 3, 4))
    assert first == again
    assert [data for _, data in first] != [data for _, data in other]
    assert len({name for name, _ in first}) == 120
    for kind in MUTATIONS:
        assert any(f"-{kind}-" in name for name, _ in mutated_files(11 * len(seeds()))), kind


# ---- bombs


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, bits: int = 8, colour: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1_000_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def tiff(changes: dict[int, int], **options: object) -> bytes:
    """A small TIFF whose header lies: tag -> value."""
    data = bytearray(encode(Image.fromarray(scene()), "TIFF", **options))
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for i in range(count):
        at = start + 2 + 12 * i
        (tag,) = struct.unpack_from("<H", data, at)
        if tag in changes:
            struct.pack_into("<HII", data, at + 2, 4, 1, changes.pop(tag))
    assert not changes
    return bytes(data)


def tiled_tiff(tile_px: int) -> bytes:
    """64 x 64 pixels in one tile that claims to be far larger and inflates to 10 MB."""
    tile = zlib.compress(bytes(10_000_000))
    entries = [(256, 64), (257, 64), (258, 8), (259, 8), (262, 1), (277, 1), (322, tile_px), (323, tile_px)]
    entries += [(324, 8), (325, len(tile))]
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    header = struct.pack("<2sHI", b"II", 42, 8 + len(tile) + len(tile) % 2)
    return header + tile + bytes(len(tile) % 2) + struct.pack("<H", len(entries)) + table + bytes(4)


def patched(data: bytes, *changes: tuple[bytes, int, bytes]) -> bytes:
    """After the first occurrence of a marker, at an offset from its start, other bytes."""
    out = bytearray(data)
    for marker, offset, new in changes:
        at = out.index(marker) + offset
        out[at : at + len(new)] = new
    return bytes(out)


def bombs() -> dict[str, tuple[bytes, set[str]]]:
    """Name -> file and the statuses it may get."""
    files = seeds()
    huge = struct.pack(">II", 60_000, 60_000)
    siz = (b"\xff\x4f\xff\x51", 8, huge), (b"\xff\x4f\xff\x51", 24, huge)
    large, broken = {"too_large"}, {"decode_error", "too_large"}
    return {
        "png 30000 x 30000": (png(30_000, 30_000), large),
        "png 30000 x 30000, 1 bit": (png(30_000, 30_000, 1, 0), large),
        "png 1 x 1e9": (png(1, 10**9), large),
        "png 1e9 x 1": (png(10**9, 1), large),
        "png 2^31-1 squared": (png(2**31 - 1, 2**31 - 1, 16, 6), large),
        "png 70000 x 100": (png(70_000, 100), large),
        "png 11000 x 11000 without pixels": (png(11_000, 11_000), {"decode_error"}),
        "jpeg 65500 x 65500": (
            patched(files["plain.jpg"], (b"\xff\xc0", 5, struct.pack(">HH", 65_500, 65_500))),
            large,
        ),
        "jpeg progressive 65500": (
            patched(files["progressive.jpg"], (b"\xff\xc2", 5, struct.pack(">HH", 65_500, 65_500))),
            large,
        ),
        "tiff 60000 x 60000": (tiff({256: 60_000, 257: 60_000}), large),
        "tiff 60000 x 60000 lzw": (tiff({256: 60_000, 257: 60_000}, compression="tiff_lzw"), large),
        "tiff 4e9 x 4e9": (tiff({256: 2**32 - 1, 257: 2**32 - 1}), broken),
        "tiff 10000 x 10000 in one small strip": (tiff({256: 10_000, 257: 10_000}), {"decode_error"}),
        "tiff 4e9 samples": (tiff({277: 2**32 - 1}), broken),
        "tiff strip of 4 GB": (tiff({279: 2**32 - 1, 278: 2**32 - 1}, compression="tiff_lzw"), broken | {"ok"}),
        "tiff tile of 100 MB": (tiled_tiff(10_000), large),
        "tiff tile of 64 MB without data": (tiled_tiff(8_000), large),
        "tiff tile of 1e18 pixels": (tiled_tiff(10**9), broken),
        "gif screen 65535 x 65535": (patched(files["plain.gif"], (b"GIF8", 6, b"\xff" * 4)), large),
        "gif frame 65535 x 65535": (patched(files["plain.gif"], (b",\0\0\0\0", 5, b"\xff" * 4)), large),
        "webp canvas 16384 x 16384": (patched(files["animated.webp"], (b"VP8X", 12, b"\xff\x3f\0\xff\x3f\0")), large),
        "webp canvas 2^24 squared": (patched(files["animated.webp"], (b"VP8X", 12, b"\xff" * 6)), broken),
        "avif 60000 x 60000": (patched(files["plain.avif"], (b"ispe", 8, huge)), broken),
        "bmp 30000 x 30000": (patched(files["plain.bmp"], (b"BM", 18, struct.pack("<ii", 30_000, -30_000))), large),
        "jp2 60000 x 60000": (patched(files["box.jp2"], (b"ihdr", 4, huge), *siz), large),
        "jp2 says small, is 60000 x 60000": (patched(files["box.jp2"], *siz), broken),
        "j2k 60000 x 60000": (patched(files["raw.j2k"], *siz), large),
    }


MEASURE = """
import json, re, sys, time
from pathlib import Path
from mien.core.decode import decode
from mien.core.errors import UnreadableImageError
decode(sys.argv[1])  # imports
result = {}
for path in sys.argv[2:]:
    start = time.process_time()
    try:
        picture = decode(path, enough_px=512)
        status, message = "ok", str((picture.pixels.size, picture.width, picture.height))
    except UnreadableImageError as error:
        status, message = error.status, str(error)
    peak_kb = re.search("VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())[1]
    result[path] = [status, message, time.process_time() - start, int(peak_kb) / 1000]
print(json.dumps(result))
"""


def measure(small: Path, *paths: Path) -> dict[str, tuple[str, str, float, float]]:
    """Decode in a fresh process: status, message, CPU seconds and the peak of memory in MB so far, for each file.

    Not ru_maxrss, which starts at the size of the process that started this one.
    """
    command = [sys.executable, "-W", "error", "-c", MEASURE, small, *paths]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    return {Path(path).name: tuple(found) for path, found in json.loads(run.stdout).items()}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small"
    path.write_bytes(seeds()["plain.jpg"])
    return path


@needs_proc
def test_bombs_are_refused_quickly_and_in_little_memory(tmp_path, small):
    cases = bombs()
    paths = [tmp_path / name for name in cases]
    for path, (data, _) in zip(paths, cases.values(), strict=True):
        path.write_bytes(data)
    found = measure(small, *paths)
    for name, (_, allowed) in cases.items():
        status, message, seconds, peak_mb = found[name]
        assert status in allowed, f"{name}: {status}, {message}"
        assert seconds < 1, name
        assert peak_mb < 300, f"{name}: {peak_mb:.0f} MB, {message}"


@pytest.mark.slow
@needs_proc
def test_a_photo_of_100_megapixels(tmp_path, small):
    photo = tmp_path / "photo.jpg"
    make = """
import sys
from PIL import Image
patch = Image.effect_noise((1200, 840), 60).convert("RGB")
photo = Image.new("RGB", (12000, 8400))
for i in range(100):
    photo.paste(patch, (i % 10 * 1200, i // 10 * 840))
photo.save(sys.argv[1], quality=85)
"""
    subprocess.run([sys.executable, "-c", make, photo], check=True)
    status, message, seconds, peak_mb = measure(small, photo)["photo.jpg"]
    assert (status, message) == ("ok", "((1500, 1050), 12000, 8400)")
    assert seconds < 2
    assert peak_mb < 600


SIX_THREADS = """
import re, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from PIL import Image
from mien.core.decode import decode
with ThreadPoolExecutor(6) as pool:
    sizes = {p.pixels.size for p in pool.map(lambda path: decode(path, enough_px=512), sys.argv[1:] * 6)}
assert sizes == {(546, 534)}, sizes
print(re.search("VmHWM:[^0-9]*([0-9]+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@needs_proc
def test_six_threads_need_the_memory_of_one_big_picture(tmp_path):
    photo = tmp_path / "photo.png"
    Image.new("RGB", (6000, 5870), (200, 150, 100)).save(photo, compress_level=1)  # 141 MB when decoded
    run = subprocess.run([sys.executable, "-c", SIX_THREADS, photo], capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) / 1000 < 350
