"""DSL-FIQA: degradation encoder, landmark vector, a score per crop and their mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from mien.models.dsl_fiqa import CROP_PX, DSLFIQA, landmark_vector
from mien.models.parity.fixture import Fixture
from mien.models.parity.verify import Check, Outputs, compare

SEED = 20250711  #: of the fixture; its landmarks are drawn, not stored


def run(net: DSLFIQA, case: Mapping[str, Any], inputs: Mapping[str, Any]) -> Outputs:
    """The authors call the two networks one after the other, and the heads for one picture after the other."""
    if "img" in inputs:
        return _picture(net, case, inputs["img"])
    x, landmarks = (torch.from_numpy(array) for array in inputs.values())
    tokens = _tokens(net, x, landmarks)
    outputs = {"score": torch.cat([net.IQA.pool(one[None]) for one in tokens]).numpy()}
    if "score_with_landmarks_negated" in case["outputs"]:
        outputs["score_with_landmarks_negated"] = net(x, -landmarks).numpy()
        outputs["landmark_channel_first_32_tokens"] = tokens[:, :32, -1].numpy()
    return outputs


def extra(net: DSLFIQA, fixture: Fixture) -> list[Check]:
    """The landmark vectors, whose few different numbers the score hardly shows, and both outputs of the encoder."""
    checks = []
    for case in fixture.cases:
        if "landmark_vectors" in case:
            points, first = _landmarks(), case["landmarks_xy_68"]["first"]
            checks.append(compare(case["name"], "prepared", "landmarks", points[: len(first)], first, 1e-6))
            for (top, left), of in zip(case["crop_top_left"], case["landmark_vectors"], strict=True):
                vector = landmark_vector(points, top, left)
                got = [(vector < vector.max()).sum(), *vector[:8], vector[-1]]
                wanted = [of["n_inside"], *of["first8"], of["last"]]
                checks.append(compare(case["name"], "prepared", f"landmark vector at {top}, {left}", got, wanted, 1e-7))
    return checks + _encoder(net, fixture)


def _tokens(net: DSLFIQA, x: torch.Tensor, landmarks: torch.Tensor) -> torch.Tensor:
    degradation, _ = net.DE(x)
    return net.IQA.tokens(x, degradation, landmarks)


def _picture(net: DSLFIQA, case: Mapping[str, Any], picture: Image.Image) -> Outputs:
    where = case["crop_top_left"]
    crops = net.preprocess.inputs["image"](picture, where)
    landmarks = np.stack([landmark_vector(_landmarks(), top, left, size_px=CROP_PX) for top, left in where])
    scores = net(torch.from_numpy(crops), torch.from_numpy(landmarks))
    return {"crop_scores": scores.numpy(), "score": scores.mean(0, keepdim=True).numpy(), "preprocessed": crops}


def _landmarks() -> npt.NDArray[np.float64]:
    """68 of x, y: 60 + 400 of the fixture's field of random numbers."""
    spec = {"kind": "image_tensor", "name": "landmarks68", "shape": [1, 68, 2], "mean": [0], "std": [1], "cell": 1}
    return 60 + 400 * Fixture("", {"seed": SEED}).input(spec)[0].astype(np.float64)


def _encoder(net: DSLFIQA, fixture: Fixture) -> list[Check]:
    case = next(case for case in fixture.cases if "degradation" in case)
    with torch.inference_mode():
        outputs = net.DE(torch.from_numpy(fixture.input(case["inputs"][0])))
    checks = []
    for (name, of), found in zip(case["degradation"].items(), outputs, strict=True):
        std, mean = torch.std_mean(found, correction=0)
        got = [mean, std, *found.flatten()[:8]]
        checks.append(compare(case["name"], "tensor", name, got, [of["mean"], of["std"], *of["first8"]]))
    return checks
