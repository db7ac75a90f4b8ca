"""DOVER: a map of scores for each side and its mean; the frames, fragments and squeezed frames of a video."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from mien.core.clips import Squeeze
from mien.models.dover import DOVER
from mien.models.parity.cases.fast_vqa import offsets, pixel_checks
from mien.models.parity.fixture import Fixture
from mien.models.parity.verify import Check, Outputs, compare


def run(net: DOVER, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """`maps = model({"technical": a, "aesthetic": b})`, in this order, then their means."""
    technical, aesthetic = (torch.from_numpy(x) for x in inputs.values())
    maps = net({"technical": technical, "aesthetic": aesthetic})
    found = {f"{side}_map_summary": scores.numpy() for side, scores in maps._asdict().items()}
    return found | {side: scores.mean((1, 2, 3, 4)).numpy() for side, scores in maps._asdict().items()}


def extra(net: DOVER, fixture: Fixture) -> list[Check]:
    """The samplers' frames where nothing is drawn; pixels at the fixture's places, with and without smoothing."""
    checks = []
    for case in fixture.facts["view_cases"]:
        video = fixture.input(case["input"])
        for side, view in net.preprocess.inputs.items():
            frames = view.indices(len(video))
            checks.append(compare(case["name"], "sampler", f"{side} frames", frames, case["frame_indices"][side], 0.0))
        technical, aesthetic = net.preprocess.inputs.values()
        checks += pixel_checks(
            case["name"], "technical", technical.pixels(video, offsets=offsets(case)), case["technical"]
        )
        for smooth in (True, False):
            view = replace(aesthetic, space=Squeeze(224, antialias=smooth))
            name = f"aesthetic_antialias_{str(smooth).lower()}_uint8"
            checks += pixel_checks(case["name"], name, view.pixels(video), case[name])
    return checks
