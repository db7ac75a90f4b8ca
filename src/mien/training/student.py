"""Stage 4: the student. From random weights, it learns to see what the teacher's eyes see, its judgement, the reasons.

L = 10 MSE(q, y) + PLCC loss(q, y)          y: opinions mixed with the teacher's, the teacher's alone elsewhere; these
                                            two terms can be others of `OPINION_TERMS`
  + map_weight      sum of MSE(1x1 convolution of a stage's map, the eyes' map at that stride), place by place
  + feature_weight  SmoothL1(f, PCA of the teacher's features)
  + ladder hinge(q) + attribute loss + 0.1 Laplace NLL(|q - opinion|, spread)
  + steady_weight   MSE(q of the view, q of the view with single grey levels changed, half of them mirrored)

The first epochs see windows of the views, a third of the cost of a whole one: enough to learn to see.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mien.losses.attributes import attribute_loss
from mien.losses.fidelity import all_pairs_fidelity_loss
from mien.losses.regression import laplace_nll, plcc_loss
from mien.models.judge_net import Judgement, JudgeNet
from mien.training.eyes import CHANNELS, STRIDES, standard
from mien.training.teacher import ladder_loss
from mien.training.views import GROUP, Views


@dataclass(frozen=True)
class StudentRecipe:
    """How the student is trained; an epoch is one pass over all groups of views."""

    depths: tuple[int, ...] = (1, 1, 2, 1)  #: see `JudgeNet`
    floor: float = 1e-5  #: see `JudgeNet`
    epochs: int = 7
    window_epochs: int = 0  #: of these, the first see windows
    window_px: int = 128
    batch_groups: int = 24
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.05  #: part of all steps
    opinion_terms: tuple[str, ...] = ("mse", "plcc")  #: names of `OPINION_TERMS`, summed
    opinion_share: float = 0.7  #: of the target on labelled plain views; the rest is the teacher's
    map_weight: float = 0.0
    feature_weight: float = 1.0
    steady_weight: float = 0.0
    steady_every: int = 6  #: one view in so many is seen a second time with its last bits changed, if that has weight
    falling: bool = False  #: the teacher's ladders are made to fall, see `teacher.descending`
    attribute_weight: float = 4.0
    lead: float = 0.5  #: see `teacher.ladder_loss`
    clean_above: float = 0.75  #: pictures rated above this count as free of faults when attributes are learned
    ema: float = 0.999
    ridge: float = 100.0  #: of the last layer's closing regression
    rated_weight: float = 3.0  #: of rated views in it
    rounding_weight: float = 0.0  #: in it, of what another decoder changes; beside the squared error of all views
    mirror_weight: float = 0.0  #: in it, of mirroring
    seed: int = 1

    @property
    def again(self) -> slice:
        """The views of a batch that are seen a second time."""
        return slice(None, None, self.steady_every) if self.steady_weight else slice(0)


@dataclass(frozen=True)
class Lesson:
    """Views with what the teacher says of them; aligned arrays."""

    views: Views
    quality: npt.NDArray[np.float32]  #: (n,) the teacher's
    features: npt.NDArray[np.float16]  #: (n, k) the teacher's principal components
    maps: tuple[npt.NDArray[np.uint8], ...]  #: what the eyes saw; see `eyes.Seen`


@dataclass(frozen=True)
class Batch:
    """What one step sees: n views, group by group."""

    pixels: Tensor  #: (n, s, s, 3) uint8
    label: Tensor  #: (n,) nan where nobody was asked
    lost: Tensor  #: (n, 4)
    quality: Tensor  #: (n,)
    features: Tensor  #: (n, k)
    maps: tuple[Tensor, ...]  #: (n, h, w, c) uint8 each
    again: Tensor  #: (m, s, s, 3) uint8: some views once more, see `shaken`


def fit(
    lessons: list[Lesson],
    recipe: StudentRecipe,
    work: Path,
    *,
    validate: Callable[[JudgeNet], dict[str, Any]],
    begin: Callable[[JudgeNet], None] = lambda net: None,
) -> JudgeNet:
    """Train, or go on from `work/student.pt`; one line of metrics an epoch goes to `work/student.jsonl`.

    Args:
        lessons: one per data set.
        recipe: sizes and steps.
        work: folder of checkpoint and log.
        validate: metrics of a network in evaluation mode; watched, never used to choose.
        begin: puts other weights than random ones into the fresh network.

    Returns:
        The average of the weights over the last steps (EMA), in evaluation mode.
    """
    torch.manual_seed(recipe.seed)
    net = JudgeNet(depths=recipe.depths, teacher_features=lessons[0].features.shape[1], floor=recipe.floor)
    begin(net)
    net = net.to(memory_format=torch.channels_last)  # as the pixels come; a quarter faster on a CPU
    sight = Sight(net.widths)
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.ema), use_buffers=True
    )
    optimizer = torch.optim.AdamW(
        [*net.parameters(), *sight.parameters()], recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    per_epoch = sum(lesson.views.groups for lesson in lessons) // recipe.batch_groups
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _cosine(recipe, per_epoch * recipe.epochs))
    parts = {"net": net, "sight": sight, "average": average, "optimizer": optimizer, "schedule": schedule}
    checkpoint = work / "student.pt"
    done = _resume(checkpoint, parts)
    for epoch in range(done, recipe.epochs):
        started, sums = time.monotonic(), torch.zeros(len(_LOSSES))
        for batch in _batches(lessons, recipe, epoch):
            losses = torch.stack(_step_losses(net, sight, batch, recipe))
            optimizer.zero_grad()
            losses.sum().backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(net)
            sums += losses.detach()
        record = {"epoch": epoch + 1, "seconds": round(time.monotonic() - started, 1)}
        record |= {f"loss_{name}": round(float(v) / per_epoch, 5) for name, v in zip(_LOSSES, sums, strict=True)}
        record |= validate(_network(average))
        with (work / "student.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
        _save(checkpoint, parts, epoch + 1)
    return _network(average)


class Sight(nn.Module):
    """What the student sees, told in the channels of the teacher's eyes: one 1x1 convolution a stage; training only."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.tell = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in zip(widths[-len(CHANNELS) :], CHANNELS, strict=True))

    def forward(self, maps: Sequence[Tensor], seen: Sequence[Tensor]) -> Tensor:
        """Mean squared error, summed over stages; `maps` of the student, `seen` as in `Batch.maps`."""
        pairs = zip(self.tell, maps[-len(self.tell) :], seen, strict=True)
        return torch.stack([F.mse_loss(tell(x), standard(y)) for tell, x, y in pairs]).sum()


