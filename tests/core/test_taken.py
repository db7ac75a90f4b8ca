"""When a picture was taken: EXIF first, then the file; two clocks that are never compared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image, ImageFile

from core.mutations import mutated_files
from mien.core.decode import read_exif
from mien.core.taken import Moment, taken


def photo(path: Path, original: object = None, fraction: object = None) -> Path:
    exif = Image.Exif()
    tags = exif.get_ifd(0x8769)
    if original is not None:
        tags[0x9003] = original
    if fraction is not None:
        tags[0x9291] = fraction
    Image.new("RGB", (32, 24), "grey").save(path, exif=exif.tobytes())
    os.utime(path, (1_700_000_000.25, 1_700_000_000.25))
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ".avif"])
def test_the_time_of_the_camera_with_its_fraction(tmp_path: Path, suffix: str) -> None:
    moment = taken(photo(tmp_path / f"a{suffix}", "2024:05:06 07:08:09", "25"))
    assert str(moment) == "2024-05-06T07:08:09.250"
    assert moment is not None and moment.clock == "camera"


def test_without_a_usable_one_the_time_of_the_file_in_utc(tmp_path: Path) -> None:
    for original in (None, "", "0000:00:00 00:00:00", "yesterday", "2024:13:01 00:00:00"):
        moment = taken(photo(tmp_path / "a.jpg", original))
        assert moment == Moment("file", 1_700_000_000.25)
        assert str(moment) == "2023-11-14T22:13:20.250+00:00"


@pytest.mark.parametrize("fraction", [None, "", "  ", "half", "\u0661"])
def test_a_fraction_that_is_no_number_is_none(tmp_path: Path, fraction: str | None) -> None:
    assert str(taken(photo(tmp_path / "a.jpg", "2024:05:06 07:08:09", fraction))) == "2024-05-06T07:08:09.000"


def test_what_is_not_there_has_no_time(tmp_path: Path) -> None:
    assert taken(tmp_path / "gone.jpg") is None
    assert taken("a\0b") is None


def test_any_file_has_some_exif_or_none_and_no_pixel_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = list(mutated_files(200, seed=5))
    for module in (Image.Image, ImageFile.ImageFile):
        monkeypatch.setattr(module, "load", lambda *_: pytest.fail("pixels were read"))
    for i, (_, data) in enumerate(files):
        path = tmp_path / f"{i}.jpg"
        path.write_bytes(data)
        assert isinstance(read_exif(path), Image.Exif)
