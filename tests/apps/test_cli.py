"""The command line from outside, in its own process: help, version, models, pipes, and what a start imports."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from mien.apps.cards import card_as_text
from mien.apps.terminal import Tally
from mien.models import zoo
from mien.runtime.judge import list_models

HEAVY = {"torch", "scipy", "cv2", "pandas", "matplotlib", "pyarrow", "rich", "onnx"}
START = HEAVY | {"onnxruntime", "numpy", "PIL"}


def mien(*arguments, **options):
    command = [sys.executable, "-m", "mien", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, **options)


def imported(*arguments):
    """Top-level modules that a run of the command line has imported when it ends."""
    code = (
        "import atexit, sys; from mien.apps.cli import main; sys.argv[0] = 'mien';"
        "atexit.register(lambda: print('\\n' + ' '.join({m.partition('.')[0] for m in sys.modules}), file=sys.stderr));"
        "main()"
    )
    run = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, timeout=60)
    assert run.returncode == 0, run.stderr
    return set(run.stderr.decode().splitlines()[-1].split())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """40 small JPEGs of smooth noise."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(5)
    for n in range(40):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        small.resize((64, 64)).save(folder / f"{n:02}.jpg", quality=80)
    return folder


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"], ["--version"]])
def test_a_start_imports_nothing_heavy(arguments):
    modules = imported(*arguments)
    assert "typer" in modules
    assert not modules & START


def test_scoring_imports_no_more_than_it_needs(pictures):
    modules = imported("score", pictures / "00.jpg")
    assert {"onnxruntime", "PIL"} <= modules
    assert not modules & HEAVY


def test_help_documents_the_exit_codes():
    for arguments in (["--help"], ["score", "--help"]):
        text = mien(*arguments).stdout.decode()
        for code in (0, 2, 3, 4, 70, 130):
            assert f"\n{code:>5}  " in text.replace("\n  ", "\n") or f" {code}  " in text, code
    for option in ("--files-from", "--null", "--model", "--exact", "--out", "--resume", "--report", "--no-thumbnails"):
        assert option in text


def test_version_and_no_arguments():
    from mien import __version__

    assert mien("--version").stdout.decode() == f"mien {__version__}\n"
    assert mien().returncode == 2


def test_models():
    run = mien("models", "list")
    assert run.stdout.decode().split() == [*list_models(), *zoo.names()]
    name = list_models()[0]
    card = json.loads(mien("models", "show", name, "--json").stdout)
    assert card["sha256"] and card["preprocess"]["size_px"] > 0
    text = mien("models", "show", name).stdout.decode()
    assert f"{len(card['population']['raw_quantiles'])} numbers, " in text
    run = mien("models", "show", "nobody")
    assert run.returncode == 2 and len(run.stderr.splitlines()) == 1 and b"mien: " in run.stderr


def test_a_card_for_people():
    card = {"name": "j", "range": [0.0, 1.0], "deep": {"a": 1, "grid": [0.5] * 9}, "failures": ["x", "y"], "note": None}
    assert card_as_text(card).splitlines() == [
        "name   j",
        "range  0, 1",
        "deep",
        "  a     1",
        "  grid  9 numbers, 0.5 to 0.5",
        "failures",
        "  - x",
        "  - y",
        "note   -",
    ]


def test_tally_keeps_the_worst_like_a_full_sort():
    rng = np.random.default_rng(2)
    rows = [{"status": "ok", "score": float(s), "path": str(n)} for n, s in enumerate(rng.integers(0, 40, 500))]
    tally = Tally()
    for row in rows:
        tally.add(row)
    assert [r["path"] for r in tally.worst] == [r["path"] for r in sorted(rows, key=lambda r: r["score"])[:20]]


def test_real_pictures_from_paths_and_from_stdin_agree(pictures):
    picture = pictures / "00.jpg"
    from_path = json.loads(mien("score", picture).stdout)
    from_stdin = json.loads(mien("score", "-", input=picture.read_bytes()).stdout)
    assert from_path["status"] == "ok" and 0 <= from_path["score"] <= 100
    assert from_stdin["path"] == "-"
    assert from_stdin["score"] == pytest.approx(from_path["score"], abs=1e-4)


def test_a_reader_that_goes_away_ends_it_quietly(pictures):
    command = [sys.executable, "-m", "mien", "score", str(pictures)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout and process.stderr
        assert json.loads(process.stdout.readline())["status"] == "ok"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell closes the streams")
def test_closed_standard_streams_stop_nothing(pictures, tmp_path):
    table = tmp_path / "x.jsonl"
    line = '"$0" -m mien score "$1"/0?.jpg --out "$2" <&- >&- 2>&-'
    run = subprocess.run(["sh", "-c", line, sys.executable, pictures, table], timeout=60)
    assert run.returncode == 0
    assert len(table.read_text().splitlines()) == 10
    line = '"$0" -m mien score --files-from - <&-'
    run = subprocess.run(["sh", "-c", line, sys.executable], capture_output=True, timeout=60)
    assert (run.returncode, run.stderr) == (4, b"mien: no pictures found\n")


def test_ctrl_c_is_130(tmp_path):
    """While it waits for the next name on stdin, as a person would stop it."""
    if os.name == "nt":
        pytest.skip("no SIGINT for a single process on this system")
    command = [sys.executable, "-m", "mien", "score", "--files-from", "-", "--out", str(tmp_path / "x.jsonl")]
    pipe, listen = subprocess.PIPE, lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    # a shell without job control starts what it puts into the background deaf to SIGINT, and children inherit that
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, preexec_fn=listen) as process:
        assert process.stdin and process.stderr
        process.stdin.write(b"".join(b"absent%d.jpg\n" % n for n in range(2000)))
        process.stdin.flush()
        _wait_for(tmp_path / "x.jsonl")
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        text = process.stderr.read().decode()
    assert process.returncode == 130, text
    assert "the same command with --resume goes on" in text and "Traceback" not in text


def _wait_for(path):
    import time

    for _ in range(3000):
        if path.exists() and path.stat().st_size:
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} was never written")
