"""SEM-HyperIQA and FULL-HyperIQA: scene logits, quality before and after the rescaling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mien.models import zoo
from mien.models.parity.fixture import Fixture
from mien.models.parity.verify import Outputs
from mien.models.sem_hyperiqa import SceneHyperIQA


def build(fixture: Fixture) -> torch.nn.Module:
    """Of the fixture's size; `weightQualityByClass` is what makes it FULL-HyperIQA."""
    config = fixture.facts["config"]
    size = {"patch_px": config["patchSize"], "scenes": config["numClasses"], "patches": config["nbPatchesIn"]}
    if "weightQualityByClass" in config:
        return zoo.build("full-hyperiqa", **size, top=max(config["weightQualityByClass"], 0))
    return zoo.build("sem-hyperiqa", **size)


def run(net: SceneHyperIQA, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """`model(x)` gives a dictionary; a second input is the index of the true scene."""
    return {name: value.numpy() for name, value in net(*map(torch.from_numpy, inputs.values())).items()}
