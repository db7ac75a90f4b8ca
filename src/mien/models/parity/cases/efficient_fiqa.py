"""Efficient-FIQA, student and teacher: one tensor or one picture in, one number out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image

from mien.models.efficient_fiqa import Student, Teacher
from mien.models.parity.verify import Outputs


def run(net: Student | Teacher, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """`score = model(x)`; a picture goes through the network's own preprocessing first."""
    (given,) = inputs.values()
    x = net.preprocess.inputs["image"](given) if isinstance(given, Image.Image) else given
    return {"score": net(torch.from_numpy(x)).numpy(), "preprocessed": x}
