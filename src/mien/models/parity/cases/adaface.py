"""AdaFace: directions and norms of faces, their cosines, and the fusion with the mirror image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image

from mien.models.adaface import IResNet, fused_with_flip
from mien.models.parity.verify import Outputs


def run(net: IResNet, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """`embedding, norm = model(x)`; pictures are aligned already, and compared or fused as the case says."""
    view = net.preprocess.inputs["face"]
    x = torch.cat(
        [torch.from_numpy(view(given) if isinstance(given, Image.Image) else given) for given in inputs.values()]
    )
    if case["name"] == "flip_fusion":
        return {"fused": fused_with_flip(net, x).direction.numpy()}
    direction, norm = net(x)
    found = {"embedding": direction, "norm": norm, "cosine": direction @ direction.T}
    if len(inputs) == 2:
        found |= {"embedding_a": direction[:1], "norm_a": norm[:1], "norm_b": norm[1:]}
        found["cosine_ab"] = (direction[0] * direction[1]).sum()
    return {name: value.numpy() for name, value in found.items()}
