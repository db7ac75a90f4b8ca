"""`mien explain`: a page that needs nothing else, or a picture; with faces where there is a finder."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import blobs
from faces.marks import RED, MarkFinder, crop, picture
from mien.apps.explain_draw import DEEPEST, colours, foremost, laid_over, layers, with_faces
from mien.apps.explain_page import page
from mien.core.errors import ModelError
from mien.core.types import Score
from mien.faces import scorer
from mien.runtime.explain import Explanation

Mien = Callable[..., tuple[str, str]]
FLAT = np.zeros((8, 8), np.float32)
HOSTILE = "<img src=x onerror=alert(1)>\"'&amp;</style>.jpg"


def why(points: np.ndarray = FLAT, **attributes: np.ndarray) -> Explanation:
    row = Score(score=50.0, score_lo=40.0, score_hi=60.0, percentile=30.0, width=400, height=200)
    values = dict.fromkeys(attributes, 90.0)
    return Explanation(Score(**row.to_dict() | values), points, attributes)


def low_at(row: int, column: int, value: float) -> np.ndarray:
    points = FLAT.copy()
    points[row, column] = value
    return points


@pytest.fixture
def finder(monkeypatch: pytest.MonkeyPatch) -> type:
    """The finder that ships, in small; named files that are not f.onnx do not exist."""

    class Finder(MarkFinder):
        ships = True

        @classmethod
        def load(cls, path: Path | None = None) -> Finder:
            if path not in (None, Path("f.onnx")) or (path is None and not cls.ships):
                raise ModelError(f"there is no finder {path}")
            return cls()

    module = types.ModuleType("mien.faces.find")
    module.Finder = Finder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mien.faces.find", module)
    monkeypatch.setattr(scorer, "_crop", crop)
    return Finder


@pytest.fixture
def mien(command_line: Mien, tiny_judge: Path) -> Mien:
    picture(200, 150, {RED: (20, 30, 60, 80)}).save("me.png")

    def run(*arguments: object, code: int = 0) -> tuple[str, str]:
        return command_line("explain", *arguments, "--model", tiny_judge, code=code)

    return run


# ---- the command --------------------------------------------------------------------------------------------------


def test_a_page_or_a_picture_is_written_and_the_terminal_says_where(mien: Mien, finder: type) -> None:
    for name in ("why.html", "why.png"):
        out, _ = mien("me.png", "--out", name)
        assert re.match(r"\d+\.\d \(\d+ to \d+\) of 100, higher is better\n  by parts, score: ", out)
        assert "face 1 of 1: " in out
    assert "<rect class='box' x='40.0' y='60.0' width='80.0' height='100.0'/>" in Path("why.html").read_text()
    with Image.open("why.png") as made:
        assert made.mode == "RGB" and made.width > 1200
    assert sorted(path.name for path in Path().iterdir()) == ["me.png", "why.html", "why.png"]


def test_the_same_picture_gives_the_same_files(mien: Mien, finder: type) -> None:
    for name in ("a.html", "b.html", "a.png", "b.png"):
        mien("me.png", "--out", name)
    assert Path("a.html").read_bytes() == Path("b.html").read_bytes()
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_without_a_finder_there_are_no_faces_and_a_named_one_must_exist(mien: Mien, finder: type) -> None:
    finder.ships = False  # type: ignore[attr-defined]
    assert "face" not in mien("me.png", "--out", "why.html")[0]
    assert "<svg viewBox='0 0 400 300'" not in Path("why.html").read_text()
    assert "face 1 of 1" in mien("me.png", "--out", "why.html", "--finder", "f.onnx")[0]
    assert mien("me.png", "--out", "why.html", "--finder", "g.onnx", code=2)[1] == "mien: there is no finder g.onnx\n"


def test_a_picture_that_cannot_be_read_is_4_and_wrong_usage_2(mien: Mien, finder: type) -> None:
    assert mien("gone.png", "--out", "why.html", code=4)[1] == "mien: missing  gone.png: No such file or directory\n"
    assert "--out must be named *.html, *.htm, *.png, not why.jpg" in mien("me.png", "--out", "why.jpg", code=2)[1]
    assert "there is no folder no" in mien("me.png", "--out", "no/why.html", code=2)[1]
    assert [path.name for path in Path().iterdir()] == ["me.png"]


# ---- what is drawn ------------------------------------------------------------------------------------------------


def test_words_say_where_it_is_lowest() -> None:
    def words(points: np.ndarray) -> str:
        return layers(why(points))[0].words

    assert words(low_at(0, 7, -12.4)) == "lowest in the upper right part: 12 points below the whole picture"
    assert words(low_at(4, 4, -9.0)) == "lowest in the middle: 9 points below the whole picture"
    assert words(low_at(4, 0, -9.0)) == "lowest at the left: 9 points below the whole picture"
    assert words(low_at(7, 4, -9.0)) == "lowest in the lower part: 9 points below the whole picture"
    assert words(low_at(0, 0, -2.0)) == "no part scores clearly lower by itself than the whole picture"


def test_words_of_an_attribute_give_its_lowest_value() -> None:
    noise, sharpness = FLAT + 100, FLAT + 98
    noise[7, 0] = 31
    found = {layer.name: layer.words for layer in layers(why(noise=noise, sharpness=sharpness))[1:]}
    assert found == {"noise": "lowest in the lower left part: 31 of 100", "sharpness": "nothing stands out"}


def test_the_lowest_attribute_is_shown_first_if_it_is_low_and_else_the_score() -> None:
    noise, sharpness = FLAT + 100, FLAT + 98
    noise[7, 0], sharpness[0, 0] = 31, 55
    assert foremost(layers(why(low_at(0, 0, -30.0), noise=noise, sharpness=sharpness))).name == "noise"
    assert foremost(layers(why(noise=FLAT + 90, sharpness=FLAT + 61))).name == "score"
    assert foremost(layers(why())).name == "score"


def test_colour_is_where_points_are_missing_and_nowhere_else() -> None:
    drawn = np.asarray(colours(np.maximum(-low_at(1, 6, -DEEPEST), 0), (80, 80)))
    assert drawn[15, 65, 3] > 180 and drawn[60, 20, 3] == 0
    red, green, blue = (int(v) for v in drawn[15, 65, :3])
    assert red > green + 60 and red > blue + 60


def test_a_part_that_scores_higher_than_the_whole_is_not_coloured() -> None:
    better = layers(why(FLAT + 20))[0]
    base = blobs(1, 80, 80)
    plain, covered = np.asarray(laid_over(base, FLAT)), np.asarray(laid_over(base, better.loss))
    assert np.array_equal(plain, covered)


def test_a_face_is_framed_where_it_is_whatever_the_size_of_the_copy() -> None:
    row = Score(score=7.0, x1=100, y1=50, x2=200, y2=100, landmarks=((150, 75),) * 5, width=400, height=200,
                face_index=0, n_faces=1)  # fmt: skip
    before = Image.new("RGB", (200, 100), (90, 90, 90))
    drawn = np.asarray(with_faces(before, [row])).astype(int)
    changed = np.argwhere(np.abs(drawn - 90).max(axis=2) > 0)
    assert changed[:, 1].min() >= 40 and changed[:, 1].max() <= 105
    assert (drawn[25, 60] == 255).all() and (drawn[37, 75] == 255).all()
    assert (np.asarray(before) == 90).all()


# ---- the page -----------------------------------------------------------------------------------------------------


class _Page(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing() -> None:
    text = page(why(low_at(0, 0, -9.0), noise=FLAT + 90), blobs(1, 400, 200), [], "me.jpg", ["A note."])
    (style,) = re.findall("<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [a["content"] for _, a in _Page(text).tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert (
        policy == f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    for tag, attributes in _Page(text).tags:
        assert tag not in ("script", "link", "iframe", "object", "form")
        assert "style" not in attributes and not any(name.startswith("on") for name in attributes)
        assert (attributes.get("src") or "data:").startswith("data:")
    assert "{{" not in text and "url(" not in style
    assert all(f"id='show-{name}'" in text and f"#show-{name}:checked" in style for name in ("score", "noise"))


def test_a_hostile_name_stays_text_and_metadata_stays_away() -> None:
    photo = blobs(1, 400, 200)
    photo.info.update(exif=b"Exif\0\0SecretCamera", icc_profile=b"SecretProfile", xmp=b"SecretXmp")
    text = page(why(), photo, [], HOSTILE, ["A note."])
    harmless = page(why(), photo, [], "me.jpg", ["A note."])
    assert [tag for tag, _ in _Page(text).tags] == [tag for tag, _ in _Page(harmless).tags]
    for data in re.findall(r"base64,([^']+)'", text):
        assert b"Secret" not in base64.b64decode(data)
