"""CLIP's two transformers, against torch's own attention and against what text and padding must not do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mien.core.errors import ModelError
from mien.models.clip import CLIP, Attention, ImageTransformer, QuickGELU, start_from


def tiny(layers: int = 3) -> CLIP:
    torch.manual_seed(0)
    net = CLIP(
        8,
        image_px=16,
        patch_px=8,
        image_width=128,
        image_layers=layers,
        context=10,
        vocabulary=50,
        text_width=64,
        text_layers=2,
    )
    return net.eval()


@torch.inference_mode()
@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_torchs_multi_head_attention_under_the_same_names(causal: bool) -> None:
    torch.manual_seed(1)
    ours, theirs = Attention(32, 4), nn.MultiheadAttention(32, 4, batch_first=True)
    theirs.load_state_dict(ours.state_dict())
    nn.init.normal_(ours.in_proj_bias)
    theirs.in_proj_bias.copy_(ours.in_proj_bias)
    x = torch.randn(2, 5, 32)
    mask = torch.full((5, 5), -torch.inf).triu(1) if causal else None
    expected, _ = theirs(x, x, x, attn_mask=mask)
    torch.testing.assert_close(ours(x, causal), expected, rtol=1e-4, atol=1e-6)


def test_the_activation_is_the_quick_one() -> None:
    x = torch.tensor([-1.0, 0.5, 2.0])
    assert QuickGELU()(x).tolist() == pytest.approx([v / (1 + 2.718281828 ** (-1.702 * v)) for v in x.tolist()])
    assert (QuickGELU()(x) - nn.functional.gelu(x)).abs().max() > 5e-3


def test_the_names_are_those_of_openai() -> None:
    names = {name.replace(".1.", ".0.").replace(".2.", ".0.") for name in tiny().state_dict()}
    block = {f"{layer}.{kind}" for layer in ("ln_1", "ln_2", "attn.out_proj", "mlp.c_fc", "mlp.c_proj")
             for kind in ("weight", "bias")} | {"attn.in_proj_weight", "attn.in_proj_bias"}  # fmt: skip
    blocks = {f"{tower}transformer.resblocks.0.{name}" for tower in ("", "visual.") for name in block}
    norms = {
        f"{norm}.{kind}" for norm in ("visual.ln_pre", "visual.ln_post", "ln_final") for kind in ("weight", "bias")
    }
    visual = {f"visual.{name}" for name in ("class_embedding", "positional_embedding", "proj", "conv1.weight")}
    text = {"positional_embedding", "text_projection", "logit_scale", "token_embedding.weight"}
    assert names == blocks | norms | visual | text


@torch.inference_mode()
def test_padding_and_words_behind_the_end_change_nothing() -> None:
    net = tiny()
    text = torch.tensor([[48, 3, 7, 49]])
    alone = net.encode_text(text)
    torch.testing.assert_close(alone.norm(dim=1), torch.ones(1))
    for behind in ([0, 0, 0], [5, 9, 2]):
        padded = torch.cat([text, torch.tensor([behind])], 1)
        torch.testing.assert_close(net.encode_text(padded), alone)
    assert (net.encode_text(torch.tensor([[48, 7, 3, 49]])) - alone).abs().max() > 1e-4


@torch.inference_mode()
def test_a_picture_is_read_with_its_places_and_alone() -> None:
    net = tiny()
    x = torch.randn(2, 3, 16, 16)
    both = net.encode_image(x)
    torch.testing.assert_close(both.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(net.encode_image(x[1:]), both[1:])
    assert (net.encode_image(x.flip(3)) - both).abs().max() > 1e-4
    tokens = net.visual.tokens(x)
    assert tokens.shape == (2, 1 + 4, 128)
    torch.testing.assert_close(tokens[:, 0] @ net.visual.proj, net.visual(x))


def test_a_shorter_transformer_starts_from_the_first_blocks_of_a_clip() -> None:
    clip = tiny(layers=3)
    tower = ImageTransformer(None, image_px=16, patch_px=8, width=128, layers=2)
    assert start_from(tower, clip.state_dict()) is tower
    own = tower.state_dict()
    assert "proj" not in own
    assert all(torch.equal(value, clip.state_dict()[f"visual.{name}"]) for name, value in own.items())


def test_a_clip_of_another_size_is_refused_by_name() -> None:
    weights = tiny(layers=1).state_dict()
    with pytest.raises(ModelError, match=r"visual\.transformer\.resblocks\.1\..* is missing"):
        start_from(ImageTransformer(None, image_px=16, patch_px=8, width=128, layers=2), weights)
    with pytest.raises(ModelError, match=r"visual\.positional_embedding is \[5, 128\] instead of \[17, 128\]"):
        start_from(ImageTransformer(None, image_px=32, patch_px=8, width=128, layers=1), weights)
