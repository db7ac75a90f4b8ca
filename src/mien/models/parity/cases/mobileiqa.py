"""MobileIQA, student: one tensor in, one number out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mien.models.mobileiqa import MobileIQAStudent
from mien.models.parity.verify import Outputs


def run(net: MobileIQAStudent, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """`score = model(x)`."""
    (x,) = inputs.values()
    return {"score": net(torch.from_numpy(x)).numpy()}
