"""MANIQA: quality of a picture from attention among channels, then attention among neighbouring places.

Paper:    Yang et al., "MANIQA: Multi-dimension Attention Network for No-Reference Image Quality Assessment",
          CVPR Workshops 2022, arXiv 2204.08958
Code:     written from the paper, spec and key names of IIGROUP/MANIQA@f573d86; backbone and Swin block of timm
Weights:  ckpt_koniq10k.pt, ckpt_kadid10k.pt, PIPAL22-VALID-CKPT; licence unknown: ask the authors; trained on
          KonIQ-10k, KADID-10k, PIPAL (one file each)
Input:    (n, 3, 224, 224) float32 RGB, -1..1, `preprocess` below; n crops, 20 of one picture
Output:   (n,) float32, at least 0, labels were mapped to 0..1 by their extremes, not clipped; higher is better
Numbers:  SRCC, PLCC of the README: KonIQ-10k 0.930, 0.946; KADID-10k 0.939, 0.939; PIPAL validation 0.686, 0.707 /
          ours: not measured, no weights here
"""

from __future__ import annotations

from torch import Tensor, nn

from mien.core.views import InputView, Random, ViewPreprocess
from mien.models.blocks import (
    ScaleSwin,
    TransposedAttention,
    as_channels,
    as_map,
    token_head,
    vit_levels,
    weighted_mean,
)

LEVELS = (6, 7, 8, 9)  #: blocks of the ViT, counted from 0; 10, 11, norm and classifier are in the weights, never used


class MANIQA(nn.Module):
    """ViT -> channels attend -> places attend -> channels attend -> places attend -> score and weight per place."""

    preprocess = ViewPreprocess(
        {
            # Original resolution. The authors' one seed (20) orders the crops of a whole test set, so the crops of a
            # picture cannot be repeated; theirs also never touch the last row and column, and need more than 224 pixels
            "image": InputView(Random(224, n=20), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
        }
    )

    def __init__(self, image_px: int = 224, width: int = 768) -> None:
        import timm

        super().__init__()
        side = image_px // 8
        self.vit = timm.create_model("vit_base_patch8_224", pretrained=False, img_size=image_px, embed_dim=width)
        self.tablock1 = nn.Sequential(*(TransposedAttention(side**2) for _ in range(2)))
        self.conv1 = nn.Conv2d(len(LEVELS) * width, width, 1)
        self.swintransformer1 = ScaleSwin(width, side, hidden=width)
        self.tablock2 = nn.Sequential(*(TransposedAttention(side**2) for _ in range(2)))
        self.conv2 = nn.Conv2d(width, width // 2, 1)
        self.swintransformer2 = ScaleSwin(width // 2, side, hidden=width)
        self.fc_score = token_head(width // 2, nn.ReLU())  # never negative
        self.fc_weight = token_head(width // 2, nn.Sigmoid())

    def tokens(self, x: Tensor) -> Tensor:
        """What the two heads read: (n, 3, 224, 224) -> (n, 784, 384)."""
        x = as_channels(vit_levels(self.vit, x, LEVELS))
        x = self.swintransformer1(self.conv1(as_map(self.tablock1(x))))
        x = self.swintransformer2(self.conv2(as_map(self.tablock2(x.flatten(2)))))
        return x.flatten(2).transpose(1, 2)

    def pool(self, tokens: Tensor) -> Tensor:
        """Mean of the places' scores by their weights: (n, 784, 384) -> (n,)."""
        return weighted_mean(self.fc_score(tokens), self.fc_weight(tokens))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, 224, 224) -> (n,)."""
        return self.pool(self.tokens(x))

    def judge(self, image: Tensor) -> Tensor:
        """(n, v, 3, 224, 224), v crops of each picture -> (n,), mean over the crops."""
        return self(image.flatten(0, 1)).reshape(image.shape[:2]).mean(1)
