"""LIQE: CLIP, trained on six data sets at once to order pictures, name their scenes and name their distortions.

Paper:    Zhang et al., "Blind Image Quality Assessment via Vision-Language Correspondence", CVPR 2023; settings of the
          released code
Run:      mien train liqe --data A --dataset live-challenge --data B --dataset koniq10k ... --start CLIP.pt
Data:     column `scene`: names of `mien.models.liqe.SCENES`, several joined by ";"; column `distortion`: one of its
          DISTORTIONS. KADID-10k's numbers are known as far as they are unambiguous. Pictures without a name teach
          the order only: the tables of names that the authors made for KonIQ, BID and LIVE Challenge are not at hand
Numbers:  not at hand / ours: not measured
Open:     the epoch is chosen by SRCC, pooled; the authors add the accuracies of scene and distortion. They use 10
          random splits and the median: repeat with --seed
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from mien.core.views import InputView, Random, ViewPreprocess
from mien.losses.fidelity import all_pairs_fidelity_loss, fidelity_loss, single_label_fidelity_loss
from mien.losses.weighting import dynamic_weights
from mien.models import zoo
from mien.models.clip import CLIP_MEAN, CLIP_STD
from mien.models.liqe import DISTORTIONS, LIQE, SCENES
from mien.training.crops import Mirror, TrainViews
from mien.training.order import Mixed
from mien.training.recipe import Batch, History, Optimizer, Recipe, Tensors
from mien.training.schedule import CosineWave

KADID = {
    **dict.fromkeys(("01", "02", "03"), "blur"),
    **dict.fromkeys(("05", "07", "08"), "color"),
    **dict.fromkeys(("11", "12", "13", "14"), "noise"),
    **{"09": "jpeg2000 compression", "10": "jpeg compression", "16": "overexposure", "17": "underexposure"},
    **{"22": "quantization", "25": "contrast"},
}  #: numbers of its distortions -> names of LIQE


def network(**sizes: Any) -> nn.Module:
    """The temperature stays what it is."""
    net = zoo.build("liqe", **sizes)
    cast("Any", net).logit_scale.requires_grad_(False)
    return net


def forward(net: nn.Module, views: Tensors, batch: Batch) -> Tensors:
    """Marginals of the 495 sentences, for (n, v, 3, 224, 224)."""
    said = net(views["image"])
    return {"score": said.quality, "scenes": said.scenes, "distortions": said.distortions}


def loss(outputs: Tensors, batch: Batch) -> Tensors:
    """All pairs inside each data set, scenes (several a picture), distortion (one a picture)."""
    scenes = [[float(name in s.scene.split(";")) for name in SCENES] for s in batch.samples]
    named = [KADID.get(s.distortion, s.distortion) for s in batch.samples]
    distortions = [[float(name == n) for name in DISTORTIONS] for n in named]
    return {
        "order": all_pairs_fidelity_loss(outputs["score"], batch.label, batch.group),
        "scenes": _of_known(fidelity_loss, outputs["scenes"], scenes),
        "distortions": _of_known(single_label_fidelity_loss, outputs["distortions"], distortions),
    }


def weigh(history: History) -> Mapping[str, float]:
    """What falls slowly counts more; alike in the first two epochs. Terms that nothing is known for stay out."""
    if len(history) < 2:
        return {}
    names = [name for name in history[-1] if name.startswith("loss_") and history[-1][name] > 0 < history[-2][name]]
    last, before = (torch.tensor([record[name] for name in names]) for record in (history[-1], history[-2]))
    return dict(zip((n.removeprefix("loss_") for n in names), dynamic_weights(last, before).tolist(), strict=True))


def _of_known(term: Any, predicted: Tensor, rows: list[list[float]]) -> Tensor:
    """Over the pictures that have a name; 0 where none has."""
    label = torch.tensor(rows, device=predicted.device)
    known = label.any(1)
    return term(predicted[known], label[known]) if known.any() else 0 * predicted.sum()


RECIPE = Recipe(
    name="liqe",
    paper="LIQE, CVPR 2023",
    network=network,
    views=TrainViews(
        {"image": InputView(Random(224, 3), resize_px=768, resize_from_px=768, mean=CLIP_MEAN, std=CLIP_STD)},
        (Mirror(),),
    ),
    preprocess=LIQE.preprocess,
    loss=loss,
    forward=forward,
    order=Mixed({"live": 4, "csiq": 4, "bid": 4, "live-challenge": 4, "koniq10k": 16, "kadid10k": 16}, steps=200),
    raw_range=(1.0, 5.0),
    epochs=80,
    batch=48,
    optimizer=Optimizer("adamw", 5e-6, weight_decay=1e-3, schedule=CosineWave(5)),
    weigh=weigh,
    start="CLIP ViT-B/32",
)
QUICK = replace(
    RECIPE,
    network=partial(
        network, out=16, image_px=32, patch_px=8, image_width=64, image_layers=1, text_width=64, text_layers=1
    ),
    views=TrainViews({"image": InputView(Random(32, 2), mean=CLIP_MEAN, std=CLIP_STD)}, (Mirror(),)),
    preprocess=ViewPreprocess({"image": InputView(Random(32, 1), mean=CLIP_MEAN, std=CLIP_STD)}),
    order=Mixed(),
    epochs=3,
    batch=8,
)
