"""The teacher: features as the paper's network gives them, opinions and order learned."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from mien.evaluation.correlation import srcc  # noqa: E402
from mien.models.mobilenet_v2 import MobileNetV2Features  # noqa: E402
from mien.training import teacher  # noqa: E402
from mien.training.teacher import TeacherRecipe, ladder_loss  # noqa: E402
from mien.training.views import Views  # noqa: E402
from synthetic import write_backbone  # noqa: E402

REAL = Path(__file__).parents[3] / "shared" / "models" / "mobilenetv2_imagenet.npz"


@pytest.mark.skipif(not REAL.is_file(), reason="the ImageNet weights are not beside this checkout")
def test_the_backbone_gives_the_logits_stored_with_its_weights():
    image = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3))
    x = torch.from_numpy(((image - 128) / 128).astype(np.float32)).permute(0, 3, 1, 2)
    with np.load(REAL) as file:
        weight, bias, expected = file["52.weight"].astype(np.float32), file["52.bias"], file["check.logits"]
    features = MobileNetV2Features(REAL)(x).numpy()[0]
    last = features[len(features) // 2 - 1280 : len(features) // 2]
    assert weight.reshape(1001, 1280) @ last + bias == pytest.approx(expected.ravel(), abs=1e-3)


def test_features_are_means_then_deviations_of_each_block(tmp_path):
    write_backbone(tmp_path / "net.npz")
    net = MobileNetV2Features(tmp_path / "net.npz")
    flat = net(torch.zeros(1, 3, 64, 64)).numpy()[0]
    assert flat.shape == (5568,)
    assert (flat[2784:] >= 0).all()


def test_ladder_loss_is_zero_once_each_rung_leads_enough():
    strength = torch.tensor([[0.0, 0.4, 1.0]])
    assert float(ladder_loss(torch.tensor([[0.8, 0.6, 0.3]]), strength, lead=0.5)) == 0
    assert float(ladder_loss(torch.tensor([[0.8, 0.9, 0.3]]), strength, lead=0.5)) > 0


def test_ladder_loss_equals_the_loop():
    q, s = torch.tensor([[0.8, 0.75, 0.7]]), torch.tensor([[0.0, 0.4, 1.0]])
    pairs = [(0, 1), (1, 2), (0, 2)]
    loop = sum(max(0.0, 0.5 * 0.8 * float(s[0, b] - s[0, a]) - float(q[0, a] - q[0, b])) for a, b in pairs) / 3
    assert float(ladder_loss(q, s, lead=0.5)) == pytest.approx(loop, abs=1e-6)


def test_ladders_are_made_to_fall_and_nothing_else_is_touched():
    strength = np.array([0, 0, 0, 0, 0.4, 1.0, 0, 0.4, 1.0], np.float32)
    quality = np.array([0.5, 0.9, 0.1, 0.8, 0.9, 0.85, 0.8, 0.5, 0.1], np.float32)
    fallen = teacher.descending(quality, strength, lead=0.5)
    assert np.array_equal(fallen[:3], quality[:3])  # a plain group
    assert fallen[3:6] == pytest.approx([0.8, 0.8 - 0.5 * 0.8 * 0.4, 0.8 - 0.5 * 0.8 * 1.0])
    assert np.array_equal(fallen[6:], quality[6:])  # falls already
    assert (
        float(ladder_loss(*map(torch.from_numpy, (fallen[3:].reshape(2, 3), strength[3:].reshape(2, 3))), 0.5)) < 1e-6
    )


def test_opinions_and_order_are_learned_from_features():
    """Feature 0 carries the opinion, feature 1 the strength, the rest is chance."""
    rng = np.random.default_rng(0)
    opinion = rng.uniform(0.2, 0.9, 300).astype(np.float32)
    lost = np.zeros((300, 2, 3, 4), np.float32)
    lost[:, 1, :, 0] = [0, 0.4, 0.9]
    lost = lost.reshape(-1, 4)
    label = np.repeat(opinion, 6)
    features = rng.normal(size=(1800, 16)).astype(np.float16)
    features[:, 0], features[:, 1] = 4 * label, 4 * lost[:, 0]
    views = Views(np.zeros((1800, 1, 1, 3), np.uint8), np.repeat(np.arange(300, dtype=np.int32), 6), label, lost)
    recipe = TeacherRecipe(hidden=32, epochs=40, batch_groups=64, distilled=4, members=2, learning_rate=5e-3)
    quality, components = teacher.judge(teacher.fit(views, features, recipe), features)
    plain = lost[:, 0] == 0
    assert srcc(quality[plain], label[plain]) > 0.95
    ladder = quality.reshape(300, 2, 3)[:, 1]
    assert (ladder[:, 0] > ladder[:, 2]).mean() > 0.95
    assert components.shape == (1800, 4)
