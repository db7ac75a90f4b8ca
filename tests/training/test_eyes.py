"""The eyes: the same numbers as the network in torch, kept on disk in a form that loses almost nothing."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from mien.models.mobilenet_v2 import FEATURES, MobileNetV2Features  # noqa: E402
from mien.training import eyes  # noqa: E402
from mien.training.eyes import BLOCKS, CHANNELS, STRIDES, Eyes  # noqa: E402
from synthetic import write_backbone  # noqa: E402

SIZE = 64


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("backbone") / "net.npz"
    write_backbone(path)
    return path


@pytest.fixture(scope="module")
def sees(weights):
    return Eyes(weights, SIZE)


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (5, SIZE, SIZE, 3), dtype=np.uint8)


def in_torch(weights, pixels):
    net = MobileNetV2Features(weights)
    image = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - 128) / 128
    with torch.inference_mode():
        return net(image).numpy(), [net.maps(image)[k].permute(0, 2, 3, 1).numpy() for k in BLOCKS]


def test_features_equal_the_network_in_torch(weights, sees, pixels):
    expected, _ = in_torch(weights, pixels)
    found = sees.pooled(pixels, batch=2).astype(np.float32)
    assert found.shape == (5, FEATURES)
    assert np.abs(found - expected).max() <= 1e-3 * max(1, np.abs(expected).max())


def test_maps_come_back_to_half_a_level(weights, sees, pixels, tmp_path):
    _, expected = in_torch(weights, pixels)
    scale = sees.scale(pixels)
    seen = sees.look(pixels, tmp_path / "v", scale, batch=2)
    for k, stored in enumerate(seen.maps):
        assert stored.shape == (5, SIZE // STRIDES[k], SIZE // STRIDES[k], CHANNELS[k])
        z = (expected[k] - scale.mean[k]) / scale.deviation[k]
        back = eyes.standard(torch.from_numpy(np.array(stored))).permute(0, 2, 3, 1).numpy()
        inside = np.abs(z) < 7.9
        assert np.abs(back - z)[inside].max() <= 0.5 / 16 + 1e-3
        assert (np.abs(back[~inside]) >= 7.8).all()


def test_what_was_seen_is_not_looked_at_again(sees, pixels, tmp_path):
    scale = sees.scale(pixels)
    first = sees.look(pixels, tmp_path / "v", scale)
    made = (tmp_path / "v.features.npy").stat().st_mtime_ns
    again = sees.look(pixels, tmp_path / "v", scale)
    assert (tmp_path / "v.features.npy").stat().st_mtime_ns == made
    assert np.array_equal(first.features, again.features)
    assert len(sees.look(pixels[:3], tmp_path / "v", scale).features) == 3  # another list of views
    turned = sees.look(pixels[:3, ::-1], tmp_path / "v", scale)  # as many views, but others
    assert not np.array_equal(turned.features, first.features[:3])
