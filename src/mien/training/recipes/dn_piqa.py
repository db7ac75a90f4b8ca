"""DN-PIQA, alias PQE: pairs of portraits of one scene, each seen whole, by its face, and through a frozen LIQE.

Paper:    Sun et al., "Dual-Branch Network for Portrait Image Quality Assessment", arXiv 2405.08555 (`dn-piqa`, settings
          and soft labels of the released code); NTIRE 2024 portrait survey, section 3.3 (`pqe`, binary labels)
Run:      mien train pqe --data labels.csv (with scene, and x1, y1, x2, y2 of the face) --start FOLDER
Start:    a folder with liqe.pt (the authors' LIQE), and piqa.pt (PIQ_model.pth) where one goes on from theirs; LIQE
          with random weights says nothing. Their backbones came from LSVQ and GFIQA-20k and are not published alone
Numbers:  PIQ23 test: SRCC 0.864, PLCC 0.857 / ours: not measured, no pictures here
Open:     the pair list that is published holds another attribute; ours is drawn anew each epoch, each picture twice a
          first. A picture without the edges of its face is shown whole in their place, as where no face is found
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor, nn

from mien.core.errors import ModelError
from mien.core.views import Box, InputView, Random, ViewPreprocess
from mien.losses.fidelity import Convention, pair_fidelity_loss
from mien.models import zoo
from mien.models.dn_piqa import DNPIQA, face_crop
from mien.models.liqe import LIQE
from mien.training.crops import Looks, TrainViews
from mien.training.order import Pairs
from mien.training.parts import Split
from mien.training.recipe import Batch, Optimizer, Recipe, Tensors, begin_whole
from mien.training.schedule import Steps


class WithLIQE(nn.Module):
    """The network and the LIQE that it listens to, so that both travel in one file. LIQE does not learn."""

    def __init__(self, piqa: Mapping[str, Any], liqe: Mapping[str, Any]) -> None:
        super().__init__()
        self.piqa = cast("DNPIQA", zoo.build("dn-piqa", **piqa))
        self.liqe = cast("LIQE", zoo.build("liqe", **liqe))
        self.liqe.requires_grad_(False)

    def forward(self, overall: Tensor, face: Tensor, windows: Tensor) -> Tensor:
        """(n, 3, h, w) twice, (n, v, 3, 224, 224) -> (n, 1)."""
        return self.piqa(overall, face, self._said(windows))

    def judge(self, overall: Tensor, face: Tensor, windows: Tensor) -> Tensor:
        """(n, v, 3, h, w) twice, (n, w, 3, 224, 224) -> (n,), mean over the v pairs."""
        return self.piqa.judge(overall, face, self._said(windows))

    def _said(self, windows: Tensor) -> Tensor:
        self.liqe.eval()
        with torch.no_grad():
            return self.liqe.logits(windows)


def look(picture: Image.Image, box: Box | None, names: Sequence[str]) -> Looks:
    """The face is cut from its enlarged box."""
    return {"overall": picture, "face": face_crop(picture, box), "windows": picture}


def forward(net: nn.Module, views: Tensors, batch: Batch) -> Tensors:
    """One crop of picture and face, all windows for LIQE."""
    return {"score": net(views["overall"].flatten(0, 1), views["face"].flatten(0, 1), views["windows"])}


def loss(outputs: Tensors, batch: Batch, *, convention: Convention) -> Tensors:
    """Nothing but the order of pairs."""
    (q1, q2), (y1, y2) = outputs["score"].reshape(-1, 2).T, batch.label.reshape(-1, 2).T
    return {"pairs": pair_fidelity_loss(q1, q2, y1, y2, convention=convention)}


def begin(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Whatever of `liqe.*` and `piqa.*` is there."""
    both = cast("WithLIQE", net)
    for prefix, part in (("liqe.", both.liqe), ("piqa.", both.piqa)):
        if own := {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}:
            begin_whole(part, own)
    if not any(key.startswith(("liqe.", "piqa.")) for key in weights):
        raise ModelError("--start of this recipe is a folder with liqe.pt, and piqa.pt if there is one")


PQE = Recipe(
    name="pqe",
    paper="PQE, NTIRE 2024 portrait survey, arXiv 2404.11159; DN-PIQA, arXiv 2405.08555",
    network=partial(WithLIQE, {}, {}),
    views=TrainViews(
        {
            "overall": InputView(Random(384, 1), resize_px=448),
            "face": InputView(Random(384, 1), resize_px=448),
            "windows": LIQE.full_size.inputs["image"],
        }
    ),
    preprocess=ViewPreprocess({**DNPIQA.preprocess.inputs, "windows": LIQE.full_size.inputs["image"]}),
    loss=partial(loss, convention="paper"),
    forward=forward,
    look=look,
    order=Pairs(rounds=2),
    split=Split(share=0.1, per_scene=True),
    relative=True,
    epochs=10,
    batch=12,
    optimizer=Optimizer("adam", 1e-5, weight_decay=1e-7, schedule=Steps(every=2, factor=0.9)),
    select=("srcc_inside",),
    begin=begin,
    start="Swin-B after LSVQ and after GFIQA-20k, LIQE",
)
DN_PIQA = replace(PQE, name="dn-piqa", loss=partial(loss, convention="code"))

_VIEW = InputView(Random(64, 1), resize_px=72)
_INPUTS = {"overall": _VIEW, "face": _VIEW, "windows": InputView(Random(32, 2))}
QUICK_PQE = replace(
    PQE,
    network=partial(
        WithLIQE,
        {"img_size": 64, "window_size": 2, "embed_dim": 8, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 2, 2)},
        {
            "out": 16,
            "image_px": 32,
            "patch_px": 8,
            "image_width": 64,
            "image_layers": 1,
            "text_width": 64,
            "text_layers": 1,
        },
    ),
    views=TrainViews(_INPUTS),
    preprocess=ViewPreprocess(_INPUTS),
    epochs=1,
    batch=8,
)
QUICK_DN_PIQA = replace(QUICK_PQE, name="dn-piqa", loss=DN_PIQA.loss)
