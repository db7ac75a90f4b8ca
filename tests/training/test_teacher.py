"""The teacher: the network that its file holds, then fine-tuned; opinions and order learned."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from mien.evaluation.correlation import srcc  # noqa: E402
from mien.models.mobilenet_v2 import MobileNetV2, pooled  # noqa: E402
from mien.training import teacher  # noqa: E402
from mien.training.feed import Feed, FeedPlan  # noqa: E402
from mien.training.ladders import Ladders  # noqa: E402
from mien.training.teacher import TeacherRecipe, ladder_loss  # noqa: E402
from synthetic import write_backbone  # noqa: E402

REAL = Path(__file__).parents[3] / "shared" / "models" / "mobilenetv2_imagenet.npz"
RECIPE = TeacherRecipe(
    views=FeedPlan(size_px=32, plain=24, ladders=8, unrated_share=0.0, whole_share=1.0),
    hidden=16,
    probe_steps=60,
    head_rate=2e-3,
    steps=0,
    ema=0.9,
    distilled=6,
    measured=4,
)


@pytest.mark.skipif(not REAL.is_file(), reason="the ImageNet weights are not beside this checkout")
def test_the_backbone_gives_the_logits_stored_with_its_weights():
    image = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3))
    x = torch.from_numpy(((image - 128) / 128).astype(np.float32)).permute(0, 3, 1, 2)
    with np.load(REAL) as file:
        weight, bias, expected = file["52.weight"].astype(np.float32), file["52.bias"], file["check.logits"]
    net = MobileNetV2()
    net.begin(REAL, x)
    with torch.no_grad():
        last = net(x)[-1].mean((2, 3)).numpy()[0]
    assert weight.reshape(1001, 1280) @ last + bias == pytest.approx(expected.ravel(), abs=1e-3)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    path = tmp_path_factory.mktemp("backbone") / "net.npz"
    write_backbone(path)
    return path


def test_features_are_means_then_deviations_of_each_map():
    torch.manual_seed(0)
    maps = [torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4)]
    flat = pooled(maps)
    assert flat.shape == (2, 16)
    assert torch.allclose(flat[:, 3:8], maps[1].mean((2, 3)), atol=1e-5)
    assert torch.allclose(flat[:, 8:11], maps[0].std((2, 3), correction=0), atol=1e-3)


def folded(file, image):
    """Maps of the network as its file holds it: convolutions alone, at even sides padded below and to the right."""

    def convolved(x, i, stride=1, depthwise=False):
        weight, bias = (torch.from_numpy(file[f"{i:02d}.{part}"].astype(np.float32)) for part in ("weight", "bias"))
        if weight.shape[-1] == 3:
            first = 0 if stride == 2 and x.shape[-1] % 2 == 0 else 1
            x = torch.nn.functional.pad(x, (first, 1, first, 1))
        groups = len(weight) if depthwise else 1
        return torch.nn.functional.conv2d(x, weight, bias, stride, groups=groups)

    x = convolved(convolved(convolved(image, 0, 2).clamp(0, 6), 1, depthwise=True).clamp(0, 6), 2)
    maps = [x]
    for block in range(16):
        stride = 2 if block in (0, 2, 5, 12) else 1
        y = convolved(x, 3 + 3 * block).clamp(0, 6)
        y = convolved(convolved(y, 4 + 3 * block, stride, depthwise=True).clamp(0, 6), 5 + 3 * block)
        x = x + y if x.shape == y.shape else y
        maps.append(x)
    return [*maps, convolved(x, 51).clamp(0, 6)]


@pytest.mark.parametrize("side", [64, 65])
def test_the_network_to_be_trained_begins_as_the_folded_one(backbone, side):
    torch.manual_seed(0)
    net = MobileNetV2()
    net.begin(backbone, torch.rand(6, 3, 64, 64) * 2 - 1)
    image = torch.rand(2, 3, side, side) * 2 - 1
    with torch.no_grad(), np.load(backbone) as file:
        found, expected = net(image), folded(file, image)
    assert [m.shape for m in found] == [m.shape for m in expected]
    for a, b in zip(found, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-4 * float(b.abs().max().clamp(min=1)))


def test_ladder_loss_is_zero_once_each_rung_leads_enough():
    strength = torch.tensor([[0.0, 0.4, 1.0]])
    assert float(ladder_loss(torch.tensor([[0.8, 0.6, 0.3]]), strength, lead=0.5)) == 0
    assert float(ladder_loss(torch.tensor([[0.8, 0.9, 0.3]]), strength, lead=0.5)) > 0


def test_ladder_loss_equals_the_loop():
    q, s = torch.tensor([[0.8, 0.75, 0.7]]), torch.tensor([[0.0, 0.4, 1.0]])
    pairs = [(0, 1), (1, 2), (0, 2)]
    loop = sum(max(0.0, 0.5 * 0.8 * float(s[0, b] - s[0, a]) - float(q[0, a] - q[0, b])) for a, b in pairs) / 3
    assert float(ladder_loss(q, s, lead=0.5)) == pytest.approx(loop, abs=1e-6)


def test_ladders_are_made_to_fall_and_one_that_falls_is_left_alone():
    strength = torch.tensor([0, 0.4, 1.0, 0, 0.4, 1.0])
    quality = torch.tensor([0.8, 0.9, 0.85, 0.8, 0.5, 0.1])
    fallen = teacher.falling(quality, strength, lead=0.5)
    assert fallen[:3].tolist() == pytest.approx([0.8, 0.8 - 0.5 * 0.8 * 0.4, 0.8 - 0.5 * 0.8 * 1.0])
    assert torch.equal(fallen[3:], quality[3:])
    assert float(ladder_loss(teacher.grouped(fallen), teacher.grouped(strength), 0.5)) < 1e-6
    assert len(teacher.falling(quality[:0], strength[:0], lead=0.5)) == 0


def feed_of_greys() -> Feed:
    """Pictures are liked as much as they are bright; every ladder gets darker."""
    rng = np.random.default_rng(0)
    level = rng.uniform(0.1, 0.9, 60).astype(np.float32)
    grain = rng.integers(-20, 21, (60, 1, 32, 32, 3))
    rungs = np.stack([level, 0.6 * level, 0.2 * level], 1)
    pixels = np.clip(250 * rungs[:, :, None, None, None] + grain, 0, 255).astype(np.uint8)
    lost = np.zeros((60, 3, 4), np.float32)
    lost[:, 1, 1], lost[:, 2, 1] = 0.4, 0.8
    return Feed(pixels[:, 0], level, [Ladders(pixels, level, lost)], torch.device("cpu"))


@pytest.fixture(scope="module")
def taught(backbone):
    torch.set_num_threads(1)
    return teacher.fit(feed_of_greys(), backbone, RECIPE, half=False, tell=lambda line: None)


def test_opinions_and_order_are_learned(taught):
    shown = feed_of_greys().show(RECIPE.views, 12345)
    with torch.no_grad():
        quality = taught(shown.pixels)
    plain = shown.plain
    assert srcc(quality[:plain].numpy(), shown.label[:plain].numpy()) > 0.9
    ladder = quality[plain:].view(-1, 3)
    assert (ladder[:, 0] > ladder[:, 2]).float().mean() > 0.9


def test_what_it_tells_has_the_shapes_and_the_scale_that_the_student_expects(taught):
    shown = feed_of_greys().show(RECIPE.views, 77)
    with torch.no_grad():
        told = taught.tell(shown.pixels)
        assert torch.equal(told.quality, taught(shown.pixels))
    n = len(shown.pixels)
    assert told.components.shape == (n, 6)
    assert [tuple(m.shape) for m in told.maps] == [(n, 32, 4, 4), (n, 96, 2, 2), (n, 320, 1, 1)]
    assert all(abs(float(m.mean())) < 0.3 and 0.5 < float(m.std()) < 1.5 for m in told.maps)
    assert 0.3 < float(told.components.square().mean().sqrt()) < 3


def test_the_first_steps_leave_the_eyes_alone_and_the_later_ones_do_not(backbone):
    def eyes(recipe):
        net = teacher.fit(feed_of_greys(), backbone, recipe, half=False, tell=lambda line: None)
        return torch.cat([p.flatten() for p in net.eyes.parameters()])

    short = replace(RECIPE, probe_steps=2, measured=1)
    assert torch.equal(eyes(short), eyes(replace(short, probe_steps=3)))
    assert not torch.equal(eyes(short), eyes(replace(short, steps=2)))


def test_principal_axes_explain_most_and_have_unit_variance_on_average():
    torch.manual_seed(0)
    x = torch.randn(500, 2) @ torch.tensor([[3.0, 3.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]]) + 0.01 * torch.randn(500, 4)
    told = x @ teacher.principal(x, 2)
    assert float(told.square().mean()) == pytest.approx(1.0, rel=0.1)
    assert torch.corrcoef(told.T)[0, 1].abs() < 0.1


def test_principal_axes_are_the_same_from_few_views_of_many_features():
    torch.manual_seed(0)
    x = torch.randn(30, 100)
    twice = torch.cat([x] * 4)  # the same covariance, but more views than features
    few, many = x @ teacher.principal(x, 3), x @ teacher.principal(twice, 3)
    assert torch.allclose(few.abs(), many.abs(), atol=1e-3)
