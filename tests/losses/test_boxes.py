"""Losses of boxes and landmarks: slow loops, oracles, and boxes that do not touch."""

import math

import pytest

torch = pytest.importorskip("torch")

from mien.losses.boxes import eiou_loss, iou, landmark_loss  # noqa: E402

Box = list[float]


def boxes(n: int, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    corner, side = torch.rand(2, n, 2, dtype=torch.float64, generator=generator)
    return torch.cat([corner, corner + side + 0.05], 1)


def slow_iou(a: Box, b: Box) -> float:
    w, h = (max(0.0, min(a[k + 2], b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return w * h / (sum(areas) - w * h)


def slow_eiou(a: Box, b: Box) -> float:
    cw, ch = (max(a[k + 2], b[k + 2]) - min(a[k], b[k]) for k in (0, 1))
    dx, dy = ((a[k] + a[k + 2] - b[k] - b[k + 2]) / 2 for k in (0, 1))
    dw, dh = ((a[k + 2] - a[k]) - (b[k + 2] - b[k]) for k in (0, 1))
    return 1 - slow_iou(a, b) + (dx**2 + dy**2) / (cw**2 + ch**2) + dw**2 / cw**2 + dh**2 / ch**2


@pytest.mark.parametrize("seed", range(3))
def test_both_equal_the_loop(seed):
    a, b = boxes(20, seed), boxes(20, seed + 100)
    pairs = list(zip(a.tolist(), b.tolist(), strict=True))
    assert iou(a, b).tolist() == pytest.approx([slow_iou(x, y) for x, y in pairs], abs=1e-12)
    assert eiou_loss(a, b).tolist() == pytest.approx([slow_eiou(x, y) for x, y in pairs], abs=1e-12)


def test_all_pairs_come_from_broadcasting():
    a, b = boxes(4), boxes(7, 1)
    table = iou(a[:, None], b[None])
    assert table.shape == (4, 7)
    assert float(table[2, 5]) == pytest.approx(slow_iou(a[2].tolist(), b[5].tolist()))


def test_equal_boxes_cost_nothing_and_the_scale_does_not_matter():
    a, b = boxes(9), boxes(9, 1)
    assert eiou_loss(a, a).tolist() == pytest.approx([0.0] * 9, abs=1e-12)
    assert eiou_loss(50 * a + 3, 50 * b + 3).tolist() == pytest.approx(eiou_loss(a, b).tolist())


def test_boxes_that_do_not_touch_are_pulled_together():
    far = torch.tensor([[5.0, 5.0, 6.0, 6.0]], requires_grad=True)
    eiou_loss(far, torch.tensor([[0.0, 0.0, 1.0, 1.0]])).sum().backward()
    assert far.grad is not None
    assert (far.grad[:, :2] + far.grad[:, 2:] > 0).all()  # a step against it moves the box towards the target


def test_gradients():
    a, b = boxes(5), boxes(5, 1)
    assert torch.autograd.gradcheck(lambda v: eiou_loss(v, b), a.requires_grad_())


def slow_landmarks(p: list, t: list, size: float, beta: float) -> float:
    terms = []
    for one, other in zip(p, t, strict=True):
        for x, y in zip(one, other, strict=True):
            e = abs(x - y) / size
            terms.append(e - beta / 2 if e >= beta else e * e / (2 * beta))
    return sum(terms) / len(terms)


def test_landmarks_equal_the_loop_and_count_in_parts_of_the_face():
    generator = torch.Generator().manual_seed(0)
    p, t = torch.randn(2, 6, 5, 2, dtype=torch.float64, generator=generator)
    size = torch.rand(6, dtype=torch.float64, generator=generator) * 20 + 1
    expected = [slow_landmarks(a, b, s, 0.05) for a, b, s in zip(p.tolist(), t.tolist(), size.tolist(), strict=True)]
    assert landmark_loss(p, t, size).tolist() == pytest.approx(expected, abs=1e-12)
    assert torch.allclose(landmark_loss(7 * p, 7 * t, 7 * size), landmark_loss(p, t, size))
    assert not math.isclose(float(landmark_loss(p, t, size, beta=0.5)[0]), expected[0])
