"""`mien best --per-person`: the best of each person of a burst. Faces are rectangles, people are their colours."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from typer.testing import CliRunner

from faces.marks import BLUE, GREEN, RED, Box, MarkFinder, crop, picture
from mien.apps import best_command, best_people, cli
from mien.core.errors import UnreadableImageError
from mien.core.types import COLUMNS
from mien.faces import scorer
from mien.models import zoo
from mien.scoring import Scorer

Mien = Callable[..., tuple[str, str]]
Marks = dict[tuple[int, int, int], Box]

DARK_RED = (150, 0, 0)  # the same direction as RED
LEFT, MIDDLE, RIGHT = (10, 40, 50, 90), (70, 30, 120, 100), (140, 50, 176, 95)
LARGE_RIGHT = (125, 20, 195, 120)
WHO = ("--identity", "adaface-ir50", "--identity-weights", "mine.ckpt", "--same", 0.9)

IN = {
    "in/1.png": (0, {RED: LEFT, GREEN: LARGE_RIGHT}),
    "in/2.png": (1, {GREEN: MIDDLE, BLUE: RIGHT}),
    "in/3.png": (2, {BLUE: LEFT, RED: RIGHT}),
    "in/nobody.png": (3, {}),
    "in/later.png": (30, {GREEN: LEFT}),
}


def save(path: str, seconds: float, marks: Marks, *, orientation: int = 1) -> None:
    """A picture with faces whose texture, and so whose score, is that of its time."""
    seed = round(seconds)
    pixels = np.asarray(picture(200, 150, marks, seed=seed), np.int16)
    texture = np.random.default_rng(seed).integers(-25, 26, pixels.shape)
    made = Image.fromarray(np.clip(pixels + texture, 0, 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = made.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else made
    turned.save(path, exif=exif, quality=95)
    os.utime(path, (1e9 + seconds, 1e9 + seconds))


def colour(faces: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
    """What AdaFace would be: the mean colour inside the landmarks."""
    assert all(face.size == (112, 112) and face.mode == "RGB" for face in faces)
    return np.stack([np.asarray(face, np.float64)[54:90, 42:70].mean((0, 1)) for face in faces])


@pytest.fixture
def embedders(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """In place of the network; gives what it was asked for."""
    asked: list[tuple[str, Path]] = []
    module = ModuleType("mien.models.adaface")

    def embedder(name: str, weights: Path) -> Any:
        asked.append((name, weights))
        return lambda faces: module.embed(faces)  # type: ignore[attr-defined]

    module.embed, module.embedder = colour, embedder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mien.models.adaface", module)
    monkeypatch.setattr(zoo, "need_torch", lambda what: None)
    return asked


@pytest.fixture
def mien(monkeypatch: pytest.MonkeyPatch, command_line: Mien, tiny_judge: Path) -> Mien:
    """Runs `mien best --per-person` in a folder with the pictures of `IN`: a burst of four, and one of one."""
    monkeypatch.setattr(scorer, "_embedded_finder", MarkFinder)
    monkeypatch.setattr(scorer, "_crop", crop)
    Path("in").mkdir()
    for path, (seconds, marks) in IN.items():
        save(path, seconds, marks)

    def run(*arguments: object, code: int = 3) -> tuple[str, str]:
        return command_line("best", "--per-person", *arguments, "--model", tiny_judge, code=code)

    return run


def rows_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def scores_of(judge: Path, box: Callable[[str], Box]) -> dict[str, float]:
    """What the scorer says of the face in a box of each picture."""
    paths = [path for path in IN if box(path)]
    rows = Scorer(judge, faces="all", finder=MarkFinder(), threads=1).stream(paths)
    return {row.path: row.score or 0.0 for row in rows if row.x1 == box(row.path)[0]}


def person(colour: tuple[int, int, int]) -> Callable[[str], Any]:
    return lambda path: IN[path][1].get(colour) if path != "in/later.png" else None


# ---- who is picked


@pytest.mark.usefixtures("embedders")
def test_the_best_pictures_of_each_person_of_each_burst_are_picked(mien: Mien, tiny_judge: Path) -> None:
    """People count from the first picture on, there from left to right: red, green, and blue of the second picture."""
    rows = rows_of(mien("in", *WHO, "--top", 2)[0])
    wanted = []
    for number, who in enumerate((RED, GREEN, BLUE), start=1):
        scores = scores_of(tiny_judge, person(who))
        best = sorted(scores, key=scores.__getitem__, reverse=True)
        wanted += [(1, number, 2, rank, path, IN[path][1][who][0]) for rank, path in enumerate(best, start=1)]
    wanted.append((2, 1, 1, 1, "in/later.png", LEFT[0]))
    assert [tuple(r[c] for c in ("group", "person", "n_group", "rank", "path", "x1")) for r in rows] == wanted
    first = rows_of(mien("in", *WHO)[0])
    assert [row["path"] for row in first] == [path for *_, rank, path, _ in wanted if rank == 1]


@pytest.mark.usefixtures("embedders")
def test_rows_are_those_of_score_and_more_and_hold_no_embedding(mien: Mien, tiny_judge: Path) -> None:
    (row,) = rows_of(mien("in/later.png", *WHO, code=0)[0])
    assert tuple(row) == (*COLUMNS, "group", "person", "n_group", "rank", "taken")
    (alone,) = Scorer(tiny_judge, faces="all", finder=MarkFinder()).stream(["in/later.png"])
    assert row["score"] == pytest.approx(alone.score, abs=2e-4)
    assert row["landmarks"] == [pytest.approx(point, abs=1e-4) for point in alone.landmarks or ()]
    assert (row["model"], row["preprocess"]) == (alone.model, alone.preprocess)


@pytest.mark.usefixtures("embedders")
def test_two_faces_of_one_picture_are_two_people(mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer, "_embedded_finder", lambda: MarkFinder((RED, DARK_RED)))
    save("twins.png", 0, {RED: LEFT, DARK_RED: RIGHT})
    assert [(r["person"], r["x1"]) for r in rows_of(mien("twins.png", *WHO, code=0)[0])] == [(1, 10.0), (2, 140.0)]


@pytest.mark.usefixtures("embedders")
def test_same_decides_who_is_one_person(mien: Mien) -> None:
    save("red.png", 0, {RED: LEFT})
    save("yellow.png", 1, {(255, 255, 0): LEFT})  # at a cosine of 0.7
    who = WHO[:-1]
    assert len(rows_of(mien("red.png", "yellow.png", *who, 0.8, code=0)[0])) == 2
    assert len(rows_of(mien("red.png", "yellow.png", *who, 0.6, code=0)[0])) == 1


def test_the_network_and_the_weights_are_those_that_were_named(mien: Mien, embedders: list[tuple[str, Path]]) -> None:
    mien("in", "--identity", "adaface-ir101", "--identity-weights", "w/mine.pt", "--same", 0.5)
    assert embedders == [("adaface-ir101", Path("w/mine.pt"))]


# ---- what is looked at


@pytest.mark.usefixtures("embedders")
def test_a_face_is_found_once_and_only_pictures_with_faces_are_decoded_again(
    mien: Mien, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, decoded, decode = [], Counter[str](), best_people.decode

    class Counting(MarkFinder):
        def find(self, picture: Image.Image) -> Any:
            found.append(1)
            return super().find(picture)

    def counting(path: str) -> Any:
        decoded[path] += 1
        return decode(path)

    monkeypatch.setattr(scorer, "_embedded_finder", Counting)
    monkeypatch.setattr(best_people, "decode", counting)
    mien("in", *WHO)
    assert len(found) == 5
    assert decoded == {f"in/{name}.png": 1 for name in ("1", "2", "3", "later")}


@pytest.mark.usefixtures("embedders")
def test_faces_are_recognised_upright_and_at_full_size(mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of the two lies on its side, both are found at half size; where grey is seen instead, nobody is alike."""
    monkeypatch.setattr(scorer, "ENOUGH_PX", 75)
    save("a.jpg", 0, {RED: LEFT, GREEN: RIGHT})
    save("b.jpg", 1, {GREEN: RIGHT, RED: MIDDLE}, orientation=6)
    rows = rows_of(mien("a.jpg", "b.jpg", *WHO, "--top", 2, code=0)[0])
    assert [(row["person"], row["n_group"]) for row in rows] == [(1, 2), (1, 2), (2, 2), (2, 2)]


