"""A challenge from beginning to end: made, published, scored, refused, carried to Codabench."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mien.apps.challenge import create, open_challenge, score
from mien.apps.challenge_command import NewOptions, new_challenge, score_submission
from mien.apps.codabench import score_in_container, write_bundle
from mien.apps.leaderboard_command import LeaderboardOptions, make_leaderboard
from mien.apps.submission import InvalidSubmissionError, Limits, read_submission
from mien.core.errors import UsageError
from mien.evaluation.evaluate import evaluate
from mien.evaluation.protocols import load
from mien.evaluation.tables import read_labels

SCENES = tuple(f"scene{i}" for i in range(10))


def write_csv(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    """Ten scenes with eight pictures each, sorted by label, as such files often are."""
    rng = np.random.default_rng(0)
    rows = [(f"{s}/{i}.jpg", float(v), s) for s in SCENES for i, v in enumerate(rng.normal(size=8))]
    path = tmp_path_factory.mktemp("labels") / "all.csv"
    return write_csv(path, ["image", "label", "scene"], sorted(rows, key=lambda row: row[1]))


@pytest.fixture(scope="module")
def folder(labels, tmp_path_factory):
    folder = tmp_path_factory.mktemp("challenges") / "mine"
    create(folder, load("ntire24-portrait"), labels, public_share=0.3)
    return folder


def submission(folder, path, change=lambda rows: rows, header=("image", "score")):
    rows = [(r["image"], r["score"]) for r in rows_of(folder / "public" / "sample_submission.csv")]
    return write_csv(path, header, change(rows))


def reasons(path, **limits):
    with pytest.raises(InvalidSubmissionError) as caught:
        read_submission(path, "image", Limits(**limits))
    return caught.value.reasons


# ---- the folder ---------------------------------------------------------------------------------------------------


def test_whole_scenes_are_public_or_hidden_and_nothing_is_lost(folder, labels):
    everything = {r["image"]: float(r["label"]) for r in rows_of(labels)}
    public, hidden = rows_of(folder / "public" / "labels.csv"), rows_of(folder / "hidden" / "labels.csv")
    assert {r["image"]: float(r["label"]) for r in public + hidden} == everything
    assert len({r["scene"] for r in public}) == 3 and not {r["scene"] for r in public} & {r["scene"] for r in hidden}
    split = {r["image"]: r["split"] for r in rows_of(folder / "public" / "splits.csv")}
    assert split == {r["image"]: "public" for r in public} | {r["image"]: "hidden" for r in hidden}


def test_the_public_folder_tells_no_hidden_label_not_even_by_its_order(folder):
    hidden = rows_of(folder / "hidden" / "labels.csv")
    for path in (folder / "public").iterdir():
        text = path.read_text(encoding="utf-8")
        assert not [r for r in hidden if r["label"] in text], path.name
    for name in ("splits.csv", "sample_submission.csv"):
        images = [r["image"] for r in rows_of(folder / "public" / name)]
        assert images == sorted(images)
    assert (folder / "hidden" / ".gitignore").read_text() == "*\n"


def test_readmes_say_what_counts(folder):
    text = (folder / "public" / "README.md").read_text(encoding="utf-8")
    for words in ("`image` and `score`", "ntire24-portrait", "median over the scenes", "2404.11159", "56 rows"):
        assert words in text
    assert "never be published" in (folder / "README.md").read_text(encoding="utf-8")


def test_a_split_can_be_a_column(tmp_path):
    rows = [(f"{i}.jpg", i * 0.5, "train" if i < 6 else "test") for i in range(12)]
    table = write_csv(tmp_path / "l.csv", ["image", "label", "split"], rows)
    challenge = create(tmp_path / "c", load("plain"), table, public_where={"split": "train"})
    assert challenge.labels.names == tuple(sorted(f"{i}.jpg" for i in range(6, 12)))
    assert challenge.labels.left_out == {f"{i}.jpg" for i in range(6)}


def test_the_same_seed_gives_the_same_split(labels, tmp_path):
    names = [
        set(create(tmp_path / f"{i}", load("plain"), labels, seed=s).labels.names) for i, s in enumerate((1, 1, 2))
    ]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("protocol", ["adth-qa", "fiqa-edc"])
def test_pairs_make_a_challenge_too(protocol, tmp_path, rng):
    if protocol == "adth-qa":
        rows = [(f"{c}/a", f"{c}/{b}", 9, 6, c) for c in "uvwxyz" for b in "bc"]
        table = write_csv(tmp_path / "l.csv", ["item_a", "item_b", "votes_a", "votes_b", "clip"], rows)
    else:
        rows = [(f"{i}", f"{j}", float(rng.random()), int(i % 10 == j % 10)) for i in range(90) for j in range(i)]
        table = write_csv(tmp_path / "l.csv", ["image_a", "image_b", "similarity", "mated"], rows)
    folder = tmp_path / "c"
    create(folder, load(protocol), table, public_share=0.5)
    result = score(open_challenge(folder), folder / "public" / "sample_submission.csv", draws=0)
    assert 0 < result.n < len(rows)


def test_what_cannot_become_a_challenge_is_refused_and_leaves_nothing(labels, folder, tmp_path):
    with pytest.raises(UsageError, match="exists: choose another name"):
        create(folder, load("plain"), labels)
    with pytest.raises(UsageError, match="less than 1"):
        create(tmp_path / "c", load("plain"), labels, public_share=1.0)
    small = write_csv(tmp_path / "l.csv", ["image", "label"], [("a", 1), ("b", 2), ("c", 3)])
    with pytest.raises(UsageError, match="the hidden part cannot be scored"):
        create(tmp_path / "c", load("plain"), small, public_share=0.5)
    assert [p.name for p in tmp_path.iterdir()] == ["l.csv"]


# ---- scoring ------------------------------------------------------------------------------------------------------


def test_a_score_is_that_of_evaluate(folder, tmp_path):
    path = submission(folder, tmp_path / "s.csv")
    protocol = load("ntire24-portrait")
    hidden = read_labels(folder / "hidden" / "labels.csv", protocol)
    expected = evaluate({r["image"]: float(r["score"]) for r in rows_of(path)}, hidden, protocol, draws=50)
    result = score(open_challenge(folder), path, draws=50)
    assert result.total == expected.total


def test_exit_codes_and_json(folder, tmp_path, capsys):
    path = submission(folder, tmp_path / "s.csv")
    assert score_submission(path, folder, json_file=tmp_path / "r.json", draws=50) == 0
    assert json.loads((tmp_path / "r.json").read_text())["total"]["main"]["value"] is not None
    assert "median over the scenes" in capsys.readouterr().out
    bad = submission(folder, tmp_path / "b.csv", lambda rows: [("new.jpg", 1), *rows[3:], (rows[9][0], "=1+1")])
    assert score_submission(bad, folder, json_file=tmp_path / "none.json") == 2
    captured = capsys.readouterr()
    assert not captured.out and not (tmp_path / "none.json").exists()
    assert "b.csv is refused, 2 reasons:" in captured.err
    assert "more than one score for 1 name" in captured.err and "not a plain finite number: 1 row" in captured.err


def test_missing_and_unknown_names_are_both_told(folder, tmp_path):
    path = submission(folder, tmp_path / "s.csv", lambda rows: [*rows[2:], ("new.jpg", 1)])
    with pytest.raises(InvalidSubmissionError) as caught:
        score(open_challenge(folder), path)
    first, second = caught.value.reasons
    assert first.startswith("no score for 2 names") and "new.jpg" in second


def test_names_of_the_public_part_are_welcome_and_do_not_count(folder, tmp_path):
    public = [(r["image"], 1) for r in rows_of(folder / "public" / "labels.csv")]
    more = submission(folder, tmp_path / "more.csv", lambda rows: [*rows, *public])
    plain = submission(folder, tmp_path / "plain.csv")
    challenge = open_challenge(folder)
    assert score(challenge, more, draws=0).total == score(challenge, plain, draws=0).total


def test_constant_scores_are_refused_with_the_scene(folder, tmp_path):
    path = submission(folder, tmp_path / "s.csv", lambda rows: [(name, 1) for name, _ in rows])
    with pytest.raises(InvalidSubmissionError, match="scene"):
        score(open_challenge(folder), path, draws=0)


def test_a_challenge_without_its_hidden_labels_cannot_score(folder, tmp_path):
    (tmp_path / "public").mkdir()
    for path in (folder / "public").iterdir():
        (tmp_path / "public" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="only whoever holds the hidden labels can score"):
        open_challenge(tmp_path)
    with pytest.raises(UsageError, match="is not a challenge"):
        open_challenge(tmp_path / "public")


def test_a_leaderboard_of_a_challenge_keeps_its_rules(folder, tmp_path, capsys):
    submission(folder, tmp_path / "good.csv")
    submission(folder, tmp_path / "bad.csv", lambda rows: [(name, "1_0") for name, _ in rows])
    zip_of(tmp_path / "packed.zip", {"s.csv": (tmp_path / "good.csv").read_bytes()})
    assert make_leaderboard(LeaderboardOptions(str(folder), tmp_path, draws=0)) == 3
    captured = capsys.readouterr()
    assert " good " in captured.out and " packed " in captured.out and "bad: " in captured.err


# ---- what a submission may be -------------------------------------------------------------------------------------


def zip_of(path, entries, **options):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


TABLE = b"image,score\na,1\nb,2.5e-3\n"


def test_a_table_and_a_zip_with_one_table_give_the_same(tmp_path):
    (tmp_path / "s.csv").write_bytes(b"\xef\xbb\xbf" + TABLE)
    zip_of(tmp_path / "s.zip", {"in/a folder/s.csv": TABLE, "__MACOSX/._s.csv": b"x", ".DS_Store": b"x"})
    for name in ("s.csv", "s.zip"):
        found = read_submission(tmp_path / name, "image")
        assert found.names == ("a", "b") and found.scores.tolist() == [1.0, 0.0025]


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+cmd|' /C calc'!A0", "@SUM(1)", "nan", "inf", "1e999", "1_000", "1,5", "", "0x10", "\uff11", "1 2"],
)
def test_only_plain_finite_numbers_are_scores(tmp_path, cell):
    path = write_csv(tmp_path / "s.csv", ["image", "score"], [("a", 1), ("b", cell)])
    (reason,) = reasons(path)
    assert reason.startswith("score is not a plain finite number: 1 row (row 3")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "has no rows"),
        (b"image,score\n", "has no rows"),
        (b"image,mos\na,1\n", "no column score; there is image, mos"),
        (b"image,score,score\na,1,2\n", "a column twice"),
        (b"image,score\na,1\nb\n", "another number of cells than the header"),
        (b"image,score\n,1\n", "image is empty"),
        (b"image,score\na,1\na,2\n", "more than one score for 1 name (a)"),
        (b"image,score\n\xff,1\n", "not text in UTF-8"),
        (b"image,score\na\0,1\n", "holds a NUL"),
        (b'image,score\n"a,1\n', "not a CSV table"),
        (b"\x80\x04\x95cos\nsystem\n", "not text in UTF-8"),
    ],
)
def test_a_bad_table_is_refused_with_its_reason(tmp_path, data, reason):
    path = tmp_path / "s.csv"
    path.write_bytes(data)
    assert any(reason in told for told in reasons(path)), reasons(path)


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"bytes": 20}, "larger than 20 bytes"),
        ({"rows": 1}, "more than 1 rows"),
        ({"columns": 1}, "has 2 columns, more than 1"),
        ({"cell": 4}, "a cell of more than 4 characters"),
    ],
)
def test_every_limit_holds(tmp_path, limits, reason):
    path = tmp_path / "s.csv"
    path.write_bytes(TABLE)
    assert reason in reasons(path, **limits)[0]


@pytest.mark.parametrize("name", ["s.py", "s.xlsx", "s.onnx", "s.tar.gz", "s"])
def test_other_kinds_of_files_are_refused_unread(tmp_path, name):
    (tmp_path / name).write_bytes(TABLE)
    assert reasons(tmp_path / name) == ("it must be a .csv file, or a .zip with one .csv in it",)


def test_links_pipes_folders_and_nothing_are_refused(tmp_path):
    (tmp_path / "real.csv").write_bytes(TABLE)
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    assert reasons(tmp_path / "link.csv") == ("it is a symbolic link; give the file itself",)
    assert "not a regular file" in reasons(tmp_path / "pipe.csv")[0]
    assert "cannot be read" in reasons(tmp_path / "none.csv")[0]
    assert reasons(tmp_path / "folder.csv")


def test_a_zip_bomb_is_refused_without_being_unpacked(tmp_path):
    path = zip_of(tmp_path / "s.zip", {"s.csv": b"0" * 30_000_000})
    assert path.stat().st_size < 100_000
    assert "would unpack to more than 16,000,000 bytes" in reasons(path)[0]


def test_a_zip_that_lies_about_its_size_is_stopped_at_the_limit(tmp_path):
    path = zip_of(tmp_path / "s.zip", {"s.csv": b"0" * 3_000_000})
    data = path.read_bytes().replace((3_000_000).to_bytes(4, "little"), (30).to_bytes(4, "little"))
    path.write_bytes(data)
    assert reasons(path, bytes=100_000)


@pytest.mark.parametrize("name", ["../s.csv", "a/../../s.csv", "/etc/s.csv", "..\\s.csv", "C:\\s.csv"])
def test_paths_that_lead_out_are_refused(tmp_path, name):
    info = zipfile.ZipInfo("x.csv")
    info.filename = name
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr(info, TABLE)
    assert any("leads out of it" in reason for reason in reasons(tmp_path / "s.zip"))


def test_links_in_a_zip_are_refused(tmp_path):
    info = zipfile.ZipInfo("s.csv")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert "symbolic link" in reasons(tmp_path / "s.zip")[0]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ({"a.csv": TABLE, "b.csv": TABLE}, "exactly one .csv, not 2"),
        ({}, "exactly one .csv, not 0"),
        ({"a.csv": TABLE, "run.py": b"x"}, "nothing but one .csv, not 1 other file (run.py)"),
        ({f"{i}.csv": b"" for i in range(40)}, "more than 16 entries"),
    ],
)
def test_a_zip_holds_one_table_and_nothing_else(tmp_path, entries, reason):
    assert any(reason in told for told in reasons(zip_of(tmp_path / "s.zip", entries)))


def test_damaged_and_encrypted_zips_are_refused(tmp_path):
    data = zip_of(tmp_path / "s.zip", {"s.csv": TABLE * 200}).read_bytes()
    (tmp_path / "s.zip").write_bytes(data[:-30])
    assert reasons(tmp_path / "s.zip") == ("it is a damaged zip file",)
    at = data.index(b"s.csv") + 20  # inside the packed table
    (tmp_path / "s.zip").write_bytes(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :])
    assert reasons(tmp_path / "s.zip") == ("it is a damaged zip file",)
    central = data.index(b"PK\x01\x02")
    locked = bytearray(data)
    locked[6] |= 1
    locked[central + 8] |= 1
    (tmp_path / "s.zip").write_bytes(bytes(locked))
    assert "encrypted" in reasons(tmp_path / "s.zip")[0]


def test_no_bytes_of_a_submission_crash_the_check(tmp_path, rng):
    zipped = bytearray(zip_of(tmp_path / "s.zip", {"s.csv": TABLE}).read_bytes())
    for name, good in (("s.csv", bytearray(TABLE)), ("s.zip", zipped)):
        for _ in range(150):
            data = bytearray(good)
            for _ in range(rng.integers(1, 4)):
                data[rng.integers(len(data))] = rng.integers(256)
            (tmp_path / name).write_bytes(bytes(data[: rng.integers(1, len(data) + 1)]))
            try:
                read_submission(tmp_path / name, "image")
            except InvalidSubmissionError as error:
                assert error.reasons and "\n" not in "".join(error.reasons)


# ---- Codabench ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def container(folder, tmp_path_factory):
    """The bundle, unpacked as Codabench lays it out: program, input/ref, input/res, output."""
    root = tmp_path_factory.mktemp("codabench")
    write_bundle(folder, root / "bundle.zip")
    with zipfile.ZipFile(root / "bundle.zip") as bundle:
        bundle.extractall(root / "bundle")
    app = root / "app"
    (app / "input" / "res").mkdir(parents=True)
    (root / "bundle" / "scoring_program").rename(app / "program")
    (root / "bundle" / "reference_data").rename(app / "input" / "ref")
    return root


def run_program(container):
    """As metadata.yaml says, in a fresh interpreter that cannot see this checkout."""
    app = container / "app"
    (line,) = (app / "program" / "metadata.yaml").read_text().splitlines()
    words = line.removeprefix("command: ").split()
    assert words[0] == "python3"
    command = [sys.executable, *(w.replace("/app", str(app)) for w in words[1:])]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=container)


def clear(container):
    for part in (container / "app" / "output", container / "app" / "input" / "res"):
        part.mkdir(exist_ok=True)
        for path in part.iterdir():
            path.unlink()


def test_the_program_gives_the_numbers_of_challenge_score(container, folder):
    clear(container)
    path = submission(folder, container / "app" / "input" / "res" / "my scores.csv")
    run = run_program(container)
    assert run.returncode == 0, run.stderr
    found = json.loads((container / "app" / "output" / "scores.json").read_text())
    expected = score(open_challenge(folder), path)
    assert found == {m: e.value for m, e in expected.total.items()} | {
        "main_low": expected.main.low,
        "main_high": expected.main.high,
    }


def test_the_program_runs_only_the_code_of_the_bundle(container, folder):
    program = container / "app" / "program"
    code = (
        f"import sys; sys.path.insert(0, {str(program)!r})\n"
        "import mien.apps.codabench\n"
        "print(*{m.__file__ for n, m in sys.modules.items() if n.partition('.')[0] == 'mien'}, sep='\\n')\n"
        "print(*{n.partition('.')[0] for n in sys.modules} & {'typer', 'rich', 'onnxruntime', 'torch', 'PIL'})"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    *modules, heavy = run.stdout.splitlines() if run.stdout.endswith("\n") else [run.stdout]
    assert len(modules) > 10 and all(Path(m).is_relative_to(program) for m in modules)
    assert heavy == ""


def test_a_refused_submission_fails_loudly_and_leaves_no_scores(container, folder):
    clear(container)
    submission(folder, container / "app" / "input" / "res" / "s.csv", lambda rows: [(n, "=1") for n, _ in rows[1:]])
    run = run_program(container)
    assert run.returncode == 2 and "s.csv is refused, 1 reason:" in run.stderr and "Traceback" not in run.stderr
    assert not (container / "app" / "output" / "scores.json").exists()


@pytest.mark.parametrize("names", [[], ["a.csv", "b.csv"], ["model.py"], ["s.csv", "evil.py"]])
def test_anything_but_one_table_is_refused(container, names, capsys):
    clear(container)
    for name in names:
        (container / "app" / "input" / "res" / name).write_text("import os\n")
    assert score_in_container(container / "app" / "input", container / "app" / "output") == 2
    assert "is refused" in capsys.readouterr().err


def test_a_linked_submission_is_refused(container, capsys):
    clear(container)
    (container / "app" / "input" / "res" / "s.csv").symlink_to(container / "app" / "input" / "ref" / "labels.csv")
    assert score_in_container(container / "app" / "input", container / "app" / "output") == 2
    assert "symbolic link" in capsys.readouterr().err


def test_a_broken_reference_is_the_organisers_fault_and_gives_no_scores(container, folder, tmp_path, capsys):
    for part in ("res", "ref"):
        (tmp_path / part).mkdir()
    submission(folder, tmp_path / "res" / "s.csv")
    assert score_in_container(tmp_path, tmp_path / "out") == 2
    assert "challenge.json" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_description_names_files_that_are_there_and_columns_that_are_written(container, folder):
    yaml = pytest.importorskip("yaml")
    competition = yaml.safe_load((container / "bundle" / "competition.yaml").read_text(encoding="utf-8"))
    with zipfile.ZipFile(container / "bundle.zip") as bundle:
        names = bundle.namelist()
    assert competition["version"] == 2 and competition["title"] == "mine"
    (task,), (phase,) = competition["tasks"], competition["phases"]
    for path in (competition["image"], competition["terms"], *(page["file"] for page in competition["pages"])):
        assert path in names
    for part in (task["scoring_program"], task["reference_data"], phase["public_data"], phase["starting_kit"]):
        assert any(name.startswith(f"{part}/") for name in names)
    assert phase["tasks"] == [task["index"]] and phase["accepts_only_result_submissions"] is True
    keys = [column["key"] for column in competition["leaderboards"][0]["columns"]]
    assert keys == ["main", "srcc", "plcc", "krcc", "main_low", "main_high"]
    assert all(column["sorting"] == "desc" for column in competition["leaderboards"][0]["columns"])


def test_hidden_labels_are_only_in_the_reference_data(container, folder):
    secret = rows_of(folder / "hidden" / "labels.csv")[0]["label"].encode()
    with zipfile.ZipFile(container / "bundle.zip") as bundle:
        holding = [name for name in bundle.namelist() if secret in bundle.read(name)]
    assert holding == ["reference_data/labels.csv"]


def test_the_logo_is_a_picture(container):
    from PIL import Image

    with zipfile.ZipFile(container / "bundle.zip") as bundle:
        assert Image.open(io.BytesIO(bundle.read("logo.png"))).size == (512, 512)


def test_new_writes_the_bundle_too_and_says_what_is_secret(labels, tmp_path, capsys):
    options = NewOptions(tmp_path / "c", "ntire24-portrait", labels, codabench=tmp_path / "b.zip")
    assert new_challenge(options) == 0
    text = capsys.readouterr().out
    assert "never to be published" in text and "holds the hidden labels" in text
    assert zipfile.is_zipfile(tmp_path / "b.zip")
    with pytest.raises(UsageError, match=r"must be named \*.zip"):
        write_bundle(tmp_path / "c", tmp_path / "b.tar")
