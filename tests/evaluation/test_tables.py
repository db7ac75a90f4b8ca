"""Prediction and label files: nothing is dropped silently, every message names the file and the rows."""

import numpy as np
import pytest

from mien.evaluation import protocols
from mien.evaluation.tables import TableError, align, read_labels, read_predictions

PLAIN, PORTRAIT, VOTES, EDC = (protocols.load(n) for n in ("plain", "ntire24-portrait", "adth-qa", "fiqa-edc"))


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.fixture
def file(tmp_path):
    return lambda text, encoding="utf-8": write(tmp_path / "table.csv", text, encoding)


def test_bom_backslashes_and_other_headers(file):
    path = file('IMAGE PATH,JOD,SCENE\r\nOverall\\1_a.JPG,-1.5,s1\r\n"Overall\\2, b.jpg",2,s1\r\n', "utf-8-sig")
    columns = {"image": "IMAGE PATH", "label": "JOD", "scene": "SCENE"}
    labels = read_labels(path, PORTRAIT, columns=columns)
    assert labels.names == ("Overall/1_a.JPG", "Overall/2, b.jpg")
    assert labels.values.tolist() == [-1.5, 2] and labels.groups == ("s1", "s1")


def test_a_mapping_for_one_file_does_not_disturb_the_other(file):
    columns = {"image": "IMAGE PATH", "score": "SCORE"}
    assert read_predictions(file("image,SCORE\na,1\n"), PLAIN, columns=columns).names == ("a",)


def test_a_table_of_mien_score_is_a_prediction_file(file):
    found = read_predictions(file("path,status,score\na.jpg,ok,71.5\n"), PLAIN)
    assert (found.names, found.scores.tolist()) == (("a.jpg",), [71.5])


def test_video_or_image(file):
    assert read_predictions(file("video,score\na.mp4,1\n"), PLAIN).names == ("a.mp4",)
    assert read_predictions(file("image,score\na.mp4,1\n"), protocols.load("ais24-vqa")).names == ("a.mp4",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rows"),
        ("image,score\n", "has no rows"),
        ("image,quality\na,1\n", "no column score .*it has image, quality.*--column"),
        ("name,score\na,1\n", "no column image"),
        ("image,score\na,1\nb,\n", r"score must be a finite number in every row; 1 row \(line 3: ''\)"),
        ("image,score\na,nan\nb,inf\nc,x\n", r"3 rows \(line 2: 'nan', line 3: 'inf', line 4: 'x'\)"),
        ("image,score\na,1\nb,2\na,3\nb,1\nc,1\n", r"more than one prediction for 2 names \(a, b\)"),
        ("image,score\na\\b,1\na/b,2\n", r"more than one prediction for 1 name \(a/b\)"),
        ("image,score\n,1\n", r"image is empty; 1 row \(line 2\)"),
        ("image,score\na,1,2\n", "row 2 has 3 cells, the header 2"),
        ("image,score,score\na,1,2\n", r"a header twice: 1 header \(score\)"),
        ('image,score\n"a,1\n', "not a CSV file"),
    ],
)
def test_bad_prediction_files(file, text, message):
    with pytest.raises(TableError, match=message):
        read_predictions(file(text), PLAIN)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(TableError, match=r"cannot read .*nothing\.csv: No such file"):
        read_predictions(tmp_path / "nothing.csv", PLAIN)
    with pytest.raises(TableError, match="not a CSV file in UTF-8"):
        read_predictions(write(tmp_path / "latin.csv", "image,score\nä,1\n", "latin-1"), PLAIN)


LABELS = "image,label,scene,split\na,1,s,test\nb,2,s,test\nc,3,t,train\n"


def test_a_selection_keeps_rows_and_remembers_the_others(file):
    labels = read_labels(file(LABELS), PORTRAIT, where={"split": "test"})
    assert labels.names == ("a", "b") and labels.left_out == {"c"}
    assert labels.source.endswith("[split=test]")
    predictions = read_predictions(file("image,score\nc,1\nb,2\na,3\n"), PLAIN)
    assert align(predictions, labels) == {"a": 3, "b": 2}


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"split": "val"}, r"no row with split=val; there is 2 values \(test, train\)"),
        ({"part": "test"}, "no column part"),
    ],
)
def test_a_selection_of_nothing(file, where, message):
    with pytest.raises(TableError, match=message):
        read_labels(file(LABELS), PORTRAIT, where=where)


def test_the_grouping_column_is_needed_where_the_protocol_pools_groups(file):
    path = file("image,label\na,1\n")
    with pytest.raises(TableError, match="no column scene"):
        read_labels(path, PORTRAIT)
    assert read_labels(path, PLAIN).groups is None
    with pytest.raises(TableError, match="no column camera"):
        read_labels(path, PLAIN, group="camera")
    with pytest.raises(TableError, match=r"scene is empty; 1 row \(line 2\)"):
        read_labels(file("image,label,scene\na,1,\n"), PORTRAIT)


def test_missing_and_extra_names_are_counted_and_listed(file):
    labels = read_labels(file("image,label\n" + "".join(f"l{i:02},1\n" for i in range(12)) + "b,2\n"), PLAIN)
    predictions = read_predictions(file("image,score\nb,1\nx,1\ny,1\n"), PLAIN)
    with pytest.raises(TableError) as error:
        align(predictions, labels)
    assert "no prediction for 12 names (l00, l01, l02, l03, l04, l05, l06, l07, l08, l09, and 2 more)" in str(
        error.value
    )
    assert "predictions without a label: 2 names (x, y)" in str(error.value)


def test_doubled_labels_are_listed(file):
    with pytest.raises(TableError, match=r"more than one label for 1 name \(a\)"):
        read_labels(file("image,label\na,1\na,1\n"), PLAIN)


def test_votes_in_both_forms(file):
    ours = read_labels(file("item_a,item_b,votes_a,votes_b,clip\nw/c,m/c,3,12,c\n"), VOTES)
    theirs = read_labels(file("dimension,clip,method_a,method_b,votes_a,votes_b\nlip,c,w,m,3,12\n"), VOTES)
    for votes in (ours, theirs):
        assert (votes.a, votes.b, votes.groups) == (("w/c",), ("m/c",), ("c",))
        assert votes.votes_b.tolist() == [12]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,b,1,2,c\nb,a,2,1,c\n", r"more than one row for 1 name \(a and b\)"),
        ("a,a,1,2,c\n", "compared with itself"),
        ("a,b,0,0,c\n", "a pair needs one"),
        ("a,b,-1,2,c\n", "at least 0"),
    ],
)
def test_bad_votes(file, rows, message):
    with pytest.raises(TableError, match=message):
        read_labels(file("item_a,item_b,votes_a,votes_b,clip\n" + rows), VOTES)


def test_comparisons(file):
    pairs = read_labels(file("image_a,image_b,similarity,mated\na,b,0.9,1\na,c,0.1,impostor\n"), EDC)
    assert pairs.mated.tolist() == [True, False] and pairs.names == ("a", "b", "c")
    assert np.allclose(pairs.similarity, [0.9, 0.1])
    with pytest.raises(TableError, match="mated must be 1 or 0"):
        read_labels(file("image_a,image_b,similarity,mated\na,b,0.9,perhaps\n"), EDC)
