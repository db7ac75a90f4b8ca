"""Stage 4: the student, by matching the teacher view for view ("function matching", arXiv 2106.05237).

Views are endless, see `mien.training.feed`; a share of every step are mixtures of two views, which nobody would call
pictures, but the teacher has an answer to them, too. Teacher and student see exactly the same.

L = opinion terms(q, y)             y: the teacher's quality, mixed with the opinion where the whole picture was rated
  + map_weight      sum of MSE(1x1 convolution of a stage's map, the teacher's map at that stride), place by place
  + feature_weight  SmoothL1(f, principal components of the teacher's features)
  + ladder hinge(q) + attribute loss + 0.1 Laplace NLL(|q - opinion|, spread)
  + steady_weight   MSE(q of the view, q of the view with single grey levels changed, half of them mirrored)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.losses.attributes import attribute_loss
from mien.losses.fidelity import all_pairs_fidelity_loss
from mien.losses.regression import laplace_nll, plcc_loss
from mien.models.judge_net import Judgement, JudgeNet
from mien.training import checkpoint, log
from mien.training.chance import seed_of
from mien.training.checkpoint import Progress
from mien.training.ema import averaged, network
from mien.training.feed import Feed, FeedPlan, Shown
from mien.training.schedule import Cosine, Moment, set_rate
from mien.training.teacher import CHANNELS, Teacher, Told, falling, grouped, ladder_loss


@dataclass(frozen=True)
class StudentRecipe:
    """How the student is trained."""

    views: FeedPlan = field(default_factory=FeedPlan)
    depths: tuple[int, ...] = (0, 1, 1, 1)  #: see `JudgeNet`
    floor: float = 1e-2  #: see `JudgeNet`
    epochs: int = 35
    steps: int = 400  #: of an epoch
    mixed: int = 112  #: views of a step that are mixtures
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup: float = 0.05  #: part of all steps
    ema: float = 0.999
    opinion_terms: tuple[str, ...] = ("mse", "plcc")  #: names of `OPINION_TERMS`, summed
    opinion_share: float = 0.5  #: of the target on rated views; the rest is the teacher's
    map_weight: float = 0.3
    feature_weight: float = 1.0
    attribute_weight: float = 4.0
    steady_weight: float = 50.0
    steady_every: int = 6  #: one view in so many is seen a second time with its last bits changed
    lead: float = 0.5  #: see `teacher.ladder_loss`
    clean_above: float = 0.75  #: pictures rated above this count as free of faults when attributes are learned
    ridge: float = 100.0  #: of the last layer's closing regression
    refit_steps: int = 400
    rated_weight: float = 3.0  #: of rated views in it
    rounding_weight: float = 500.0  #: in it, of what another decoder changes; beside the squared error of all views
    mirror_weight: float = 5.0  #: in it, of mirroring
    seed: int = 1


@dataclass(frozen=True)
class _Lesson:
    """What one step learns: all views, mixtures last, and what the teacher says of them."""

    shown: Shown
    pixels: Tensor  #: (n + m, s, s, 3)
    again: Tensor  #: (k, s, s, 3) some of the n once more, see `shaken`
    told: Told
    target: Tensor  #: (n + m,)


def fit(
    feed: Feed,
    teacher: Teacher,
    recipe: StudentRecipe,
    work: Path,
    key: str,
    *,
    validate: Callable[[JudgeNet], dict[str, Any]],
    compiled: bool = False,
    tell: Callable[[str], None] = print,
) -> JudgeNet:
    """Train, or go on from `work/checkpoint.pt`; one line of metrics an epoch goes to `work/student.jsonl`.

    Args:
        feed: of views.
        teacher: in evaluation mode; the student computes in the precision that it has.
        recipe: sizes and steps.
        work: folder of checkpoint and log.
        key: fingerprint of recipe and data; another one's checkpoint is refused.
        validate: metrics of a network in evaluation mode; watched, never used to choose.
        compiled: let torch compile both networks: half a minute at the start, less for each step.
        tell: receives a line for people after each epoch.

    Returns:
        The average of the weights over the last steps (EMA), in evaluation mode.

    Raises:
        UsageError: the checkpoint is of another run, or damaged.
    """
    torch.manual_seed(recipe.seed)
    net = JudgeNet(depths=recipe.depths, teacher_features=teacher.components.shape[1], floor=recipe.floor)
    net = net.to(feed.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    sight = Sight(net.widths).to(feed.device)
    average = averaged(net, recipe.ema)
    optimizer = torch.optim.AdamW(
        [*net.parameters(), *sight.parameters()], recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    parts = {"net": net, "sight": sight, "average": average, "optimizer": optimizer}
    file = work / checkpoint.FILE
    progress = checkpoint.load(file, key, parts) if file.is_file() else Progress()
    look = net.maps
    if compiled:
        look = torch.compile(net.maps)
        teacher.eyes.compile()

    def learn(step: int) -> Tensor:
        now = Moment(step, recipe.steps, recipe.epochs * recipe.steps)
        set_rate(optimizer, recipe.learning_rate * Cosine(recipe.warmup)(now))
        lesson = _lesson(feed, teacher, recipe, step)
        with torch.autocast(feed.device.type, torch.bfloat16, enabled=teacher.in_half):
            maps = look(torch.cat([lesson.pixels, lesson.again]))
            seen = sight([x[: len(lesson.pixels)] for x in maps], lesson.told.maps).float()
        losses = _losses(net.read(net.embedding(maps)), seen, lesson, recipe)
        optimizer.zero_grad()
        losses.sum().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        average.update_parameters(net)
        return losses.detach()

    while progress.epoch < recipe.epochs:
        started, first = time.monotonic(), progress.epoch * recipe.steps
        sums = torch.stack([learn(step) for step in range(first, first + recipe.steps)]).sum(0)
        progress.epoch += 1
        record: dict[str, Any] = {"epoch": progress.epoch, "seconds": round(time.monotonic() - started, 1)}
        means = (sums / recipe.steps).tolist()
        record |= {f"loss_{name}": round(value, 5) for name, value in zip(_TERMS, means, strict=True)}
        record |= validate(network(average, JudgeNet))
        progress.history.append(record)
        checkpoint.save(file, key, progress, parts)
        log.write(work / "student.jsonl", progress.history)
        tell(json.dumps(record))
    return network(average, JudgeNet)


class Sight(nn.Module):
    """What the student sees, told in the channels of the teacher's eyes: one 1x1 convolution a stage; training only."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.tell = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(widths[-len(CHANNELS) :], CHANNELS, strict=True))

    def forward(self, maps: Sequence[Tensor], seen: Sequence[Tensor]) -> Tensor:
        """Mean squared error, summed over stages; `maps` of the student, `seen` (n, c, h, w) of deviation 1."""
        pairs = zip(self.tell, maps[-len(self.tell) :], seen, strict=True)
        return torch.stack([F.mse_loss(tell(x), y) for tell, x, y in pairs]).sum()


