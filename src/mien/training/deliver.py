"""A trained network as an ONNX file and its card, for `mien score --model FILE.onnx` without torch.

The file is refused when its answers differ from torch's by more than 1e-4 on 64 pictures. All figures of the card are
of pictures that were not trained on; it says which of them had a say in the choice of the epoch.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mien.core.errors import MissingExtraError, ModelError
from mien.core.preprocess import Preprocess
from mien.core.views import ViewPreprocess
from mien.core.weights import sha256_of
from mien.data.sample import Sample
from mien.models import export
from mien.models.judging import PublishedJudge
from mien.training.calibrate import coverage, interval_factor, population_quantiles
from mien.training.loop import Fitted
from mien.training.measure import Answers, agreement, predict
from mien.training.parallel import Machine
from mien.training.parts import FEWEST_HELD, Parts
from mien.training.recipe import Recipe

LEVEL = 0.9  #: of the interval
FEWEST_OF_A_POPULATION = 100  #: below, a percentile would say nothing

SQUARE_OUTPUTS = ("quality", "spread", "attributes")


@dataclass(frozen=True)
class Origin:
    """What a run was made of, in words for the card."""

    data: tuple[str, ...]  #: a name for each data set
    start: str = "random weights"


def deliver(
    recipe: Recipe, fitted: Fitted, parts: Parts, origin: Origin, out: Path, here: Machine, pool: Executor
) -> Path:
    """Write `out` and its card.

    Args:
        recipe: that the network was trained by.
        fitted: the network.
        parts: its data.
        origin: for the card.
        out: file to write, suffix .onnx.
        here: this process.
        pool: reads pictures.

    Returns:
        `out`.

    Raises:
        ModelError: ONNX and torch differ by more than 1e-4.
        MissingExtraError: onnx is not installed.
    """
    answers = {
        name: predict(recipe, fitted.net, samples, here, pool)
        for name, samples in (("val", parts.val), ("held", parts.held), ("test", parts.test))
        if samples
    }
    net = fitted.net.cpu()
    card_file = out.with_suffix(".json")
    fresh, fresh_card = (path.with_name(f".{path.name}.new") for path in (out, card_file))
    try:
        difference = write_checked(recipe, net, fresh)
        card = _card(recipe, fitted, parts, origin, answers, difference) | {
            "file": out.name,
            "sha256": sha256_of(fresh),
        }
        fresh_card.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
        fresh.replace(out)  # nothing that can take long or fail comes between the model and its card
        fresh_card.replace(card_file)
    finally:
        fresh.unlink(missing_ok=True)
        fresh_card.unlink(missing_ok=True)
    return out


def write_checked(recipe: Recipe, net: nn.Module, out: Path) -> float:
    """The network as ONNX, when it answers as torch does.

    Args:
        recipe: with the preparation and the way to judge.
        net: on the CPU, in evaluation mode.
        out: file to write.

    Returns:
        The largest relative difference on 64 generated pictures.

    Raises:
        ModelError: it is above 1e-4; the file is left for its owner to remove.
        MissingExtraError: onnx is not installed.
    """
    try:
        import onnx  # noqa: F401 - torch needs it, and says so less clearly
    except ImportError:
        raise MissingExtraError("a model that 'mien score' runs", "train") from None
    if isinstance(recipe.preprocess, Preprocess):
        _write_square(recipe, net, out, recipe.preprocess)
        difference = _square_difference(recipe, net, out, recipe.preprocess)
    else:
        judge = _published(recipe, net, recipe.preprocess)
        export.write(judge, out)
        difference = export.largest_difference(judge, out, export.PICTURES)
    if not difference <= export.TOLERANCE:
        raise ModelError(
            f"the ONNX file of {recipe.name} differs from torch by {difference:.1e} on {export.PICTURES} pictures, "
            f"more than {export.TOLERANCE:.0e}; no model was written. The weights are in best.pt"
        )
    return difference


class _Square(nn.Module):
    """The outputs that the runtime reads of a network that sees whole pictures."""

    def __init__(self, net: nn.Module, recipe: Recipe) -> None:
        super().__init__()
        self.net, self._judge = net, recipe.judge

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(n, s, s, 3) of 0..255 -> quality (n,), spread (n,), attributes (n, 4) in 0..100."""
        answers = self._judge(self.net, {"image": image})
        return tuple(answers[name] for name in SQUARE_OUTPUTS)


