"""The loop: it learns, it goes on after a kill with the same weights, and it says what is wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

pytest.importorskip("torch")
import torch

from mien.core.errors import MissingExtraError, ModelError, UsageError
from mien.data import table
from mien.training.loop import Way, fit
from mien.training.parallel import Machine
from mien.training.parts import Parts, divide
from mien.training.recipe import Optimizer, Recipe
from mien.training.schedule import Constant, Steps
from training.tables import PLAIN, RECIPE, Small, loss, write_table

HERE = Machine(torch.device("cpu"))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    root = tmp_path_factory.mktemp("pictures")
    write_table(root)
    return divide(table.read(root), RECIPE.split)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "best.pt", weights_only=True)["state_dict"]


def state(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["parts"]


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_it_learns_that_blur_is_bad(parts, tmp_path):
    fitted = fit(replace(RECIPE, epochs=15), parts, tmp_path, HERE, Way())
    last = fitted.history[-1]
    assert last["loss_mse"] < 0.3 * fitted.history[0]["loss_mse"]
    assert max(r["val_srcc"] for r in fitted.history) > 0.8


def test_the_log_is_one_line_of_json_for_each_epoch(parts, tmp_path):
    fitted = fit(RECIPE, parts, tmp_path, HERE, Way())
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines == fitted.history
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert {"loss_mse", "loss_plcc", "learning_rate", "seconds", "val_srcc", "val_plcc"} <= lines[0].keys()


@pytest.mark.slow
def test_the_epoch_is_chosen_by_validation_and_its_weights_are_kept(parts, tmp_path):
    fitted = fit(replace(RECIPE, epochs=6), parts, tmp_path, HERE, Way())
    values = [record["val_srcc"] for record in fitted.history]
    assert fitted.epoch == 1 + values.index(max(values))
    assert same(weights(tmp_path), fitted.net.state_dict())
    one = fit(replace(RECIPE, epochs=6, select=("-rmse",)), parts, tmp_path / "other", HERE, Way())
    errors = [record["val_rmse"] for record in one.history]
    assert one.epoch == 1 + errors.index(min(errors))


def test_test_pictures_are_never_looked_at(parts, tmp_path):
    absent = replace(parts.val[0], file=Path("nowhere.png"))
    fitted = fit(RECIPE, replace(parts, test=(absent,)), tmp_path, HERE, Way())
    assert len(fitted.history) == 3


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(parts, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        fit(replace(RECIPE, seed=seed), parts, tmp_path / name, HERE, Way())
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_the_number_of_readers_changes_nothing(parts, tmp_path):
    for name, workers in (("one", 1), ("many", 7)):
        fit(RECIPE, parts, tmp_path / name, HERE, Way(workers=workers))
    assert same(weights(tmp_path / "one"), weights(tmp_path / "many"))


def test_weights_of_another_epoch_than_the_best_are_refused(parts, tmp_path):
    fit(RECIPE, parts, tmp_path, HERE, Way())
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    for change in ({"epoch": best["epoch"] + 1}, {"key": "of another run"}):
        torch.save(best | change, tmp_path / "best.pt")
        with pytest.raises(UsageError, match=r"best\.pt is not the one of epoch \d of this run.*--overwrite"):
            fit(RECIPE, parts, tmp_path, HERE, Way(resume=True))


def test_weights_of_the_same_sum_are_another_start(parts, tmp_path):
    torch.manual_seed(0)
    start = Small().state_dict()
    recipe = replace(RECIPE, begin=lambda net, weights: net.load_state_dict(weights), epochs=1)
    fit(recipe, parts, tmp_path, HERE, Way(), start=start)
    turned = start | {"head.weight": start["head.weight"].flip(1)}
    with pytest.raises(UsageError, match="belongs to a run with another recipe"):
        fit(recipe, parts, tmp_path, HERE, Way(resume=True), start=turned)


class StopError(Exception):
    """Where a run is cut off."""


@pytest.mark.parametrize("stop_after", [3, 4, 9])
def test_a_run_that_stopped_anywhere_goes_on_to_the_same_weights(parts, tmp_path, monkeypatch, stop_after):
    """4 steps an epoch: inside the first one, at its end, inside the third."""
    whole = fit(RECIPE, parts, tmp_path / "whole", HERE, Way())
    calls = 0

    def count(outputs, batch):
        nonlocal calls
        calls += 1
        if calls > stop_after:
            raise StopError
        return loss(outputs, batch)

    count.__module__, count.__qualname__ = loss.__module__, loss.__qualname__  # the same recipe
    with pytest.raises(StopError):
        fit(replace(RECIPE, loss=count), parts, tmp_path / "cut", HERE, Way(save_seconds=0))
    again = fit(RECIPE, parts, tmp_path / "cut", HERE, Way(resume=True))
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    for part in ("net", "average"):
        assert same(state(tmp_path / "whole")[part], state(tmp_path / "cut")[part])
    for a, b in zip(whole.history, again.history, strict=True):
        assert {k: v for k, v in a.items() if k != "seconds"} == {k: v for k, v in b.items() if k != "seconds"}


RUN = """
import sys
from pathlib import Path
import torch
from training.tables import RECIPE
from dataclasses import replace
from mien.data import table
from mien.training.loop import Way, fit
from mien.training.parallel import Machine
from mien.training.parts import divide
root, out = Path(sys.argv[1]), Path(sys.argv[2])
recipe = replace(RECIPE, epochs=12)
parts = divide(table.read(root), recipe.split)
fit(recipe, parts, out, Machine(torch.device("cpu")), Way(resume=True, save_seconds=0, tell=print))
"""


def _start(root: Path, out: Path) -> subprocess.Popen[bytes]:
    tests = Path(__file__).parents[1]
    path = os.pathsep.join([str(tests), str(tests.parent / "src")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", RUN, str(root), str(out)], env=environment)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_killed_process_goes_on_to_the_same_weights_bit_for_bit(parts, tmp_path):
    root = parts.train[0].file.parent
    assert _start(root, tmp_path / "whole").wait(120) == 0
    process = _start(root, tmp_path / "killed")
    deadline = time.monotonic() + 100
    while not (tmp_path / "killed" / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait(30) == -signal.SIGKILL
    assert len((tmp_path / "killed" / "log.jsonl").read_text().splitlines()) < 12
    assert _start(root, tmp_path / "killed").wait(120) == 0
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    assert same(state(tmp_path / "whole")["net"], state(tmp_path / "killed")["net"])
    assert len((tmp_path / "killed" / "log.jsonl").read_text().splitlines()) == 12


@pytest.mark.parametrize("change", [{"epochs": 4}, {"seed": 9}, {"optimizer": Optimizer("adam", 1e-2)}])
def test_another_recipe_does_not_go_on_with_a_run(parts, tmp_path, change):
    fit(replace(RECIPE, epochs=1), parts, tmp_path, HERE, Way())
    with pytest.raises(UsageError, match="belongs to a run with another recipe, other settings or other data"):
        fit(replace(RECIPE, **{"epochs": 1, **change}), parts, tmp_path, HERE, Way(resume=True))


def test_other_data_does_not_go_on_with_a_run(parts, tmp_path):
    fit(replace(RECIPE, epochs=1), parts, tmp_path, HERE, Way())
    changed = replace(parts, train=(replace(parts.train[0], label=3.3), *parts.train[1:]))
    with pytest.raises(UsageError, match="other data"):
        fit(replace(RECIPE, epochs=1), changed, tmp_path, HERE, Way(resume=True))


def test_a_damaged_checkpoint_is_named(parts, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(UsageError, match=r"checkpoint\.pt cannot be read"):
        fit(RECIPE, parts, tmp_path, HERE, Way(resume=True))


def mean_only(outputs, batch):
    return {"mse": (outputs["score"][:, 0] - batch.label).square().mean()}


def test_a_batch_in_parts_is_the_batch_where_the_loss_is_a_mean(parts, tmp_path):
    plain = replace(PLAIN, loss=mean_only)
    fit(plain, parts, tmp_path / "once", HERE, Way())
    fit(replace(plain, accumulate=4), parts, tmp_path / "parts", HERE, Way())
    a, b = weights(tmp_path / "once"), weights(tmp_path / "parts")
    assert all(torch.allclose(a[name], b[name], atol=1e-5) for name in a)


def test_the_average_follows_the_weights_slowly(parts, tmp_path):
    fit(replace(RECIPE, epochs=2, ema=0.99), parts, tmp_path, HERE, Way())
    kept = state(tmp_path)
    assert not same(kept["net"], kept["average"])
    fit(replace(RECIPE, epochs=2, ema=0.0), parts, tmp_path / "none", HERE, Way())
    kept = state(tmp_path / "none")
    assert same(kept["net"], kept["average"])


class Normed(Small):
    """Its first layer keeps the mean and the variance of batches."""

    seen: ClassVar[list[torch.Tensor]] = []

    def __init__(self) -> None:
        super().__init__(0.0)
        self.norm = torch.nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.seen.append(x.mean((0, 2, 3)))
        return super().forward(self.norm(x))


def test_a_run_of_few_steps_is_not_judged_by_the_statistics_that_it_began_with(parts, tmp_path):
    Normed.seen.clear()
    fitted = fit(replace(PLAIN, network=Normed, epochs=1), parts, tmp_path / "new", HERE, Way())
    norm = fitted.net.get_buffer("norm.running_mean")
    assert len(Normed.seen) == 4
    torch.testing.assert_close(norm, torch.stack(Normed.seen).mean(0))
    start = {**fitted.net.state_dict(), "norm.running_mean": torch.full((3,), 100.0)}
    fitted = fit(replace(PLAIN, network=Normed, epochs=1), parts, tmp_path / "on", HERE, Way(), start=start)
    assert fitted.net.get_buffer("norm.running_mean").mean() == pytest.approx(100 * 0.9**4, abs=1)


@pytest.mark.slow
def test_bfloat16_learns_too(parts, tmp_path):
    fitted = fit(replace(RECIPE, epochs=6, bf16=True), parts, tmp_path, HERE, Way())
    assert fitted.history[-1]["loss_mse"] < fitted.history[0]["loss_mse"]
    assert all(value.dtype == torch.float32 for value in weights(tmp_path).values())


def rates(parts: Parts, folder: Path, recipe: Recipe) -> list[float]:
    return [record["learning_rate"] for record in fit(recipe, parts, folder, HERE, Way()).history]


def test_the_schedule_is_followed(parts, tmp_path):
    recipe = replace(RECIPE, optimizer=Optimizer("adam", 1e-3, schedule=Steps(every=1, factor=0.5)))
    assert rates(parts, tmp_path, recipe) == pytest.approx([1e-3, 5e-4, 2.5e-4])


def test_parts_of_a_network_have_their_own_rates(parts, tmp_path):
    frozen = Optimizer("adam", 1e-2, rates={"body.": (0.0, Constant())})
    fit(replace(PLAIN, epochs=1, optimizer=frozen), parts, tmp_path, HERE, Way())
    torch.manual_seed(PLAIN.seed)
    before, after = PLAIN.network().state_dict(), weights(tmp_path)
    assert torch.equal(before["body.0.weight"], after["body.0.weight"])
    assert not torch.equal(before["head.weight"], after["head.weight"])


def test_terms_can_be_weighed_by_what_they_were(parts, tmp_path):
    seen = []

    def weigh(history):
        seen.append(len(history))
        return {"plcc": 0.0, "mse": 0.0}

    fit(replace(PLAIN, weigh=weigh, optimizer=Optimizer("adam", 1e-2)), parts, tmp_path, HERE, Way())
    assert seen == [0, 1, 2]
    torch.manual_seed(PLAIN.seed)
    assert same(PLAIN.network().state_dict(), weights(tmp_path))


def test_a_loss_that_is_not_a_number_stops_the_run(parts, tmp_path):
    def broken(outputs, batch):
        return {"mse": outputs["score"].sum() * float("nan")}

    with pytest.raises(ModelError, match=r"in epoch 1, step 1 \(mse nan\): lower the learning rate"):
        fit(replace(RECIPE, loss=broken), parts, tmp_path, HERE, Way())


def test_a_picture_that_cannot_be_read_is_named(parts, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    bad = replace(parts.train[0], name="bad.png", file=tmp_path / "bad.png")
    with pytest.raises(UsageError, match=r"bad\.png .* cannot be read"):
        fit(RECIPE, replace(parts, train=(bad, *parts.train[1:])), tmp_path / "out", HERE, Way())


def test_a_batch_that_cannot_be_divided_is_refused(parts, tmp_path):
    with pytest.raises(UsageError, match="8 pictures cannot be learned in 3 parts"):
        fit(replace(RECIPE, accumulate=3), parts, tmp_path, HERE, Way())


def test_tensorboard_shows_the_same_numbers(parts, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    fitted = fit(RECIPE, parts, tmp_path, HERE, Way(tensorboard=True))
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    for name in ("loss/mse", "val/srcc"):
        shown = [(e.step, e.value) for e in events.Scalars(name)]
        expected = [(r["epoch"], r[name.replace("/", "_")]) for r in fitted.history]
        assert [s for s, _ in shown] == [s for s, _ in expected]
        assert np.allclose([v for _, v in shown], [v for _, v in expected])


def test_without_tensorboard_the_extra_is_named(parts, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"--tensorboard needs an extra: pip install \"mien\[tensorboard\]\""):
        fit(RECIPE, parts, tmp_path, HERE, Way(tensorboard=True))
