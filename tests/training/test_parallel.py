"""Several processes give what one gives, within rounding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

pytest.importorskip("torch")
import torch

from mien.core.errors import UsageError
from mien.training.parallel import Machine, machine
from training.tables import write_table

TESTS = Path(__file__).parents[1]
RUN = """
import sys
from pathlib import Path
from training.tables import PLAIN
from mien.data import table
from mien.training.loop import Way, fit
from mien.training.parallel import machine
from mien.training.parts import divide
root, out = Path(sys.argv[1]), Path(sys.argv[2])
with machine("cpu") as here:
    fit(PLAIN, divide(table.read(root), PLAIN.split), out, here, Way())
    assert here.collected(list(range(7))[here.rank :: here.world]) == list(range(7))
"""


def run(*command: str, cwd: Path) -> None:
    path = os.pathsep.join([str(TESTS), str(TESTS.parent / "src")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr[-3000:]


def torchrun(*command: str, cwd: Path) -> None:
    run("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *command, cwd=cwd)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path):
    """A loss over the whole batch (PLCC) among the terms: shares of a batch alone would give another gradient."""
    write_table(tmp_path / "pictures")
    (tmp_path / "run.py").write_text(RUN)
    run("run.py", "pictures", "one", cwd=tmp_path)
    torchrun("run.py", "pictures", "two", cwd=tmp_path)
    a, b = (torch.load(tmp_path / name / "best.pt", weights_only=True)["state_dict"] for name in ("one", "two"))
    assert all(torch.allclose(a[name], b[name], rtol=1e-4, atol=1e-5) for name in a)
    one, two = (
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    )
    for x, y in zip(one, two, strict=True):
        for name in ("loss_mse", "loss_plcc", "val_srcc", "val_plcc"):
            assert x[name] == pytest.approx(y[name], rel=1e-3, abs=1e-5)


@pytest.mark.slow
def test_the_command_runs_under_torchrun_and_one_process_writes(tmp_path):
    write_table(tmp_path / "pictures")
    command = ("-m", "mien", "train", "judge-net", "--quick", "--data", "pictures/labels.csv", "--out", "out")
    torchrun(*command, "--device", "cpu", cwd=tmp_path)
    assert (tmp_path / "out" / "judge-net.onnx").is_file()
    assert len((tmp_path / "out" / "log.jsonl").read_text().splitlines()) == 2


def test_other_processes_wait_while_one_exports_for_hours(monkeypatch):
    asked = {}
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("torch.distributed.init_process_group", lambda backend, **how: asked.update(how))
    monkeypatch.setattr("torch.distributed.destroy_process_group", lambda: None)
    with machine("cpu") as here:
        assert here.world == 2
    assert asked["timeout"] >= timedelta(hours=12)


def test_shares_cover_the_batch_in_order():
    shares = [Machine(torch.device("cpu"), rank, 3).share(12) for rank in range(3)]
    assert [i for share in shares for i in range(12)[share]] == list(range(12))
    with pytest.raises(UsageError, match="12 pictures cannot be shared by 5 processes: choose another --batch"):
        Machine(torch.device("cpu"), 0, 5).share(12)


def test_gathered_rows_keep_the_gradient_of_the_own_ones(monkeypatch):
    mine = torch.tensor([1.0, 2.0], requires_grad=True)

    def others(parts, values):
        for part in parts:
            part.copy_(values)

    monkeypatch.setattr("torch.distributed.all_gather", others)
    whole = Machine(torch.device("cpu"), 1, 2).gathered(mine)
    assert whole.tolist() == [1.0, 2.0, 1.0, 2.0]
    whole.square().sum().backward()
    assert mine.grad is not None and mine.grad.tolist() == [2.0, 4.0]


@pytest.mark.parametrize(("device", "message"), [("tpu", "no device 'tpu': cpu or cuda"), ("cuda", "sees no CUDA GPU")])
def test_a_device_that_is_not_there_is_named(monkeypatch, device, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=message), machine(device):
        pass
