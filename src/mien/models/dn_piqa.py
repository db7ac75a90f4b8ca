"""DN-PIQA, alias PQE: a portrait judged by the whole picture, by the face in it, and by what LIQE says of it.

Paper:    Sun et al., "Dual-Branch Network for Portrait Image Quality Assessment", arXiv 2405.08555; PQE in the NTIRE
          2024 survey, arXiv 2404.11159, section 3.3
Code:     written from the papers, spec and key names of sunwei925/DN-PIQA@babb093; blocks of timm
Weights:  PIQ_model.pth, licence unknown: ask the authors; trained on PIQ23, backbones before on LSVQ and GFIQA-20k
Input:    overall, face: (n, 3, 384, 384) float32 RGB, ImageNet statistics, `preprocess` below; face: of `face_crop`;
          liqe: (n, 495) float32, `LIQE.logits` of the untouched picture (`LIQE.full_size`), before softmax
Output:   (n, 1) float32, only differences inside a scene mean something, no fixed range; higher is better
Numbers:  NTIRE 2024, PIQ23 test: SRCC 0.864, PLCC 0.857, hidden test: SRCC 0.411, PLCC 0.544 / ours: not measured, no
          weights here
"""

from __future__ import annotations

from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor, nn

from mien.core.views import Box, Five, InputView, ViewPreprocess


def face_crop(picture: Image.Image, box_xyxy: Box | None, margin_px: int = 20) -> Image.Image:
    """What the face branch is shown.

    Args:
        picture: upright, mode RGB.
        box_xyxy: of the most confident face (the authors use YOLOv5-face, confidence 0.25, IoU 0.45), in pixels of the
            picture; None: no face was found, and the whole picture takes its place.
        margin_px: added on each side, whatever the size of the face.

    Returns:
        The enlarged box; black where it leaves the picture.
    """
    if box_xyxy is None:
        return picture
    left, top, right, bottom = (int(edge) for edge in box_xyxy)
    return picture.crop((left - margin_px, top - margin_px, right + margin_px, bottom + margin_px))


class Stage(nn.Module):
    """Swin blocks, then the halving of the map: timm's order until 0.8, which gives the checkpoint its names."""

    def __init__(self, blocks: nn.Module, downsample: nn.Module) -> None:
        super().__init__()
        self.blocks, self.downsample = blocks, downsample

    def forward(self, x: Tensor) -> Tensor:
        """(n, h, w, width) -> (n, h / 2, w / 2, 2 width), or the same in the last stage."""
        return self.downsample(self.blocks(x))


class Wrapped(nn.Module):
    """One more level in the names of the checkpoint."""

    def __init__(self, feature_extraction: nn.Module) -> None:
        super().__init__()
        self.feature_extraction = feature_extraction

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n, features)."""
        return self.feature_extraction(x)


class DNPIQA(nn.Module):
    """Two Swin-B that share nothing, and a small network over what they and LIQE saw."""

    #: for one picture both views show it whole, which is right where no face was found; else give `face_crop` to
    #: `preprocess.inputs["face"]`. Crop k of the one belongs to crop k of the other
    preprocess = ViewPreprocess(
        {
            "overall": InputView(Five(384), resize_px=448),
            "face": InputView(Five(384), resize_px=448),  # a face of whatever size, so small ones are enlarged
        }
    )

    def __init__(self, **swin: Any) -> None:
        """`swin`: settings of timm's Swin Transformer instead of those of Swin-B at 384 pixels."""
        super().__init__()
        self.feature_extraction = Wrapped(_swin(swin))
        self.feature_extraction_face = Wrapped(Wrapped(_swin(swin)))
        features = _features(self.feature_extraction) + _features(self.feature_extraction_face) + 495
        self.quality = nn.Sequential(nn.Linear(features, 128), nn.ReLU(), nn.Dropout(0.1), nn.Linear(128, 1))

    def forward(self, overall: Tensor, face: Tensor, liqe: Tensor) -> Tensor:
        """(n, 3, 384, 384) twice, (n, 495) -> (n, 1)."""
        # kept: LIQE's numbers, around 20, stand unnormalised beside features around 1
        return self.quality(torch.cat([self.feature_extraction(overall), self.feature_extraction_face(face), liqe], 1))

    def judge(self, overall: Tensor, face: Tensor, liqe: Tensor) -> Tensor:
        """(n, v, 3, 384, 384) twice, (n, 495) -> (n,), mean over the v pairs; all pairs get the same LIQE vector."""
        n, v = overall.shape[:2]
        repeated = liqe[:, None].expand(-1, v, -1)
        return self(overall.flatten(0, 1), face.flatten(0, 1), repeated.flatten(0, 1)).reshape(n, v).mean(1)


def _swin(settings: dict[str, Any]) -> nn.Module:
    """(n, 3, 384, 384) -> (n, 1024)."""
    import timm

    swin = cast("Any", timm.create_model("swin_base_patch4_window12_384", pretrained=False, num_classes=0, **settings))
    halvings = [*(stage.downsample for stage in swin.layers[1:]), nn.Identity()]
    swin.layers = nn.Sequential(*(Stage(stage.blocks, half) for stage, half in zip(swin.layers, halvings, strict=True)))
    return swin


def _features(wrapped: nn.Module) -> int:
    while isinstance(wrapped, Wrapped):
        wrapped = wrapped.feature_extraction
    return cast("Any", wrapped).num_features
