import json
import math
import os
import random
import sys
from pathlib import Path

import pytest

from mien.core.errors import MissingExtraError, UsageError
from mien.core.rows import tidy
from mien.core.tables import RowWriter, check_target, partial_path, read_rows
from mien.core.types import COLUMNS, Score

pytest.importorskip("pyarrow", reason="Parquet needs the extra 'parquet'")

SUFFIXES = [".csv", ".jsonl", ".parquet"]
TEXT_SUFFIXES = [".csv", ".jsonl"]
RUN = {"model": "judge@1", "preprocess": "squash256"}


def ok(path, score=50.0):
    return Score(path=path, score=score, score_lo=score - 1, score_hi=score + 1, raw=score / 100, percentile=12.5,
                 sharpness=1 / 3, width=640, height=480, ms=1.23456, **RUN).to_dict()  # fmt: skip


def failed(path):
    return Score(path=path, status="decode_error", error='truncated, at "byte" 7;\nthe end', **RUN).to_dict()


ROWS = [ok("a.jpg", 0.1 + 0.2), failed('odd, "name".jpg'), ok("sub/ünïcode 漢.png"), ok("=1+1;'.jpg", 100.0)]


def faces(path, n, first=0, last=None):
    """Rows first..last - 1 of the faces of one picture."""
    points = ((1.25, 2), (3, 4), (5, 6), (7, 8), (9, 10))
    place = {"x1": 1.0, "y1": 2.0, "x2": 3.0, "y2": 4.0, "landmarks": points, "face_confidence": 0.75}
    return [
        ok(path, 50.0 + i) | place | {"face_index": i, "n_faces": n} for i in range(first, n if last is None else last)
    ]


def no_face(path):
    return Score(path=path, status="no_face", error="no face was found", n_faces=0, **RUN).to_dict()


def write(path, rows, **options):
    with RowWriter(path, **options) as writer:
        for row in rows:
            writer.write(row)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_come_back_equal_whatever_the_format(tmp_path, suffix):
    file = tmp_path / f"x{suffix}"
    write(file, ROWS)
    assert list(read_rows(file)) == [tidy(row) for row in ROWS]
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_faces_come_back_with_their_landmarks_whatever_the_format(tmp_path, suffix):
    file = tmp_path / f"x{suffix}"
    rows = [*faces("a.jpg", 2), no_face("b.jpg")]
    write(file, rows)
    first, second, third = read_rows(file)
    assert [first, second, third] == [tidy(row) for row in rows]
    assert first["landmarks"] == [[1.25, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 10.0]]
    assert (third["landmarks"], third["n_faces"], third["score"]) == (None, 0, None)


def test_landmarks_are_json_in_both_texts(tmp_path):
    write(tmp_path / "x.jsonl", faces("a.jpg", 1))
    write(tmp_path / "x.csv", faces("a.jpg", 1))
    assert '"landmarks": [[1.25, 2.0], [3.0, 4.0], ' in (tmp_path / "x.jsonl").read_text()
    assert '"[[1.25, 2.0], [3.0, 4.0], ' in (tmp_path / "x.csv").read_text()


def test_points_that_are_not_finite_are_no_points():
    (row,) = faces("a.jpg", 1)
    assert tidy(row | {"landmarks": ((math.nan, 1.0), (2.0, 3.0))})["landmarks"] is None


def test_tidy_rounds_escapes_and_knows_no_nan():
    row = tidy(
        ok("a\n\x1b[31m\udcff.jpg", 12.3456789) | {"score_lo": math.nan, "score_hi": math.inf, "noise": -0.00001}
    )
    assert row["path"] == "a\\n\\x1b[31m\\udcff.jpg"
    assert (row["score"], row["raw"], row["ms"]) == (12.3457, 0.123457, 1.23)
    assert row["score_lo"] is None and row["score_hi"] is None
    assert math.copysign(1, row["noise"]) == 1
    assert tuple(tidy({"path": "a"})) == COLUMNS
    with pytest.raises(ValueError, match="not columns of a row: colour"):
        tidy({"colour": 1})


@pytest.mark.parametrize("suffix", TEXT_SUFFIXES)
def test_every_row_is_one_line_and_empty_cells_are_empty(tmp_path, suffix):
    file = tmp_path / f"x{suffix}"
    write(file, ROWS)
    lines = file.read_text().splitlines()
    assert len(lines) == len(ROWS) + (suffix == ".csv")
    assert "nan" not in file.read_text().lower().replace("unreadable", "")
    if suffix == ".jsonl":
        assert json.loads(lines[1])["score"] is None
    else:
        assert lines[0] == ",".join(COLUMNS)
        assert ",decode_error,,,," in lines[2]


@pytest.mark.parametrize("suffix", TEXT_SUFFIXES)
def test_a_row_is_on_disk_when_write_returns(tmp_path, suffix):
    file = tmp_path / f"x{suffix}"
    with RowWriter(file) as writer:
        for n, row in enumerate(ROWS, 1):
            writer.write(row)
            assert len(list(read_rows(file))) == n