def native_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16; where it only imitates it, float32 is ten times faster."""
    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(test is not None and test() for test in tests)


def refit_quality(net: JudgeNet, feed: Feed, teacher: Teacher, recipe: StudentRecipe) -> JudgeNet:
    """Put the least-squares solution into the last layer of `quality`: ridge regression on the frozen embedding.

    Gradient steps leave the last layer behind the features that it reads; this is where it was going. Targets are those
    of `fit`; pictures that people rated count `rated_weight` times, and what may not move the quality has its price.

    Args:
        net: trained, in evaluation mode; changed in place.
        feed: what it was trained on.
        teacher: in evaluation mode.
        recipe: with the ridge and the weights.

    Returns:
        The same network.
    """
    d = net.quality.in_features + 1
    gram = torch.zeros(d, d, dtype=torch.float64, device=feed.device)
    moment = torch.zeros(d, dtype=torch.float64, device=feed.device)
    every = slice(None, None, recipe.steady_every)
    for step in range(recipe.epochs * recipe.steps, recipe.epochs * recipe.steps + recipe.refit_steps):
        chance = torch.Generator(feed.device).manual_seed(seed_of(recipe.seed, 4, step))
        with torch.no_grad():
            lesson = _lesson(feed, teacher, replace(recipe, mixed=0), step)
            x, some = _embedded(net, lesson.pixels), lesson.pixels[every]
            changes = (
                (recipe.rounding_weight, x[every] - _embedded(net, rounded(some, chance))),
                (recipe.mirror_weight, x[every] - _embedded(net, some.flip(2))),
            )
        w = torch.where(lesson.shown.rated, recipe.rated_weight, 1.0).double()[:, None]
        gram += x.T @ (w * x)
        moment += x.T @ (w[:, 0] * lesson.target.double())
        for price, moved in changes:
            gram += price * len(x) / len(moved) * moved.T @ moved
    ridge = torch.full((d,), recipe.ridge, dtype=torch.float64, device=feed.device)
    ridge[-1] = 0  # the constant is free
    solution = torch.linalg.solve(gram + torch.diag(ridge), moment).float()
    with torch.no_grad():
        net.quality.weight.copy_(solution[None, :-1])
        net.quality.bias.copy_(solution[-1:])
    return net


def level(net: JudgeNet, pixels: npt.NDArray[np.uint8], opinion: npt.NDArray[np.floating[Any]]) -> None:
    """Move the constant of the last layer so that the mean quality of pictures is that of their opinions; in place.

    Args:
        net: in evaluation mode.
        pixels: (n, s, s, 3), of the size that ships; not trained on.
        opinion: (n,).
    """
    off = float(np.mean(opinion - predict(net, pixels).quality.numpy()))
    with torch.no_grad():
        net.quality.bias.add_(off)


def predict(net: JudgeNet, pixels: npt.NDArray[np.uint8], batch: int = 100) -> Judgement:
    """The network's judgement of (n, s, s, 3) uint8 views, float32, on the CPU."""
    device = net.quality.weight.device
    with torch.inference_mode():
        parts = [net(torch.from_numpy(pixels[i : i + batch]).to(device)) for i in range(0, len(pixels), batch)]
    return Judgement(*(torch.cat(column).cpu() for column in zip(*parts, strict=True)))


