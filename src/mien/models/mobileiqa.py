"""MobileIQA, student: MoNet's opinions on a network small enough for large pictures.

Paper:    Chen et al., "MobileIQA: Exploiting Mobile-level Diverse Opinion Network For No-Reference Image Quality
          Assessment Using Knowledge Distillation", ECCV Workshops 2024, arXiv 2409.01212
Code:     written from the spec and key names of chencn2020/MobileIQA@c74fec9, where the class is called MoNet, too;
          backbone of timm
Weights:  none published at that commit; the training code has UHD-IQA, LIVE Challenge, KonIQ-10k, SPAQ and BID
Input:    (n, 3, h, w) float32 RGB, ImageNet statistics, `preprocess` below; any size from 32 pixels
Output:   (n,) float32, 0..1 (a sigmoid), quality on the scale of labels that are mapped to 0..1; higher is better
Numbers:  unknown: in none of our sources / ours: not measured, no weights here

Ambiguous, read by us: the size of the input. 1907 x 1231 is that of the training on UHD-IQA; other sets have 512 x 512.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mien.core.views import InputView, ViewPreprocess, Whole
from mien.models.blocks import AdaptiveMean, as_map
from mien.models.monet import MAL

STAGES = (16, 24, 40, 112, 960)  #: channels of MobileNetV3-Large, at 1/2, 1/4, 1/8, 1/16, 1/32 of the picture
CHANNELS = 256  #: of the maps that are judged
SIDE = 22  #: of these maps


class LocalDistortionAware(nn.Module):
    """One stage of the backbone, brought to the size that all stages share."""

    def __init__(self, c_in: int, side: int) -> None:
        super().__init__()
        self.cnn1 = nn.Conv2d(c_in, 512, 1)
        self.pool = AdaptiveMean(side, side)
        self.cnn2 = nn.Conv2d(512, CHANNELS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) -> (n, 256, side, side)."""
        return self.cnn2(self.pool(F.gelu(self.cnn1(x))))


class MobileIQAStudent(nn.Module):
    """MobileNetV3-Large -> five maps -> three opinions -> one opinion -> score."""

    preprocess = ViewPreprocess({"image": InputView(Whole(), resize_px=(1231, 1907), interpolation="bicubic")})

    def __init__(self, opinions: int = 3, side: int = SIDE) -> None:
        import timm

        super().__init__()
        self.local_cnn = timm.create_model("mobilenetv3_large_100", pretrained=False, features_only=True)
        for stage, c_in in enumerate(STAGES, 1):
            self.add_module(f"LDA{stage}", LocalDistortionAware(c_in, side))
        self.MALs = nn.ModuleList(MAL(CHANNELS, len(STAGES), side) for _ in range(opinions))
        self.fusion_mal = MAL(CHANNELS, opinions, side)
        self.cnn = nn.Sequential(
            nn.Conv2d(CHANNELS, 128, 1), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(128, 128, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        )  # fmt: skip
        self.fc_score = nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n,)."""
        maps = [self.get_submodule(f"LDA{stage}")(map) for stage, map in enumerate(self.local_cnn(x), 1)]
        opinions = [as_map(mal(maps)) for mal in self.MALs]
        return self.fc_score(self.cnn(as_map(self.fusion_mal(opinions))).flatten(1)).squeeze(1)

    def judge(self, image: Tensor) -> Tensor:
        """(n, v, 3, h, w), v views of each picture -> (n,), mean over the views; the authors look once."""
        return self(image.flatten(0, 1)).reshape(image.shape[:2]).mean(1)