def native_bfloat16() -> bool:
    """Whether this CPU computes in bfloat16; where it only imitates it, float32 is ten times faster."""
    tests = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(test is not None and test() for test in tests)


def _network(average: torch.optim.swa_utils.AveragedModel) -> JudgeNet:
    return cast("JudgeNet", average.module).eval()


def refit_quality(net: JudgeNet, lessons: list[Lesson], recipe: StudentRecipe) -> JudgeNet:
    """Put the least-squares solution into the last layer of `quality`: ridge regression on the frozen embedding.

    Gradient steps leave the last layer behind the features that it reads; this is where it was going. Targets are those
    of `fit`; pictures that people rated count `rated_weight` times, and what may not move the quality has its price.

    Args:
        net: trained, in evaluation mode; changed in place.
        lessons: what it was trained on.
        recipe: with the ridge and the weights.

    Returns:
        The same network.
    """
    d = net.quality.in_features + 1
    gram, moment = torch.zeros(d, d, dtype=torch.float64), torch.zeros(d, dtype=torch.float64)
    rng = np.random.default_rng(recipe.seed)
    every = slice(None, None, recipe.steady_every)
    for lesson in lessons:
        target, weight = _refit_targets(lesson, recipe)
        for i in range(0, len(target), 120):
            pixels = np.array(lesson.views.pixels[i : i + 120])
            x = _embedded(net, pixels)
            w = weight[i : i + 120, None]
            gram += x.T @ (w * x)
            moment += x.T @ (w[:, 0] * target[i : i + 120])
            for price, changed in ((recipe.rounding_weight, _rounded), (recipe.mirror_weight, _mirrored)):
                if price:
                    moved = x[every] - _embedded(net, changed(pixels[every], rng))
                    gram += price * len(x) / len(moved) * moved.T @ moved
    ridge = torch.full((d,), recipe.ridge, dtype=torch.float64)
    ridge[-1] = 0  # the constant is free
    solution = torch.linalg.solve(gram + torch.diag(ridge), moment).float()
    with torch.no_grad():
        net.quality.weight.copy_(solution[None, :-1])
        net.quality.bias.copy_(solution[-1:])
    return net


def _embedded(net: JudgeNet, pixels: npt.NDArray[np.uint8]) -> Tensor:
    """(n, hidden + 1) float64 of views, the last column 1."""
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=native_bfloat16()):
        e = net.embedding(net.maps(torch.from_numpy(pixels)))
    return F.pad(e.double(), (0, 1), value=1.0)


