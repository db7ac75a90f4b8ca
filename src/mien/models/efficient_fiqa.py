"""Efficient-FIQA: quality of a face image at the cost of a glance, learnt from a large teacher.

Paper:    Sun et al., "Efficient Face Image Quality Assessment via Self-training and Knowledge Distillation",
          ICCV VQualA 2025, arXiv 2507.15709
Code:     written from the paper, spec and key names of sunwei925/Efficient-FIQA@0e63bc7; backbones of timm, torchvision
Weights:  student EdgeNeXt_XXS_checkpoint.pt, teacher Swin_B_checkpoint.pt and Swin_B_plus_checkpoint.pt (self-trained);
          licence unknown: ask the authors; trained on the VQualA 2025 face images and pseudo-labelled faces
Input:    (n, 3, 352, 352) student, (n, 3, 448, 448) teacher; float32 RGB, ImageNet statistics, `preprocess` below
Output:   (n, 1) float32, quality on the scale of the labels, 0..1, not clipped; higher is better
Numbers:  student, VQualA 2025 test: (SRCC + PLCC) / 2 paper 0.9664 / ours: not measured, no weights here
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, cast

from torch import Tensor, nn

from mien.core.views import Center, InputView, ViewPreprocess

#: torchvision's `swin_b`
SWIN_B = {
    "patch_size": [4, 4],
    "embed_dim": 128,
    "depths": [2, 2, 18, 2],
    "num_heads": [4, 8, 16, 32],
    "window_size": [7, 7],
    "stochastic_depth_prob": 0.5,
}


class QualityHead(nn.Sequential):
    """Two linear layers with nothing between them: one linear map, kept as two because the checkpoints hold two."""

    def __init__(self, features: int) -> None:
        super().__init__(nn.Linear(features, 128), nn.Linear(128, 1))


class Student(nn.Module):
    """EdgeNeXt-XX-Small, average pooling, linear head: 1.18 M parameters, 0.49 G multiply-adds."""

    # the challenge's 0.3313 G belongs to 288 x 288; the released code and the README use 352
    preprocess = ViewPreprocess({"image": InputView(Center(352), resize_px=352)})

    def __init__(self) -> None:
        import timm

        super().__init__()
        self.feature_extraction = timm.create_model("edgenext_xx_small", pretrained=False)
        self.feature_extraction.head = nn.Identity()  # takes timm's last LayerNorm away too, as in the released weights
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.quality = QualityHead(168)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 1)."""
        return self.quality(self.avg_pool(self.feature_extraction(x)).flatten(1))

    def judge(self, image: Tensor) -> Tensor:
        """(n, v, 3, h, w), v views of each picture -> (n,), mean over the views; the authors look once."""
        return self(image.flatten(0, 1)).reshape(image.shape[:2]).mean(1)


class Teacher(nn.Module):
    """Swin-B and the same head: 86.9 M parameters. Labels faces that nobody rated; the student learns from them too."""

    preprocess = ViewPreprocess({"image": InputView(Center(448), resize_px=448)})

    def __init__(self, **swin_settings: Any) -> None:
        """`swin_settings`: of torchvision's Swin Transformer instead of those of Swin-B."""
        from torchvision.models import SwinTransformer

        super().__init__()
        swin = SwinTransformer(**{**SWIN_B, **swin_settings})
        features = cast("Any", swin.head).in_features
        swin.register_module("head", nn.Identity())
        # the name occurs twice in the checkpoints: the authors wrap a whole network that was trained on other pictures
        self.feature_extraction = nn.Sequential(OrderedDict(feature_extraction=swin))
        self.quality = QualityHead(features)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, 1)."""
        return self.quality(self.feature_extraction(x))

    def judge(self, image: Tensor) -> Tensor:
        """(n, v, 3, h, w), v views of each picture -> (n,), mean over the views; the authors look once."""
        return self(image.flatten(0, 1)).reshape(image.shape[:2]).mean(1)
