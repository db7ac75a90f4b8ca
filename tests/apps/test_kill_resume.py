"""kill -9 at random moments, resume, and compare with a run that nobody killed: nothing lost, nothing doubled."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.core.rows import FLOATS
from mien.core.tables import read_rows

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kill -9 is a thing of POSIX")

ROUNDING = 1.01e-4  # scores agree to 1e-4 whatever the batches were; a file has 4 decimals


def make_pictures(folder: Path, n: int) -> Path:
    rng = np.random.default_rng(11)
    for k in range(n):
        small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        small.resize((64, 64)).save(folder / f"{k:05}.jpg", quality=int(rng.integers(20, 95)))
    for k in range(0, n, 50):  # some that have no score, which must not be lost either
        (folder / f"{k:05}.jpg").write_bytes(b"\xff\xd8\xff torn")
    return folder


def start(folder: Path, table: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "mien", "score", str(folder), "--out", str(table), "--resume", "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(folder: Path, table: Path) -> None:
    process = start(folder, table)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 3, err.decode()
    assert (out, err) == (b"", b"")


def kill_once(folder: Path, table: Path, until_bytes: float, delay_s: float) -> bool:
    """Kill a run `delay_s` after the table has grown to `until_bytes`; whether it was still alive."""
    process = start(folder, table)
    while process.poll() is None and (not table.exists() or table.stat().st_size < until_bytes):
        time.sleep(0.0005)
    time.sleep(delay_s)
    process.kill()
    process.communicate()
    return process.returncode == -9


def tear(table: Path, rng: random.Random) -> None:
    """The kernel ends a write before a signal, so a torn line has to be made: as a power failure would."""
    data = table.read_bytes()
    last = data.rfind(b"\n", 0, len(data) - 1) + 1
    table.write_bytes(data[: rng.randrange(last, len(data))] if last else data)


def check(tmp_path: Path, *, pictures: int, kills: int, at_least: int, suffix: str, seed: int) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    make_pictures(folder, pictures)
    whole, killed = tmp_path / f"whole{suffix}", tmp_path / f"killed{suffix}"
    finish(folder, whole)
    size = whole.stat().st_size
    rng = random.Random(seed)
    moments = sorted(rng.uniform(0, 0.95 * size) for _ in range(kills))
    landed = 0
    for moment in moments:
        landed += kill_once(folder, killed, moment, rng.uniform(0, 0.01))
        if rng.random() < 0.5 and killed.stat().st_size:
            tear(killed, rng)
    assert landed >= at_least, f"only {landed} of {kills} runs were alive when they were killed"
    finish(folder, killed)
    compare(whole, killed, pictures)


def compare(whole: Path, killed: Path, pictures: int) -> None:
    wanted, found = (sorted(read_rows(table), key=lambda row: row["path"]) for table in (whole, killed))
    assert len(wanted) == pictures
    assert [row["path"] for row in found] == [row["path"] for row in wanted]
    for row, other in zip(wanted, found, strict=True):
        for column in row.keys() - {"ms"}:
            a, b = row[column], other[column]
            close = column in FLOATS and None not in (a, b) and abs(a - b) <= ROUNDING
            assert a == b or close, f"{row['path']}: {column} {a} != {b}"


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_killed_and_resumed_is_as_if_nothing_had_happened(tmp_path, suffix):
    check(tmp_path, pictures=300, kills=4, at_least=3, suffix=suffix, seed=3)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_killed_twenty_times_in_two_thousand_pictures(tmp_path, suffix):
    check(tmp_path, pictures=2000, kills=24, at_least=20, suffix=suffix, seed=7)
