"""HyperIQA: a score per crop, their mean, and the layers that the hyper network writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image

from mien.models.hyperiqa import HyperIQA
from mien.models.parity.fixture import Fixture
from mien.models.parity.verify import Check, Outputs, compare


def run(net: HyperIQA, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """The authors write a target network per crop and apply it; a picture is cropped where the case says."""
    (given,) = inputs.values()
    if not isinstance(given, Image.Image):
        return {"score": net(torch.from_numpy(given)).numpy()}
    crops = net.preprocess.inputs["image"](given, case["crop_top_left"])
    scores = torch.cat([net(crop[None]) for crop in torch.from_numpy(crops)])  # one at a time, as they do
    return {"patch_scores": scores.numpy(), "score": scores.mean(0, keepdim=True).numpy(), "preprocessed": crops}


def extra(net: HyperIQA, fixture: Fixture) -> list[Check]:
    """Mean, standard deviation and first values of the target network's input, weights and biases."""
    checks = []
    for case in fixture.cases:
        expected = case.get("generated_parameters")
        if not expected:
            continue
        (spec,) = case["inputs"]
        with torch.inference_mode():
            written = net.write(torch.from_numpy(fixture.input(spec)))
        layers = enumerate(zip(written.target.weights, written.target.biases, strict=True), 1)
        found = {f"target_fc{i}{kind}": value for i, layer in layers for kind, value in zip("wb", layer, strict=True)}
        found["target_in_vec"] = written.content
        for name, of in expected.items():
            std, mean = torch.std_mean(found[name], correction=0)
            got = [mean, std, *found[name].flatten()[:8]]
            checks.append(compare(case["name"], "tensor", name, got, [of["mean"], of["std"], *of["first8"]]))
    return checks
