"""A published network as an ONNX file and its card, which `mien score --model FILE` runs without torch.

The file holds the whole judgement of n pictures with v views each, the aggregation over views included. It is refused
when its answers differ from torch's.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mien.core.errors import MissingExtraError, ModelError, UsageError
from mien.core.weights import sha256_of
from mien.models import zoo
from mien.models.judging import PublishedJudge, published_judge

PICTURES = 64
TOLERANCE = 1e-4  #: relative to the largest answer
LARGEST_BYTES = 2**31  #: of an ONNX file in one piece; protobuf's limit

Watch = Callable[[int, int], None]  #: pictures compared so far, pictures in all


def export(
    name: str,
    weights: Path,
    out: Path,
    *,
    raw_range: tuple[float, float] | None = None,
    watch: Watch = lambda done, of: None,
) -> float:
    """Write `out` and the card beside it.

    The comparison judges every picture twice with all its views; with a large network that takes hours on a few cores.

    Args:
        name: of `mien.models.names()`.
        weights: the authors' checkpoint, or .safetensors.
        out: file to write, suffix .onnx; replaced when it is there.
        raw_range: raw values that become score 0 and 100, where the network's card has none.
        watch: called as pictures are compared.

    Returns:
        The largest relative difference between ONNX and torch on 64 generated pictures.

    Raises:
        ModelError: weights that do not fit, a network that does not judge single pictures or is too large for one
            file, or a difference above 1e-4.
        UsageError: there is no folder for `out`.
        MissingExtraError: torch or onnx is not installed.
    """
    if not out.parent.is_dir():
        raise UsageError(f"there is no folder {out.parent}")
    _check_size(name)
    judge = published_judge(name, weights, raw_range=raw_range)
    fresh = out.with_name(f".{out.name}.new")
    try:
        write(judge, fresh)
        difference = largest_difference(judge, fresh, watch=watch)
        if not difference <= TOLERANCE:
            raise ModelError(
                f"the ONNX file of {name} differs from torch by {difference:.1e} on {PICTURES} pictures, more than "
                f"{TOLERANCE:.0e}; nothing was written"
            )
        card = _card(name, judge, fresh, out)
        fresh.replace(out)
    finally:
        fresh.unlink(missing_ok=True)
    out.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return difference


def _check_size(name: str) -> None:
    size = 4 * zoo.card(name)["parameters"]
    if size >= LARGEST_BYTES:
        raise ModelError(
            f"{name} has {size / 1e9:.1f} GB of weights and an ONNX file holds {LARGEST_BYTES / 1e9:.1f} GB: it is not "
            f"exported; 'mien score --model {name} --weights FILE' runs it with torch"
        )


class _Judging(nn.Module):
    """Positional inputs, as the exporter wants them."""

    def __init__(self, net: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.net, self.names = net, names

    def forward(self, *views: Tensor) -> Tensor:
        """(n, v, 3, h, w) each -> (n,)."""
        return cast("Any", self.net).judge(**dict(zip(self.names, views, strict=True)))


def write(judge: PublishedJudge, out: Path) -> None:
    """The network as ONNX with a free number of pictures."""
    try:
        import onnx  # noqa: F401 - torch needs it, and says so less clearly
    except ImportError:
        raise MissingExtraError("mien export", "torch") from None
    names = list(judge.preprocess.inputs)
    example = judge.preprocess(next(pictures(1)))
    views = tuple(torch.from_numpy(np.stack([example[name]] * 2)) for name in names)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the exporter warns of constants that it folds
        torch.onnx.export(
            _Judging(judge.module, names).eval(),
            views,
            str(out),
            input_names=names,
            output_names=["quality"],
            dynamic_axes={name: {0: "n"} for name in (*names, "quality")},
            opset_version=17,
            dynamo=False,
        )


def largest_difference(
    judge: PublishedJudge, model: Path, n: int = PICTURES, *, watch: Watch = lambda done, of: None
) -> float:
    """Between the file and torch, over n pictures, relative to the largest answer; inf when an answer is not finite."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model)
    differences, largest = [], 0.0
    for done, picture in enumerate(pictures(n)):
        watch(done, n)
        batch = {name: views[None] for name, views in judge.preprocess(picture).items()}
        expected = judge.network(batch)["quality"]
        found = np.asarray(session.run(["quality"], batch)[0])
        differences.append(float(np.abs(found - expected).max()))
        largest = max(largest, float(np.abs(expected).max()))
    relative = float(np.max(differences)) / max(largest, 1e-12)
    return relative if np.isfinite(relative) else float("inf")


def pictures(n: int) -> Iterator[Image.Image]:
    """Generated pictures of 640 x 576 pixels: a coarse mosaic, a ramp and noise, each of another strength."""
    for seed in range(n):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (1 + seed % 16, 2 + seed % 12, 3), dtype=np.uint8)
        base = Image.fromarray(coarse).resize((640, 576), Image.Resampling.BICUBIC)
        pixels = np.asarray(base, np.float32) + rng.normal(0, 3.0 * (seed % 9), (576, 640, 1))
        yield Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _card(name: str, judge: PublishedJudge, file: Path, out: Path) -> dict[str, Any]:
    known = zoo.card(name)
    return {
        "schema": 1,
        "name": name,
        "version": judge.model_id.partition("@")[2],
        "file": out.name,
        "sha256": sha256_of(file),
        "licence": _licence(known),
        "task": known["task"],
        "input": known["input"],
        "output": known["output"],
        "preprocess": judge.preprocess.to_dict(),
        "raw_range": judge.raw_range,
        "interval": {"level": 0.9, "factor": None, "method": "unknown: the authors published none"},
        "population": {"name": "unknown", "raw_quantiles": None},
        "paper": known["paper"],
    }


def _licence(known: dict[str, Any]) -> str:
    of_weights = sorted({str(w.get("licence", "unknown")) for w in known["weights"]}) or ["unknown"]
    return f"code: {known['code'].get('licence', 'unknown')}; weights: {', '.join(of_weights)}"
