"""GMC-IQA's loss: correlations over batch and memory, soft ranks, and a queue that forgets the oldest."""

from statistics import NormalDist

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mien.losses.global_correlation import empty_queue, global_correlation_loss, soft_ranks  # noqa: E402

PHI = NormalDist().cdf


def numbers(*shape: int, seed: int = 0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_ranks(scores: list[float]) -> list[float]:
    s = (np.array(scores) - np.mean(scores)) / np.std(scores)
    return [sum(PHI(a - b) for b in s) / len(s) for a in s]


def slow(q: list[float], y: list[float], batch: int, alpha: float, beta: float, gamma: float) -> float:
    plcc = np.corrcoef(q, y)[0, 1]
    srocc = np.corrcoef(slow_ranks(q), slow_ranks(y))[0, 1]
    mse = sum((q[i] - y[i]) ** 2 for i in range(batch)) / batch
    return float(alpha * (1 - plcc) + beta * (1 - srocc) + gamma * mse)


def test_it_equals_the_loop_over_batch_and_queue():
    q, y, older_q, older_y = numbers(4, 6)
    queue = empty_queue(q).pushed(older_q, older_y)
    weights = {"alpha": 0.7, "beta": 0.2, "gamma": 1.5}
    loop = slow([*q.tolist(), *older_q.tolist()], [*y.tolist(), *older_y.tolist()], 6, **weights)
    assert float(global_correlation_loss(q, y, queue, **weights)) == pytest.approx(loop, abs=1e-6)


def test_without_a_queue_only_the_batch_counts():
    q, y = numbers(2, 6)
    loop = slow(q.tolist(), y.tolist(), 6, 0.5, 0.5, 1.0)
    assert float(global_correlation_loss(q, y)) == pytest.approx(loop, abs=1e-6)
    assert float(global_correlation_loss(q, y, empty_queue(q))) == pytest.approx(loop, abs=1e-6)


def test_correlations_see_no_scale_and_a_perfect_line_costs_nothing():
    q, y = numbers(2, 8)
    before = float(global_correlation_loss(q, y, gamma=0))
    assert float(global_correlation_loss(4 * q + 1, 0.1 * y, gamma=0)) == pytest.approx(before, abs=1e-6)
    assert float(global_correlation_loss(y, y)) == pytest.approx(0, abs=1e-6)


def test_soft_ranks_keep_the_order_and_are_half_on_average():
    scores = numbers(15)
    ranks = soft_ranks(scores)
    assert ranks.argsort().tolist() == scores.argsort().tolist()
    assert float(ranks.mean()) == pytest.approx(0.5)
    assert ranks.tolist() == pytest.approx(slow_ranks(scores.tolist()), abs=1e-6)
    assert soft_ranks(torch.zeros(3)).tolist() == [0.5] * 3


def test_the_queue_forgets_the_oldest_and_holds_no_gradient():
    queue = empty_queue(torch.zeros(0), length=5)
    for first in (0, 3, 6):
        batch = torch.arange(first, first + 3.0, requires_grad=True)
        queue = queue.pushed(batch, 10 + batch)
    assert queue.predicted.tolist() == [4, 5, 6, 7, 8]
    assert queue.target.tolist() == [14, 15, 16, 17, 18]
    assert not queue.predicted.requires_grad


def test_a_batch_longer_than_the_queue_leaves_its_end():
    queue = empty_queue(torch.zeros(0), length=2).pushed(torch.arange(4.0), torch.arange(4.0))
    assert queue.predicted.tolist() == [2, 3]
    assert len(empty_queue(torch.zeros(0), length=0).pushed(torch.ones(3), torch.ones(3)).predicted) == 0


@pytest.mark.parametrize("n", [1, 4])
def test_constant_predictions_are_finite_with_their_gradient(n):
    q = torch.full((n,), 0.4, requires_grad=True)
    value = global_correlation_loss(q, torch.linspace(0, 1, n))
    value.backward()
    assert torch.isfinite(value)
    assert q.grad is not None
    assert torch.isfinite(q.grad).all()


def test_gradients_reach_the_batch():
    q, y, older_q, older_y = numbers(4, 5)
    queue = empty_queue(q).pushed(older_q, older_y)
    assert torch.autograd.gradcheck(lambda v: global_correlation_loss(v, y, queue), q.requires_grad_())
