"""Learning rates: against a slow staircase, torch's own cosine, and by their ends."""

from __future__ import annotations

from itertools import pairwise

import pytest

pytest.importorskip("torch")
import torch

from mien.training.schedule import Constant, Cosine, CosineWave, Moment, Steps


def factors(schedule, steps: int = 40, per_epoch: int = 4) -> list[float]:
    return [schedule(Moment(step, per_epoch, steps)) for step in range(steps)]


def test_steps_fall_at_the_ends_of_epochs_only():
    expected = []
    rate = 1.0
    for epoch in range(10):
        if epoch and epoch % 3 == 0:
            rate *= 0.1
        expected += [rate] * 4
    assert factors(Steps(every=3, factor=0.1)) == pytest.approx(expected)


def test_a_cosine_rises_from_its_beginning_to_one_and_falls_almost_to_zero():
    found = factors(Cosine(warmup=0.25, begin=0.2))
    assert found[9] == 1.0 and found[10] == 1.0
    assert found[0] == pytest.approx(0.2 + 0.8 / 10)
    assert all(a < b for a, b in pairwise(found[:10]))
    assert all(a > b for a, b in pairwise(found[10:]))
    assert 0 < found[-1] < 0.01


def test_cycles_begin_at_one_again():
    found = factors(Cosine(cycles=4))
    assert [i for i, f in enumerate(found) if f == 1.0] == [0, 10, 20, 30]


@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_a_wave_is_what_torch_does_when_it_runs_on(unit):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
    expected = []
    for _ in range(10):
        expected += [optimizer.param_groups[0]["lr"]] * (4 if unit == "epoch" else 1)
        optimizer.step()
        reference.step()
    assert factors(CosineWave(3, unit))[: len(expected)] == pytest.approx(expected, abs=1e-9)


def test_constant():
    assert set(factors(Constant())) == {1.0}