@pytest.mark.parametrize("suffix", TEXT_SUFFIXES)
def test_a_table_cut_anywhere_is_repaired(tmp_path, suffix, monkeypatch):
    """Cut at every byte, as a kill can do; then resume: the table is what it would have been."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # hundreds of them; nothing here depends on it
    whole = tmp_path / f"whole{suffix}"
    write(whole, ROWS[:3])
    data = whole.read_bytes()
    file = tmp_path / f"x{suffix}"
    for cut in range(len(data) + 1):
        file.write_bytes(data[:cut])
        with RowWriter(file, resume=True, **RUN) as writer:
            finished = data[:cut].count(b"\n") - (suffix == ".csv")
            assert writer.done.total() == max(finished, 0)
            for row in ROWS[:3]:
                if not writer.done[row["path"]]:
                    writer.write(row)
        assert file.read_bytes() == data, f"cut at byte {cut}"


PICTURES = [faces("a.jpg", 3), [no_face("b.jpg")], faces("c.jpg", 1), [failed("d.jpg")], faces("e.jpg", 2)]


@pytest.mark.parametrize("suffix", TEXT_SUFFIXES)
def test_a_picture_of_which_some_faces_are_missing_is_repaired(tmp_path, suffix, monkeypatch):
    """Cut after every line and inside it, as a kill can do; then resume: no face is lost or there twice."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    whole = tmp_path / f"whole{suffix}"
    write(whole, [row for rows in PICTURES for row in rows], every_face=True)
    data = whole.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == ord("\n")]
    file = tmp_path / f"x{suffix}"
    for cut in (0, *ends, *(end - 5 for end in ends)):
        file.write_bytes(data[:cut])
        seen = []
        with RowWriter(file, resume=True, every_face=True, on_resumed=seen.append, **RUN) as writer:
            done = set(writer.done)
            assert [row["path"] for row in seen] == [r["path"] for rows in PICTURES for r in rows if r["path"] in done]
            for row in (row for rows in PICTURES if rows[0]["path"] not in done for row in rows):
                writer.write(row)
        assert file.read_bytes() == data, f"cut at byte {cut}"


def test_done_counts_pictures_and_not_their_faces(tmp_path):
    file = tmp_path / "x.jsonl"
    write(file, [*faces("a", 2), *faces("a", 2), no_face("b")])
    with RowWriter(file, resume=True, every_face=True) as writer:
        assert writer.done == {"a": 2, "b": 1}


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_resume_refuses_another_choice_of_faces_and_leaves_the_table_as_it_is(tmp_path, suffix):
    file = tmp_path / f"x{suffix}"
    write(file, [*faces("a.jpg", 2), ok("b.jpg")])
    with pytest.raises(UsageError, match="was written with a row for every face: use another file, or --overwrite"):
        RowWriter(file, resume=True)
    write(file, [*faces("a.jpg", 2, last=1), no_face("b.jpg")], overwrite=True)
    with pytest.raises(UsageError, match="was written with only the largest faces"):
        RowWriter(file, resume=True, every_face=True)
    with RowWriter(file, resume=True) as writer:
        assert writer.done == {"a.jpg": 1, "b.jpg": 1}


def test_zeros_left_by_a_power_failure_are_repaired(tmp_path):
    for suffix in TEXT_SUFFIXES:
        file = tmp_path / f"x{suffix}"
        write(file, ROWS[:2])
        data = file.read_bytes()
        for tail in (b"\0" * 100, data[-100:-50] + b"\0" * 9 if suffix == ".csv" else b'{"path": "b' + b"\0" * 9):
            file.write_bytes(data + tail)
            write(file, ROWS[2:3], resume=True)
            assert [r["path"] for r in read_rows(file)] == [r["path"] for r in ROWS[:3]]
            write(file, ROWS[:2], overwrite=True)