# ---- what has no face, no score or no person


@pytest.mark.usefixtures("embedders")
def test_pictures_without_faces_are_told(mien: Mien) -> None:
    Path("in/torn.png").write_bytes(Path("in/1.png").read_bytes()[:500])
    os.utime("in/torn.png", (1e9, 1e9))
    out, err = mien("in", *WHO)
    assert "no_face  in/nobody.png" in err and "decode_error  in/torn.png" in err
    assert {Path(row["path"]).stem for row in rows_of(out)} <= {"1", "2", "3", "later"}
    out, err = mien("in/nobody.png", *WHO, code=4)
    assert out == "" and "0 of 1 pictures picked from 0 bursts\n" in err


@pytest.mark.usefixtures("embedders")
def test_a_picture_that_went_away_meanwhile_is_told_once(mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    decode = best_people.decode

    def gone(path: str) -> Any:
        if path == "in/1.png":
            raise UnreadableImageError("missing", "there is no such file")
        return decode(path)

    monkeypatch.setattr(best_people, "decode", gone)
    out, err = mien("in/1.png", "in/2.png", *WHO)
    assert err.count("missing  in/1.png: there is no such file") == 1
    assert "1 of 2 pictures picked from 1 bursts, for 2 people" in err
    assert [(row["person"], row["path"]) for row in rows_of(out)] == [(1, "in/2.png"), (2, "in/2.png")]


@pytest.mark.usefixtures("embedders")
@pytest.mark.parametrize("length", [0.0, float("nan")])
def test_a_face_that_is_nobodys_is_told_and_not_picked(mien: Mien, length: float) -> None:
    def no_red(faces: Sequence[Image.Image]) -> npt.NDArray[np.float64]:
        seen = colour(faces)
        return seen * length if seen[0].argmax() == 0 else seen

    sys.modules["mien.models.adaface"].embed = no_red  # type: ignore[attr-defined]
    out, err = mien("in/1.png", *WHO)
    assert [(row["person"], row["x1"]) for row in rows_of(out)] == [(1, float(LARGE_RIGHT[0]))]
    assert "model_error  in/1.png: whose face this is cannot be told: its embedding has length 0, or is not" in err


# ---- what is written


@pytest.mark.usefixtures("embedders")
def test_the_best_of_two_people_is_copied_once_and_nothing_else_is_written(mien: Mien) -> None:
    before = set(Path().rglob("*"))
    _, err = mien("in/1.png", "in/later.png", *WHO, "--out", "picks.csv", "--copy-to", "picks", code=0)
    written = {str(path) for path in set(Path().rglob("*")) - before}
    assert written == {"picks.csv", "picks", "picks/1.png", "picks/later.png"}
    assert "2 of 2 pictures picked from 2 bursts, for 3 people (each burst counts its own)" in err


@pytest.mark.usefixtures("embedders")
def test_a_terminal_shows_whose_picture_it_is(mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(best_command.sys.stdout, "isatty", lambda: True, raising=False)
    out, _ = mien("in/1.png", *WHO, code=0)
    head, *lines = (line.split() for line in out.splitlines()[:3])
    assert head == ["burst", "person", "of", "rank", "score", "taken", "path"]
    assert [line[:4] for line in lines] == [["1", "1", "1", "1"], ["1", "2", "1", "1"]]


# ---- wrong usage


@pytest.mark.parametrize(
    ("left_out", "message"),
    [
        (0, "needs --identity adaface-ir50|adaface-ir101: the network that the weights are of\n"),
        (2, "needs --identity-weights FILE: none come with mien, for it is not known whether those of AdaFace may be "),
        (2, "'mien models show adaface-ir50' says where its authors offer them\n"),
        (4, "needs --same COSINE, from which on two faces are one person: it depends on the weights and on which "),
        (4, "so there is no default; compare pairs of your own (mien.faces.identity.similarity) and choose\n"),
    ],
)
def test_each_piece_that_is_missing_is_told_with_the_reason_and_what_to_do(
    mien: Mien, left_out: int, message: str
) -> None:
    out, err = mien("in", *WHO[:left_out], *WHO[left_out + 2 :], code=2)
    assert out == "" and message in err and err.startswith("mien: --per-person has to tell people apart, and ")
    everything = mien("in", code=2)[1]
    assert message.removeprefix("needs ").strip() in everything


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*WHO[:-1], 1), "--same 1: a cosine, above -1 and below 1"),
        ((*WHO[:-1], -1), "--same -1: a cosine, above -1 and below 1"),
        ((*WHO[:-1], "nan"), "--same nan: a cosine"),
        ((*WHO, "--identity", "hyperiqa"), "--identity hyperiqa: it is one of adaface-ir50, adaface-ir101"),
        ((*WHO, "--faces", "best"), "--per-person judges every face by itself: leave out --faces best"),
        ((*WHO, "--faces", "whole"), "--per-person judges every face by itself: leave out --faces whole"),
    ],
)
def test_wrong_usage_is_2(mien: Mien, arguments: tuple[object, ...], message: str) -> None:
    out, err = mien("in", *arguments, code=2)
    assert message in err and out == ""


