"""The report: complete, self-contained, safe to open, nothing in it that should not be."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import io
import json
import math
import os
import re
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from mien.apps import report
from mien.apps.report import THUMBNAIL_PX, write_report
from mien.core.types import COLUMNS, Score

HOSTILE = "<img src=x onerror=alert(1)>\"'&amp;</script><script>alert(2)</script>\u2028<!--.jpg"


def row(path: object, score: Any = None, **more: Any) -> dict[str, Any]:
    status = "ok" if score is not None else "decode_error"
    numbers = {"score": score, "score_lo": 1.0, "score_hi": 99.0, "sharpness": 12.5} if score is not None else {}
    judge = {"model": "tiny@1", "preprocess": "squash64-2"}
    return Score(path=str(path), **{"status": status, **numbers, **judge, **more}).to_dict()


def page_of(rows: Any, tmp_path: Path, **options: Any) -> str:
    out = tmp_path / "report.html"
    write_report(rows, out, **{"title": "A title", "thumbnails": False, **options})
    return out.read_text(encoding="utf-8")


def block(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in the page"))


def pixels_of(entry: dict[str, Any]) -> Image.Image:
    kind, data = entry["image"].split(",")
    assert kind == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """800 x 400 JPEG, left half red, with GPS position, camera name, ICC profile and comment."""
    pixels = np.zeros((400, 800, 3), np.uint8)
    pixels[:, :400] = (200, 30, 30)
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 15.0), 3: "E", 4: (11.0, 34.0, 30.0)})
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "photo.jpg"
    Image.fromarray(pixels).save(path, exif=exif, icc_profile=icc, comment=b"SecretComment")
    with Image.open(path) as written:
        assert written.getexif().get_ifd(0x8825) and b"SecretCamera" in path.read_bytes()
    return path


# ---- self-contained -----------------------------------------------------------------------------------------------


class _Page(html.parser.HTMLParser):
    """Collects the tags, and the content of the last policy."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def policy(page: str) -> dict[str, str]:
    (content,) = [a["content"] for t, a in _Page(page).tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert content
    return dict(part.strip().partition(" ")[::2] for part in content.split(";"))


def test_nothing_is_loaded_from_elsewhere(photo: Path, tmp_path: Path) -> None:
    page = page_of([row(photo, 50.0)], tmp_path, thumbnails=True)
    addresses = set(re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"'<]*", page, re.IGNORECASE))
    assert addresses <= {"http://www.w3.org/2000/svg"}  # the name of a namespace, never fetched
    for tag, attributes in _Page(page).tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert not attributes.keys() & {"src", "href", "srcset", "action"}, (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    assert "@import" not in page and "url(" not in page and "fetch(" not in page


def test_policy_allows_only_the_pages_own_style_and_script(tmp_path: Path) -> None:
    page = page_of([row("a.jpg", 50.0)], tmp_path)
    rules = policy(page)
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert "unsafe" not in str(rules)
    for tag in ("style", "script"):
        (content,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_script_never_reads_text_as_html(tmp_path: Path) -> None:
    page = page_of([], tmp_path)
    for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert sink not in page


# ---- contents -----------------------------------------------------------------------------------------------------


def test_every_row_is_on_the_page_worst_first(tmp_path: Path) -> None:
    scores = [50.0, 3.25, 99.0, 3.25, 77.7]
    rows = [row(f"{i}.jpg", score) for i, score in enumerate(scores)]
    data = block(page_of(iter([*rows, row("bad.jpg", error="truncated")]), tmp_path))
    assert [e["row"]["path"] for e in data["sheet"]] == ["1.jpg", "3.jpg", "0.jpg", "4.jpg", "2.jpg"]
    assert [e["rank"] for e in data["sheet"]] == [1, 2, 3, 4, 5]
    assert data["sheet"][2]["row"] == rows[0]
    assert data["columns"] == list(COLUMNS)
    assert (data["n"], data["scored"], data["median"]) == (6, 5, 50.0)
    assert data["judges"] == [["tiny@1", "squash64-2"]]


def test_pictures_without_a_score_are_listed_with_status_and_reason(tmp_path: Path) -> None:
    rows = [row("a.jpg", error="zero bytes"), row("b.jpg", 10.0), row("c.jpg", status="missing", error="no such file")]
    data = block(page_of(rows, tmp_path))
    listed = [(r["path"], r["status"], r["error"]) for r in data["unscored"]]
    assert listed == [("a.jpg", "decode_error", "zero bytes"), ("c.jpg", "missing", "no such file")]
    assert data["statuses"] == {"decode_error": 1, "missing": 1}
    assert [e["row"]["path"] for e in data["sheet"]] == ["b.jpg"]


@pytest.mark.parametrize("rows", [[], [row("a.jpg", error="zero bytes")]], ids=["nothing", "nothing scored"])
def test_page_without_scores(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    data = block(page_of(rows, tmp_path))
    assert (data["n"], data["scored"], data["median"], data["sheet"]) == (len(rows), 0, None, [])


def test_median_and_histogram_agree_with_numpy(rng: np.random.Generator, tmp_path: Path) -> None:
    for n in (1, 2, 7, 500):
        scores = np.concatenate([rng.uniform(0, 100, n - 1), [100.0]])
        data = block(page_of([row("a.jpg", s) for s in scores], tmp_path, limit=10))
        assert data["median"] == pytest.approx(np.median(scores), abs=0.006)
        assert data["histogram"] == np.histogram(scores, np.arange(101))[0].tolist()


@pytest.mark.parametrize(("limit", "n_worst"), [(10, 5), (5, 3), (1, 1)])
def test_beyond_the_limit_the_ends_are_shown_and_all_counted(
    limit: int, n_worst: int, rng: np.random.Generator, tmp_path: Path
) -> None:
    order = rng.permutation(1000)
    data = block(page_of((row(f"{i:04d}.jpg", i / 10) for i in order), tmp_path, limit=limit))
    shown = [*range(n_worst), *range(1000 - limit + n_worst, 1000)]
    assert [e["row"]["path"] for e in data["sheet"]] == [f"{i:04d}.jpg" for i in shown]
    assert [e["rank"] for e in data["sheet"]] == [i + 1 for i in shown]
    assert data["scored"] == sum(data["histogram"]) == 1000


def test_at_the_limit_nothing_is_left_out(tmp_path: Path) -> None:
    data = block(page_of([row(f"{i}.jpg", i) for i in range(10)], tmp_path, limit=10))
    assert len(data["sheet"]) == 10


def test_rows_are_read_once_and_not_kept(tmp_path: Path) -> None:
    pad = "x" * 5000
    rows = (row(f"{i}{pad}.jpg", i % 100) if i % 2 else row(f"{i}.jpg", error=f"{i}{pad}") for i in range(4000))
    tracemalloc.start()
    data = block(page_of(rows, tmp_path, limit=20))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data["statuses"] == {"decode_error": 2000} and len(data["unscored"]) == 20
    assert peak_bytes < 3_000_000  # all rows are 20 MB


def test_numbers_that_are_none_are_absent_and_nan_never_appears(tmp_path: Path) -> None:
    rows = [
        row("a.jpg", math.nan),
        row("b.jpg", 10.0, percentile=math.inf, noise=math.nan),
        row("c.jpg", np.float32(5)),
    ]
    page = page_of(rows, tmp_path)
    data = block(page)
    assert not re.search(r"\b(NaN|Infinity)\b", page[page.index('id="data"') : page.index("<script>")])
    assert [(r["path"], r["status"], r["score"]) for r in data["unscored"]] == [("a.jpg", "model_error", None)]
    assert [e["row"]["score"] for e in data["sheet"]] == [5.0, 10.0]
    assert data["sheet"][1]["row"]["percentile"] is None and data["sheet"][1]["row"]["noise"] is None


def test_limit_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        page_of([], tmp_path, limit=0)


def face_rows(path: object, n: int) -> list[dict[str, Any]]:
    box = {"x1": 10.0, "y1": 20.0, "x2": 30.0, "y2": 50.0, "width": 80, "height": 60, "landmarks": ((1.0, 2.0),) * 5}
    return [row(path, 50.0 + i, face_index=i, n_faces=n, **box) for i in range(n)]


def test_faces_are_counted_apart_from_their_pictures(tmp_path: Path) -> None:
    rows = [*face_rows("a.jpg", 3), *face_rows("b.jpg", 1), row("c.jpg", status="no_face", error="none", n_faces=0)]
    data = block(page_of(rows, tmp_path))
    assert (data["n"], data["pictures"], data["faces"], data["scored"]) == (5, 3, 4, 4)
    assert data["sheet"][0]["row"]["x2"] == 30.0
    assert data["sheet"][0]["row"]["landmarks"] == [[1.0, 2.0]] * 5


# ---- names of strangers -------------------------------------------------------------------------------------------


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    harmless = page_of([row("a.jpg", 5.0), row("b.jpg", error="x")], tmp_path)
    page = page_of([row(HOSTILE, 5.0), row(HOSTILE, error=HOSTILE, model=HOSTILE)], tmp_path, title=HOSTILE)
    assert [tag for tag, _ in _Page(page).tags] == [tag for tag, _ in _Page(harmless).tags]
    text = page[page.index('id="data">') + 10 :].partition("</script>")[0]
    assert not set(text) & set("<>&\u2028\u2029") and text.isascii()
    data = block(page)
    assert data["title"] == HOSTILE
    assert data["sheet"][0]["row"]["path"] == HOSTILE.replace("\u2028", r"\u2028")


def test_braces_in_a_name_are_not_a_placeholder(tmp_path: Path) -> None:
    data = block(page_of([row("{{data}}{{script-hash}}.jpg", 5.0)], tmp_path, title="{{data}}"))
    assert (data["title"], data["sheet"][0]["row"]["path"]) == ("{{data}}", "{{data}}{{script-hash}}.jpg")


# ---- thumbnails ---------------------------------------------------------------------------------------------------


def test_thumbnail_is_small_upright_and_in_the_right_colours(photo: Path, tmp_path: Path) -> None:
    (entry,) = block(page_of([row(photo, 50.0)], tmp_path, thumbnails=True))["sheet"]
    thumbnail = pixels_of(entry)
    assert thumbnail.size == (THUMBNAIL_PX, THUMBNAIL_PX // 2)
    assert thumbnail.convert("RGB").getpixel((40, 80)) == pytest.approx((200, 30, 30), abs=12)
    assert thumbnail.convert("RGB").getpixel((280, 80)) == pytest.approx((0, 0, 0), abs=12)


def test_thumbnail_carries_no_metadata(photo: Path, tmp_path: Path) -> None:
    page = page_of([row(photo, 50.0)], tmp_path, thumbnails=True)
    (entry,) = block(page)["sheet"]
    data = base64.b64decode(entry["image"].partition(",")[2])
    for chunk in (b"EXIF", b"Exif", b"XMP ", b"ICCP", b"Secret", b"VP8X"):
        assert chunk not in data
    assert not pixels_of(entry).getexif() and "icc_profile" not in pixels_of(entry).info
    assert "SecretCamera" not in page and base64.b64encode(b"SecretCamera")[:14].decode() not in page


def test_metadata_of_the_decoder_does_not_leak(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    picture = Image.new("RGB", (640, 480), "red")
    picture.info.update(exif=b"Exif\0\0SecretCamera", icc_profile=b"SecretProfile", xmp=b"SecretXmp")
    monkeypatch.setattr(report, "decode", lambda path, enough_px: type("P", (), {"pixels": picture}))
    (entry,) = block(page_of([row("a.jpg", 50.0)], tmp_path, thumbnails=True))["sheet"]
    assert b"Secret" not in base64.b64decode(entry["image"].partition(",")[2])


def test_without_thumbnails_no_picture_is_on_the_page_or_even_read(
    photo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(report, "decode", lambda *_, **__: pytest.fail("a picture was read"))
    page = page_of([row(photo, 50.0)], tmp_path, thumbnails=False)
    assert "data:image" not in page
    assert block(page)["thumbnails"] is False


def test_failed_thumbnail_says_so_and_nothing_else_suffers(
    photo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "torn.jpg").write_bytes(b"no picture at all")
    real = report.decode

    def decode(path: str, **options: Any) -> Any:
        if path == "disk":
            raise OSError("the disk is gone")
        return real(path, **options)

    monkeypatch.setattr(report, "decode", decode)
    paths = [tmp_path / "gone.jpg", tmp_path / "torn.jpg", "", "disk", photo]
    sheet = block(page_of([row(p, i) for i, p in enumerate(paths)], tmp_path, thumbnails=True))["sheet"]
    reasons = [e.get("no_image") for e in sheet]
    assert reasons[0] == "missing" and reasons[1] and reasons[2] == "no file behind this score"
    assert reasons[3:] == ["OSError", None] and "image" in sheet[4]


def test_thumbnails_stay_with_their_rows(tmp_path: Path) -> None:
    for grey in range(0, 250, 5):
        Image.new("RGB", (64, 48), (grey, grey, grey)).save(tmp_path / f"{grey}.png")
    rows = [row(tmp_path / f"{grey}.png", 100 - grey / 3) for grey in range(0, 250, 5)]
    sheet = block(page_of(rows, tmp_path, thumbnails=True))["sheet"]
    assert len(sheet) == 50
    for entry in sheet:
        pixel = pixels_of(entry).convert("RGB").getpixel((20, 20))
        assert isinstance(pixel, tuple) and abs(pixel[0] - int(Path(entry["row"]["path"]).stem)) <= 2


def test_names_that_are_not_utf8_find_their_file(photo: Path, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/m\xfcller.jpg"
    try:
        Path(os.fsdecode(name)).write_bytes(photo.read_bytes())
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (entry,) = block(page_of([row(f"{tmp_path}/m\\xfcller.jpg", 5.0)], tmp_path, thumbnails=True))["sheet"]
    assert "image" in entry


# ---- the file -----------------------------------------------------------------------------------------------------


def test_written_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    write_report([row("a.jpg", 5.0)], out, title="first", thumbnails=False)
    before = out.read_bytes()

    def fail(_: object) -> str:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(report, "_json", fail)
        with pytest.raises(OSError, match="no space left"):
            write_report([row("b.jpg", 5.0)], out, title="second", thumbnails=False)
    assert out.read_bytes() == before and list(tmp_path.iterdir()) == [out]
    with out.open("rb") as reader:
        write_report([row("b.jpg", 5.0)], out, title="second", thumbnails=False)
        assert reader.read() == before  # replaced, not written over
    assert block(out.read_text(encoding="utf-8"))["title"] == "second" and list(tmp_path.iterdir()) == [out]


def test_the_old_page_stays_until_the_new_one_is_complete(
    photo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out = tmp_path / "sub" / "report.html"
    write_report([], out, title="old", thumbnails=False)
    seen: list[str] = []
    real = report._preview

    def preview(path: str) -> dict[str, str]:
        seen.append(block(out.read_text(encoding="utf-8"))["title"])
        return real(path)

    monkeypatch.setattr(report, "_preview", preview)
    write_report([row(photo, 5.0)], out, title="new")
    assert seen == ["old"]
    assert block(out.read_text(encoding="utf-8"))["title"] == "new"


def test_every_attribute_has_a_plain_word() -> None:
    assert tuple(report.REASONS) == report.ATTRIBUTES
