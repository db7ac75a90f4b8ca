"""LIQE: the sentences as tokens and as vectors, logits at full size, marginals, and the published class's mistake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from PIL import Image
from torch import Tensor

from mien.core.views import Fragments, ViewPreprocess, Whole
from mien.models.liqe import DISTORTIONS, LIQE, SCENES, Judgement, judgement, prompts
from mien.models.parity.fixture import Fixture
from mien.models.parity.verify import Check, Outputs, compare

_LOGITS: WeakKeyDictionary[LIQE, Tensor] = WeakKeyDictionary()  #: of the last picture; one case has no input of its own


def run(net: LIQE, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """Text alone; marginals of the case before; or a picture in one of three ways to its windows."""
    if case["name"] == "text_features":
        return {"text_features_rows": net.encode_prompts()[case["outputs"]["text_features_rows"]["rows"]].numpy()}
    if not inputs:
        return _marginals(judgement(_LOGITS[net]))
    (picture,) = inputs.values()
    if case["name"] == "dn_piqa_logits_fullres":
        _LOGITS[net] = net.logits(_windows(picture, net.full_size))
        return {"logits": _LOGITS[net].numpy()}
    if case["name"] == "class_LIQE_py_as_published":
        return _marginals(net(_windows(picture, net.first_window)))
    logits = net.logits(_windows(picture, net.preprocess))
    whole = replace(net.preprocess.inputs["image"], crop=Whole())
    return {"preprocessed": whole(picture), "logits": logits.numpy(), **_marginals(judgement(logits))}


def extra(net: LIQE, fixture: Fixture) -> list[Check]:
    """All tokens; moments of all text features; where the windows are; names of the likeliest scene and distortion."""
    checks, cases = [], {case["name"]: case for case in fixture.cases}
    wanted = [row + [0] * (prompts().shape[1] - len(row)) for row in fixture.facts["prompt_tokens"]]
    checks.append(compare("text_features", "tensor", "tokens", prompts(), wanted, 0.0))
    with torch.inference_mode():
        text = net.encode_prompts()
    std, mean = torch.std_mean(text, correction=0)
    of = cases["text_features"]["intermediates"]["all_495x512"]
    got, wanted = [mean, std, *text.flatten()[:8]], [of["mean"], of["std"], *of["first8"]]
    checks.append(compare("text_features", "tensor", "all_495x512", got, wanted))
    of = cases["demo_py_large_image"]["windowing"]
    rows, columns = ((side - 224) // of["step"] + 1 for side in of["resized_hw"])
    wanted = [divmod(i * of["sel_step"], columns) for i in range(15)]
    crop = net.preprocess.inputs["image"].crop
    assert not isinstance(crop, Fragments)
    got = crop.positions(*of["resized_hw"]) / of["step"]
    checks.append(compare("demo_py_large_image", "sampler", "windows", got, wanted, 0.0))
    checks.append(compare("demo_py_large_image", "sampler", "number", rows * columns, of["n_windows"], 0.0))
    case = cases["class_LIQE_py_as_published"]
    picture = Image.fromarray(fixture.input(case["inputs"][0]))
    with torch.inference_mode():
        found = net(_windows(picture, net.first_window))
    got = [int(found.scenes.argmax()), int(found.distortions.argmax())]
    wanted = [list(SCENES).index(case["labels"]["scene"]), list(DISTORTIONS).index(case["labels"]["distortion"])]
    return [*checks, compare(case["name"], "prepared", "labels", got, wanted, 0.0)]


def _windows(picture: Image.Image, preprocess: ViewPreprocess) -> Tensor:
    return torch.from_numpy(preprocess(picture)["image"])[None]


def _marginals(of: Judgement) -> Outputs:
    return {
        "quality": of.quality.numpy(),
        "p_quality": of.qualities.numpy(),
        "p_scene": of.scenes.numpy(),
        "p_distortion": of.distortions.numpy(),
    }
