"""FAST-VQA: a map of scores and its mean; the samplers of frames and fragments."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch

from mien.core.clips import ClipView, EvenClips, VideoFragments
from mien.models import zoo
from mien.models.fast_vqa import FastVQA
from mien.models.parity.fixture import Fixture
from mien.models.parity.verify import Array, Check, Outputs, compare

CLIP = 32  # frames; the fixtures of both networks test the sampler with the settings of the larger one


def build(fixture: Fixture) -> FastVQA:
    """The case that begins with a video uses frames and places of the first sampler case: they are put beside it."""
    sampler = fixture.facts["fragment_sampler_cases"][0]
    for case in fixture.cases:
        if any(spec["kind"] == "video_uint8" for spec in case["inputs"]):
            case["sampler"] = sampler
    mobile = "swin_tiny_grpb_m" in fixture.facts["source"]["cls"]
    return cast("FastVQA", zoo.build("fast-vqa-m" if mobile else "fast-vqa"))


def run(net: FastVQA, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """`map = model({"fragments": x})`, then its mean."""
    (given,) = inputs.values()
    if "sampler" in case:
        indices = np.reshape(case["sampler"]["frame_indices_interval1"], (-1, CLIP))[:1]
        given = net.preprocess.inputs["fragments"](given, indices, offsets(case["sampler"])[..., :1])
    scores = net({"fragments": torch.from_numpy(given)}).numpy()
    return {"score": scores.mean((1, 2, 3, 4)), "score_map_summary": scores, "preprocessed": given}


def extra(net: FastVQA, fixture: Fixture) -> list[Check]:
    """Frames at both intervals, and the spliced pixels to the byte."""
    checks = []
    for case in fixture.facts["fragment_sampler_cases"]:
        video = fixture.input(case["input"])
        for interval in (1, 2):
            found = EvenClips(case["num_clips"], CLIP, interval).indices(len(video))
            expected = case[f"frame_indices_interval{interval}"]
            checks.append(compare(case["name"], "sampler", f"frames at interval {interval}", found, expected, 0.0))
        view = ClipView(EvenClips(case["num_clips"], CLIP), VideoFragments(7, aligned_frames=CLIP))
        expected = dict(case["output"])
        if not case["exact"]:
            expected.pop("crc32_of_float32")
        checks += pixel_checks(case["name"], "fragments", view.pixels(video, offsets=offsets(case)), expected)
    return checks


def offsets(case: Mapping[str, Any]) -> Array:
    """(2, grid, grid, blocks) that a case fixes."""
    return np.array([case["offsets_rows"], case["offsets_cols"]])


def pixel_checks(case: str, what: str, clips: Array, expected: Mapping[str, Any]) -> list[Check]:
    """Clips (v, t, h, w, 3) as the authors hold them, (3, v * t, h, w): moments, first values, bytes if given."""
    found = np.ascontiguousarray(clips.reshape(-1, *clips.shape[2:]).transpose(3, 0, 1, 2))
    got = [found.mean(dtype=np.float64), found.std(dtype=np.float64), *found.ravel()[:8]]
    checks = [compare(case, "sampler", what, got, [expected["mean"], expected["std"], *expected["first8"]], 1e-5)]
    if "crc32_of_float32" in expected:
        crc = zlib.crc32(found.tobytes())
        checks.append(compare(case, "sampler", f"bytes of {what}", crc, expected["crc32_of_float32"], 0.0))
    return checks
