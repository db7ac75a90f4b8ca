"""Losses equal a slow reading of their formula, and their gradients are right."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.losses.ranking import margin_ranking  # noqa: E402
from mien.losses.regression import laplace_nll, plcc_loss  # noqa: E402


def rho(x, y) -> float:
    return float(np.corrcoef(np.asarray(x), np.asarray(y))[0, 1])


@pytest.mark.parametrize("seed", range(5))
def test_plcc_loss_equals_its_closed_form(seed):
    x, y = torch.randn(2, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    r = rho(x, y)
    assert float(plcc_loss(x, y)) == pytest.approx((1 - r) / 4 + (1 - r * r) / 8, abs=1e-6)


def test_plcc_loss_at_its_landmarks():
    y = torch.linspace(0, 1, 20, dtype=torch.float64)
    assert float(plcc_loss(3 * y + 7, y)) == pytest.approx(0, abs=1e-6)
    assert float(plcc_loss(-y, y)) == pytest.approx(0.5, abs=1e-6)


def test_plcc_loss_gradient():
    x = torch.randn(8, dtype=torch.float64, requires_grad=True, generator=torch.Generator().manual_seed(0))
    y = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda v: plcc_loss(v, y), x)


def test_laplace_nll_equals_the_loop_and_is_smallest_at_the_mean_absolute_error():
    error = torch.tensor([0.1, 0.4, 0.2], dtype=torch.float64)
    loop = sum(e / 0.3 + math.log(0.3) for e in error.tolist()) / 3
    assert float(laplace_nll(error, torch.full((3,), 0.3, dtype=torch.float64))) == pytest.approx(loop)
    at = {s: float(laplace_nll(error, torch.full((3,), s))) for s in (0.1, float(error.mean()), 0.5)}
    assert min(at, key=at.__getitem__) == float(error.mean())


def test_margin_ranking_equals_the_loop():
    better, worse, margin = [0.9, 0.5, 0.2], [0.1, 0.45, 0.6], [0.2, 0.2, 0.1]
    loop = sum(max(0.0, m - (b - w)) for b, w, m in zip(better, worse, margin, strict=True)) / 3
    assert float(margin_ranking(*map(torch.tensor, (better, worse, margin)))) == pytest.approx(loop)


def test_margin_ranking_is_zero_once_the_lead_is_there():
    assert float(margin_ranking(torch.tensor([1.0]), torch.tensor([0.2]), 0.5)) == 0
