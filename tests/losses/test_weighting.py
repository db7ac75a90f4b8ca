"""Dynamic weight averaging against its formula."""

import math

import pytest

torch = pytest.importorskip("torch")

from mien.losses.weighting import dynamic_weights  # noqa: E402


def test_it_equals_the_formula_and_sums_to_the_number_of_losses():
    last, before = torch.tensor([0.5, 0.9, 2.0]), torch.tensor([1.0, 1.0, 1.5])
    e = [math.exp(r / 2) for r in (0.5, 0.9, 2 / 1.5)]
    assert dynamic_weights(last, before).tolist() == pytest.approx([3 * v / sum(e) for v in e])
    assert float(dynamic_weights(last, before).sum()) == pytest.approx(3)


def test_a_loss_that_falls_slowly_counts_more_and_the_scale_of_a_loss_does_not():
    last, before = torch.tensor([0.9, 0.5]), torch.tensor([1.0, 1.0])
    slow, fast = dynamic_weights(last, before).tolist()
    assert slow > 1 > fast
    scale = torch.tensor([100.0, 0.01])
    assert dynamic_weights(scale * last, scale * before).tolist() == pytest.approx([slow, fast])


def test_a_high_temperature_makes_all_equal():
    weights = dynamic_weights(torch.tensor([0.1, 3.0]), torch.ones(2), temperature=1e6)
    assert weights.tolist() == pytest.approx([1, 1], abs=1e-5)


def test_a_loss_of_zero_is_refused():
    with pytest.raises(ValueError, match="losses above 0"):
        dynamic_weights(torch.tensor([1.0, 0.0]), torch.ones(2))
