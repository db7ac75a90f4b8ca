"""AdaFace: who is in an aligned picture of a face, as a direction; its length before normalising tells of quality.

Paper:    Kim, Jain, Liu, "AdaFace: Quality Adaptive Margin for Face Recognition", CVPR 2022, arXiv 2204.00964
Code:     written from the paper, spec and key names of mk-minchul/AdaFace@c60eaa7
Weights:  Lightning checkpoints, one per data set (IR-50: CASIA-WebFace, MS1MV2, WebFace4M; IR-101: MS1MV2, MS1MV3,
          WebFace4M, WebFace12M), licence unknown: ask the authors; NTIRE 2025 takes IR-50 trained on MS1MV2
Input:    (n, 3, 112, 112) float32 BGR, mean and deviation 0.5, `preprocess` below; faces aligned by five points
Output:   (n, 512) float32, unit length, and (n, 1) their length before; two faces compare by dot product, -1..1
Numbers:  mean accuracy on five verification sets, trained on MS1MV2: IR-50 0.9688, IR-101 0.9719 (README); the identity
          gate of NTIRE 2025 (real-world face restoration) / ours: not measured, no weights here
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn

from mien.core.errors import ModelError
from mien.core.views import InputView, ViewPreprocess, Whole
from mien.models import checkpoints

FACE_PX = 112
WIDTHS = (64, 128, 256, 512)
NAMES = ("adaface-ir50", "adaface-ir101")
PREFIX = "model."  #: of the network's own keys in the Lightning checkpoint; the training head has others

Embedder = Callable[[Sequence[Image.Image]], npt.NDArray[np.float32]]  #: n aligned RGB faces -> (n, 512) directions


class Embedding(NamedTuple):
    """What the network makes of n faces."""

    direction: Tensor  #: (n, 512), unit length
    norm: Tensor  #: (n, 1), length before normalising; a longer one goes with a better picture (section 3.2)


class IRBlock(nn.Module):
    """Two 3 x 3 convolutions behind a normalisation; the second one strides."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer = (
            nn.MaxPool2d(1, stride)  # takes every stride-th pixel
            if c_in == c_out
            else nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
        )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(c_in),
            nn.Conv2d(c_in, c_out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(c_out),
            nn.PReLU(c_out),
            nn.Conv2d(c_out, c_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, c_in, h, w) -> (n, c_out, h / stride, w / stride)."""
        return self.res_layer(x) + self.shortcut_layer(x)


class IResNet(nn.Module):
    """Stem, four stages that halve the picture, the first one too (112 -> 56 -> 28 -> 14 -> 7), one linear layer."""

    # the authors' loader gives RGB and the weights expect BGR, so their test code turns the channels round
    preprocess = ViewPreprocess({"face": InputView(Whole(), mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), bgr=True)})

    def __init__(self, units: tuple[int, int, int, int]) -> None:
        """`units` are the blocks of each stage."""
        super().__init__()
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        blocks, c_in = [], 64
        for width, n in zip(WIDTHS, units, strict=True):
            for i in range(n):
                blocks.append(IRBlock(c_in, width, stride=2 if i == 0 else 1))
                c_in = width
        self.body = nn.Sequential(*blocks)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512),
            nn.Dropout(0.4),
            nn.Flatten(),
            nn.Linear(512 * (FACE_PX // 16) ** 2, 512),
            nn.BatchNorm1d(512, affine=False),
        )

    @staticmethod
    def rename(state_dict: Mapping[str, Any]) -> dict[str, Any]:
        """Strip `model.` and drop the training head, which has no such prefix; bare keys pass unchanged."""
        own = {key.removeprefix(PREFIX): value for key, value in state_dict.items() if key.startswith(PREFIX)}
        return own or dict(state_dict)

    def forward(self, x: Tensor) -> Embedding:
        """(n, 3, 112, 112) -> directions (n, 512) and norms (n, 1).

        Raises:
            ValueError: faces of another size.
        """
        if tuple(x.shape[1:]) != (3, FACE_PX, FACE_PX):
            raise ValueError(
                f"AdaFace reads aligned faces of {FACE_PX} x {FACE_PX} pixels, not tensors of {tuple(x.shape)}"
            )
        embedding = self.output_layer(self.body(self.input_layer(x)))
        norm = torch.linalg.vector_norm(embedding, dim=1, keepdim=True)
        return Embedding(embedding / norm, norm)  # no epsilon, as in the authors' code


def fused_with_flip(net: IResNet, x: Tensor) -> Embedding:
    """Each face and its mirror image as one: what the authors' validation does, and their demo does not.

    Args:
        net: from `ir50` or `ir101`.
        x: (n, 3, 112, 112) as `IResNet.preprocess` gives it.

    Returns:
        The sum of both embeddings at full length, normalised: a view with a longer embedding counts for more.
    """
    upright, mirrored = net(x), net(x.flip(3))
    total = upright.direction * upright.norm + mirrored.direction * mirrored.norm
    norm = torch.linalg.vector_norm(total, dim=1, keepdim=True)
    return Embedding(total / norm, norm)


def ir50() -> IResNet:
    """43.6 M parameters, 6.3 G multiply-adds."""
    return IResNet((3, 4, 14, 3))


def ir101() -> IResNet:
    """65.2 M parameters, 12.1 G multiply-adds; the authors build it under the number 100."""
    return IResNet((3, 13, 30, 3))


def embedder(name: str, weights: str | os.PathLike[str], *, flip: bool = True) -> Embedder:
    """The network as a function from aligned faces to their directions, for `mien.faces.identity.similarity`.

    Args:
        name: "adaface-ir50" or "adaface-ir101".
        weights: the authors' checkpoint, or .safetensors.
        flip: see each face with its mirror image (`fused_with_flip`), which takes twice the time.

    Returns:
        A function of n RGB faces of 112 x 112 pixels, as `mien.faces.align.aligned` gives them; its result is (n, 512)
        float32 of unit length.

    Raises:
        ModelError: another network, or weights that do not fit.
    """
    if name not in NAMES:
        raise ModelError(f"{name!r} does not tell people apart: the networks for that are {' and '.join(NAMES)}")
    net = cast("IResNet", checkpoints.load(name, Path(weights)))
    return as_embedder(net, flip=flip)


def as_embedder(net: IResNet, *, flip: bool = True) -> Embedder:
    """The same of a network that is in memory."""

    def embed(faces: Sequence[Image.Image]) -> npt.NDArray[np.float32]:
        x = torch.from_numpy(np.concatenate([net.preprocess(face)["face"] for face in faces]))
        with torch.inference_mode():
            return (fused_with_flip(net, x) if flip else net(x)).direction.numpy()

    return embed
