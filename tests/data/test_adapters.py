"""Each adapter reads its official layout from a tiny copy, and says which file is missing and what was expected."""

import json
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from mien.core.errors import UsageError
from mien.data import registry
from mien.data.registry import read
from mien.data.spreadsheet import first_sheet
from synthetic import write_biq2021, write_sfhq


def picture(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (9, 8, 7)).save(path.with_suffix(".png"))
        path.with_suffix(".png").replace(path)  # the bytes are what matters, not the suffix


def text(path: Path, content: str, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding=encoding)


def workbook(path: Path, rows: list[list[object]]) -> None:
    """A minimal .xlsx: text in shared strings, numbers as they are, None for no cell at all."""
    strings = sorted({cell for row in rows for cell in row if isinstance(cell, str)})

    def cell(column: int, row: int, value: object) -> str:
        if value is None:
            return ""
        kind, inside = (' t="s"', strings.index(value)) if isinstance(value, str) else ("", value)
        return f'<c r="{chr(65 + column)}{row}"{kind}><v>{inside}</v></c>'

    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    links = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    lines = "".join(
        f'<row r="{r}">' + "".join(cell(c, r, v) for c, v in enumerate(row)) + "</row>"
        for r, row in enumerate(rows, start=1)
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as book:
        book.writestr(
            "xl/workbook.xml", f'<workbook {main} xmlns:r="{links}"><sheets><sheet r:id="r7"/></sheets></workbook>'
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            '<Relationship Id="r7" Target="worksheets/one.xml"/></Relationships>',
        )
        book.writestr("xl/sharedStrings.xml", f"<sst {main}>{''.join(f'<si><t>{s}</t></si>' for s in strings)}</sst>")
        book.writestr("xl/worksheets/one.xml", f"<worksheet {main}><sheetData>{lines}</sheetData></worksheet>")


PIQ = "IMAGE PATH,JOD,JOD STD,CI LOW,CI HIGH,CI RANGE,QUALITY LEVEL,CLUSTER,TOTAL COMPARISONS,IMAGE,SCENE,ATTRIBUTE,SCENE IDX,CONDITION\n"  # noqa: E501


def write_piq23(root: Path) -> None:
    rows = [("0_Indoor_Scene_0.jpg", "Indoor_Scene_0", 0, 1.5), ("9_Night_Scene_28.JPG", "Night_Scene_28", 28, -0.5)]
    lines = [
        f"Overall\\{n},{jod},0.4,0,0,0,0,-1.0,9.0,{n},{scene},Overall,{k},{scene.partition('_')[0]}\n"
        for n, scene, k, jod in rows
    ]
    text(root / "Scores_Overall.csv", PIQ + "".join(lines), "utf-8-sig")
    text(
        root / "Test split" / "Device Split.csv", "IMAGE,SPLIT\n0_Indoor_Scene_0.jpg,Test\n9_Night_Scene_28.JPG,Train\n"
    )
    picture(*(root / "Overall" / n for n, *_ in rows))


def test_piq23_keeps_scenes_and_both_official_splits(tmp_path):
    write_piq23(tmp_path)
    first, second = read("piq23", tmp_path)
    assert (first.name, first.label, first.std) == ("0_Indoor_Scene_0.jpg", 1.5, 0.4)
    assert (first.scene, first.subset, first.split) == ("Indoor_Scene_0", "Indoor", "train")
    assert (second.scene, second.split) == ("Night_Scene_28", "test")
    assert [s.split for s in read("piq23", tmp_path, split="device")] == ["test", "train"]
    assert first.open().size == (4, 4)


def test_piq23_reads_one_table_of_all_attributes(tmp_path):
    text(
        tmp_path / "scores.csv",
        "attribute,image,scene,scene_index,condition,device,jod,jod_std,device_split,scene_split\n"
        "Details,1.jpg,S_0,0,Indoor,X,-3,0.3,test,train\nOverall,1.jpg,S_0,0,Indoor,X,2,0.2,test,train\n",
    )
    (only,) = read("piq23", tmp_path, attribute="Details", split="device", check_pictures=False)
    assert (only.label, only.split, only.file) == (-3, "test", tmp_path / "Details" / "1.jpg")


def test_piq23_names_the_file_it_misses(tmp_path):
    with pytest.raises(UsageError, match=r"no .*Scores_Overall\.csv: expected Scores_Overall\.csv beside the folder"):
        read("piq23", tmp_path)
    write_piq23(tmp_path)
    with pytest.raises(UsageError, match=r"no .*Scores_Details\.csv"):
        read("piq23", tmp_path, attribute="Details")
    (tmp_path / "Test split" / "Device Split.csv").unlink()
    with pytest.raises(UsageError, match=r"no .*Device Split\.csv: expected the folder `Test split`"):
        read("piq23", tmp_path, split="device")
    with pytest.raises(UsageError, match=r"splits scene, device; not Overall, random"):
        read("piq23", tmp_path, split="random")


def write_faces(root: Path) -> None:
    for split, names in (("train", ["a.png", "b.png"]), ("test", ["a.png"])):
        text(root / split / "label.json", json.dumps({"Image": names, "MOS": [0.5, 0.25][: len(names)]}))
        picture(*(root / split / "img" / n for n in names))


def test_cgfiqa40k_reads_the_splits_that_are_there(tmp_path):
    write_faces(tmp_path)
    found = [(s.name, s.label, s.split) for s in read("cgfiqa40k", tmp_path)]
    assert found == [
        ("train/img/a.png", 0.5, "train"),
        ("train/img/b.png", 0.25, "train"),
        ("test/img/a.png", 0.5, "test"),
    ]


@pytest.mark.parametrize("content", ["{", '{"Image": ["a"]}', '{"Image": ["a"], "MOS": []}', "[]"])
def test_cgfiqa40k_refuses_labels_that_do_not_fit(tmp_path, content):
    text(tmp_path / "train" / "label.json", content)
    with pytest.raises(UsageError, match=r"label\.json must hold two lists of one length"):
        read("cgfiqa40k", tmp_path)


def test_gfiqa20k_reads_the_release_and_the_copy_of_dsl_fiqa(tmp_path):
    text(tmp_path / "release" / "mos_val_rating.csv", "img_name,mos,var\n7_0.png,0.53,0.07\n")
    picture(tmp_path / "release" / "image" / "7_0.png")
    write_faces(tmp_path / "copy")
    assert [(s.name, s.label) for s in read("gfiqa20k", tmp_path / "release")] == [("7_0.png", 0.53)]
    assert len(read("gfiqa20k", tmp_path / "copy")) == 3
    with pytest.raises(UsageError, match=r"no .*mos_val_rating\.csv: expected mos_val_rating\.csv .* or train/"):
        read("gfiqa20k", tmp_path)


@pytest.mark.parametrize("header", ["", "name,score\n"])
def test_vquala25_adds_the_suffix_and_bears_a_header(tmp_path, header):
    text(tmp_path / "train.csv", header + "one,0.4\ntwo.jpg,0.6\n")
    picture(tmp_path / "train" / "one.png", tmp_path / "train" / "two.jpg")
    assert [(s.name, s.label) for s in read("vquala25-fiqa", tmp_path)] == [("one.png", 0.4), ("two.jpg", 0.6)]


def test_vquala25_refuses_a_score_that_is_none(tmp_path):
    text(tmp_path / "train.csv", "one,0.4\ntwo,high\n")
    with pytest.raises(UsageError, match=r"score must be a finite number, not 'high' \(two\)"):
        read("vquala25-fiqa", tmp_path, check_pictures=False)


def test_koniq10k_takes_the_mean_of_the_answers_whatever_the_scale_of_the_mos_column(tmp_path):
    picture(tmp_path / "1024x768" / "10004473376.jpg")
    text(
        tmp_path / "koniq10k_scores_and_distributions.csv",
        "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,MOS_zscore\n10004473376.jpg,0,0,25,73,7,105,3.83,0.53,77.4\n",
    )
    (second,) = read("koniq10k", tmp_path)
    text(
        tmp_path / "koniq10k_distributions_sets.csv",
        "image_name,c1,c2,c3,c4,c5,c_total,MOS,SD,set\n"
        "10004473376.jpg,0.0,0.0,0.238095238095,0.695238095238,0.0666666666667,105,77.38,0.527277894494,validation\n",
    )
    (first,) = read("koniq10k", tmp_path)
    assert (first.split, second.split) == ("val", "train")
    assert first.label == pytest.approx(3.82857142857143)
    assert second.label == pytest.approx(first.label)
    assert first.std == pytest.approx(0.527, abs=1e-3)


@pytest.mark.parametrize("base", ["", "Dataset"])
def test_spaq_reads_its_workbook_or_a_csv_of_it(tmp_path, base):
    root = tmp_path / base
    picture(root / "TestImage" / "00001.jpg")
    table = root / "Annotations" / "MOS and Image attribute scores.xlsx"
    workbook(table, [["Image name", "MOS", "Brightness"], ["00001.jpg", 48.86, None]])
    (found,) = read("spaq", tmp_path)
    assert (found.name, found.label) == ("00001.jpg", 48.86)
    table.unlink()
    with pytest.raises(UsageError, match=r"no .*MOS and Image attribute scores\.xlsx: expected"):
        read("spaq", tmp_path)
    text(table.with_suffix(".csv"), "Image name,MOS\n00001.jpg,50\n")
    assert read("spaq", tmp_path)[0].label == 50


def test_a_workbook_without_the_column_and_a_file_that_is_none_are_told(tmp_path):
    table = tmp_path / "Annotations" / "MOS and Image attribute scores.xlsx"
    workbook(table, [["Image name", "Score"], ["00001.jpg", 48.86]])
    with pytest.raises(UsageError, match=r"has no column MOS; it has Image name, Score"):
        read("spaq", tmp_path)
    table.write_bytes(b"PK nothing")
    with pytest.raises(UsageError, match=r"is not an \.xlsx workbook"):
        read("spaq", tmp_path)


def test_a_sheet_keeps_gaps_and_leaves_empty_rows_out(tmp_path):
    workbook(tmp_path / "b.xlsx", [["a", None, "c"], [None, None, None], [None, 2.5, None]])
    assert first_sheet(tmp_path / "b.xlsx") == [["a", "", "c"], ["", "2.5", ""]]


def write_live_challenge(root: Path, n: int = 9) -> None:
    io, np = pytest.importorskip("scipy.io"), pytest.importorskip("numpy")
    names = np.empty((n, 1), object)
    names[:, 0] = [f"{'t' if k < 7 else ''}{k}.bmp" for k in range(n)]
    (root / "Data").mkdir(parents=True)
    io.savemat(root / "Data" / "AllImages_release.mat", {"AllImages_release": names})
    io.savemat(root / "Data" / "AllMOS_release.mat", {"AllMOS_release": 10.0 * np.arange(n)[None]})
    io.savemat(root / "Data" / "AllStdDev_release.mat", {"AllStdDev_release": 1.0 + np.arange(n)[None]})
    picture(*(root / "Images" / ("trainingImages" if k < 7 else "") / names[k, 0] for k in range(n)))


def test_live_challenge_leaves_out_the_seven_that_trained_the_raters(tmp_path):
    write_live_challenge(tmp_path)
    assert [(s.name, s.label, s.std) for s in read("live-challenge", tmp_path)] == [("7.bmp", 70, 8), ("8.bmp", 80, 9)]
    assert len(read("live-challenge", tmp_path, training_images=True)) == 9


def test_live_challenge_names_what_is_missing_or_wrong(tmp_path):
    with pytest.raises(UsageError, match=r"no .*AllImages_release\.mat: expected Data/AllImages_release\.mat"):
        read("live-challenge", tmp_path)
    write_live_challenge(tmp_path)
    (tmp_path / "Data" / "AllMOS_release.mat").write_bytes(b"no matrix")
    with pytest.raises(UsageError, match=r"AllMOS_release\.mat is not a MATLAB file with a matrix AllMOS_release"):
        read("live-challenge", tmp_path)


def test_kadid10k_keeps_the_reference_and_the_number_of_the_distortion(tmp_path):
    text(
        tmp_path / "dmos.csv", "dist_img,ref_img,dmos,var\nI01_01_05.png,I01.png,1.1,0.3\nI02_25_01.png,I02.png,4,0.5\n"
    )
    picture(tmp_path / "images" / "I01_01_05.png", tmp_path / "images" / "I02_25_01.png")
    first, second = read("kadid10k", tmp_path)
    assert (first.label, first.reference, first.distortion, first.std) == (1.1, "images/I01.png", "01", 0.3)
    assert (second.reference, second.distortion) == ("images/I02.png", "25")


def test_tid2013_finds_files_whatever_the_case_of_their_names(tmp_path):
    text(tmp_path / "mos_with_names.txt", "5.51429 I01_01_1.bmp\n3.2 i25_24_5.bmp\n")
    picture(tmp_path / "distorted_images" / "i01_01_1.bmp", tmp_path / "distorted_images" / "I25_24_5.BMP")
    first, second = read("tid2013", tmp_path)
    assert (first.name, first.label, first.std) == ("i01_01_1.bmp", 5.51429, None)
    assert (first.reference, first.distortion) == ("reference_images/i01.bmp", "01")
    assert second.file.name == "I25_24_5.BMP"
    text(tmp_path / "mos_std.txt", "0.13\n0.2\n")
    assert [s.std for s in read("tid2013", tmp_path)] == [0.13, 0.2]
    text(tmp_path / "mos_std.txt", "0.13\n")
    with pytest.raises(UsageError, match=r"mos_std\.txt has 1 lines, mos_with_names\.txt has 2"):
        read("tid2013", tmp_path)


def test_tid2013_refuses_a_line_without_a_name(tmp_path):
    text(tmp_path / "mos_with_names.txt", "5.51429\n")
    with pytest.raises(UsageError, match=r"'5\.51429' is not a score and a name"):
        read("tid2013", tmp_path)


@pytest.mark.parametrize("table", ["uhd-iqa-metadata.csv", "uhd-iqa-training-metadata.csv"])
def test_uhd_iqa_looks_in_the_folder_of_the_set(tmp_path, table):
    text(
        tmp_path / table,
        '"image_name","quality_mos","set","views"\n"1.jpg",0.76,"training",9\n"8.jpg",0.7,"validation",1\n',
    )
    picture(tmp_path / "training" / "1.jpg", tmp_path / "validation" / "8.jpg")
    assert [(s.name, s.label, s.split) for s in read("uhd-iqa", tmp_path)] == [
        ("1.jpg", 0.76, "train"),
        ("8.jpg", 0.7, "val"),
    ]


def test_aigiqa20k_reads_csv_and_workbook_and_labels_that_were_kept_back(tmp_path):
    text(tmp_path / "info_train.csv", 'DALLE2_0000.png,"a cat, sleeping",3.66\nSD1.4_0001.png,a dog,2\n')
    workbook(tmp_path / "info_test.xlsx", [["name", "prompt", "mos"], ["IF_0002.png", "a bird", None]])
    picture(*(tmp_path / f for f in ("train/DALLE2_0000.png", "train/SD1.4_0001.png", "test/IF_0002.png")))
    assert [(s.name, s.label, s.split, s.subset) for s in read("aigiqa20k", tmp_path)] == [
        ("DALLE2_0000.png", 3.66, "train", "DALLE2"),
        ("SD1.4_0001.png", 2, "train", "SD1.4"),
        ("IF_0002.png", None, "test", "IF"),
    ]


def test_lsvq_points_at_videos_and_knows_its_three_parts(tmp_path):
    text(
        tmp_path / "labels_train_test.csv", "name,height,mos,is_test\nyfcc-batch1/747,360,67.75,True\nia/x,9,50,False\n"
    )
    text(tmp_path / "labels_test_1080p.csv", "name,mos\nyfcc-batch1/2,30\n")
    for name in ("yfcc-batch1/747", "ia/x", "yfcc-batch1/2"):
        text(tmp_path / f"{name}.mp4", "")
    assert [(s.name, s.label, s.split, s.subset) for s in read("lsvq", tmp_path)] == [
        ("yfcc-batch1/747", 67.75, "test", ""),
        ("ia/x", 50, "train", ""),
        ("yfcc-batch1/2", 30, "test", "1080p"),
    ]
    assert read("lsvq", tmp_path)[0].file.name == "747.mp4"


EMPTY = [name for name in registry.names() if name != "label-tables"]


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_folder_is_answered_with_the_file_that_is_missing_and_the_layout(tmp_path, name):
    if name == "live-challenge":
        pytest.importorskip("scipy")
    with pytest.raises(UsageError, match=rf"^no {tmp_path}/\S[^:]*: (expected|BIQ2021 needs|SFHQ needs) \S"):
        read(name, tmp_path)


WRITERS = {"piq23": write_piq23, "cgfiqa40k": write_faces, "live-challenge": write_live_challenge}


@pytest.mark.parametrize("name", WRITERS)
def test_a_missing_picture_is_counted_and_named_and_may_be_overlooked(tmp_path, name):
    WRITERS[name](tmp_path)
    n = len(read(name, tmp_path))
    gone = read(name, tmp_path)[-1].file
    gone.unlink()
    with pytest.raises(UsageError, match=rf"lacks 1 of {n} pictures .* first is \S*{gone.name}; expected"):
        read(name, tmp_path)
    assert len(read(name, tmp_path, check_pictures=False)) == n


def test_a_picture_that_is_labelled_twice_is_refused(tmp_path):
    text(tmp_path / "dmos.csv", "dist_img,ref_img,dmos\nI01_01_01.png,I01.png,4\nI01_01_01.png,I01.png,3\n")
    with pytest.raises(UsageError, match=r"I01_01_01\.png is labelled twice"):
        read("kadid10k", tmp_path, check_pictures=False)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "dist_img,ref_img,score\na,b,1\n",
            r"has no column dmos; it has dist_img, ref_img, score\. Expected dmos\.csv",
        ),
        ("dist_img,ref_img,dmos\n", r"has no rows; expected"),
        ("dist_img,ref_img,dmos\na,b\n", r"row 2 has 2 cells, the header 3"),
        ("dist_img,ref_img,dmos\na,b,nan\n", r"dmos must be a finite number, not 'nan' \(a\)"),
        ('dist_img,ref_img,dmos\n"a,b,1\n', r"is not a CSV file"),
    ],
)
def test_a_broken_table_is_told(tmp_path, content, message):
    text(tmp_path / "dmos.csv", content)
    with pytest.raises(UsageError, match=message):
        read("kadid10k", tmp_path, check_pictures=False)


def test_an_unknown_data_set_offers_the_nearest():
    with pytest.raises(UsageError, match=r"no data set 'koniq'; did you mean koniq10k"):
        read("koniq", Path())


def test_the_registry_reads_the_sets_that_were_there_before(tmp_path):
    write_biq2021(tmp_path / "biq", 3, 1)
    write_sfhq(tmp_path / "faces", 2)
    assert len(read("biq2021", tmp_path / "biq")) == 4
    assert len(read("sfhq", tmp_path / "faces")) == 2
