"""HyperIQA: a network that reads what a picture shows, and writes the small network that judges it.

Paper:    Su et al., "Blindly Assess Image Quality in the Wild Guided by a Self-Adaptive Hyper Network", CVPR 2020
Code:     written from the paper, spec and key names of SSL92/hyperIQA@c42e727; backbone of torchvision
Weights:  koniq_pretrained.pkl, licence unknown: ask the authors; trained on KonIQ-10k
Input:    (n, 3, 224, 224) float32 RGB, ImageNet statistics, `preprocess` below; n crops, 25 of one picture
Output:   (n,) float32, mean opinion score of KonIQ-10k, 0..100, not clipped; higher is better
Numbers:  PIQ23 scene split, widened to 1344 px (`sem_hyperiqa.py`): SRCC 0.740, PLCC 0.736 of the NTIRE 2024 survey;
          UHD-IQA test: SRCC 0.553, PLCC 0.103 of the AIM 2024 table / ours: not measured, no weights here
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mien.core.views import InputView, Random, ViewPreprocess


class Features(nn.Module):
    """ResNet-50 with a tap after each stage (the local distortion aware module).

    The taps keep their place in the picture: each is averaged over squares of 7 x 7 and then read by a linear layer, so
    the size of the input is fixed. `r` is that size over 224.
    """

    def __init__(self, r: int) -> None:
        from torchvision.models import resnet50

        super().__init__()
        resnet = resnet50(weights=None)
        self.conv1, self.bn1, self.relu, self.maxpool = resnet.conv1, resnet.bn1, resnet.relu, resnet.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4
        self.lda1_pool = nn.Sequential(nn.Conv2d(256, 16, 1, bias=False), nn.AvgPool2d(7))
        self.lda2_pool = nn.Sequential(nn.Conv2d(512, 32, 1, bias=False), nn.AvgPool2d(7))
        self.lda3_pool = nn.Sequential(nn.Conv2d(1024, 64, 1, bias=False), nn.AvgPool2d(7))
        self.lda4_pool = nn.AvgPool2d(7)
        self.lda1_fc = nn.Linear(16 * (8 * r) ** 2, 16)
        self.lda2_fc = nn.Linear(32 * (4 * r) ** 2, 16)
        self.lda3_fc = nn.Linear(64 * (2 * r) ** 2, 16)
        self.lda4_fc = nn.Linear(2048 * r**2, 224 * r - 3 * 16)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, 224 r, 224 r) -> semantic map (n, 2048, 7 r, 7 r), content vector (n, 224 r)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x1 = self.layer1(x)
        x2 = self.layer2(x1)
        x3 = self.layer3(x2)
        x4 = self.layer4(x3)
        taps = (
            self.lda1_fc(self.lda1_pool(x1).flatten(1)),  # no activation behind the taps
            self.lda2_fc(self.lda2_pool(x2).flatten(1)),
            self.lda3_fc(self.lda3_pool(x3).flatten(1)),
            self.lda4_fc(self.lda4_pool(x4).flatten(1)),
        )
        return x4, torch.cat(taps, 1)


class TargetNet(NamedTuple):
    """Five linear layers, written for each of n pictures. They are outputs, not parameters."""

    weights: list[Tensor]  #: five of (n, out, in)
    biases: list[Tensor]  #: five of (n, out)

    def __call__(self, content: Tensor) -> Tensor:
        """(n, 224 r) -> (n,); a sigmoid after each layer but the last."""
        *hidden, last = zip(self.weights, self.biases, strict=True)
        for weight, bias in hidden:
            content = torch.sigmoid(_linear(content, weight, bias))
        return _linear(content, *last).squeeze(1)


class Written(NamedTuple):
    """What the hyper network makes of n pictures."""

    content: Tensor  #: v of the paper, input of the target network: (n, 224 r)
    target: TargetNet
    semantics: Tensor  #: H of the paper, what the target network was written from: (n, 112 r, 7 r, 7 r)


class HyperIQA(nn.Module):
    """Features -> hyper network -> target network."""

    preprocess = ViewPreprocess(
        {
            # (height, width): the authors squeeze the landscape pictures of KonIQ into a portrait.
            # Their 25 crops are random and have no seed, so their numbers cannot be met to the last digit
            "image": InputView(Random(224, n=25), resize_px=(512, 384))
        }
    )

    def __init__(self, patch_px: int = 224) -> None:
        """Every width grows with the input (`sem_hyperiqa.py`).

        Raises:
            ValueError: `patch_px` is not a multiple of 224.
        """
        super().__init__()
        r, rest = divmod(patch_px, 224)
        if rest or r < 1:
            raise ValueError(f"the input of HyperIQA is a multiple of 224 pixels, not {patch_px}")
        seen = 112 * r  # channels of H
        self.widths = (224 * r, 112 * r, 56 * r, 28 * r, 14 * r, 1)
        self.res = Features(r)
        self.conv1 = nn.Sequential(
            nn.Conv2d(2048, 1024, 1), nn.ReLU(), nn.Conv2d(1024, 512, 1), nn.ReLU(), nn.Conv2d(512, seen, 1), nn.ReLU()
        )
        for layer, (c_in, c_out) in enumerate(pairwise(self.widths[:-1]), 1):
            # one number of the weight per channel and place of the map of 7 r x 7 r
            self.add_module(f"fc{layer}w_conv", nn.Conv2d(seen, c_in * c_out // (7 * r) ** 2, 3, padding=1))
            self.add_module(f"fc{layer}b_fc", nn.Linear(seen, c_out))
        self.fc5w_fc = nn.Linear(seen, 14 * r)
        self.fc5b_fc = nn.Linear(seen, 1)

    def write(self, x: Tensor) -> Written:
        """The target network of each picture: (n, 3, h, w) -> n networks and their inputs."""
        deep, content = self.res(x)
        semantics = self.conv1(deep)
        pooled = semantics.mean((2, 3))
        weights, biases = [], []
        for layer, (c_in, c_out) in enumerate(pairwise(self.widths), 1):
            generator = self.fc5w_fc(pooled) if layer == 5 else self.get_submodule(f"fc{layer}w_conv")(semantics)
            weights.append(generator.reshape(-1, c_out, c_in))
            biases.append(self.get_submodule(f"fc{layer}b_fc")(pooled))
        return Written(content, TargetNet(weights, biases), semantics)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w) -> (n,)."""
        written = self.write(x)
        return written.target(written.content)

    def judge(self, image: Tensor) -> Tensor:
        """(n, v, 3, h, w), v crops of each picture -> (n,), mean over the crops."""
        return self(image.flatten(0, 1)).reshape(image.shape[:2]).mean(1)


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(n, in), (n, out, in), (n, out) -> (n, out): each row has a layer of its own."""
    return (weight @ x.unsqueeze(2)).squeeze(2) + bias
