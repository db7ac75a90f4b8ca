"""Rank losses of FAST-VQA and BDVQA against slow loops, their oracles and their degenerate batches."""

import math

import pytest

torch = pytest.importorskip("torch")

from mien.losses.ranking import merged_ranking_loss, rank_loss  # noqa: E402


def numbers(*shape: int, seed: int = 0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow_rank_loss(q: list[float], y: list[float]) -> float:
    n = len(q)
    wrong = [
        max(0.0, (q[i] - q[j]) * ((y[j] > y[i]) - (y[j] < y[i]))) for i in range(n) for j in range(n)
    ]  # the pairs i == j add 0
    return sum(wrong) / n / (n - 1) / (1 + max(wrong))


@pytest.mark.parametrize("seed", range(3))
def test_rank_loss_equals_the_loop(seed):
    q, y = numbers(2, 9, seed=seed)
    y[3] = y[5]
    assert float(rank_loss(q, y)) == pytest.approx(slow_rank_loss(q.tolist(), y.tolist()), abs=1e-12)


def test_rank_loss_sees_only_the_order_of_opinions():
    q, y = numbers(2, 9)
    assert float(rank_loss(q, y.exp())) == pytest.approx(float(rank_loss(q, y)), abs=1e-12)


def test_rank_loss_is_zero_for_the_right_order_and_stays_below_one_for_the_reverse():
    y = torch.arange(6.0)
    assert float(rank_loss(y.exp(), y)) == 0
    assert 0.3 < float(rank_loss(-1000 * y, y)) < 1


def test_rank_loss_of_one_picture_or_of_constants_is_zero_with_a_finite_gradient():
    for n in (1, 4):
        q = torch.zeros(n, requires_grad=True)
        value = rank_loss(q, torch.arange(float(n)))
        value.backward()
        assert value.item() == 0
        assert q.grad is not None
        assert torch.isfinite(q.grad).all()


@pytest.mark.parametrize("loss", [rank_loss, merged_ranking_loss])
def test_gradients(loss):
    q, y = numbers(2, 6)
    assert torch.autograd.gradcheck(lambda v: loss(v, y), q.requires_grad_())


def slow_merged(q: list[float], y: list[float], literal: bool) -> float:
    n, total = len(q), 0.0
    for i in range(0, n, 2):
        if literal:
            total += (math.exp(q[i] - q[i + 1]) if y[i] < y[i + 1] else 0) + (y[i] - q[i]) ** 2
            continue
        low, high = (i, i + 1) if y[i] < y[i + 1] else (i + 1, i)
        rank = 0 if y[i] == y[i + 1] else math.exp(q[low] - q[high])
        total += rank + ((y[i] - q[i]) ** 2 + (y[i + 1] - q[i + 1]) ** 2) / 2
    return 2 / n * total


@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_merged_ranking_loss_equals_the_loop(literal, seed):
    q, y = numbers(2, 10, seed=seed)
    y[4] = y[5]
    found = float(merged_ranking_loss(q, y, literal=literal))
    assert found == pytest.approx(slow_merged(q.tolist(), y.tolist(), literal), abs=1e-12)


def test_a_pair_adds_what_its_lead_says():
    y = torch.tensor([1.0, 3.0])
    assert float(merged_ranking_loss(y, y)) == pytest.approx(math.exp(-2))  # right order, lead 2
    assert float(merged_ranking_loss(torch.tensor([2.0, 2.0]), y)) == pytest.approx(1 + 1)  # undecided: 1, and MSE 1
    same = torch.tensor([1.0, 1.0])
    assert float(merged_ranking_loss(torch.tensor([0.0, 1.0]), same)) == pytest.approx(0.5)  # equal opinions: MSE only


def test_the_order_inside_a_pair_does_not_matter_but_does_as_printed():
    q, y = numbers(2, 8)
    swap = [1, 0, 3, 2, 5, 4, 7, 6]
    assert float(merged_ranking_loss(q[swap], y[swap])) == pytest.approx(float(merged_ranking_loss(q, y)))
    printed = [float(merged_ranking_loss(q[o], y[o], literal=True)) for o in (list(range(8)), swap)]
    assert printed[0] != pytest.approx(printed[1])


def test_the_exponential_is_cut_off_so_that_a_wild_prediction_stays_finite():
    q, y = torch.tensor([1000.0, 0.0]), torch.tensor([0.0, 1.0])
    assert float(merged_ranking_loss(q, y)) == pytest.approx(math.exp(10) + (1000**2 + 1) / 2)
    assert float(merged_ranking_loss(q, y, max_exponent=math.inf)) == math.inf


@pytest.mark.parametrize("n", [0, 3])
def test_pairs_need_an_even_number(n):
    with pytest.raises(ValueError, match=f"even number of pictures, not {n}"):
        merged_ranking_loss(torch.zeros(n), torch.zeros(n))