def test_the_same_path_twice_is_counted(tmp_path):
    file = tmp_path / "x.jsonl"
    write(file, [ok("a"), ok("a"), failed("b")])
    seen = []
    with RowWriter(file, resume=True, on_resumed=seen.append) as writer:
        assert writer.done == {"a": 2, "b": 1}
    assert [row["status"] for row in seen] == ["ok", "ok", "decode_error"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("column", ["model", "preprocess"])
def test_resume_refuses_another_run(tmp_path, suffix, column):
    file = tmp_path / f"x{suffix}"
    write(file, ROWS)
    with pytest.raises(UsageError, match=f"was written with {column} {RUN[column]}, this run has other@2"):
        RowWriter(file, resume=True, **RUN | {column: "other@2"})
    assert list(read_rows(file if suffix != ".parquet" else partial_path(file))) == [tidy(row) for row in ROWS]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "image,mos\na.jpg,3\n", "other columns"),
        ("x.csv", ",".join(COLUMNS) + "\na.jpg,3\nb.jpg", "line 2 of .*x.csv is not a row of mien: it has 2 cells"),
        ("x.csv", ",".join(COLUMNS) + "\na.jpg,ok,nan" + "," * (len(COLUMNS) - 3) + "\n", "nan is not a number"),
        ("x.jsonl", '{"image": "a.jpg"}\n', "line 1 of .* is not a row of mien"),
        ("x.jsonl", json.dumps(tidy(ok("a")) | {"score": None}) + "\n", "line 1 of .*: status and score contradict"),
        ("x.jsonl", json.dumps(tidy(ok("a")) | {"status": ["ok"]}) + "\n", "line 1 of .*: status is list"),
        ("x.jsonl", json.dumps(tidy(ok("a")) | {"landmarks": "none"}) + "\n", "line 1 of .*: landmarks is str"),
        ("x.jsonl", json.dumps(tidy(ok("a")) | {"landmarks": [[1, 2, 3]]}) + "\n", "line 1 .* are not points"),
        ("x.jsonl", "[" * 100_000 + "\n", "line 1 of .* is not a row of mien"),
        ("x.jsonl", '{"image": "a.jp', "line 1 of .* is not a row of mien"),
        ("x.jsonl", "# notes", "line 1 of .* is not a row of mien"),
        ("x.parquet", "PAR2", "is not a Parquet file"),
    ],
)
def test_resume_never_touches_what_is_not_a_table(tmp_path, name, text, message):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(UsageError, match=message):
        RowWriter(file, resume=True)
    assert file.read_text() == text


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_existing_table_is_not_touched_unless_told(tmp_path, suffix):
    file = tmp_path / f"x{suffix}"
    write(file, ROWS)
    before = file.read_bytes()
    with pytest.raises(UsageError, match=r"exists: --resume goes on with it, --overwrite starts again"):
        RowWriter(file)
    with pytest.raises(UsageError, match="exclude each other"):
        RowWriter(file, resume=True, overwrite=True)
    assert file.read_bytes() == before
    write(file, ROWS[:1], overwrite=True)
    assert list(read_rows(file)) == [tidy(ROWS[0])]


def test_an_unfinished_parquet_table_is_not_touched_unless_told_and_can_go_on(tmp_path):
    file = tmp_path / "x.parquet"
    with pytest.raises(KeyboardInterrupt), RowWriter(file) as writer:
        writer.write(ROWS[0])
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == ["x.parquet.partial.jsonl"]
    with pytest.raises(UsageError, match=r"x\.parquet\.partial\.jsonl exists"):
        check_target(file)
    write(file, ROWS[1:], resume=True)
    assert list(read_rows(file)) == [tidy(row) for row in ROWS]


def test_a_finished_parquet_table_takes_more_rows(tmp_path):
    file = tmp_path / "x.parquet"
    write(file, ROWS[:2])
    write(file, ROWS[2:], resume=True)
    assert list(read_rows(file)) == [tidy(row) for row in ROWS]


def test_parquet_has_types_and_nulls(tmp_path):
    import pyarrow.parquet as pq

    file = tmp_path / "x.parquet"
    write(file, ROWS[:2])
    table = pq.read_table(file)
    kinds = {c: str(table.schema.field(c).type) for c in ("path", "score", "width", "face_index")}
    assert kinds == {"path": "string", "score": "double", "width": "int64", "face_index": "int64"}
    assert table["score"].null_count == 1 and table["face_index"].null_count == 2


def test_parquet_without_pyarrow_says_which_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r'pip install "mien\[parquet\]"'):
        check_target(tmp_path / "x.parquet")


def test_targets_that_cannot_be(tmp_path):
    (tmp_path / "folder.csv").mkdir()
    for name, message in [
        ("x.txt", r"must be named \*\.csv, \*\.jsonl, \*\.parquet"),
        ("absent/x.csv", "there is no folder .*absent"),
        ("folder.csv", "it is a folder"),
        ("n" * 300 + ".csv", "File name too long"),
    ]:
        with pytest.raises(UsageError, match=message):
            check_target(tmp_path / name)
    if Path("/proc/version").exists():
        with pytest.raises(UsageError, match=r"cannot write /proc/x\.csv"):
            RowWriter(Path("/proc/x.csv"))


def test_two_runs_cannot_write_one_table(tmp_path):
    pytest.importorskip("fcntl", reason="this system has no file locks")
    file = tmp_path / "x.jsonl"
    with RowWriter(file) as writer:
        writer.write(ROWS[0])
        with pytest.raises(UsageError, match="is being written by another run"):
            RowWriter(file, resume=True)
        writer.write(ROWS[1])
    assert len(list(read_rows(file))) == 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_keeps_what_was_written(tmp_path, suffix):
    """The limit on the size of a file stands in for the disk: a row is torn in its middle, as on a full disk."""
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    file = tmp_path / f"x{suffix}"
    rows = [ok(f"{n:03}.jpg", n / 3) for n in range(60)]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (random.Random(1).randrange(4000, 5000), before[1]))
    try:
        with pytest.raises(UsageError, match=r"cannot write .*: File too large; the rows before are kept, --resume"):
            write(file, rows)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with RowWriter(file, resume=True) as writer:
        assert 5 < len(writer.done) < 59
        for row in rows[len(writer.done) :]:
            writer.write(row)
    assert list(read_rows(file)) == [tidy(row) for row in rows]
