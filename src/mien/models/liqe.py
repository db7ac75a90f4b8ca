"""LIQE: a picture's quality, its scene and its distortion, asked of CLIP in 495 sentences.

Paper:    Zhang et al., "Blind Image Quality Assessment via Vision-Language Correspondence: A Multitask Learning
          Perspective", CVPR 2023, arXiv 2303.14968
Code:     written from the paper, spec and key names of zwx8981/LIQE@a64655f
Weights:  LIQE.pt, licence unknown: ask the authors; trained on LIVE, CSIQ, BID, LIVE Challenge, KonIQ-10k and
          KADID-10k, after CLIP
Input:    (n, v, 3, 224, 224) float32 RGB, CLIP statistics, v windows of each picture, `preprocess` below
Output:   `Judgement`; quality (n,) float32, 1 bad .. 5 perfect, higher is better
Numbers:  unknown: the paper's are not at hand / ours: not measured, no weights here
"""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mien.core.views import InputView, ViewPreprocess, Windows
from mien.models.clip import CLIP, CLIP_MEAN, CLIP_STD

# "a photo of a {scene} with {distortion} artifacts, which is of {quality} quality": words and CLIP's tokens for them
QUALITIES = {"bad": (2103,), "poor": (3665,), "fair": (2849,), "good": (886,), "perfect": (1878,)}  # 1 to 5
SCENES = {
    "animal": (4668,),
    "cityscape": (40808,),
    "human": (2751,),
    "indoor": (9546,),
    "landscape": (5727,),
    "night": (930,),
    "plant": (3912,),
    "still_life": (1170, 318, 970),
    "others": (3326,),
}
DISTORTIONS = {
    "jpeg2000 compression": (73, 11207, 273, 271, 271, 271, 25638),
    "jpeg compression": (73, 11207, 25638),
    "noise": (9307,),
    "blur": (27976,),
    "color": (3140,),
    "contrast": (18501,),
    "overexposure": (8649, 13002, 35539),
    "underexposure": (21675, 87, 35539),
    "spatial": (22022,),
    "quantization": (31540, 3683),
    "other": (1010,),
}
_WINDOWS = 15  #: of a picture
_BEGIN, _END = 49406, 49407
_A_PHOTO_OF_A, _WITH, _QUALITY = (320, 1125, 539, 320), 593, 3027
_ARTIFACTS_WHICH_IS_OF = (30249, 267, 1448, 533, 539)


def prompts() -> Tensor:
    """(495, 24) int64, padded with 0; the quality changes slowest, the distortion fastest."""
    sentences = [
        (_BEGIN, *_A_PHOTO_OF_A, *scene, _WITH, *distortion, *_ARTIFACTS_WHICH_IS_OF, *quality, _QUALITY, _END)
        for quality, scene, distortion in product(QUALITIES.values(), SCENES.values(), DISTORTIONS.values())
    ]
    longest = max(map(len, sentences))
    return torch.tensor([(*sentence, *[0] * (longest - len(sentence))) for sentence in sentences])


class Judgement(NamedTuple):
    """What 495 sentences say of n pictures."""

    quality: Tensor  #: (n,) expected quality, 1..5
    qualities: Tensor  #: (n, 5) probabilities, in the order of `QUALITIES`
    scenes: Tensor  #: (n, 9) probabilities, in the order of `SCENES`
    distortions: Tensor  #: (n, 11) probabilities, in the order of `DISTORTIONS`


def judgement(logits: Tensor) -> Judgement:
    """Of all sentences together: (n, 495) -> marginals and expected quality."""
    joint = logits.softmax(1).unflatten(1, (len(QUALITIES), len(SCENES), len(DISTORTIONS)))
    qualities = joint.sum((2, 3))
    levels = torch.arange(1, 1 + len(QUALITIES), dtype=joint.dtype, device=joint.device)
    return Judgement(qualities @ levels, qualities, joint.sum((1, 3)), joint.sum((1, 2)))


def _evaluation(windows: int) -> ViewPreprocess:
    crop = Windows(224, windows, stride_px=32, long_stride_px=48, long_from_px=1024)
    # a picture with one side below 768 stays as it is
    return ViewPreprocess({"image": InputView(crop, resize_px=768, resize_from_px=768, mean=CLIP_MEAN, std=CLIP_STD)})


class LIQE(CLIP):
    """A CLIP (ViT-B/32, both transformers trained further) and the sentences.

    A subclass, because the authors' file is a CLIP state dict and nothing else.

    In evaluation mode the sentences are encoded once for every set of weights; `text_features` keeps them, and an
    exported network holds them as a constant. In training mode they are encoded with each call, so the gradient reaches
    the text transformer. (The authors train in evaluation mode; there is no dropout, so it makes no other difference.)
    """

    preprocess = _evaluation(_WINDOWS)  #: windows all over the picture
    #: the authors' class LIQE since August 2024: a mistake in its step makes all 15 windows the top left one
    first_window = _evaluation(1)  # the mean of 15 equal windows is one
    #: DN-PIQA's way to `logits`: no resizing, one stride
    full_size = ViewPreprocess({"image": InputView(Windows(224, _WINDOWS, stride_px=32), mean=CLIP_MEAN, std=CLIP_STD)})
    IGNORED = ("input_resolution", "context_length", "vocab_size")  # stand in OpenAI's own archives

    def __init__(self, *, only_first_window: bool = False, **sizes: int) -> None:
        """`only_first_window`: judge as `first_window` does; the published numbers do not. `sizes`: of `CLIP`."""
        super().__init__(**sizes)
        if only_first_window:
            self.preprocess = self.first_window
        self.text_features: Tensor
        self.register_buffer("text_features", torch.empty(0), persistent=False)
        self._encoded: tuple[int, ...] | None = None  # versions of the weights that `text_features` was made with
        self.register_load_state_dict_post_hook(_remember)

    def logits(self, windows: Tensor) -> Tensor:
        """(n, v, 3, 224, 224) -> (n, 495), temperature x cosine, mean over the windows, in the order of `prompts`."""
        n, v = windows.shape[:2]
        agreement = self.encode_image(windows.flatten(0, 1)) @ self.encode_prompts().T
        return (self.logit_scale.exp() * agreement).reshape(n, v, -1).mean(1)

    def forward(self, windows: Tensor) -> Judgement:
        """(n, v, 3, 224, 224) -> all that the sentences say."""
        return judgement(self.logits(windows))

    def judge(self, image: Tensor) -> Tensor:
        """(n, v, 3, 224, 224), v windows of each picture -> (n,), 1..5."""
        # kept: when a picture has fewer than 15 windows, the authors take the first one 15 times
        return self(image if image.shape[1] >= _WINDOWS else image[:, :1]).quality

    def encode_prompts(self) -> Tensor:
        """(495, out), of length 1."""
        if self.training:
            return self._encode_prompts()
        text = (p for name, p in self.named_parameters() if not name.startswith("visual."))
        versions = tuple(0 if p.is_inference() else p._version for p in text)  # grow with every change in place
        if versions != self._encoded:
            with torch.inference_mode(False), torch.no_grad():
                self.text_features = self._encode_prompts()
            self._encoded = versions
        return self.text_features

    def _encode_prompts(self) -> Tensor:
        tokens = prompts().to(self.text_projection.device).split(len(SCENES) * len(DISTORTIONS))
        return torch.cat([self.encode_text(part) for part in tokens])


def _remember(net: nn.Module, _: Any) -> None:
    """Encode as soon as there are weights, so that a trace of the network (ONNX) meets a constant."""
    assert isinstance(net, LIQE)
    net._encoded = None
    if not net.training:
        net.encode_prompts()
