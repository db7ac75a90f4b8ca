"""PLCC losses and the Charbonnier loss: a slow reading of the formula, gradients, constant predictions."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.losses.regression import charbonnier_loss, linear_plcc_loss, plcc_loss  # noqa: E402


def numbers(*shape: int, seed: int = 0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(3))
def test_the_linear_plcc_loss_is_half_of_what_is_missing_to_one(seed):
    x, y = numbers(2, 30, seed=seed)
    rho = float(np.corrcoef(x.numpy(), y.numpy())[0, 1])
    assert float(linear_plcc_loss(x, y)) == pytest.approx((1 - rho) / 2, abs=1e-6)


def test_the_two_plcc_losses_agree_on_the_best_and_differ_on_the_worst():
    y = torch.linspace(0, 1, 9, dtype=torch.float64)
    assert float(linear_plcc_loss(y, y)) == pytest.approx(float(plcc_loss(y, y)), abs=1e-6)
    assert float(linear_plcc_loss(-y, y)) == pytest.approx(1, abs=1e-6)
    assert float(plcc_loss(-y, y)) == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("loss", [plcc_loss, linear_plcc_loss])
def test_a_plcc_loss_sees_no_scale_and_no_shift(loss):
    x, y = numbers(2, 12)
    assert float(loss(5 * x - 3, 0.1 * y + 8)) == pytest.approx(float(loss(x, y)), abs=1e-6)


@pytest.mark.parametrize(("loss", "cost"), [(plcc_loss, 0.25), (linear_plcc_loss, 0.5)])
@pytest.mark.parametrize("n", [2, 6])
def test_constant_predictions_have_their_cost_and_a_finite_gradient(loss, cost, n):
    x = torch.full((n,), 0.5, requires_grad=True)
    value = loss(x, torch.linspace(0, 1, n))
    value.backward()
    assert value.item() == pytest.approx(cost)
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("loss", [plcc_loss, linear_plcc_loss])
def test_one_picture_is_finite_with_its_gradient(loss):
    x = torch.full((1,), 0.3, requires_grad=True)
    value = loss(x, torch.ones(1))
    value.backward()
    assert math.isfinite(value.item())
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("loss", [linear_plcc_loss, charbonnier_loss])
def test_gradients(loss):
    x, y = numbers(2, 7)
    assert torch.autograd.gradcheck(lambda v: loss(v, y), x.requires_grad_())


def test_charbonnier_equals_the_loop_and_is_smallest_at_no_error():
    x, y = numbers(2, 5)
    loop = sum(math.sqrt((a - b) ** 2 + 1e-6) for a, b in zip(x.tolist(), y.tolist(), strict=True)) / 5
    assert float(charbonnier_loss(x, y)) == pytest.approx(loop, abs=1e-12)
    same = x.clone().requires_grad_()
    charbonnier_loss(same, x).backward()
    assert float(charbonnier_loss(x, x)) == pytest.approx(1e-3)
    assert same.grad is not None
    assert float(same.grad.abs().max()) == 0
