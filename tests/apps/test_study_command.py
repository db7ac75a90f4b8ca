"""The verbs: from pictures to a served study to tables, as a stranger types them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra study is not installed")
pytest.importorskip("sqlalchemy", reason="the extra study is not installed")

from mien.apps import study_command
from mien.apps.study.folder import open_study
from mien.apps.study_command import ServeOptions, forget_observer, new_study, serve_study
from mien.core.errors import MissingExtraError, UsageError

PORTRAITS = Path(__file__).parents[2] / "examples" / "portraits"


def mien(*arguments: object, code: int = 0) -> str:
    command = [sys.executable, "-m", "mien", "study", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "portraits"
    told = mien("new", folder, "--items", PORTRAITS, "--method", "pairwise", "--title", "Portraits")
    assert "8 items in 1 scene, pairwise" in told and f"next: mien study serve {folder}" in told
    return folder


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is sent as POSIX does")
def test_a_study_is_served_until_ctrl_c_and_exported(folder: Path, tmp_path: Path):
    command = [sys.executable, "-m", "mien", "study", "serve", str(folder), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert server.stdout is not None
    link, owner = (re.findall(r"http://127\.0\.0\.1:\d+\S+", server.stdout.readline())[0] for _ in range(2))
    study = open_study(folder)
    assert link.endswith(f"/s/{study.link}") and owner.endswith(f"/owner#{study.owner}")
    with urllib.request.urlopen(link, timeout=20) as reply:
        assert reply.status == 200 and b"<!doctype html>" in reply.read()
        assert "server" not in {name.lower() for name in reply.headers}
    server.send_signal(signal.SIGINT)
    _, errors = server.communicate(timeout=30)
    assert server.returncode in (0, 130) and errors == ""
    told = mien("export", folder, "--out", tmp_path)
    assert "votes.csv   0 rows" in told and "nothing to scale yet: nobody has answered" in told
    assert "mien scale" not in told  # which would refuse an empty table
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "observers.csv", "votes.csv"]


def test_what_goes_wrong_is_one_line(folder: Path):
    assert "exists: choose another name" in mien("new", folder, "--items", PORTRAITS, "--method", "acr", code=2)


def test_what_cannot_be_served_is_told(folder: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="is not a study"):
        serve_study(ServeOptions(tmp_path))
    with pytest.raises(UsageError, match=r"cannot listen on 203\.0\.113\.1, port 8000"):
        serve_study(ServeOptions(folder, host="203.0.113.1"))


def test_nobody_is_forgotten_by_mistake(folder: Path):
    with pytest.raises(UsageError, match=r"nobody in this study has the code ABCDEF|has never been served"):
        forget_observer(folder, "ABCDEF")


def test_a_picture_that_changed_stops_the_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    copy = tmp_path / "pictures"
    copy.mkdir()
    for name in ("dark.jpg", "bright.jpg"):
        (copy / name).write_bytes((PORTRAITS / name).read_bytes())
    new_study(tmp_path / "study", copy, scenes=None, title=None, settings={"method": "acr"})
    assert "2 items in 1 scene, acr" in capsys.readouterr().out
    (copy / "dark.jpg").unlink()
    with pytest.raises(UsageError, match=r"1 files are not there, or have changed.*: dark\.jpg"):
        serve_study(ServeOptions(tmp_path / "study", port=0))


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(study_command, "_MODULES", ("a_module_that_is_not_there",))
    with pytest.raises(MissingExtraError, match=r'mien study needs an extra: pip install "mien\[study\]"'):
        study_command.need_study()
