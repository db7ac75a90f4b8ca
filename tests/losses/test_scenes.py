"""RQ-Net's loss inside scenes and the scene cross-entropy: loops, invariances, scenes that say nothing."""

import math
from statistics import median

import pytest

torch = pytest.importorskip("torch")

from mien.losses.scenes import scale_shift_invariant_loss, scene_cross_entropy  # noqa: E402


def numbers(*shape: int, seed: int = 0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow(q: list[float], y: list[float], scenes: list[int]) -> float:
    def normalised(values: list[float]) -> list[float]:
        t = median(values)  # of an even number: the mean of the two middle ones
        s = sum(abs(v - t) for v in values) / len(values)
        return [(v - t) / (s + 1e-8) for v in values]

    total, n = 0.0, 0
    for scene in set(scenes):
        inside = [i for i, s in enumerate(scenes) if s == scene]
        if len({y[i] for i in inside}) == 1:
            continue
        a, b = normalised([q[i] for i in inside]), normalised([y[i] for i in inside])
        total += sum(abs(u - v) for u, v in zip(a, b, strict=True))
        n += len(inside)
    return total / n


SCENES = torch.tensor([4, 9, 4, 9, 4, 9, 4, 9, 9, 2, 5, 5])  # an even one, an odd one, a lonely one, a pair


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_the_loop(seed):
    q, y = numbers(2, 12, seed=seed)
    found = float(scale_shift_invariant_loss(q, y, SCENES))
    assert found == pytest.approx(slow(q.tolist(), y.tolist(), SCENES.tolist()), abs=1e-9)


def test_predictions_may_be_scaled_and_shifted_in_each_scene_and_so_may_opinions():
    q, y = numbers(2, 12)
    before = float(scale_shift_invariant_loss(q, y, SCENES))
    gain, shift = SCENES.double() + 0.5, -3.0 * SCENES
    assert float(scale_shift_invariant_loss(gain * q + shift, y, SCENES)) == pytest.approx(before, abs=1e-6)
    assert float(scale_shift_invariant_loss(q, gain * y + shift, SCENES)) == pytest.approx(before, abs=1e-6)


def test_a_rising_line_costs_nothing_and_a_falling_one_does():
    y = numbers(12)
    assert float(scale_shift_invariant_loss(3 * y - 7, y, SCENES)) == pytest.approx(0, abs=1e-6)
    assert float(scale_shift_invariant_loss(-y, y, SCENES)) > 1


def test_the_order_of_the_pictures_does_not_matter():
    q, y = numbers(2, 12)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    there = float(scale_shift_invariant_loss(q, y, SCENES))
    assert float(scale_shift_invariant_loss(q[order], y[order], SCENES[order])) == pytest.approx(there, abs=1e-12)


def test_constant_predictions_cost_one_with_a_finite_gradient():
    q = torch.full((5,), 0.2, requires_grad=True)
    value = scale_shift_invariant_loss(q, torch.arange(5.0), torch.zeros(5, dtype=torch.long))
    value.backward()
    assert value.item() == pytest.approx(1)
    assert q.grad is not None
    assert torch.isfinite(q.grad).all()


def test_scenes_that_say_nothing_are_left_out_of_the_mean():
    q, y = numbers(2, 4)
    with_constant = torch.cat([y, torch.full((3,), 2.0, dtype=torch.float64)])
    scenes = torch.tensor([0, 0, 0, 0, 1, 1, 8])
    there = float(scale_shift_invariant_loss(torch.cat([q, numbers(3, seed=5)]), with_constant, scenes))
    assert there == pytest.approx(float(scale_shift_invariant_loss(q, y, scenes[:4])), abs=1e-12)


def test_a_batch_of_lonely_pictures_is_zero_and_can_be_learned_from():
    q = numbers(3).requires_grad_()
    value = scale_shift_invariant_loss(q, numbers(3, seed=1), torch.arange(3))
    value.backward()
    assert value.item() == 0
    assert q.grad is not None
    assert float(q.grad.abs().max()) == 0


def test_gradients():
    q, y = numbers(2, 12)
    few = slice(4, None)  # every kind of scene, fewer pictures
    assert torch.autograd.gradcheck(
        lambda v: scale_shift_invariant_loss(v, y[few], SCENES[few]), q[few].clone().requires_grad_()
    )
    logits, scene = numbers(4, 3), torch.tensor([0, -1, 2, 1])
    assert torch.autograd.gradcheck(lambda v: scene_cross_entropy(v, scene), logits.requires_grad_())


def test_scene_cross_entropy_is_the_mean_over_known_scenes():
    logits, scene = numbers(4, 3), torch.tensor([0, -1, 2, 1])
    known = [i for i in range(4) if scene[i] >= 0]
    loop = sum(-float(logits[i, scene[i]]) + math.log(sum(math.exp(float(v)) for v in logits[i])) for i in known) / 3
    assert float(scene_cross_entropy(logits, scene)) == pytest.approx(loop, abs=1e-12)


def test_without_a_known_scene_it_is_zero_and_not_nan():
    logits = numbers(2, 3).requires_grad_()
    value = scene_cross_entropy(logits, torch.tensor([-1, -1]))
    value.backward()
    assert value.item() == 0
    assert logits.grad is not None
