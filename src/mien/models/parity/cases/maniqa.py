"""MANIQA: a score per crop and their mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image

from mien.models.maniqa import MANIQA
from mien.models.parity.verify import Outputs


def run(net: MANIQA, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """The authors' heads read one picture after the other; a picture is cropped where the case says."""
    (given,) = inputs.values()
    if not isinstance(given, Image.Image):
        tokens = net.tokens(torch.from_numpy(given))
        return {"score": torch.cat([net.pool(one[None]) for one in tokens]).numpy()}
    crops = net.preprocess.inputs["image"](given, case["crop_top_left"])
    scores = net(torch.from_numpy(crops))
    return {"crop_scores": scores.numpy(), "score": scores.mean(0, keepdim=True).numpy(), "preprocessed": crops}
