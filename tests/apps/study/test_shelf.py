"""Files that everybody asks for are read once, and memory has an end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mien.apps.study.shelf import Shelf


def read(shelf: Shelf, path: Path) -> bytes:
    return asyncio.run(shelf.read(path))


def test_a_file_is_read_once(tmp_path: Path):
    path, shelf = tmp_path / "a", Shelf()
    path.write_bytes(b"first")
    assert read(shelf, path) == b"first"
    path.unlink()
    assert read(shelf, path) == b"first"


def test_those_asked_for_longest_ago_are_given_up(tmp_path: Path):
    paths, shelf = [tmp_path / name for name in "abc"], Shelf(most_bytes=10)
    for path in paths:
        path.write_bytes(path.name.encode() * 4)
    for path in (*paths[:2], paths[0], paths[2]):
        read(shelf, path)
    for path in paths:
        path.write_bytes(b"new")
    assert [read(shelf, path) for path in (paths[0], paths[2], paths[1])] == [b"aaaa", b"cccc", b"new"]


def test_a_file_that_is_larger_than_all_of_it_is_not_kept(tmp_path: Path):
    path, shelf = tmp_path / "a", Shelf(most_bytes=3)
    path.write_bytes(b"large")
    assert read(shelf, path) == b"large"
    path.write_bytes(b"anew!")
    assert read(shelf, path) == b"anew!"


def test_two_who_ask_at_once_keep_it_once(tmp_path: Path):
    paths, shelf = [tmp_path / name for name in "ab"], Shelf(most_bytes=8)
    for path in paths:
        path.write_bytes(path.name.encode() * 4)

    async def at_once() -> None:
        await asyncio.gather(shelf.read(paths[0]), shelf.read(paths[0]))
        await shelf.read(paths[1])

    asyncio.run(at_once())
    paths[0].unlink()
    assert read(shelf, paths[0]) == b"aaaa"


def test_a_file_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        read(Shelf(), tmp_path / "none")
