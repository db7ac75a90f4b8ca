"""DN-PIQA: tensors and a LIQE vector; or one picture with the box of its face, five pairs of crops."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image

from mien.models.dn_piqa import DNPIQA, face_crop
from mien.models.parity.fixture import Fixture
from mien.models.parity.verify import Check, Outputs, compare


def run(net: DNPIQA, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """`score = model(overall, face, liqe)`; of a picture the mean over its five pairs."""
    if "overall" in inputs:
        return {"score": net(*(torch.from_numpy(inputs[name]) for name in ("overall", "face", "liqe"))).numpy()}
    picture, liqe = inputs["img"], torch.from_numpy(inputs["liqe1"])
    views = {
        "overall": net.preprocess.inputs["overall"](picture),
        "face": net.preprocess.inputs["face"](face_crop(picture, case["face_box_xyxy"])),
    }
    overall, face = (torch.from_numpy(view) for view in views.values())
    scores = net(overall, face, liqe.expand(len(overall), -1))
    return {
        "crop_scores": scores.numpy(),
        "score": net.judge(overall[None], face[None], liqe).numpy(),
        **{f"preprocessed:{name}": view for name, view in views.items()},
    }


def extra(net: DNPIQA, fixture: Fixture) -> list[Check]:
    """The size of the face crop."""
    (case,) = (case for case in fixture.cases if "face_box_xyxy" in case)
    picture = Image.fromarray(fixture.input(case["inputs"][0]))
    size = face_crop(picture, case["face_box_xyxy"]).size
    return [compare(case["name"], "sampler", "face crop", size, case["preprocessed"]["face_crop_size_wh"], 0.0)]
