"""SEM-HyperIQA and FULL-HyperIQA: what counts as a good portrait depends on the scene, so guess the scene and rescale.

Paper:    SEM: Chahine et al., "An Image Quality Assessment Dataset for Portraits", CVPR 2023
          FULL: Chahine et al., "Generalized Portrait Quality Assessment", arXiv 2402.09178
Code:     written from the papers, spec and key names of DXOMARK-Research/PIQ2023@4a20fa8; `hyperiqa.py` is the trunk
Weights:  none published
Input:    (n, 3, 1344, 1344) float32 RGB; resize, crop and statistics are ours: the authors published no test code.
          1344 is the README's; 50 scenes and one patch are inferred: with them there are the published 145 M parameters
Output:   quality (n, 1) float32, just-objectionable differences (JOD) inside a scene, no fixed range; higher is better
Numbers:  NTIRE 2024, PIQ23 test: SRCC SEM 0.749, FULL 0.778; PLCC SEM 0.752, FULL 0.784; hidden test: SRCC SEM 0.518,
          FULL 0.536 / ours: not measured, no weights here
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.core.views import Center, InputView, Random, ViewPreprocess
from mien.models.hyperiqa import HyperIQA


def sem_hyperiqa(*, patch_px: int = 1344, scenes: int = 50, patches: int = 1) -> SceneHyperIQA:
    """The rescaling follows from the probabilities of all scenes at once."""
    return SceneHyperIQA(patch_px, scenes, patches, top=0)


def full_hyperiqa(*, patch_px: int = 1344, scenes: int = 50, patches: int = 1, top: int | None = None) -> SceneHyperIQA:
    """The quality in each of the `top` likeliest scenes, weighted by their probabilities.

    `top`: None for all of them; which number the authors used is unknown. 0 is SEM-HyperIQA, as in their code.
    """
    return SceneHyperIQA(patch_px, scenes, patches, top=scenes if top is None else top)


class MLP(nn.Module):
    """Linear layers with ReLU between them."""

    def __init__(self, *widths: int) -> None:
        super().__init__()
        steps = [step for sizes in pairwise(widths) for step in (nn.Linear(*sizes), nn.ReLU())]
        self.layers = nn.Sequential(*steps[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """(n, first width) -> (n, last width)."""
        return self.layers(x)


class SceneHyperIQA(nn.Module):
    """HyperIQA with a scene classifier on H, and a network that turns a scene into a slope and an offset."""

    def __init__(self, patch_px: int, scenes: int, patches: int, *, top: int) -> None:
        """See `sem_hyperiqa` and `full_hyperiqa`.

        Raises:
            ValueError: `patch_px` is not a multiple of 224, or there are fewer than `top` scenes.
        """
        super().__init__()
        if not 0 <= top <= scenes:
            raise ValueError(f"{top} likeliest scenes out of {scenes}")
        self.scenes, self.patches, self.top = scenes, patches, top
        crop = Center(patch_px) if patches == 1 else Random(patch_px, n=patches)
        self.preprocess = ViewPreprocess({"image": InputView(crop, resize_px=patch_px)})
        self.hyperNet = HyperIQA(patch_px)
        self.sceneClassNet = MLP(patches * patch_px // 2 * scenes, 500, 500, scenes)  # H has patch_px / 2 channels
        self.rescaleNet = MLP(scenes, 100, 100, 100, 2)
        self.register_buffer("bins", _bins(patch_px // 32, scenes), persistent=False)

    def forward(self, x: Tensor, scene: Tensor | None = None) -> dict[str, Tensor]:
        """Judge pictures of `patches` patches each.

        Args:
            x: (n * patches, 3, h, w).
            scene: (n,) int64, the true scene where it is known; None to guess it.

        Returns:
            `class` (n, scenes) logits, `quality` (n, 1), and `preQuality` (n, 1), the same before rescaling.
        """
        quality, evidence = self._patches(x)
        # kept: the quality is averaged as if the rows came in the order (patch, picture), the scene is read as if they
        # came as (picture, patch); with several of both, pictures mix. `judge` takes (picture, patch) for both
        quality = quality.reshape(self.patches, -1).mean(0)
        logits = self.sceneClassNet(evidence.reshape(-1, self.patches * evidence.shape[1]))
        return {
            "class": logits,
            "quality": self._rescaled(quality, logits, scene)[:, None],
            "preQuality": quality[:, None],
        }

    def judge(self, image: Tensor) -> Tensor:
        """(n, v, 3, h, w), v a multiple of `patches` -> (n,), mean over the groups of `patches` views."""
        groups = image.unflatten(1, (-1, self.patches)).flatten(0, 1)  # (n * groups, patches, 3, h, w)
        quality, evidence = self._patches(groups.flatten(0, 1))
        quality = quality.reshape(-1, self.patches).mean(1)
        logits = self.sceneClassNet(evidence.reshape(-1, self.patches * evidence.shape[1]))
        return self._rescaled(quality, logits, None).reshape(image.shape[0], -1).mean(1)

    def _patches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(m, 3, h, w) -> quality (m,), evidence of the scene (m, channels of H * scenes)."""
        written = self.hyperNet.write(x)
        # kept: the height is averaged away and the WIDTH is cut into as many bins as there are scenes
        evidence = written.semantics.mean(2) @ self.get_buffer("bins")
        return written.target(written.content), evidence.flatten(1)

    def _rescaled(self, quality: Tensor, logits: Tensor, scene: Tensor | None) -> Tensor:
        """Q' = a Q + b with (a, b) of the scene: (n,), (n, scenes) -> (n,)."""
        if scene is not None:
            return self._in_scene(quality, F.one_hot(scene, self.scenes))
        likely = logits.softmax(1)
        if self.top == 0:
            return self._in_scene(quality, likely)
        likely, which = likely.topk(self.top, 1)
        each = [self._in_scene(quality, one) for one in F.one_hot(which, self.scenes).unbind(1)]
        return (likely * torch.stack(each, 1)).sum(1) / likely.sum(1)

    def _in_scene(self, quality: Tensor, scene: Tensor) -> Tensor:
        a, b = self.rescaleNet(scene.to(quality.dtype)).unbind(1)
        return a * quality + b


def _bins(width: int, n: int) -> Tensor:
    """(width, n): averages that an adaptive pooling from `width` to `n` takes; they overlap where n is larger."""
    bins = torch.zeros(width, n)
    for i in range(n):
        first, end = i * width // n, -(-(i + 1) * width // n)
        bins[first:end, i] = 1 / (end - first)
    return bins