def test_options_about_people_belong_to_per_person(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in (0, 2, 4):
        monkeypatch.setattr(sys, "argv", ["mien", "best", "in", *map(str, WHO[i : i + 2])])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 2
        told = f"mien: {WHO[i]}: who is who is only asked with --per-person\n"
        assert capfdbinary.readouterr() == (b"", told.encode())


def test_help_says_that_a_number_is_no_name_and_goes_no_further_than_its_burst() -> None:
    told = " ".join(CliRunner().invoke(cli.app, ["best", "--help"]).stdout.split())
    assert "It is no name, and person 1 of the next burst may be somebody else." in told
    assert all(f" {option} " in told for option in ("--per-person", *WHO[::2]))


def test_without_torch_the_extra_is_named(mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "mien.models.adaface", raising=False)
    assert mien("in", *WHO, code=2)[1] == 'mien: mien best --per-person needs an extra: pip install "mien[torch]"\n'


# ---- with the network


def test_a_tiny_adaface_tells_copies_from_others(mien: Mien, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from mien.models import adaface

    assert best_command.IDENTITIES == adaface.NAMES
    monkeypatch.setattr(adaface, "WIDTHS", (8, 8, 8, 512))
    monkeypatch.setattr(adaface, "ir50", lambda: adaface.IResNet((1, 1, 1, 1)))
    torch.manual_seed(0)
    torch.save({f"model.{k}": v for k, v in adaface.ir50().state_dict().items()}, "mine.ckpt")
    Path("copy.png").write_bytes(Path("in/1.png").read_bytes())
    os.utime("copy.png", (1e9, 1e9))
    Path("in/1.png").rename("first.png")
    rows = rows_of(mien("first.png", "copy.png", *WHO[:-1], 0.9999, "--top", 2, code=0)[0])
    assert [(row["person"], row["n_group"]) for row in rows] == [(1, 2), (1, 2), (2, 2), (2, 2)]
    _, err = mien("first.png", *WHO[:2], "--identity-weights", "first.png", "--same", 0.5, code=2)
    assert "first.png" in err
