"""BDVQA: Swin Transformers that learn from pairs of portraits of one scene, all their stages put together.

Paper:    Chahine et al., "Deep Portrait Quality Assessment. A NTIRE 2024 Challenge Survey", CVPR Workshops 2024,
          arXiv 2404.11159, section 3.2 (team BDVQA); it builds on Wang et al., "MSTRIQ: No Reference Image Quality
          Assessment Based on Swin Transformer with Multi-Stage Fusion", CVPR Workshops 2022, arXiv 2205.10101
Code:     none published; written from the survey's text
Weights:  none published; trained on PIQ23, after ImageNet
Input:    (n, 3, 384, 384) float32 RGB, ImageNet statistics, `preprocess` below; n crops, 18 of one picture
Output:   (n, 1) float32, just-objectionable differences (JOD) inside a scene, no fixed range; higher is better
Numbers:  NTIRE 2024, PIQ23 test: SRCC 0.849, PLCC 0.866, hidden test: SRCC 0.393, PLCC 0.575 / ours: not measured, no
          weights here

Ambiguous, read by us:
- Size and members: four Swin-L have 794.1 M parameters with the head below, the survey says 794 M. One Swin-B has 87 M.
- Head and fusion, of which the survey says only that MSTRIQ is built upon: each of the four stages is averaged over its
  places and normalised, all are joined, then 1,152, GELU, 1.
- Random resized crops of unknown scale: 384 pixels of a shorter side of 448.
- How FiveCrop, TenCrop and the 18 random crops go together: the 18 alone.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from mien.core.views import InputView, Random, ViewPreprocess


class MultiStage(nn.Module):
    """One Swin Transformer; what each of its stages saw, averaged over the places, is read by one small network.

    Siamese means that both pictures of a training pair go through this one network: a pair is a batch of two.
    """

    def __init__(self, backbone: str, hidden: int, settings: dict[str, Any]) -> None:
        import timm

        super().__init__()
        self.swin = cast("Any", timm.create_model(backbone, pretrained=False, num_classes=0, **settings))
        widths = [of["num_chs"] for of in self.swin.feature_info]
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths[:-1])  # the last stage has one already
        self.head = nn.Sequential(nn.Linear(sum(widths), hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, 384, 384) -> (n, 1)."""
        x, seen = self.swin.patch_embed(x), []
        for stage, norm in zip(self.swin.layers, [*self.norms, self.swin.norm], strict=True):
            x = stage(x)  # (n, h, w, width)
            seen.append(norm(x).mean((1, 2)))
        return self.head(torch.cat(seen, 1))


class BDVQA(nn.Module):
    """The mean of several members that share nothing."""

    preprocess = ViewPreprocess(
        {
            # the survey: 18 random resized crops, scale unknown. A crop here covers 55 % of a 4:3 picture; fixed seed
            "image": InputView(Random(384, 18), resize_px=448)
        }
    )

    def __init__(
        self,
        *,
        members: int = 4,
        backbone: str = "swin_large_patch4_window12_384",
        hidden: int = 1152,
        **swin: Any,
    ) -> None:
        """Build with random weights; four members take 3.2 GB of memory.

        Args:
            members: 4 gives the published 794 M parameters; 1 is the network of one training.
            backbone: a Swin Transformer of timm, for instance swin_base_patch4_window12_384.
            hidden: of the head; ours.
            **swin: settings of timm's Swin Transformer instead of those of `backbone`.
        """
        super().__init__()
        self.members = nn.ModuleList(MultiStage(backbone, hidden, swin) for _ in range(members))

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, 384, 384) -> (n, 1), mean of the members."""
        return torch.stack([member(x) for member in self.members]).mean(0)

    def judge(self, image: Tensor) -> Tensor:
        """(n, v, 3, 384, 384), v views of each picture -> (n,), mean over the views."""
        return self(image.flatten(0, 1)).reshape(image.shape[:2]).mean(1)
