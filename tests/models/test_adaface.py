"""AdaFace: what the parity fixtures do not show."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from mien.core.errors import ModelError  # noqa: E402
from mien.models import zoo  # noqa: E402
from mien.models.adaface import IResNet, as_embedder, embedder, fused_with_flip  # noqa: E402


@pytest.fixture(scope="module")
def net() -> IResNet:
    """A block per stage."""
    torch.manual_seed(0)
    return IResNet((1, 1, 1, 1)).eval()


@pytest.fixture
def faces() -> Tensor:
    return torch.randn(3, 3, 112, 112, generator=torch.Generator().manual_seed(1))


def test_a_lightning_checkpoint_loses_its_prefix_and_its_training_head(net: IResNet, faces: Tensor) -> None:
    other = IResNet((1, 1, 1, 1)).eval()
    checkpoint = {f"model.{key}": value for key, value in net.state_dict().items()}
    checkpoint |= {"head.kernel": torch.zeros(512, 9), "head.t": torch.zeros(1)}
    zoo.load_official(other, {"state_dict": checkpoint, "epoch": 24})
    with torch.inference_mode():
        assert torch.equal(other(faces).direction, net(faces).direction)


def test_bare_keys_load_too_and_a_missing_one_is_named(net: IResNet) -> None:
    state = dict(net.state_dict())
    zoo.load_official(IResNet((1, 1, 1, 1)), state)
    del state["body.2.res_layer.3.weight"]
    with pytest.raises(ModelError, match=r"body\.2\.res_layer\.3\.weight"):
        zoo.load_official(IResNet((1, 1, 1, 1)), state)


@pytest.mark.parametrize(("name", "blocks"), [("adaface-ir50", 24), ("adaface-ir101", 49)])
def test_each_variant_has_the_blocks_and_parameters_of_its_card(name: str, blocks: int) -> None:
    with torch.device("meta"):
        net = zoo.build(name)
    assert isinstance(net, IResNet)
    assert len(net.body) == blocks
    assert sum(p.numel() for p in net.parameters()) == zoo.card(name)["parameters"]


@torch.inference_mode()
def test_direction_times_norm_is_what_the_last_layer_gave(net: IResNet, faces: Tensor) -> None:
    direction, norm = net(faces)
    torch.testing.assert_close(direction.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(direction * norm, net.output_layer(net.body(net.input_layer(faces))))


@torch.inference_mode()
def test_a_face_and_its_mirror_image_fuse_to_the_same_direction(net: IResNet, faces: Tensor) -> None:
    mirrored = faces.flip(3)
    assert (net(faces).direction * net(mirrored).direction).sum(1).max() < 0.999
    torch.testing.assert_close(fused_with_flip(net, faces).direction, fused_with_flip(net, mirrored).direction)


@torch.inference_mode()
def test_the_longer_of_the_two_embeddings_pulls_harder(net: IResNet, faces: Tensor) -> None:
    upright, mirrored, fused = net(faces), net(faces.flip(3)), fused_with_flip(net, faces).direction
    longer = (upright.norm > mirrored.norm).squeeze(1)
    nearer = (fused * upright.direction).sum(1) > (fused * mirrored.direction).sum(1)
    assert torch.equal(longer, nearer)


def test_pixels_become_bgr_from_minus_one_to_one() -> None:
    pixels = IResNet.preprocess(Image.new("RGB", (112, 112), (255, 0, 51)))["face"]
    assert pixels.shape == (1, 3, 112, 112)
    np.testing.assert_allclose(pixels[0, :, 5, 7], [-0.6, -1.0, 1.0], atol=1e-6)


def test_faces_of_another_size_are_refused(net: IResNet) -> None:
    with pytest.raises(ValueError, match="112 x 112"):
        net(torch.zeros(1, 3, 128, 128))


def test_the_gradient_reaches_every_parameter(net: IResNet, faces: Tensor) -> None:
    net.zero_grad()
    net(faces).direction[:, ::3].sum().backward()
    unreached = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    net.zero_grad()
    assert unreached == []


def test_it_does_not_judge_quality(net: IResNet) -> None:
    assert not hasattr(net, "judge")


@pytest.mark.slow
def test_an_embedder_takes_pictures_and_gives_directions(net: IResNet, rng: np.random.Generator) -> None:
    pictures = [Image.fromarray(pixels) for pixels in rng.integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)]
    x = torch.cat([torch.from_numpy(net.preprocess(picture)["face"]) for picture in pictures])
    with torch.inference_mode():
        plain, fused = net(x).direction, fused_with_flip(net, x).direction
    np.testing.assert_allclose(as_embedder(net, flip=False)(pictures), plain, atol=1e-6)
    np.testing.assert_allclose(as_embedder(net)(pictures), fused, atol=1e-6)


def test_an_embedder_of_a_judge_is_refused() -> None:
    with pytest.raises(ModelError, match="'hyperiqa' does not tell people apart"):
        embedder("hyperiqa", "weights.pt")
