"""Blocks that several networks share."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("timm")

from torch import nn  # noqa: E402

from mien.models.blocks import (  # noqa: E402
    ScaleSwin,
    TransposedAttention,
    as_channels,
    as_map,
    token_head,
    vit_levels,
    weighted_mean,
)


def test_transposed_attention_is_the_slow_loop_over_channels() -> None:
    torch.manual_seed(0)
    block, x = TransposedAttention(6).eval(), torch.randn(2, 4, 6)
    for picture, found in zip(x, block(x), strict=True):
        q, k, v = block.c_q(picture), block.c_k(picture), block.c_v(picture)
        rows = []
        for channel in range(4):
            logits = torch.stack([q[channel] @ k[other] for other in range(4)]) / 6**0.5
            rows.append(sum(a * v[other] for other, a in enumerate(logits.softmax(0))))
        scrambled = torch.stack(rows).T.flatten().reshape(4, 6)  # transposed, then read as if it were not
        torch.testing.assert_close(found, picture + scrambled)


def test_scale_swin_adds_its_layers_by_its_scale() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 8, 8, 8)
    swin = ScaleSwin(8, side=8, hidden=8, layers=1).eval()
    added = swin(x) - x
    swin.scale = 0.4
    torch.testing.assert_close(swin(x) - x, added / 2)
    swin.scale = 0.0
    assert torch.equal(swin(x), x)


def test_the_second_swin_block_sees_across_windows() -> None:
    torch.manual_seed(0)
    first, second = ScaleSwin(8, side=8, hidden=8, layers=1).layers[0].blocks
    x = torch.randn(1, 8, 8, 8)
    other = x.clone()
    other[0, 4, 4] += 1.0  # beside the window of place 3, 3
    assert torch.equal(first(x)[0, 3, 3], first(other)[0, 3, 3])
    assert not torch.equal(second(x)[0, 3, 3], second(other)[0, 3, 3])


def test_the_weighted_mean_stays_between_the_scores_and_ignores_a_common_factor() -> None:
    torch.manual_seed(0)
    scores, weights = torch.rand(3, 7, 1), torch.rand(3, 7, 1)
    mean = weighted_mean(scores, weights)
    assert mean.shape == (3,)
    assert bool((mean > scores.amin((1, 2))).all() and (mean < scores.amax((1, 2))).all())
    torch.testing.assert_close(weighted_mean(scores, 5 * weights), mean)


def test_a_token_head_reads_each_token_by_itself() -> None:
    torch.manual_seed(0)
    head, tokens = token_head(4, nn.Sigmoid()).eval(), torch.randn(1, 5, 4)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(head(tokens[:, order]), head(tokens)[:, order])


def test_vit_levels_are_the_blocks_outputs_and_later_blocks_are_not_computed() -> None:
    import timm

    torch.manual_seed(0)
    vit = timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=12, depth=4).eval()
    seen: dict[int, torch.Tensor] = {}
    for i, block in enumerate(vit.blocks):
        block.register_forward_hook(lambda _m, _x, y, i=i: seen.__setitem__(i, y))
    levels = vit_levels(vit, torch.randn(2, 3, 32, 32), (0, 2))
    assert sorted(seen) == [0, 1, 2]
    for level, i in zip(levels, (0, 2), strict=True):
        assert torch.equal(level, seen[i][:, 1:])  # without class token


def test_channels_of_a_map_are_ordered_level_by_level() -> None:
    a, b = torch.randn(1, 4, 3), torch.randn(1, 4, 3)
    x = as_map(as_channels([a, b]))
    assert x.shape == (1, 6, 2, 2)
    assert torch.equal(x[0, :3, 1, 0], a[0, 2])
    assert torch.equal(x[0, 3:, 1, 0], b[0, 2])