def _write_square(recipe: Recipe, net: nn.Module, out: Path, preprocess: Preprocess) -> None:
    example = torch.zeros((2, preprocess.size_px, preprocess.size_px, 3))
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the exporter warns of constants that it folds
        torch.onnx.export(
            _Square(net.to(memory_format=torch.contiguous_format), recipe).eval(),
            (example,),
            str(out),
            input_names=["image"],
            output_names=list(SQUARE_OUTPUTS),
            dynamic_axes={name: {0: "n"} for name in ("image", *SQUARE_OUTPUTS)},
            opset_version=17,
            dynamo=False,
        )


def _square_difference(recipe: Recipe, net: nn.Module, model: Path, preprocess: Preprocess) -> float:
    """The largest difference of each output, relative to its largest value; inf where one is not finite."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model)
    image = np.stack([preprocess(picture) for picture in export.pictures(export.PICTURES)])
    with torch.inference_mode():
        answers = recipe.judge(net, {"image": torch.from_numpy(image)})
    worst = 0.0
    for name, found in zip(SQUARE_OUTPUTS, session.run(list(SQUARE_OUTPUTS), {"image": image}), strict=True):
        expected = answers[name].numpy()
        worst = max(worst, float(np.abs(np.asarray(found) - expected).max() / max(np.abs(expected).max(), 1e-12)))
    return worst if np.isfinite(worst) else float("inf")


def _published(recipe: Recipe, net: nn.Module, preprocess: ViewPreprocess) -> PublishedJudge:
    """The trained network in the form that published ones are exported from."""

    def network(batch: dict[str, Any]) -> dict[str, Any]:
        with torch.inference_mode():
            return {"quality": recipe.judge(net, {k: torch.from_numpy(v) for k, v in batch.items()})["quality"].numpy()}

    return PublishedJudge(recipe.name, preprocess, (0.0, 1.0), network, net)


def _card(
    recipe: Recipe,
    fitted: Fitted,
    parts: Parts,
    origin: Origin,
    answers: Mapping[str, Answers],
    difference: float,
) -> dict[str, Any]:
    unseen = "held" if "held" in answers else "val"
    return {
        "schema": 1,
        "name": recipe.name,
        "version": _version(fitted.net),
        "licence": "unknown: that of the training data decides; mien's code is Apache-2.0",
        "task": "quality of a picture, as the people rated it whose opinions the training table holds",
        "input": ", ".join(recipe.inputs),
        "preprocess": _preprocess(recipe),
        "raw_range": _raw_range(recipe, fitted, parts, answers["val"]),
        "raw_scale": _raw_scale(recipe, fitted),
        "interval": _interval(fitted, parts, answers),
        "population": _population(answers[unseen], unseen),
        "training": _training(recipe, fitted, parts, origin),
        "metrics": _metrics(fitted, parts, answers) | {"onnx_against_torch": difference},
        "known_failures": [
            "Not looked for: this model was made by a recipe and has been measured on the pictures above only.",
            "Pictures of another kind than the training table are judged without warning.",
        ],
    }


def _version(net: nn.Module) -> str:
    """The first eight digits of the SHA-256 of the weights."""
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()[:8]


def _preprocess(recipe: Recipe) -> dict[str, Any]:
    made = recipe.preprocess
    return asdict(made) if isinstance(made, Preprocess) else made.to_dict()


def _raw_range(recipe: Recipe, fitted: Fitted, parts: Parts, val: Answers) -> list[float]:
    """Raw values that become score 0 and 100."""
    if recipe.raw_range is not None:
        return list(recipe.raw_range)
    if recipe.relative:
        low, high = np.percentile(val["quality"], [1, 99]).tolist()
        return [low, high] if high > low else [low - 1, low + 1]
    labels = [fitted.labels(s.label) for s in parts.train if s.label is not None]
    return [min(labels), max(labels)]


def _raw_scale(recipe: Recipe, fitted: Fitted) -> str:
    if recipe.raw_range is not None:
        return "that of the network; only the order of the labels was learned"
    if recipe.relative:
        return "only the order inside a scene was learned: score 0 and 100 are the 1st and 99th percentile of val"
    if recipe.labels == "unit":
        return f"0 is the label {fitted.labels.low:g}, 1 the label {fitted.labels.high:g}; higher is better"
    return "that of the labels; score 0 and 100 are the lowest and the highest training label"


def _interval(fitted: Fitted, parts: Parts, answers: Mapping[str, Answers]) -> dict[str, Any]:
    none = {"level": LEVEL, "factor": None}
    if "spread" not in answers["val"]:
        return none | {"method": "none: the network does not say how sure it is"}
    if "held" not in answers:
        return none | {
            "method": f"none: it takes a validation part of {2 * FEWEST_HELD} pictures, half of which, "
            "in whole contents, is held back"
        }
    held = answers["held"]
    label = np.array([fitted.labels(s.label) for s in parts.held if s.label is not None])
    error = np.abs(held["quality"] - label)
    measured, deviation = coverage(error, held["spread"], LEVEL)
    return {
        "level": LEVEL,
        "factor": interval_factor(error, held["spread"], LEVEL),
        "coverage_held_out": round(measured, 4),
        "coverage_sd_over_splits": round(deviation, 4),
        "n": len(label),
        "method": "split conformal on pictures that were held back from training and from the choice of the epoch; "
        "coverage: factor from one half of them, counted on the other, 200 times",
    }


def _population(answers: Answers, part: str) -> dict[str, Any]:
    n = len(answers["quality"])
    if n < FEWEST_OF_A_POPULATION:
        return {"name": f"none: {n} pictures are too few for percentiles", "raw_quantiles": None}
    return {
        "name": f"the {part} part of the training table",
        "n": n,
        "raw_quantiles": population_quantiles(answers["quality"]),
    }


def _training(recipe: Recipe, fitted: Fitted, parts: Parts, origin: Origin) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "paper": recipe.paper,
        "settings": recipe.settings(),
        "start": origin.start,
        "data": list(origin.data),
        "data_sha256": data_sha256(parts.everything),
        "data_licence": "unknown",
        "split": parts.made,
        "pictures": {name: len(getattr(parts, name)) for name in ("train", "val", "held", "test")},
        "epochs": len(fitted.history),
        "chosen_epoch": fitted.epoch,
        "torch": torch.__version__,
    }


def data_sha256(samples: Sequence[Sample]) -> str:
    """Of names, labels, parts and the bytes of the pictures, in order."""
    digest = hashlib.sha256()
    for s in samples:
        digest.update(f"{s.name}\0{s.label}\0{s.split}\0".encode() + hashlib.sha256(s.read()).digest())
    return digest.hexdigest()


def _metrics(fitted: Fitted, parts: Parts, answers: Mapping[str, Answers]) -> dict[str, Any]:
    said = {
        "val": "not trained on; chose the epoch, so its figures flatter a little",
        "held": "neither trained on nor chosen by",
        "test": "neither trained on nor chosen by",
    }
    return {
        name: {
            "data": said[name],
            "n": len(answer["quality"]),
            **agreement(fitted.labels.back(answer["quality"]), getattr(parts, name)),
        }
        for name, answer in answers.items()
    }