def _rounded(pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """What another decoder, or decoding at another scale, changes: single grey levels, slow waves, a touch of tint."""
    n, side = pixels.shape[:2]
    slow = torch.from_numpy(0.35 * rng.standard_normal((n, 3, side // 8, side // 8), np.float32))
    waves = F.interpolate(slow, size=(side, side), mode="bilinear").permute(0, 2, 3, 1).numpy()
    tint = 0.15 * rng.standard_normal((n, 1, 1, 3), np.float32)
    grain = 0.5 * rng.standard_normal(pixels.shape, np.float32)
    return np.clip(pixels + np.rint(grain + waves + tint), 0, 255).astype(np.uint8)


def _mirrored(pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    return np.ascontiguousarray(pixels[:, :, ::-1])


def _refit_targets(lesson: Lesson, recipe: StudentRecipe) -> tuple[Tensor, Tensor]:
    """(n,) targets and weights of all views."""
    label, teacher = torch.from_numpy(lesson.views.label).double(), torch.from_numpy(lesson.quality).double()
    rated = label.isfinite() & (torch.from_numpy(lesson.views.lost).amax(1) == 0)
    mixed = recipe.opinion_share * label + (1 - recipe.opinion_share) * teacher
    return torch.where(rated, mixed, teacher), torch.where(rated, recipe.rated_weight, 1.0)


def predict(net: JudgeNet, pixels: npt.NDArray[np.uint8], batch: int = 100) -> Judgement:
    """The network's judgement of (n, s, s, 3) uint8 views, float32."""
    with torch.inference_mode():
        parts = [net(torch.from_numpy(np.array(pixels[i : i + batch]))) for i in range(0, len(pixels), batch)]
    return Judgement(*(torch.cat(column) for column in zip(*parts, strict=True)))


#: losses between (n,) predictions and (n,) targets on a scale of 0..1
OPINION_TERMS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": lambda q, y: 10 * (q - y).square().mean(),
    "plcc": plcc_loss,
    "fidelity": lambda q, y: all_pairs_fidelity_loss(5 * q, 5 * y),  # on LIQE's five steps
}
_LOSSES = ("opinion", "features", "ladder", "attributes", "spread", "maps", "steady")


def _step_losses(net: JudgeNet, sight: Sight, batch: Batch, recipe: StudentRecipe) -> list[Tensor]:
    """All terms, weighted, in the order of `_LOSSES`."""
    n = len(batch.pixels)
    pixels = torch.cat([batch.pixels, batch.again])
    with torch.autocast("cpu", torch.bfloat16, enabled=native_bfloat16()):
        maps = net.maps(pixels)
        out = Judgement(*(value.float() for value in net.read(net.embedding(maps))))
        seen = sight([x[:n] for x in maps], batch.maps)
    losses = _losses(Judgement(*(value[:n] for value in out)), batch, recipe)
    moved = out.quality[n:] - out.quality[:n][recipe.again]
    steady = moved.square().sum() / max(1, len(moved))
    return [*losses, recipe.map_weight * seen.float(), recipe.steady_weight * steady]


def _losses(out: Judgement, batch: Batch, recipe: StudentRecipe) -> list[Tensor]:
    strength = batch.lost.amax(1)
    rated = batch.label.isfinite() & (strength == 0)
    mixed = recipe.opinion_share * batch.label + (1 - recipe.opinion_share) * batch.quality
    target = torch.where(rated, mixed, batch.quality)
    opinion = torch.stack([OPINION_TERMS[name](out.quality, target) for name in recipe.opinion_terms]).sum()
    features = recipe.feature_weight * F.smooth_l1_loss(out.features, batch.features)
    q, s = out.quality.view(-1, GROUP), strength.view(-1, GROUP)
    ladder = ladder_loss(q[s[:, 2] > 0], s[s[:, 2] > 0], recipe.lead)
    attributes = recipe.attribute_weight * attribute_loss(
        out.attributes, batch.lost, (batch.label >= recipe.clean_above) | batch.label.isnan()
    )
    if not rated.any():
        return [opinion, features, ladder, attributes, torch.zeros(())]
    error = (out.quality - batch.label).abs().detach()
    return [opinion, features, ladder, attributes, 0.1 * laplace_nll(error[rated], out.spread[rated])]


@dataclass(frozen=True)
class _Job:
    """Which groups the next batch reads, and how; arrays aligned on their first axis."""

    groups: npt.NDArray[np.int64]  #: (g, 2) lesson, group
    mirrored: npt.NDArray[np.bool_]  #: (g,)
    corner: npt.NDArray[np.int64]  #: (g, 2) upper left corner of the window, a multiple of the largest stride
    window_px: int | None  #: side of the window, None = whole views
    seed: tuple[int, ...]  #: of `shaken`


def _batches(lessons: list[Lesson], recipe: StudentRecipe, epoch: int) -> Iterator[Batch]:
    """All groups once in random order, mirrored at random; the next batch is read while this one is learned."""
    jobs = list(_jobs(lessons, recipe, epoch))
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(_read, lessons, jobs[0], recipe)
        for job in jobs[1:]:
            batch = coming.result()
            coming = reader.submit(_read, lessons, job, recipe)
            yield batch
        yield coming.result()


def _jobs(lessons: list[Lesson], recipe: StudentRecipe, epoch: int) -> Iterator[_Job]:
    rng = np.random.default_rng([recipe.seed, epoch])
    index = np.concatenate([[(k, g) for g in range(lesson.views.groups)] for k, lesson in enumerate(lessons)])
    order = rng.permutation(index)[: len(index) // recipe.batch_groups * recipe.batch_groups]
    mirrored = rng.random(len(order)) < 0.5
    side = lessons[0].views.pixels.shape[1]
    window_px = recipe.window_px if epoch < recipe.window_epochs and recipe.window_px < side else None
    places = (side - (window_px or side)) // STRIDES[-1] + 1
    corner = STRIDES[-1] * rng.integers(places, size=(len(order), 2))
    for i in range(0, len(order), recipe.batch_groups):
        part = slice(i, i + recipe.batch_groups)
        yield _Job(order[part], mirrored[part], corner[part], window_px, (recipe.seed, epoch, i))


def _read(lessons: list[Lesson], job: _Job, recipe: StudentRecipe) -> Batch:
    columns: list[tuple[npt.NDArray[Any], ...]] = []
    for (k, g), mirror, (y, x) in zip(job.groups, job.mirrored, job.corner, strict=True):
        lesson, rows = lessons[k], slice(g * GROUP, (g + 1) * GROUP)
        pictures = [(lesson.views.pixels, 1), *zip(lesson.maps, STRIDES, strict=True)]
        pixels, *maps = (_window(p[rows], int(y), int(x), job.window_px, stride, mirror) for p, stride in pictures)
        rest = (lesson.views.label[rows], lesson.views.lost[rows], lesson.quality[rows])
        columns.append((pixels, *rest, lesson.features[rows].astype(np.float32), *maps))
    pixels, label, lost, quality, features, *maps = (np.concatenate(c) for c in zip(*columns, strict=True))
    again = shaken(pixels[recipe.again], np.random.default_rng(job.seed))
    put = torch.from_numpy
    seen = tuple(put(m) for m in maps)
    return Batch(put(pixels), put(label), put(lost), put(quality), put(features), seen, put(again))


def _window(
    pictures: npt.NDArray[np.uint8], y: int, x: int, side: int | None, stride: int, mirror: bool
) -> npt.NDArray[np.uint8]:
    """(n, h, w, c): the window of a map whose places are `stride` pixels apart; whole for side None."""
    if side is not None:
        rows, columns = (slice(a // stride, (a + side) // stride) for a in (y, x))
        pictures = pictures[:, rows, columns]
    return pictures[:, :, ::-1] if mirror else pictures


def shaken(pixels: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """What no eye notices: about half of the values one grey level up or down, and half of the views mirrored.

    Args:
        pixels: (n, s, s, 3).
        rng: source of chance.
    """
    step = np.rint(0.7 * rng.standard_normal(pixels.shape, np.float32)).astype(np.int16)
    changed = np.clip(pixels + step, 0, 255).astype(np.uint8)
    mirrored = rng.random(len(pixels)) < 0.5
    changed[mirrored] = changed[mirrored][:, :, ::-1]
    return changed


def _cosine(recipe: StudentRecipe, total: int) -> Callable[[int], float]:
    warm = max(1, round(recipe.warmup * total))

    def factor(step: int) -> float:
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))

    return factor


def _resume(checkpoint: Path, parts: dict[str, Any]) -> int:
    """Load a checkpoint if there is one; the epochs done."""
    if not checkpoint.is_file():
        return 0
    state = torch.load(checkpoint, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["epoch"])


def _save(checkpoint: Path, parts: dict[str, Any], epoch: int) -> None:
    """Replace the checkpoint in one step, so that a kill leaves the old one."""
    state: dict[str, Any] = {name: part.state_dict() for name, part in parts.items()}
    fresh = checkpoint.with_suffix(".new")
    torch.save(state | {"epoch": epoch}, fresh)
    fresh.replace(checkpoint)
