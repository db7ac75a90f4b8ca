"""Does a network give the official numbers? Every case of a fixture, in three steps, so a failure says which broke.

tensor     what enters the network is given; its outputs are compared
prepared   a uint8 picture (or frames) goes through the network's own preprocessing; tensor and outputs are compared
file       the same picture as a PNG file goes through mien's decoder first; outputs are compared
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import nn

from mien.core.decode import decode
from mien.core.errors import UsageError
from mien.models import zoo
from mien.models.parity.fixture import Fixture, manifest_differences

Array = npt.NDArray[Any]
Outputs = dict[str, Array]
TOLERANCE = 1e-4  #: of outputs, relative to the largest expected value, float32 on a CPU
_INTERMEDIATE_TOLERANCE = 1e-3  #: of eight values and two moments, relative to mean + standard deviation


@dataclass(frozen=True)
class Check:
    """One comparison."""

    case: str
    step: str  #: manifest, tensor, prepared, file, or intermediate
    quantity: str
    absolute: float  #: largest absolute difference
    relative: float  #: the same over the largest expected absolute value
    tolerance: float

    @property
    def ok(self) -> bool:
        """Within the tolerance; an infinite difference means another shape."""
        return self.relative <= self.tolerance


def verify(name: str, fixture: Fixture) -> list[Check]:
    """Run every case.

    A network's `cases` module offers `run(net, case, inputs) -> outputs`: inputs are arrays by name, pictures as PIL
    images, videos as (t, h, w, 3) uint8; outputs carry the fixture's names, and what went into the network is returned
    as `preprocessed:NAME`. It may offer `build(fixture)` where the fixture is not of the default configuration, and
    `extra(net, fixture)` with further checks (samplers).

    Args:
        name: of the network.
        fixture: of this network.

    Returns:
        All comparisons, the tensor names first.

    Raises:
        ModelError: the weights of the fixture do not fit the network.
        UsageError: a fixture of another network, or a case whose numbers are not all computed.
    """
    module = import_module(f"mien.models.parity.cases.{zoo.MODELS[name].partition(':')[0].rpartition('.')[2]}")
    net: nn.Module = module.build(fixture) if hasattr(module, "build") else zoo.build(name)
    checks = [_manifest(net, fixture)] if not hasattr(net, "rename") else []
    loaded: object = _NOTHING
    for case in fixture.cases:
        if case.get("overrides") != loaded:
            zoo.load_official(net, fixture.state_dict(case))
            loaded = case.get("overrides")
        checks += _case(module.run, net, fixture, case)
    return checks + (module.extra(net, fixture) if hasattr(module, "extra") else [])


_NOTHING = object()


def compare(case: str, step: str, quantity: str, got: Any, expected: Any, tolerance: float = TOLERANCE) -> Check:
    """Largest difference of two arrays of one size."""
    a, b = np.asarray(got, np.float64).ravel(), np.asarray(expected, np.float64).ravel()
    if a.shape != b.shape:
        return Check(case, step, quantity, float("inf"), float("inf"), tolerance)
    absolute = float(np.abs(a - b).max(initial=0.0))
    return Check(case, step, quantity, absolute, absolute / max(float(np.abs(b).max(initial=0.0)), 1e-12), tolerance)


def _manifest(net: nn.Module, fixture: Fixture) -> Check:
    optional = (*zoo.REBUILT, *getattr(net, "MAY_BE_ABSENT", ()), *getattr(net, "IGNORED", ()))
    differences = manifest_differences(fixture, net, optional)
    what = "names and shapes" + (f": {differences[0]}" if differences else "")
    return Check("", "manifest", what, float(len(differences)), float(len(differences)), 0.0)


Run = Callable[[nn.Module, Mapping[str, Any], dict[str, Any]], Outputs]


def _case(run: Run, net: nn.Module, fixture: Fixture, case: Mapping[str, Any]) -> Iterator[Check]:
    arrays = {spec["name"]: fixture.input(spec) for spec in case["inputs"]} if case.get("inputs") else {}
    pictures = {spec["name"] for spec in case.get("inputs", ()) if spec["kind"] == "rgb_image"}
    videos = any(spec["kind"] == "video_uint8" for spec in case.get("inputs", ()))
    inputs: dict[str, Any] = {name: Image.fromarray(a) if name in pictures else a for name, a in arrays.items()}
    seen: dict[str, Array] = {}
    with torch.inference_mode(), _watch(net, case.get("intermediates") or {}, seen):
        outputs = run(net, case, inputs)
    step = "prepared" if pictures or videos else "tensor"
    yield from _outputs(case, step, outputs)
    for name, expected in (case.get("intermediates") or {}).items():
        if name in seen:
            yield _summary(case["name"], "intermediate", name, seen[name], expected, _INTERMEDIATE_TOLERANCE)
    if pictures:
        inputs = {name: _through_a_file(a) if name in pictures else a for name, a in inputs.items()}
        with torch.inference_mode():
            yield from _outputs(case, "file", run(net, case, inputs))


def _outputs(case: Mapping[str, Any], step: str, outputs: Outputs) -> Iterator[Check]:
    tolerance = float(case.get("rtol", TOLERANCE))
    for name, expected in case["outputs"].items():
        if name not in outputs:
            raise UsageError(f"case {case['name']} expects {name}, which the network's adapter does not compute")
        if isinstance(expected, Mapping) and "values" in expected:
            yield compare(case["name"], step, name, outputs[name], expected["values"], tolerance)
        elif isinstance(expected, Mapping) and "first8" in expected:
            yield _summary(case["name"], step, name, outputs[name], expected, tolerance)
        else:
            yield compare(case["name"], step, name, outputs[name], expected, tolerance)
    prepared = case.get("preprocessed") or {}
    for name, expected in {"": prepared}.items() if "first8" in prepared else prepared.items():
        if isinstance(expected, Mapping) and "first8" in expected:
            key = f"preprocessed:{name}" if name else "preprocessed"
            if key not in outputs:
                raise UsageError(f"case {case['name']} expects {key}, which the network's adapter does not return")
            yield _summary(case["name"], step, key, outputs[key], expected, 1e-5)


def _summary(case: str, step: str, name: str, got: Array, expected: Mapping[str, Any], tolerance: float) -> Check:
    """Shape, mean, population standard deviation and the first eight values, over mean + standard deviation."""
    a = np.asarray(got, np.float64)
    if a.size != int(np.prod(expected["shape"])):
        return Check(case, step, name, float("inf"), float("inf"), tolerance)
    ours = np.array([a.mean(), a.std(), *a.ravel()[:8]])
    theirs = np.array([expected["mean"], expected["std"], *expected["first8"]])
    absolute = float(np.abs(ours - theirs).max())
    scale = max(abs(float(expected["mean"])) + float(expected["std"]), float(np.abs(theirs).max()), 1e-12)
    return Check(case, step, name, absolute, absolute / scale, tolerance)


class _watch:  # noqa: N801 - used as a statement
    """Keep the first output of the submodules that a fixture names and this network has."""

    def __init__(self, net: nn.Module, names: Mapping[str, Any], seen: dict[str, Array]) -> None:
        modules = dict(net.named_modules())
        self._hooks = [modules[name].register_forward_hook(self._keep(name, seen)) for name in names if name in modules]

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    @staticmethod
    def _keep(name: str, seen: dict[str, Array]) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            first = output[0] if isinstance(output, list | tuple) else output
            if name not in seen and isinstance(first, torch.Tensor):
                seen[name] = first.detach().float().numpy().copy()

        return hook


def _through_a_file(picture: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return decode(stream.getvalue()).pixels