def shaken(pixels: Tensor, chance: torch.Generator) -> Tensor:
    """What no eye notices: about half of the values one grey level up or down, and half of the views mirrored.

    Args:
        pixels: (n, s, s, 3) float in whole grey levels.
        chance: source of chance, on the device of the views.
    """
    step = (0.7 * torch.randn(pixels.shape, generator=chance, device=pixels.device)).round()
    changed = (pixels + step).clamp(0, 255)
    mirrored = torch.rand(len(pixels), generator=chance, device=pixels.device) < 0.5
    return torch.where(mirrored[:, None, None, None], changed.flip(2), changed)


def rounded(pixels: Tensor, chance: torch.Generator) -> Tensor:
    """What another decoder, or decoding at another scale, changes: single grey levels, slow waves, a touch of tint."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=chance, device=pixels.device)

    n, side = pixels.shape[:2]
    slow = 0.35 * normal(n, 3, side // 8, side // 8)
    waves = F.interpolate(slow, size=(side, side), mode="bilinear").permute(0, 2, 3, 1)
    step = 0.5 * normal(*pixels.shape) + waves + 0.15 * normal(n, 1, 1, 3)
    return (pixels + step.round()).clamp(0, 255)


def mixtures(pixels: Tensor, count: int, chance: torch.Generator) -> Tensor:
    """Half of them the weighted mean of two views, the others one view with a rectangle of another.

    Args:
        pixels: (n, s, s, 3) float.
        count: how many to make.
        chance: source of chance, on the device of the views.

    Returns:
        (count, s, s, 3) float in whole grey levels.
    """

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=chance, device=pixels.device)

    first, second = (uniform(2, count) * len(pixels)).long()
    share = uniform(count)[:, None, None, None]
    place = (torch.arange(pixels.shape[1], device=pixels.device) + 0.5) / pixels.shape[1]
    ends = uniform(2, 2, count, 1).sort(dim=0).values
    inside = (place >= ends[0]) & (place <= ends[1])  # (2, count, s)
    patch = (inside[0][:, :, None] & inside[1][:, None, :])[..., None].float()
    blended = (torch.arange(count, device=pixels.device) % 2 == 0)[:, None, None, None]
    weight = torch.where(blended, share, patch)
    return torch.lerp(pixels[first], pixels[second], weight).round()


#: losses between (n,) predictions and (n,) targets on a scale of 0..1
OPINION_TERMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda q, y: 10 * (q - y).square().mean(),
    "plcc": plcc_loss,
    "fidelity": lambda q, y: all_pairs_fidelity_loss(5 * q, 5 * y),  # on LIQE's five steps
}
_TERMS = ("opinion", "features", "ladder", "attributes", "spread", "maps", "steady")


def _lesson(feed: Feed, teacher: Teacher, recipe: StudentRecipe, step: int) -> _Lesson:
    shown = feed.show(recipe.views, seed_of(recipe.seed, 2, step))
    chance = torch.Generator(feed.device).manual_seed(seed_of(recipe.seed, 3, step))
    again = shaken(shown.pixels[:: recipe.steady_every], chance)
    pixels = torch.cat([shown.pixels, mixtures(shown.pixels, recipe.mixed, chance)])
    with torch.no_grad():
        told = teacher.tell(pixels)
    quality, plain, n = told.quality, shown.plain, len(shown.label)
    own = recipe.opinion_share * shown.label[:plain] + (1 - recipe.opinion_share) * quality[:plain]
    parts = (
        torch.where(shown.rated[:plain], own, quality[:plain]),
        falling(quality[plain:n], shown.lost[plain:].amax(1), recipe.lead),
        quality[n:],
    )
    return _Lesson(shown, pixels, again, told, torch.cat(parts))


def _losses(out: Judgement, seen: Tensor, lesson: _Lesson, recipe: StudentRecipe) -> Tensor:
    """All terms, weighted, in the order of `_TERMS`."""
    shown, n, total = lesson.shown, len(lesson.shown.label), len(lesson.pixels)
    q = out.quality[:n]
    opinion = torch.stack([OPINION_TERMS[name](out.quality[:total], lesson.target) for name in recipe.opinion_terms])
    rungs, strength = grouped(q[shown.plain :]), grouped(shown.lost[shown.plain :].amax(1))
    clean = (shown.label >= recipe.clean_above) | shown.label.isnan()
    error = (q - shown.label).abs().detach()[shown.rated]
    terms = (
        opinion.sum(),
        recipe.feature_weight * F.smooth_l1_loss(out.features[:total], lesson.told.components),
        ladder_loss(rungs, strength, recipe.lead),
        recipe.attribute_weight * attribute_loss(out.attributes[:n], shown.lost, clean),
        0.1 * laplace_nll(error, out.spread[:n][shown.rated]) if len(error) else q.new_zeros(()),
        recipe.map_weight * seen,
        recipe.steady_weight * (out.quality[total:] - q[:: recipe.steady_every]).square().mean(),
    )
    return torch.stack(terms)


def _embedded(net: JudgeNet, pixels: Tensor) -> Tensor:
    """(n, hidden + 1) float64 of views, in the precision that ships; the last column 1."""
    return F.pad(net.embedding(net.maps(pixels)).double(), (0, 1), value=1.0)
