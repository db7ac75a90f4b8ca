"""UIQA: three tensors, or three views of one picture; and the sampler of fragments alone."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from PIL import Image

from mien.core.views import Fragments, InputView
from mien.models.parity.fixture import Fixture
from mien.models.parity.verify import Check, Outputs, compare
from mien.models.uiqa import UIQA


def run(net: UIQA, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """`score = model(aesthetics, distortion, saliency)`; fragments are cut where the case says."""
    if "aesthetics" in inputs:
        return {"score": net(*(torch.from_numpy(inputs[name]) for name in net.preprocess.inputs)).numpy()}
    (picture,) = inputs.values()
    assert isinstance(picture, Image.Image)
    offsets = [case["fragment_offsets"]["rows"], case["fragment_offsets"]["cols"]]
    views = {
        name: view(picture, offsets if isinstance(view.crop, Fragments) else None)
        for name, view in net.preprocess.inputs.items()
    }
    outputs = {f"preprocessed:{name}": value for name, value in views.items()}
    fragments = net.preprocess.inputs["distortion"].pixels(picture, offsets)
    outputs["preprocessed:fragment_before_norm"] = _unit(fragments)
    outputs["score"] = net(*map(torch.from_numpy, views.values())).numpy()
    return outputs


def extra(net: UIQA, fixture: Fixture) -> list[Check]:
    """Pictures of other sizes and grids; where nothing is enlarged, the bytes must be the same."""
    checks = []
    for case in fixture.facts["fragment_sampler_cases"]:
        picture = Image.fromarray(fixture.input(case["input"]))
        view = InputView(Fragments(case["n_fragments"]))
        found = _unit(view.pixels(picture, [case["offsets_rows"], case["offsets_cols"]]))
        expected = case["output"]
        got = [found.mean(dtype=np.float64), found.std(dtype=np.float64), *found.ravel()[:8]]
        wanted = [expected["mean"], expected["std"], *expected["first8"]]
        checks.append(compare(case["name"], "sampler", "fragments", got, wanted, 1e-6))
        if case["exact"]:
            crc = zlib.crc32(np.ascontiguousarray(found).tobytes())
            checks.append(compare(case["name"], "sampler", "bytes", crc, expected["crc32_of_float32"], 0.0))
    return checks


def _unit(fragments: np.ndarray) -> np.ndarray:
    """(1, h, w, 3) of 0..255 -> (3, h, w) of 0..1."""
    return (fragments[0] / np.float32(255)).transpose(2, 0, 1)
