"""Fidelity losses of PQE, UIQA and LIQE against slow loops; the survey's label is the wrong way round."""

import math
from statistics import NormalDist

import pytest

torch = pytest.importorskip("torch")

from mien.losses.fidelity import (  # noqa: E402
    CODE,
    PAPER,
    all_pairs_fidelity_loss,
    fidelity_loss,
    pair_fidelity_loss,
    pair_label,
    preference,
    single_label_fidelity_loss,
)

PHI = NormalDist().cdf


def numbers(*shape: int, seed: int = 0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow(p: float, g: float) -> float:
    return 1 - math.sqrt(p * g + 1e-8) - math.sqrt((1 - p) * (1 - g) + 1e-8)


def test_the_landmarks_of_the_specification():
    half, one = torch.tensor([0.5], dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    assert float(fidelity_loss(half, half)) == pytest.approx(0, abs=1e-6)
    assert float(fidelity_loss(half, one)) == pytest.approx(1 - math.sqrt(0.5), abs=2e-4)
    assert float(fidelity_loss(1 - one, one)) == pytest.approx(1, abs=3e-4)


def test_it_is_symmetric_and_the_same_for_the_opposite_events():
    p, g = torch.rand(2, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert float(fidelity_loss(p, g)) == pytest.approx(float(fidelity_loss(g, p)))
    assert float(fidelity_loss(p, g)) == pytest.approx(float(fidelity_loss(1 - p, 1 - g)))


def test_the_multi_label_loss_is_the_mean_over_classes_and_pictures():
    p, g = torch.rand(2, 4, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    loop = sum(slow(float(p[i, c]), float(g[i, c])) for i in range(4) for c in range(9)) / 36
    assert float(fidelity_loss(p, g)) == pytest.approx(loop, abs=1e-12)


def test_the_single_label_loss_equals_the_loop_and_is_about_zero_when_right():
    p = torch.rand(3, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).softmax(1)
    g = torch.eye(11, dtype=torch.float64)[[0, 4, 10]]
    loop = sum(1 - sum(math.sqrt(float(p[i, c] * g[i, c]) + 1e-8) for c in range(11)) for i in range(3)) / 3
    assert float(single_label_fidelity_loss(p, g)) == pytest.approx(loop, abs=1e-12)
    assert abs(float(single_label_fidelity_loss(g, g))) < 11 * 1e-4 + 1e-9


CONVENTIONS = {
    "paper": (lambda d: float(d >= 0), lambda d: PHI(d / math.sqrt(2))),
    "printed": (lambda d: float(d < 0), lambda d: PHI(d / math.sqrt(2))),
    "code": (PHI, PHI),
    "calibrated": (lambda d: PHI(0.6744897501960817 * d), PHI),
}


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_pairs_equal_the_loop(convention):
    a, b, y, z = numbers(4, 7)
    z[2] = y[2]
    label, probability = CONVENTIONS[convention]
    loop = sum(slow(probability(float(a[i] - b[i])), label(float(y[i] - z[i]))) for i in range(7)) / 7
    assert float(pair_fidelity_loss(a, b, y, z, convention=convention)) == pytest.approx(loop, abs=1e-9)


def test_the_label_is_the_right_way_round_by_default_and_inverted_as_printed():
    better, worse = torch.tensor([2.0]), torch.tensor([1.0])
    assert float(pair_fidelity_loss(better, worse, better, worse)) < 0.2
    assert float(pair_fidelity_loss(better, worse, better, worse, convention="printed")) > 0.4
    assert float(pair_label(better, better)) == 1  # a tie counts as better, as in the survey


def test_one_jod_is_three_quarters_only_when_calibrated():
    one, none = torch.tensor([1.0]), torch.tensor([0.0])
    assert float(pair_label(one, none, "calibrated")) == pytest.approx(0.75)
    assert float(pair_label(one, none, "code")) == pytest.approx(0.8413, abs=1e-4)


def test_swapping_both_members_of_a_pair_changes_nothing():
    a, b, y, z = numbers(4, 9)
    for convention in ("paper", "code", "calibrated"):
        there = pair_fidelity_loss(a, b, y, z, convention=convention)
        assert float(pair_fidelity_loss(b, a, z, y, convention=convention)) == pytest.approx(float(there))


def test_all_pairs_equal_the_loop_over_data_sets():
    q, y = numbers(2, 11)
    y[1] = y[0]
    groups = torch.tensor([0] * 4 + [7] * 6 + [3])  # the last one is alone and has no pair
    means = []
    for group in (0, 7):
        members = [i for i in range(11) if int(groups[i]) == group]
        pairs = [(i, j) for i in members for j in members if i < j]
        sign = [((y[i] > y[j]).int() - (y[i] < y[j]).int() + 1) / 2 for i, j in pairs]
        means.append(sum(slow(PHI(float(q[i] - q[j])), float(g)) for (i, j), g in zip(pairs, sign, strict=True)))
        means[-1] /= len(pairs)
    assert float(all_pairs_fidelity_loss(q, y, groups)) == pytest.approx(sum(means) / 2, abs=1e-9)


def test_all_pairs_see_only_differences_and_the_order_of_opinions():
    q, y = numbers(2, 8)
    assert float(all_pairs_fidelity_loss(q + 5, y.exp())) == pytest.approx(float(all_pairs_fidelity_loss(q, y)))
    assert float(all_pairs_fidelity_loss(q, y, scale=PAPER)) == pytest.approx(
        float(all_pairs_fidelity_loss(q / math.sqrt(2), y, scale=CODE))
    )


@pytest.mark.parametrize("predicted", [torch.zeros(4), torch.tensor([1e4, -1e4, 0.0, 1e4]), torch.zeros(1)])
def test_constant_wild_or_lonely_predictions_are_finite_with_their_gradient(predicted):
    q = predicted.clone().requires_grad_()
    value = all_pairs_fidelity_loss(q, torch.arange(float(len(q))))
    value.backward()
    assert math.isfinite(value.item())
    assert q.grad is not None
    assert torch.isfinite(q.grad).all()


def test_gradients():
    a, b, y, z = numbers(4, 5)
    a.requires_grad_()
    for convention in ("paper", "code"):
        assert torch.autograd.gradcheck(lambda v, c=convention: pair_fidelity_loss(v, b, y, z, convention=c), a)
    assert torch.autograd.gradcheck(lambda v: all_pairs_fidelity_loss(v, y), a)
    logits = numbers(3, 4).requires_grad_()
    label = torch.eye(4, dtype=torch.float64)[:3]
    assert torch.autograd.gradcheck(lambda v: single_label_fidelity_loss(v.softmax(1), label), logits)


def test_the_preference_is_the_normal_distribution():
    d = numbers(6)
    assert preference(d, scale=0.5).tolist() == pytest.approx([PHI(0.5 * float(v)) for v in d], abs=1e-12)
