"""UIQA: the quality of a 4K photograph from three small looks at it: composition, raw detail, and the middle.

Paper:    Sun et al., "Assessing UHD Image Quality from Aesthetics, Distortions, and Saliency",
          ECCV AIM 2024, arXiv 2409.00749
Code:     written from the paper, spec and key names of sunwei925/UIQA@624d172; backbone of torchvision
Weights:  UIQA.pth, licence unknown: ask the authors; trained on UHD-IQA, after AVA
Input:    aesthetics, distortion, saliency: (n, 3, 480, 480) float32 RGB, ImageNet statistics, `preprocess` below
Output:   (n, 1) float32, mean opinion score of UHD-IQA, 0..1, not clipped; higher is better
Numbers:  UHD-IQA test: SRCC 0.846, PLCC 0.798, validation: SRCC 0.817, PLCC 0.823 / ours: not measured, no weights here
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from mien.core.views import Center, Fragments, InputView, ViewPreprocess

#: torchvision's `swin_t`
SWIN_T = {
    "patch_size": [4, 4],
    "embed_dim": 96,
    "depths": [2, 2, 6, 2],
    "num_heads": [3, 6, 12, 24],
    "window_size": [7, 7],
    "stochastic_depth_prob": 0.2,
}


class UIQA(nn.Module):
    """Three Swin-T that share nothing, and one linear map over what they saw."""

    preprocess = ViewPreprocess(
        {
            "aesthetics": InputView(Center(480), resize_px=512),
            # drawn at random by the authors: each call another score. Here the draw has a seed
            "distortion": InputView(Fragments(grid=15, patch_px=32)),
            "saliency": InputView(Center(480)),  # the paper detects what is salient; the code takes the middle
        }
    )

    def __init__(self, **swin: Any) -> None:
        """`swin`: settings of torchvision's Swin Transformer instead of those of Swin-T."""
        super().__init__()
        self.aesthetics_feature_extraction, features = _swin(swin)
        self.distortion_feature_extraction, _ = _swin(swin)
        self.saliency_feature_extraction, _ = _swin(swin)
        # kept as two layers because the checkpoint holds two; there is nothing between them
        self.quality = nn.Sequential(nn.Linear(3 * features, 128), nn.Linear(128, 1))

    def forward(self, aesthetics: Tensor, distortion: Tensor, saliency: Tensor) -> Tensor:
        """Three times (n, 3, h, w) -> (n, 1)."""
        seen = (
            self.aesthetics_feature_extraction(aesthetics),
            self.distortion_feature_extraction(distortion),
            self.saliency_feature_extraction(saliency),
        )
        return self.quality(torch.cat(seen, 1))

    def judge(self, aesthetics: Tensor, distortion: Tensor, saliency: Tensor) -> Tensor:
        """Three times (n, v, 3, h, w) -> (n,), mean over the views; the authors look once."""
        views = (aesthetics.flatten(0, 1), distortion.flatten(0, 1), saliency.flatten(0, 1))
        return self(*views).reshape(aesthetics.shape[:2]).mean(1)


def _swin(settings: dict[str, Any]) -> tuple[nn.Module, int]:
    """(n, 3, h, w) -> (n, features), and the number of features."""
    from torchvision.models import SwinTransformer

    swin = SwinTransformer(**{**SWIN_T, **settings})
    features = cast("Any", swin.head).in_features
    swin.register_module("head", nn.Identity())
    return swin, features
