"""A parity fixture: names and shapes of an official state dict, a recipe for its values, inputs, and expected outputs.

Every number is a function of a name, a shape and the fixture's seed, so no weights are stored. Rules, first that fits:
integers, booleans and `attn_mask` keep the network's own value; `running_var` uniform 0.5..1.5; `running_mean` 0.1
normal; two or more axes normal / sqrt(fan in); one axis ending in weight or gamma uniform 0.5..1.5; others 0.1 normal.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from mien.core.errors import UsageError


@dataclass(frozen=True)
class Fixture:
    """One file of the format."""

    name: str  #: stem of the file
    facts: dict[str, Any]

    @property
    def seed(self) -> int:
        """Of weights and inputs."""
        return int(self.facts["seed"])

    @property
    def cases(self) -> list[dict[str, Any]]:
        """Inputs, the call in words, and expected outputs."""
        return self.facts["cases"]

    @property
    def manifest(self) -> dict[str, tuple[tuple[int, ...], str]]:
        """Official key -> shape, dtype."""
        return {name: (tuple(shape), dtype) for name, shape, dtype, *_ in self.facts["manifest"]}

    def state_dict(self, case: Mapping[str, Any] | None = None) -> dict[str, Tensor]:
        """Weights under the official names; what the network builds itself is left out."""
        rules = self.facts["weights"]
        overrides = (case or {}).get("overrides", rules.get("overrides")) or {}
        multipliers = rules.get("multipliers") or {}
        state = {}
        for name, (shape, dtype) in self.manifest.items():
            if not _is_kept(name, dtype):
                value = np.full(shape, overrides[name]) if name in overrides else _draw(name, shape, self.seed)
                for suffix, factor in multipliers.items():
                    if name.endswith(suffix) and name not in overrides:
                        value = value * factor
                state[name] = torch.from_numpy(np.array(value, dtype=dtype).reshape(shape))
        return state

    def input(self, spec: Mapping[str, Any]) -> npt.NDArray[Any]:
        """One input of a case.

        Raises:
            UsageError: an unknown kind, or bytes that differ from the stored checksum.
        """
        made = _make_input(spec, self.seed)
        if "crc32" in spec and zlib.crc32(np.ascontiguousarray(made).tobytes()) != spec["crc32"]:
            raise UsageError(f"input {spec['name']} does not have the bytes that the fixture {self.name} expects")
        return made


def read(path: Path) -> Fixture:
    """Open a fixture.

    Raises:
        UsageError: no such file, or not a fixture.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not {"seed", "weights", "cases", "manifest"} <= facts.keys():
            raise ValueError("it lacks seed, weights, cases or manifest")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, AttributeError) as error:
        raise UsageError(f"{path} is not a parity fixture: {error}") from error
    return Fixture(path.stem, facts)


def manifest_differences(fixture: Fixture, net: nn.Module, optional: tuple[str, ...]) -> list[str]:
    """Where the network's state dict and the official one differ in names or shapes; `optional` are patterns."""
    import fnmatch

    own = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    official = {name: shape for name, (shape, _) in fixture.manifest.items()}

    def counts(name: str) -> bool:
        return not any(fnmatch.fnmatchcase(name, pattern) for pattern in optional)

    missing = [f"{name} is missing" for name in official if name not in own and counts(name)]
    extra = [f"{name} is not official" for name in own if name not in official and counts(name)]
    other = [f"{n}: {own[n]} instead of {s}" for n, s in official.items() if n in own and own[n] != s]
    return missing + extra + other


def _is_kept(name: str, dtype: str) -> bool:
    return not dtype.startswith(("float", "bfloat")) or name.endswith("attn_mask")


def _generator(name: str, seed: int) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()) ^ seed)


def _draw(name: str, shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float64]:
    rng = _generator(name, seed)
    if name.endswith("running_var"):
        return rng.uniform(0.5, 1.5, shape)
    if name.endswith("running_mean"):
        return 0.1 * rng.standard_normal(shape)
    if len(shape) >= 2:
        return rng.standard_normal(shape) / math.sqrt(math.prod(shape[1:]))
    if len(shape) == 1 and name.endswith(("weight", "gamma")):
        return rng.uniform(0.5, 1.5, shape)
    return 0.1 * rng.standard_normal(shape)


def _make_input(spec: Mapping[str, Any], seed: int) -> npt.NDArray[Any]:
    kind, name = spec["kind"], spec["name"]
    if kind == "image_tensor":
        field = _unit_field(spec["shape"], seed, name, spec["cell"])
        channels = (1, -1) + (1,) * (field.ndim - 2)
        return ((field - np.reshape(spec["mean"], channels)) / np.reshape(spec["std"], channels)).astype(np.float32)
    if kind == "rgb_image":
        field = _unit_field((3, spec["height"], spec["width"]), seed, name, spec["cell"])
        return np.ascontiguousarray(_as_bytes(field).transpose(1, 2, 0))
    if kind == "video_uint8":
        shape = (3, spec["height"], spec["width"])
        base = _unit_field(shape, seed, name, spec["cell"])
        fresh = (_unit_field(shape, seed, f"{name}/{t}", spec["cell"]) for t in range(spec["frames"]))
        return np.stack([_as_bytes(0.8 * base + 0.2 * frame).transpose(1, 2, 0) for frame in fresh])
    if kind == "vector":
        rng = _generator(f"input:{name}", seed)
        return (spec["loc"] + spec["scale"] * rng.standard_normal(tuple(spec["shape"]))).astype(np.float32)
    if kind == "values":
        return np.asarray(spec["values"], spec["dtype"]).reshape(spec["shape"])
    raise UsageError(f"a fixture has no inputs of kind {kind!r}")


def _unit_field(shape: Any, seed: int, name: str, cell: int) -> npt.NDArray[np.float64]:
    """0.6 coarse cells + 0.25 ramp + 0.15 noise, in 0..1; drawn in this order."""
    *lead, h, w = (int(side) for side in shape)
    rng = _generator(f"input:{name}", seed)
    coarse = rng.random((*lead, -(-h // cell), -(-w // cell)))
    coarse = coarse.repeat(cell, axis=-2).repeat(cell, axis=-1)[..., :h, :w]
    direction = rng.random((*lead, 1, 1))
    down, right = (np.arange(h) / h)[:, None], (np.arange(w) / w)[None, :]
    fine = rng.random((*lead, h, w))
    return 0.6 * coarse + 0.25 * (direction * down + (1.0 - direction) * right) + 0.15 * fine


def _as_bytes(field: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    return np.clip(np.floor(256.0 * field), 0, 255).astype(np.uint8)
