"""DSL-FIQA's dual-set loss: the soft mapping and InfoNCE against slow loops, limits, degenerate sets."""

import math

import pytest

torch = pytest.importorskip("torch")

from mien.losses.degradation_contrast import dual_set_loss, info_nce, soft_proximity_mapping  # noqa: E402


def numbers(*shape: int, seed: int = 0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_mapping(a: list[list[float]], b: list[list[float]], temperature: float) -> list[list[float]]:
    mapped = []
    for u in a:
        weights = [math.exp(-sum((x - y) ** 2 for x, y in zip(u, v, strict=True)) / temperature) for v in b]
        mapped.append([sum(w * v[k] for w, v in zip(weights, b, strict=True)) / sum(weights) for k in range(len(u))])
    return mapped


def cosine(u: list[float], v: list[float]) -> float:
    return sum(x * y for x, y in zip(u, v, strict=True)) / math.hypot(*u) / math.hypot(*v)


def slow_info_nce(a: list[list[float]], p: list[list[float]], negatives: list[list[float]], t: float) -> float:
    total = 0.0
    for i, u in enumerate(a):
        total -= math.log(math.exp(cosine(u, p[i]) / t) / sum(math.exp(cosine(u, v) / t) for v in [*p, *negatives]))
    return total / len(a)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_mapping_equals_the_loop(temperature):
    a, b = numbers(4, 3), numbers(6, 3, seed=1)
    found = soft_proximity_mapping(a, b, temperature=temperature)
    assert torch.allclose(found, torch.tensor(slow_mapping(a.tolist(), b.tolist(), temperature)).double(), atol=1e-6)


def test_the_mapping_goes_from_the_nearest_to_the_mean_and_moves_with_both_sets():
    a, b = numbers(4, 3), numbers(6, 3, seed=1)
    nearest = b[torch.cdist(a, b).argmin(1)]
    assert torch.allclose(soft_proximity_mapping(a, b, temperature=1e-4), nearest, atol=1e-9)
    assert torch.allclose(soft_proximity_mapping(a, b, temperature=1e9), b.mean(0).expand(4, 3), atol=1e-6)
    assert torch.allclose(soft_proximity_mapping(a + 2, b + 2), soft_proximity_mapping(a, b) + 2, atol=1e-9)


def test_info_nce_equals_the_loop_with_and_without_a_queue():
    a, p, queue = numbers(3, 5), numbers(3, 5, seed=1), numbers(4, 5, seed=2)
    assert float(info_nce(a, p)) == pytest.approx(slow_info_nce(a.tolist(), p.tolist(), [], 0.2), abs=1e-9)
    loop = slow_info_nce(a.tolist(), p.tolist(), queue.tolist(), 0.5)
    assert float(info_nce(a, p, queue, temperature=0.5)) == pytest.approx(loop, abs=1e-9)


def test_info_nce_sees_directions_only_and_prefers_the_own_positive():
    a = torch.eye(4, dtype=torch.float64)
    assert float(info_nce(7 * a, 0.1 * a)) == pytest.approx(float(info_nce(a, a)))
    assert float(info_nce(a, a)) < float(info_nce(a, a.roll(1, 0)))


def test_equal_vectors_and_a_single_anchor():
    same = torch.ones(3, 4)
    assert float(info_nce(same, same, torch.ones(2, 4))) == pytest.approx(math.log(5), abs=1e-6)
    assert float(info_nce(same[:1], same[:1])) == 0


def test_both_directions_count_alike():
    a, b = numbers(4, 6), numbers(7, 6, seed=1)
    parts = info_nce(a, soft_proximity_mapping(a, b)) + info_nce(b, soft_proximity_mapping(b, a))
    assert float(dual_set_loss(a, b)) == pytest.approx(float(parts), abs=1e-12)
    assert float(dual_set_loss(b, a)) == pytest.approx(float(parts), abs=1e-12)


def test_a_set_near_its_counterparts_costs_less_than_a_far_one():
    a = 3 * torch.eye(5, dtype=torch.float64)
    assert float(dual_set_loss(a, a)) < float(dual_set_loss(a, a.mean(0).expand(5, 5)))


@pytest.mark.parametrize("vectors", [torch.zeros(3, 4), torch.full((3, 4), 1e3), torch.ones(1, 4)])
def test_degenerate_sets_are_finite_with_their_gradient(vectors):
    a = vectors.clone().requires_grad_()
    value = dual_set_loss(a, vectors)
    value.backward()
    assert torch.isfinite(value)
    assert a.grad is not None
    assert torch.isfinite(a.grad).all()


def test_gradients():
    a, b = numbers(2, 3).requires_grad_(), numbers(3, 3, seed=1)
    assert torch.autograd.gradcheck(lambda v: dual_set_loss(v, b), a)
