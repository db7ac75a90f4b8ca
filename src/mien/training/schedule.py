"""Learning rates over time: frozen dataclasses, called with a moment of the run, answering with a factor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch.optim import Optimizer


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a run is: before step `step` of `steps`."""

    step: int  #: steps done, from 0
    per_epoch: int  #: steps of an epoch
    steps: int  #: of the whole run

    @property
    def epoch(self) -> int:
        """Whole epochs done."""
        return self.step // self.per_epoch


Schedule = Callable[[Moment], float]  #: factor on the learning rate, 0..1


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """The same learning rate for all parameters from now on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


@dataclass(frozen=True, slots=True)
class Constant:
    """The same rate throughout."""

    def __call__(self, now: Moment) -> float:
        """Always 1."""
        return 1.0


@dataclass(frozen=True, slots=True)
class Steps:
    """Times `factor` after every `every` epochs."""

    every: int
    factor: float

    def __call__(self, now: Moment) -> float:
        """A staircase."""
        return self.factor ** (now.epoch // self.every)


@dataclass(frozen=True, slots=True)
class Cosine:
    """A linear rise over the first part of the run, then half a cosine down to 0, `cycles` times."""

    warmup: float = 0.0  #: part of all steps
    begin: float = 0.0  #: factor that the rise begins from
    cycles: int = 1  #: falls behind the rise; each begins at 1 again

    def __call__(self, now: Moment) -> float:
        """1 at the top; the last step is the one before 0."""
        rise = round(self.warmup * now.steps)
        if now.step < rise:
            return self.begin + (1 - self.begin) * (now.step + 1) / rise
        done = (now.step - rise) / max(1, now.steps - rise) * self.cycles
        return 0.5 * (1 + math.cos(math.pi * (done % 1.0)))


@dataclass(frozen=True, slots=True)
class CosineWave:
    """A cosine that goes down in `half` epochs or steps, up again in as many, and so on.

    What torch's CosineAnnealingLR does with T_max = `half` when it runs on for longer.
    """

    half: int
    unit: Literal["epoch", "step"] = "epoch"  #: the rate changes after each

    def __call__(self, now: Moment) -> float:
        """1 at the start, 0 after `half`, 1 after twice `half`."""
        done = now.epoch if self.unit == "epoch" else now.step
        return 0.5 * (1 + math.cos(math.pi * done / self.half))
