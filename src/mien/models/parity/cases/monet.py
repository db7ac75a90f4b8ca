"""MoNet: the authors published its multi-view attention module only; the fixture has it in a reduced size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mien.models.monet import MAL
from mien.models.parity.fixture import Fixture
from mien.models.parity.verify import Outputs


def build(fixture: Fixture) -> MAL:
    """The bare module, as large as the fixture's features."""
    (spec,) = fixture.cases[0]["inputs"]
    levels, _, channels, side, _ = spec["shape"]
    return MAL(channels, levels, side).eval()


def run(net: MAL, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """(levels, n, channels, side, side) -> (n, channels, side * side)."""
    (maps,) = inputs.values()
    return {"out": net(torch.from_numpy(maps)).numpy()}
