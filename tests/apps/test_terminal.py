"""What is said while something takes long."""

from __future__ import annotations

import pytest

from mien.apps import terminal
from mien.apps.terminal import told_seldom


def test_the_time_left_is_that_of_the_work_and_not_of_what_came_before(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    now = 1000.0
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now)
    watch = told_seldom("pictures compared")
    now += 300  # weights are read, a file is written
    watch(0, 64)
    now += 5
    watch(1, 64)
    now += 5
    watch(2, 64)
    assert capsys.readouterr().err.splitlines() == [
        "1 of 64 pictures compared, 5:15 left",
        "2 of 64 pictures compared, 5:10 left",
    ]
