"""Which paths an argument names."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from mien.core import discover
from mien.core.decode import decode
from mien.core.discover import display_path, find, read_list
from mien.core.errors import UnreadableImageError


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("b.jpg", "a.PNG", "notes.txt", "sub/c.webp", "sub/deep/d.heic", "sub/x.nef", "z.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folder_is_walked_in_sorted_order(tree):
    assert list(find(["."])) == ["./a.PNG", "./b.jpg", "./sub/c.webp", "./sub/deep/d.heic", "./z.jpg"]
    assert list(find([tree / "sub"])) == [str(tree / "sub/c.webp"), str(tree / "sub/deep/d.heic")]
    assert list(find(["empty"])) == []


def test_files_are_yielded_as_given_whatever_they_are(tree):
    given = ["notes.txt", "sub/x.nef", "missing.jpg", "", "a\0b.jpg", "x" * 5000, "\ud800.jpg"]
    assert list(find(given)) == given


def test_each_path_once(tree):
    assert list(find(["b.jpg", "./b.jpg", ".", "b.jpg", "sub//c.webp"])) == [
        "b.jpg",
        "./a.PNG",
        "./sub/c.webp",
        "./sub/deep/d.heic",
        "./z.jpg",
    ]


def test_dots_behind_a_link_are_another_folder(tree):
    (tree / "link").symlink_to(tree / "sub" / "deep")
    (tree / "sub" / "z.jpg").write_bytes(b"x")
    assert list(find(["link/../z.jpg", "z.jpg"])) == ["link/../z.jpg", "z.jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["b.jpg", "z.jpg"]),
        ("[ab].*", ["a.PNG", "b.jpg"]),
        ("sub/*", ["sub/c.webp", "sub/deep/d.heic"]),
        ("**/*.webp", ["sub/c.webp"]),
        ("sub/**", ["sub/c.webp", "sub/deep/d.heic"]),
        ("**", ["a.PNG", "b.jpg", "sub/c.webp", "sub/deep/d.heic", "z.jpg"]),
        ("s*/**/d.*", ["sub/deep/d.heic"]),
        ("**/deep/**/*.heic", ["sub/deep/d.heic"]),
        ("**/de*", ["sub/deep/d.heic"]),
        ("b**.jpg", ["b.jpg"]),
        ("nul\0/**/*.jpg", ["nul\0/**/*.jpg"]),
        ("sub/*.nef", ["sub/x.nef"]),
        ("*.tif", ["*.tif"]),
        ("*.txt", ["notes.txt"]),
        ("no*", ["no*"]),
    ],
)
def test_globs(tree, pattern, expected):
    assert list(find([pattern])) == expected


def test_a_file_whose_name_looks_like_a_glob(tree):
    (tree / "a[1].jpg").write_bytes(b"x")
    assert list(find(["a[1].jpg"])) == ["a[1].jpg"]


def test_links(tree):
    sub = tree / "sub"
    (sub / "up").symlink_to(tree)
    (sub / "self.jpg").symlink_to("self.jpg")
    (sub / "ping").symlink_to("pong")
    (sub / "pong").symlink_to("ping")
    (sub / "dangling.jpg").symlink_to("nowhere.jpg")
    (sub / "linked.jpg").symlink_to(tree / "b.jpg")
    elsewhere = tree.parent / f"{tree.name}-elsewhere"
    elsewhere.mkdir()
    (elsewhere / "e.jpg").write_bytes(b"x")
    (sub / "elsewhere").symlink_to(elsewhere)
    names = ["c.webp", "dangling.jpg", "deep/d.heic", "elsewhere/e.jpg", "linked.jpg", "self.jpg"]
    found = list(find(["sub"]))
    below_up = ["sub/up/a.PNG", "sub/up/b.jpg", "sub/up/z.jpg"]
    assert found == [f"sub/{name}" for name in names] + below_up


def test_a_glob_of_any_depth_enters_each_real_folder_once(tree):
    for name in ("loop", "again", "deep/more"):
        (tree / "sub" / name).symlink_to(tree / "sub")  # two of them in one folder: 2 ** 40 paths for glob.glob
    assert list(find(["sub/**/*.webp"])) == ["sub/c.webp"]


def test_a_folder_named_like_a_picture(tree):
    (tree / "sub" / "x.jpg").mkdir()
    assert "sub/x.jpg" in list(find(["sub"]))
    assert list(find(["sub/x.jpg"])) == ["sub/x.jpg"]
    (tree / "sub" / "x.jpg" / "in.png").write_bytes(b"x")
    assert list(find(["sub/x.jpg"])) == ["sub/x.jpg/in.png"]


def test_a_folder_that_cannot_be_read_gets_a_row(tree, monkeypatch):
    real = os.scandir

    def deny(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(discover.os, "scandir", deny)
    assert list(find(["sub"])) == ["sub/c.webp", "sub/deep"]
    with pytest.raises(UnreadableImageError, match="Permission denied") as caught:
        decode("sub/deep")
    assert caught.value.status == "missing"


def test_it_is_lazy(tree):
    def arguments():
        yield "b.jpg"
        raise AssertionError("read too far")

    assert next(find(arguments())) == "b.jpg"


def test_very_deep_folders(tmp_path):
    folder = tmp_path
    for _ in range(300):
        folder = folder / "d"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"x")
    assert len(list(find([tmp_path]))) == 1


def test_names_that_are_not_utf8(tmp_path):
    name = os.fsdecode(b"\xff\xe9.jpg")
    (tmp_path / name).write_bytes(b"x")
    assert list(find([tmp_path])) == [str(tmp_path / name)]
    assert list(find([f"{tmp_path}/*.jpg"])) == [str(tmp_path / name)]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("plain name.jpg", "plain name.jpg"),
        ("Grüße/写真 👩‍🎤.jpg", "Grüße/写真 👩‍🎤.jpg"),
        (os.fsdecode(b"a\xff\x80.jpg"), r"a\xff\x80.jpg"),
        ("a\nb\t\x1b[31m\x7f.jpg", r"a\nb\t\x1b[31m\x7f.jpg"),
        ("a\u2028\u2029\x85.jpg", r"a\u2028\u2029\x85.jpg"),
        ("evil\u202egpj.exe", r"evil\u202egpj.exe"),
        ("\ud800.jpg", r"\ud800.jpg"),
        (Path("C:\\Users\\a.jpg"), "C:\\Users\\a.jpg"),
    ],
)
def test_display_path(path, shown):
    assert display_path(path) == shown
    shown.encode("utf-8")
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("data", "null", "expected"),
    [
        (b"", False, []),
        (b"a.jpg\nb c.jpg", False, ["a.jpg", "b c.jpg"]),
        (b"a.jpg\r\n\r\n\nb.jpg\r\n", False, ["a.jpg", "b.jpg"]),
        (b"\xef\xbb\xbfa.jpg\n", False, ["a.jpg"]),
        (b" a.jpg \n", False, [" a.jpg "]),
        (b"\xff.jpg\n", False, [os.fsdecode(b"\xff.jpg")]),
        (b"a\nb.jpg\0c\r\0\0d", True, ["a\nb.jpg", "c\r", "d"]),
        (b"x" * 70_000 + b"\0" + b"y" * 70_000 + b"\0", True, ["x" * 70_000, "y" * 70_000]),
    ],
)
def test_read_list(data, null, expected):
    assert list(read_list(io.BytesIO(data), null=null)) == expected
