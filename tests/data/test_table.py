"""Any CSV is a data set: columns by our names, by common names, or by a mapping."""

import pytest
from PIL import Image

from mien.core.errors import UsageError
from mien.data.table import read


def write(root, content: str, *names: str) -> None:
    (root / "labels.csv").write_text(content, encoding="utf-8-sig")
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (3, 2)).save(root / name)


def test_all_columns_reach_the_sample(tmp_path):
    write(
        tmp_path,
        "path,score,split,scene,subset,reference,distortion,std\nin\\a.png,3.5,validation,s1,night,r.png,blur,0.5\n",
        "in/a.png",
    )
    (found,) = read(tmp_path)
    assert (found.name, found.label, found.split, found.std) == ("in/a.png", 3.5, "val", 0.5)
    assert (found.scene, found.subset, found.reference, found.distortion) == ("s1", "night", "r.png", "blur")
    assert found.open().size == (3, 2)


def test_the_edges_of_a_face_reach_the_sample_where_all_are_known(tmp_path):
    rows = "path,score,x1,y1,x2,y2\na.png,1,0,0.5,2,1\nb.png,1,0,,2,1\n"
    write(tmp_path, rows, "a.png", "b.png")
    assert [sample.box for sample in read(tmp_path)] == [(0.0, 0.5, 2.0, 1.0), None]
    write(tmp_path, "path,score,x1,y1,x2,y2\na.png,1,2,0,1,1\n")
    with pytest.raises(UsageError, match=r"the face of a\.png has its edges the wrong way round"):
        read(tmp_path)


def test_only_path_and_score_are_needed_and_a_score_may_be_empty(tmp_path):
    write(tmp_path, "image,mos\na.png,3.5\nb.png,\n", "a.png", "b.png")
    first, second = read(tmp_path)
    assert (first.label, first.split, first.scene, first.std) == (3.5, "train", "", None)
    assert second.label is None


def test_other_headers_are_mapped_and_a_mapping_wins(tmp_path):
    write(tmp_path, "picture,score,expert\na.png,1,9\n", "a.png")
    (found,) = read(tmp_path, columns={"path": "picture", "score": "expert"})
    assert found.label == 9


def test_a_score_where_lower_is_better_is_turned_round(tmp_path):
    write(tmp_path, "path,score\na.png,40\nb.png,10\n", "a.png", "b.png")
    assert [s.label for s in read(tmp_path, higher_is_better=False)] == [-40, -10]


def test_the_table_may_lie_elsewhere(tmp_path):
    write(tmp_path, "path,score\na.png,40\n", "a.png")
    (tmp_path / "labels.csv").rename(tmp_path / "x.csv")
    assert len(read(tmp_path, file="x.csv")) == len(read(tmp_path, file=tmp_path / "x.csv")) == 1


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        (
            "file,score\na,1\n",
            {},
            r"no column path or image or video or name or item; it has file, score\. .* say --column path=THEIRS$",
        ),
        (
            "path,rating\na,1\n",
            {},
            r"no column score or mos or label; it has path, rating.*--column score=THEIRS$",
        ),
        ("path,score\na,1\n", {"score": "rating"}, r"no column rating \(for score\); it has path, score"),
        ("path,score\na,1\n", {"quality": "score"}, r"no column quality to map; there are path, score, split"),
        ("path,score\na,good\n", {}, r"score must be a finite number, not 'good' \(a\)"),
        ("path,score\na,1\na,2\n", {}, r"labels\.csv: a is labelled twice"),
        ("path,score\na,1\n", {}, r"labels\.csv names 1 pictures, and 1 of them cannot be found, the first is .*a; "),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, content, columns, message):
    write(tmp_path, content)
    with pytest.raises(UsageError, match=message):
        read(tmp_path, columns=columns)


def test_capital_letters_of_a_header_do_not_matter(tmp_path):
    write(tmp_path, "Image,MOS,Split\na,1,val\n")
    (found,) = read(tmp_path, check_pictures=False)
    assert (found.name, found.label, found.split) == ("a", 1, "val")
    write(tmp_path, "path,Score,mos\na,1,2\n")
    (found,) = read(tmp_path, check_pictures=False)
    assert found.label == 2  # the one that is spelled as ours
