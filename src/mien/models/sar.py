"""SAR: a portrait judged whole and by its face, with a yardstick for each scene and a gate between the two.

Paper:    Chahine et al., "Deep Portrait Quality Assessment. A NTIRE 2024 Challenge Survey", CVPR Workshops 2024,
          arXiv 2404.11159, section 3.5 (team SECE-SYSU)
Code:     none published; written from the survey's text
Weights:  none published; trained on PIQ23, after CLIP
Input:    whole, face: (n, 3, 224, 224) float32 RGB patches, CLIP statistics, `preprocess` below; face: of
          `face_square`; 30 pairs of one picture
Output:   `Judgement`; score (n,) float32, just-objectionable differences (JOD) inside the guessed scene, no fixed
          range; higher is better
Numbers:  NTIRE 2024, PIQ23 test: SRCC 0.828, PLCC 0.855, hidden test: SRCC 0.304, PLCC 0.453 / ours: not measured, no
          weights here

The survey's tables list 135.02 M parameters without the face detector, 26.11 G MACs and 35.43 G FLOPs. As built there
are 93.2 M. The computation is met: 26.11 G without attention, which counters overlook that hook into layers, 35.40 G
with all but its products (36.59 G). So 41.8 M parameters are missing that compute nothing. Readings tried: own
projection for the face 109.1 M; own blocks 7 to 10 for the face 121.5 M; both 137.5 M; own encoder for the face 164.8
M; all twelve blocks and CLIP's projection kept 107.7 M; the scene from all six frozen outputs together 119.7 M, with
the face's own projection 135.6 M, with twelve blocks 134.3 M. The last two come near, but their convolution for the
scene costs 6.2 G, where the table leaves 1.0 G. No sentence asks for any of them.

Ambiguous, read by us:
- "The outputs of the first 6 blocks" name the scene: the output of the sixth, through 3 x 3, ReLU, mean, linear.
- Both convolutions are 3 x 3 and see the places only, not the class token.
- The gate reads both embeddings and weighs the whole picture. The survey says neither.
- Patch k of the picture goes with patch k of the face.
- Shorter side 512 before patches are cut, and 30 of them spread evenly over all at every 32 pixels.
- No face: the whole picture instead.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from mien.core.views import Box, InputView, ViewPreprocess, Windows
from mien.models.clip import CLIP_MEAN, CLIP_STD, ImageTransformer


def face_square(picture: Image.Image, box_xyxy: Box | None, least_px: int = 512) -> Image.Image:
    """What the face branch is shown.

    Args:
        picture: upright, mode RGB.
        box_xyxy: of the face in pixels of the picture (the authors use a light DSFD, confidence 0.8, lowered step by
            step to 0.2 until there is a face); None: no face was found, and the whole picture takes its place.
        least_px: the square is not smaller than this.

    Returns:
        A square around the middle of the box, as wide as its longer edge; moved inside where it leaves the picture,
        black where it is larger than the picture.
    """
    if box_xyxy is None:
        return picture
    left, top, right, bottom = box_xyxy
    side = max(round(max(right - left, bottom - top)), least_px)
    x, y = (
        _inside(round((first + last - side) / 2), side, length)
        for first, last, length in ((left, right, picture.width), (top, bottom, picture.height))
    )
    return picture.crop((x, y, x + side, y + side))


def _inside(first: int, side: int, length: int) -> int:
    return (length - side) // 2 if side > length else min(max(first, 0), length - side)


class Judgement(NamedTuple):
    """Of n patches."""

    score: Tensor  #: (n,)
    scene: Tensor  #: (n, scenes) logits
    gate: Tensor  #: (n,) weight of the whole picture, 0..1; the face has the rest


class SAR(nn.Module):
    """Ten blocks of CLIP's ViT-B/16 read both; six of them stay as CLIP left them and name the scene.

    `mien.models.clip.start_from(net.visual, weights)` gives them what CLIP has learnt.
    """

    #: for one picture both views show it whole, which is right where no face was found; else give `face_square` to
    #: `preprocess.inputs["face"]`. Patch k of the one belongs to patch k of the other
    preprocess = ViewPreprocess(
        dict.fromkeys(
            ("whole", "face"),
            InputView(Windows(224, 30, stride_px=32, ends=True), resize_px=512, mean=CLIP_MEAN, std=CLIP_STD),
        )
    )

    def __init__(
        self,
        *,
        scenes: int = 50,
        image_px: int = 224,
        patch_px: int = 16,
        width: int = 768,
        layers: int = 10,
        frozen: int = 6,
    ) -> None:
        """Build with random weights.

        Args:
            scenes: that have a yardstick.
            image_px: of a patch of the picture.
            patch_px: of a token.
            width: of a token.
            layers: of the transformer.
            frozen: blocks that are not trained; the scene is read from the last of them.
        """
        super().__init__()
        self.scenes, self.frozen = scenes, frozen
        self.visual = ImageTransformer(None, image_px=image_px, patch_px=patch_px, width=width, layers=layers)
        cast("Any", self.visual).ln_post = nn.Identity()  # belongs behind the twelfth block
        self.scene_conv = nn.Conv2d(width, width, 3, padding=1)
        self.scene_class = nn.Linear(width, scenes)
        self.projection = nn.Conv2d(3 * width, width, 3, padding=1)
        self.whole_regressors = nn.Linear(width, scenes)  # one linear layer per scene: its row
        self.face_regressors = nn.Linear(width, scenes)
        self.gate = nn.Sequential(
            nn.Linear(2 * width, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1), nn.Sigmoid()
        )
        for name, parameter in self.visual.named_parameters():
            if not name.startswith("transformer.") or int(name.split(".")[2]) < frozen:
                parameter.requires_grad_(False)

    def forward(
        self, whole: Tensor | None = None, face: Tensor | None = None, *, scene: Tensor | None = None
    ) -> Judgement:
        """Judge patches.

        Args:
            whole: (n, 3, 224, 224), patches of the picture; None in the training steps that see the face only.
            face: (n, 3, 224, 224), likewise.
            scene: (n,) int64, the true scene, in training; None to weight the yardsticks by the guess.

        Returns:
            Score, guess and gate; the scene is guessed from the whole picture where it is given. The gate is 1 without
            face and 0 without whole.

        Raises:
            ValueError: neither is given.
        """
        looks = [self._look(x) for x in (whole, face) if x is not None]
        if not looks:
            raise ValueError("SAR needs patches of the whole picture, of the face, or both")
        embeddings, logits = [embedding for embedding, _ in looks], self._scene(looks[0][1])
        likely = logits.softmax(1) if scene is None else F.one_hot(scene, self.scenes).to(logits.dtype)
        if whole is not None and face is not None:
            gate = self.gate(torch.cat(embeddings, 1)).squeeze(1)
            by_whole, by_face = self.whole_regressors(embeddings[0]), self.face_regressors(embeddings[1])
            return Judgement(gate * _in(likely, by_whole) + (1 - gate) * _in(likely, by_face), logits, gate)
        regressors = self.face_regressors if whole is None else self.whole_regressors
        gate = torch.full_like(logits[:, 0], float(face is None))
        return Judgement(_in(likely, regressors(embeddings[0])), logits, gate)

    def judge(self, whole: Tensor, face: Tensor) -> Tensor:
        """(n, v, 3, 224, 224) twice -> (n,), mean over the v pairs, each judged with a scene and a gate of its own."""
        return self(whole.flatten(0, 1), face.flatten(0, 1)).score.reshape(whole.shape[:2]).mean(1)

    def _look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, 224, 224) -> embedding (n, width), map behind the frozen blocks (n, width, side, side)."""
        x, levels = self.visual.embed(x), []
        for block in self.visual.transformer.resblocks:
            x = block(x)
            levels.append(x)
        last = torch.cat([_map(level) for level in levels[-3:]], 1)
        return self.projection(last).mean((2, 3)), _map(levels[self.frozen - 1])

    def _scene(self, seen: Tensor) -> Tensor:
        """(n, width, side, side) -> (n, scenes)."""
        return self.scene_class(F.relu(self.scene_conv(seen)).mean((2, 3)))


def _map(tokens: Tensor) -> Tensor:
    """(n, 1 + side * side, width) -> (n, width, side, side), without the class token."""
    side = int((tokens.shape[1] - 1) ** 0.5)
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side))


def _in(likely: Tensor, scores: Tensor) -> Tensor:
    """Score in each scene, weighted: (n, scenes) twice -> (n,)."""
    return (likely * scores).sum(1)
