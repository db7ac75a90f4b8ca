"""Scoring works with sockets blocked, first use included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FIRST_USE = """
import sys

def no_sockets(event, args):
    if event.startswith("socket."):
        print(event, args)
        sys.exit(9)

sys.addaudithook(no_sockets)
if sys.argv[1] == "control":
    import socket
    socket.socket()
import mien
print(mien.score(sys.argv[2]).status)
"""


def first_use(kind: str, photo: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", FIRST_USE, kind, str(photo)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_first_score_in_a_fresh_process_opens_no_socket(photos: list[Path]) -> None:
    done = first_use("score", photos[0])
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


def test_the_block_blocks(photos: list[Path]) -> None:
    assert first_use("control", photos[0]).returncode == 9


@pytest.mark.usefixtures("no_network")
def test_streaming_opens_no_socket(tiny_judge: Path, photos: list[Path]) -> None:
    from mien.runtime.scorer import Scorer

    assert [r.status for r in Scorer(tiny_judge).stream(photos[:3])] == ["ok"] * 3
