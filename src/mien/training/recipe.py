"""What a paper does, as one frozen dataclass: network, views, sampler, loss, schedule, split.

A variant is `dataclasses.replace(RECIPE, ...)`. The ready ones are the files of `mien/training/recipes/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any, Literal, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from mien.core.errors import ModelError
from mien.core.preprocess import Preprocess
from mien.core.views import Box, ViewPreprocess
from mien.data.sample import Sample
from mien.models import zoo
from mien.training.crops import Arrays, Looks
from mien.training.order import Order, Shuffled
from mien.training.parts import Split
from mien.training.schedule import Constant, Schedule

Tensors = dict[str, Tensor]
History = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Batch:
    """What is known about n pictures besides their pixels."""

    samples: tuple[Sample, ...]
    label: Tensor  #: (n,) float32 on the scale that is learned
    scene: Tensor  #: (n,) int64, number of the scene among all scenes of the run in alphabetical order; -1 = none
    group: Tensor  #: (n,) int64, number of the data set
    chance: float  #: 0..1, drawn for this step, the same in all processes

    def part(self, share: slice) -> Batch:
        """Some of the pictures."""
        return Batch(self.samples[share], self.label[share], self.scene[share], self.group[share], self.chance)


Forward = Callable[[nn.Module, Tensors, Batch], Tensors]  #: views (n, v, ...) -> named outputs (n, ...)
Loss = Callable[[Tensors, Batch], Tensors]  #: outputs of a whole batch -> named terms, each ()
Judge = Callable[[nn.Module, Tensors], Tensors]  #: views -> "quality" (n,) and what else the network says


def scores(net: nn.Module, views: Tensors, batch: Batch) -> Tensors:
    """Every view through the network: "score" (n, v)."""
    n, v = next(iter(views.values())).shape[:2]
    return {"score": net(*(x.flatten(0, 1) for x in views.values())).reshape(n, v)}


def judge_views(net: nn.Module, views: Tensors) -> Tensors:
    """As the published networks judge at test: the mean over the views."""
    return {"quality": cast("Any", net).judge(**views)}


def whole(picture: Image.Image, box: Box | None, names: Sequence[str]) -> Looks:
    """Every input sees the whole picture."""
    return dict.fromkeys(names, picture)


def begin_whole(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Start from a checkpoint of the whole network, as its authors or `mien train` wrote it."""
    zoo.load_official(net, weights)


def begin_parts(
    net: nn.Module, weights: Mapping[str, Tensor], *, parts: Sequence[str], fresh: Sequence[str] = ()
) -> None:
    """Start parts of a network from one checkpoint of their kind, or the whole of it from one of its own.

    Args:
        net: changed in place.
        weights: of a backbone as torchvision or timm name them, with or without classifier, or of the whole network.
        parts: the backbones inside the network.
        fresh: beginnings of names inside a part that a backbone does not have: they stay random.

    Raises:
        ModelError: the weights are of another network.
    """
    if all(key in weights for key, _ in net.named_parameters()):
        begin_whole(net, weights)
        return
    for part in parts:
        module = net.get_submodule(part)
        own = module.state_dict()
        known = {
            key: weights[key] for key, value in own.items() if key in weights and weights[key].shape == value.shape
        }
        wanted = [key for key, _ in module.named_parameters() if not key.startswith(tuple(fresh))]
        if missing := [key for key in wanted if key not in known]:
            raise ModelError(
                f"these are no weights for {part}: {missing[0]} is missing or of another size, and so are "
                f"{len(missing) - 1} more of {len(wanted)} tensors"
            )
        module.load_state_dict({**own, **known})


@dataclass(frozen=True, slots=True)
class Optimizer:
    """Adam or AdamW. `rates`: beginning of parameter names -> (factor, schedule), the longest that fits; else (1, own).

    Parameters that do not require a gradient are left out.
    """

    kind: Literal["adam", "adamw"] = "adamw"
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    schedule: Schedule = field(default_factory=Constant)
    rates: Mapping[str, tuple[float, Schedule]] = field(default_factory=dict)
    forget: bool = False  #: moments begin anew with each epoch
    clip: float | None = None  #: largest norm of the gradient

    def build(self, net: nn.Module) -> torch.optim.Optimizer:
        """With one group of parameters for each rate."""
        groups: dict[str, list[nn.Parameter]] = {}
        for name, parameter in net.named_parameters():
            if parameter.requires_grad:
                groups.setdefault(self._rate_of(name), []).append(parameter)
        make = torch.optim.Adam if self.kind == "adam" else torch.optim.AdamW
        return make(
            [{"params": parameters, "name": name} for name, parameters in groups.items()],
            lr=self.learning_rate,
            betas=self.betas,
            weight_decay=self.weight_decay,
        )

    def rate(self, group: str) -> tuple[float, Schedule]:
        """Learning rate and schedule of a group that `build` made."""
        factor, schedule = self.rates.get(group, (1.0, self.schedule))
        return factor * self.learning_rate, schedule

    def _rate_of(self, parameter: str) -> str:
        return max((prefix for prefix in self.rates if parameter.startswith(prefix)), key=len, default="")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, but the data."""

    name: str
    paper: str  #: where it comes from, for the card
    network: Callable[[], nn.Module]
    views: Callable[[Looks, np.random.Generator], Arrays]  #: of a training picture
    preprocess: Preprocess | ViewPreprocess  #: of a picture at test, and of the model that comes out
    loss: Loss
    forward: Forward = scores
    judge: Judge = judge_views
    look: Callable[[Image.Image, Box | None, Sequence[str]], Looks] = whole  #: what each input is cut from
    order: Order = field(default_factory=Shuffled)
    split: Split = field(default_factory=Split)
    labels: Literal["given", "unit"] = "given"  #: learned as they are, or the range of the training labels as 0..1
    relative: bool = False  #: only the order inside a scene is learned: scores have no scale of their own
    scenes: int | None = None  #: most that the network can tell apart
    raw_range: tuple[float, float] | None = None  #: of the outputs, where the network has a range of its own
    epochs: int = 30
    batch: int = 32  #: pictures in a step, over all processes; pairs count as two
    accumulate: int = 1  #: parts that a batch is learned in, one after the other; batch losses see one part each
    optimizer: Optimizer = field(default_factory=Optimizer)
    ema: float | None = None  #: decay of the average of the weights that is judged in their place
    bf16: bool = False  #: autocast
    seed: int = 42
    select: tuple[str, ...] = (
        "srcc",
    )  #: metrics of the validation part whose sum chooses the epoch; "-rmse" counts down
    weigh: Callable[[History], Mapping[str, float]] | None = None  #: weights of the loss terms in the next epoch
    begin: Callable[[nn.Module, Mapping[str, Tensor]], None] = begin_whole  #: what `start` does with a checkpoint
    start: str = "random weights"  #: what the authors start from
    calibrate: bool = False  #: keep pictures back for intervals; for networks that say how sure they are

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the network's inputs."""
        return tuple(self.preprocess.inputs) if isinstance(self.preprocess, ViewPreprocess) else ("image",)

    def settings(self) -> dict[str, Any]:
        """All fields in plain words, for the card and for telling two recipes apart."""
        return {f.name: described(getattr(self, f.name)) for f in fields(self)}


def described(value: Any) -> Any:
    """A setting as JSON: functions by their names, dataclasses by their fields."""
    if isinstance(value, partial):
        return {"call": described(value.func), "with": described([*value.args, value.keywords])}
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__} | {f.name: described(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(k): described(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [described(v) for v in value]
    if callable(value):
        return f"{value.__module__}.{value.__qualname__}"
    return value
