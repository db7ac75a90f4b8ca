"""CLIP: a transformer that reads pictures and one that reads text, under the key names of OpenAI's weights.

Paper:    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021,
          arXiv 2103.00020
Code:     written from the paper and the key names of the released weights
Weights:  none are used here as they are; LIQE's file is a CLIP state dict, RQ-Net and SAR start from one (`start_from`)
Input:    pictures (n, 3, 224, 224) float32 RGB, `CLIP_MEAN` and `CLIP_STD`; text (n, length) int64 tokens
Output:   (n, out) float32, of any length; only the angle between picture and text means something
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.core.errors import ModelError

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HEAD = 64  #: channels of one head of attention, in every CLIP


class QuickGELU(nn.Module):
    """OpenAI's approximation of GELU; the weights expect it."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        return x * torch.sigmoid(1.702 * x)


class Attention(nn.Module):
    """Self-attention of several heads, with query, key and value in one matrix."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        """(n, length, width) -> the same; `causal`: a token sees itself and what stands before it."""
        qkv = F.linear(x, self.in_proj_weight, self.in_proj_bias).unflatten(2, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # each (n, heads, length, width / heads)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.out_proj(seen.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention, then a hidden layer four times as wide; each is normalised before and added after."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            OrderedDict(c_fc=nn.Linear(width, 4 * width), gelu=QuickGELU(), c_proj=nn.Linear(4 * width, width))
        )
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        """(n, length, width) -> the same."""
        x = x + self.attn(self.ln_1(x), causal)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """Blocks, one after the other."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, max(width // HEAD, 1)) for _ in range(layers))

    def forward(self, x: Tensor, causal: bool = False) -> Tensor:
        """(n, length, width) -> the same."""
        for block in self.resblocks:
            x = block(x, causal)
        return x


class ImageTransformer(nn.Module):
    """A picture in square patches, read by a transformer: ViT-B/32 unless told otherwise."""

    def __init__(
        self, out: int | None = 512, *, image_px: int = 224, patch_px: int = 32, width: int = 768, layers: int = 12
    ) -> None:
        """`out`: length of the picture's vector; None leaves the last projection away."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, patch_px, stride=patch_px, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width) / math.sqrt(width))
        places = (image_px // patch_px) ** 2
        self.positional_embedding = nn.Parameter(torch.randn(1 + places, width) / math.sqrt(width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width, layers)
        self.ln_post = nn.LayerNorm(width)
        self.proj = None if out is None else nn.Parameter(torch.randn(width, out) / math.sqrt(width))

    def embed(self, x: Tensor) -> Tensor:
        """What the first block reads: (n, 3, image_px, image_px) -> (n, 1 + places, width), the class token first."""
        patches = self.conv1(x).flatten(2).transpose(1, 2)
        token = self.class_embedding.expand(x.shape[0], 1, -1)
        return self.ln_pre(torch.cat([token, patches], 1) + self.positional_embedding)

    def tokens(self, x: Tensor) -> Tensor:
        """All tokens, normalised: (n, 3, image_px, image_px) -> (n, 1 + places, width), the class token first."""
        return self.ln_post(self.transformer(self.embed(x)))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, image_px, image_px) -> (n, out)."""
        token = self.ln_post(self.transformer(self.embed(x))[:, 0])
        return token if self.proj is None else token @ self.proj


class CLIP(nn.Module):
    """Both transformers and the temperature of their agreement: ViT-B/32 unless told otherwise."""

    def __init__(
        self,
        out: int = 512,
        *,
        image_px: int = 224,
        patch_px: int = 32,
        image_width: int = 768,
        image_layers: int = 12,
        context: int = 77,
        vocabulary: int = 49408,
        text_width: int = 512,
        text_layers: int = 12,
    ) -> None:
        super().__init__()
        self.visual = ImageTransformer(
            out, image_px=image_px, patch_px=patch_px, width=image_width, layers=image_layers
        )
        self.transformer = Transformer(text_width, text_layers)
        self.token_embedding = nn.Embedding(vocabulary, text_width)
        self.positional_embedding = nn.Parameter(0.01 * torch.randn(context, text_width))
        self.ln_final = nn.LayerNorm(text_width)
        self.text_projection = nn.Parameter(torch.randn(text_width, out) / math.sqrt(text_width))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def encode_image(self, x: Tensor) -> Tensor:
        """(n, 3, image_px, image_px) -> (n, out), of length 1."""
        return F.normalize(self.visual(x), dim=-1)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """(n, length) int64, no longer than the context -> (n, out), of length 1.

        A text ends with the largest token. What stands behind it is never looked at, so padding may be left out.
        """
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        x = self.ln_final(self.transformer(x, causal=True))
        end = x[torch.arange(len(x), device=x.device), tokens.argmax(-1)]
        return F.normalize(end @ self.text_projection, dim=-1)


def start_from(tower: ImageTransformer, state_dict: Mapping[str, Tensor]) -> ImageTransformer:
    """Give an image transformer the weights of a whole CLIP; blocks or projections that it lacks are left out.

    Args:
        tower: as wide as the one in the file, with as many blocks or fewer.
        state_dict: OpenAI's, with the keys `visual.*`.

    Returns:
        The same transformer.

    Raises:
        ModelError: the file lacks a tensor of the transformer, or has it in another shape.
    """
    own = tower.state_dict()
    for key, value in own.items():
        found = state_dict.get(f"visual.{key}")
        if found is None or found.shape != value.shape:
            what = "is missing" if found is None else f"is {list(found.shape)} instead of {list(value.shape)}"
            raise ModelError(f"these are not weights of this CLIP: visual.{key} {what}")
    tower.load_state_dict({key: state_dict[f"visual.{key}"].to(value.dtype) for key, value in own.items()})
    return tower
