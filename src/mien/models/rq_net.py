"""RQ-Net: the quality of a portrait relative to others of its scene, from the whole picture and from raw pieces of it.

Paper:    Chahine et al., "Deep Portrait Quality Assessment. A NTIRE 2024 Challenge Survey", CVPR Workshops 2024,
          arXiv 2404.11159, section 3.1 (team Xidian IPPL, winner)
Code:     none published; written from the survey's text. The fusion block is drawn in a figure only: its inside is ours
Weights:  none published; trained on PIQ23, before that on SPAQ, KonIQ-10k, LIVE Challenge and RBID or on PIQ23's faces
Input:    whole, local: (n, 3, 224, 224) float32 RGB, CLIP statistics, `preprocess` below; 9 pairs of one picture
Output:   (n, scores) float32, only differences inside a scene mean something, no fixed range; higher is better
Numbers:  NTIRE 2024, an ensemble of four, PIQ23 test: SRCC 0.820, PLCC 0.839, hidden test: SRCC 0.554, PLCC 0.597 /
          ours: not measured, no weights here

The survey lists 57.6 M parameters, fewer than one ViT-B/16 has (85.8 M), and says that both looks share a whole one.
Readings tried: as written, 90.8 M; eight of its twelve blocks, 57.4 M before the fusion, but no sentence says so; as
written, but counted by a tool that hooks into layers and so overlooks torch's attention and bare parameters, as the
MACs of SAR in the same survey are: 57.3 M for the ViT and, with the 192 units chosen for the last network, 57.6 M in
all.

Ambiguous, read by us:
- Fusion: in each look the class token asks the grid tokens (8 heads), both answers are joined, and a network of two
  layers scores them. "Class (global) and grid (local) features" are taken to be those of both looks.
- 244 x 244, written twice, is kept; 256 may have been meant.
- Where a piece lies in its cell at test: one draw with a fixed seed, the same for all nine crops.
- Statistics of the input: CLIP's.
- The published ensemble of four is not built: how relative scores were averaged is not said.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.core.views import Fragments, InputView, ViewPreprocess, Windows
from mien.models.clip import CLIP_MEAN, CLIP_STD, ImageTransformer


class Gathering(nn.Module):
    """A class token asks the grid tokens of its picture, and takes their answer along."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, 1 + places, width), the class token first -> (n, width)."""
        token, grid = tokens[:, :1], tokens[:, 1:]
        q, k, v = (
            x.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for x in (self.query(token), self.key(grid), self.value(grid))
        )
        answer = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return (token + self.out(answer)).squeeze(1)


class GlobalLocalBlock(nn.Module):
    """Both looks at a picture become one number."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.whole, self.local = Gathering(width, heads), Gathering(width, heads)
        self.score = nn.Sequential(
            nn.LayerNorm(2 * width), nn.Linear(2 * width, hidden), nn.GELU(), nn.Linear(hidden, 1)
        )

    def forward(self, whole: Tensor, local: Tensor) -> Tensor:
        """(n, v, 1 + places, width), (n, 1 or v, 1 + places, width) -> (n, v)."""
        seen = [
            look(tokens.flatten(0, 1)).unflatten(0, (-1, tokens.shape[1]))
            for look, tokens in ((self.whole, whole), (self.local, local))
        ]
        return self.score(torch.cat([seen[0], seen[1].expand_as(seen[0])], 2)).squeeze(2)


class RQNet(nn.Module):
    """One ViT-B/16 of CLIP for both looks, and a block for each score (`mien.models.clip.start_from` for its start)."""

    preprocess = ViewPreprocess(
        {
            # corners, middles of the sides, and the centre of 244 x 244, which the survey says twice
            "whole": InputView(Windows(224, 9, stride_px=10), resize_px=(244, 244), mean=CLIP_MEAN, std=CLIP_STD),
            "local": InputView(Fragments(grid=7, patch_px=32), mean=CLIP_MEAN, std=CLIP_STD),
        }
    )

    def __init__(
        self,
        *,
        scores: int = 1,
        image_px: int = 224,
        patch_px: int = 16,
        width: int = 768,
        layers: int = 12,
        heads: int = 8,
        hidden: int = 192,
    ) -> None:
        """Build with random weights.

        Args:
            scores: 3 for the authors' training on faces (detail, exposure, overall); `judge` gives the last one.
            image_px: of both looks.
            patch_px: of a token.
            width: of a token.
            layers: of the transformer.
            heads: with which a class token asks; ours.
            hidden: of the last network; ours, see the count above.
        """
        super().__init__()
        self.visual = ImageTransformer(None, image_px=image_px, patch_px=patch_px, width=width, layers=layers)
        self.blocks = nn.ModuleList(GlobalLocalBlock(width, heads, hidden) for _ in range(scores))

    def forward(self, whole: Tensor, local: Tensor) -> Tensor:
        """(n, 3, 224, 224) twice -> (n, scores)."""
        return self._scores(whole[:, None], local[:, None])[:, 0]

    def judge(self, whole: Tensor, local: Tensor) -> Tensor:
        """(n, v, 3, 224, 224), (n, 1 or v, 3, 224, 224) -> (n,), the last score, mean over the views."""
        return self._scores(whole, local)[..., -1].mean(1)

    def _scores(self, whole: Tensor, local: Tensor) -> Tensor:
        """(n, v, 3, 224, 224), (n, 1 or v, 3, 224, 224) -> (n, v, scores)."""
        looks = [self.visual.tokens(x.flatten(0, 1)).unflatten(0, (-1, x.shape[1])) for x in (whole, local)]
        return torch.stack([block(*looks) for block in self.blocks], 2)
