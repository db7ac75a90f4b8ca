"""A study as a folder: what can be made of which items, and what is told about the rest."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from mien.apps.study.folder import create, open_study
from mien.apps.study.items import read_items
from mien.apps.study.settings import Settings
from mien.core.errors import UsageError


def write(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_folder_is_read_with_its_subfolders_as_scenes(pictures: Path):
    items = read_items(pictures)
    assert len(items) == 12
    assert items[0].name == "s0/0.png"
    assert (items[0].scene, items[0].width, items[0].height, items[0].mime) == ("s0", 32, 24, "image/png")
    assert items[0].path == pictures / "s0" / "0.png"


def test_a_table_names_scenes_references_and_training(pictures: Path, tmp_path: Path):
    rows = ["image,place,reference,role", "a.png,hall,,", "b.png,hall,a.png,", "c.png,yard,a.png,training"]
    for name in ("a", "b", "c"):
        shutil.copy(pictures / "s0" / "0.png", tmp_path / f"{name}.png")
    items = read_items(write(tmp_path / "items.csv", *rows), "place")
    assert [(i.name, i.scene, i.reference, i.role) for i in items] == [
        ("a.png", "hall", "", "main"),
        ("b.png", "hall", "a.png", "main"),
        ("c.png", "yard", "a.png", "training"),
    ]


def test_videos_are_known_by_their_first_bytes(tmp_path: Path):
    (tmp_path / "a.webm").write_bytes(b"\x1aE\xdf\xa3" + b"\0" * 60)
    (tmp_path / "b.mp4").write_bytes(b"\0\0\0\x18ftypisom" + b"\0" * 60)
    assert [(i.name, i.mime, i.width) for i in read_items(tmp_path)] == [
        ("a.webm", "video/webm", None),
        ("b.mp4", "video/mp4", None),
    ]
    (tmp_path / "c.mp4").write_text("not a video")
    with pytest.raises(UsageError, match=r"1 of 3 items cannot be shown: c\.mp4"):
        read_items(tmp_path)


WRONG_TABLES = [
    (["image,place", "a.png,x"], "scene", "has no column scene; it has image, place"),
    (["file", "a.png"], None, "needs a column image, video or path"),
    (["image", "a.png", "a.png"], None, "more than one item of the same name: a.png"),
    (["image,reference", "a.png,z.png"], None, "references that are none of the items: z.png"),
    (["image,role", "a.png,spare"], None, "line 2: role is main or training, not 'spare'"),
    (["image", "missing.png"], None, "1 of 1 items cannot be shown: missing.png: No such file"),
    (["image", "text.png"], None, "text.png: expected a PNG, found text"),
    (["image", "scan.tif"], None, "browsers do not show TIFF; save it as PNG or JPEG"),
    (["image"], None, "needs a column"),
]


@pytest.mark.parametrize(("rows", "scenes", "message"), WRONG_TABLES)
def test_what_cannot_be_shown_is_told(
    rows: list[str], scenes: str | None, message: str, pictures: Path, tmp_path: Path
):
    shutil.copy(pictures / "s0" / "0.png", tmp_path / "a.png")
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "scan.tif").write_bytes(b"II*\0" + b"\0" * 60)
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        read_items(write(tmp_path / "items.csv", *rows), scenes)


def test_a_study_comes_back_as_it_was_made(pictures: Path, tmp_path: Path):
    made = create(tmp_path / "eyes", read_items(pictures), Settings("pairwise", design="full"), title="Eyes")
    assert open_study(tmp_path / "eyes") == made
    assert stat.S_IMODE((tmp_path / "eyes" / "owner.token").stat().st_mode) == 0o600 or os.name == "nt"
    assert len(made.link) >= 32 and len(made.owner) >= 32 and made.link != made.owner


def test_an_existing_folder_is_not_touched(pictures: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="exists: choose another name"):
        create(tmp_path, read_items(pictures), Settings("acr"))
    assert list(tmp_path.iterdir()) == []


def test_pairs_need_two_items_of_a_scene(pictures: Path, tmp_path: Path):
    items = [item for item in read_items(pictures) if item.name != "s1/0.png"][:5]
    with pytest.raises(UsageError, match="these have one item only: 's1'"):
        create(tmp_path / "x", items, Settings("pairwise"))


def test_dcr_needs_references(pictures: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="a CSV with a column reference"):
        create(tmp_path / "x", read_items(pictures), Settings("dcr"))


WRONG_SETTINGS = [
    ({"method": "acr", "colour": 1}, "no such setting: colour"),
    ({"design": "full"}, "has no method"),
    ({"method": "mos"}, "method is one of acr, dcr, pairwise"),
    ({"method": "acr", "training": -1}, "training is a whole number of at least 0"),
    ({"method": "acr", "per_observer": 0}, "per_observer is a whole number of at least 1"),
    ({"method": "acr", "mobile": 1}, "mobile is true or false"),
    ({"method": "acr", "ties": True}, "ties are for pairwise"),
    ({"method": "pairwise", "repetitions": 2}, "repetitions are for acr and dcr"),
]


@pytest.mark.parametrize(("settings", "message"), WRONG_SETTINGS)
def test_a_wrong_setting_is_told(settings: dict[str, object], message: str):
    with pytest.raises(UsageError, match=message):
        Settings.of(settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "study.json").unlink(), "is not a study"),
        (lambda f: (f / "study.json").write_text("{"), "is not JSON"),
        (lambda f: (f / "study.json").write_text(json.dumps({"schema": 9})), "not a study of this version"),
        (lambda f: (f / "owner.token").write_text("1234"), "too short to be a secret"),
        (lambda f: (f / "items.csv").write_text("name\nx\n"), "is damaged"),
        (lambda f: (f / "consent.txt").write_bytes(b"\xff\xfe"), "is not UTF-8"),
    ],
)
def test_a_damaged_study_is_told(change: object, message: str, pictures: Path, tmp_path: Path):
    create(tmp_path / "x", read_items(pictures), Settings("acr"))
    change(tmp_path / "x")  # type: ignore[operator]
    with pytest.raises(UsageError, match=message):
        open_study(tmp_path / "x")
