"""Stage 3: the student. From random weights, it learns the teacher's eyes, its judgement, and the reasons.

L = 10 MSE(q, y) + PLCC loss(q, y)          y: opinions mixed with the teacher's, the teacher's alone elsewhere
  + feature_weight  SmoothL1(f, PCA of the teacher's features)
  + ladder hinge(q) + attribute loss + 0.1 Laplace NLL(|q - opinion|, spread)
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from mien.losses.regression import laplace_nll, plcc_loss
from mien.models.judge_net import Judgement, JudgeNet
from mien.training.teacher import ladder_loss
from mien.training.views import GROUP, Views


@dataclass(frozen=True)
class StudentRecipe:
    """How the student is trained; an epoch is one pass over all groups of views."""

    epochs: int = 7
    batch_groups: int = 24
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: float = 0.05  #: part of all steps
    opinion_share: float = 0.7  #: of the target on labelled plain views; the rest is the teacher's
    feature_weight: float = 1.0
    attribute_weight: float = 4.0
    lead: float = 0.5  #: see `teacher.ladder_loss`
    clean_above: float = 0.75  #: pictures rated above this count as free of faults when attributes are learned
    ema: float = 0.999
    ridge: float = 100.0  #: of the last layer's closing regression
    rated_weight: float = 3.0  #: of rated views in it
    seed: int = 1


@dataclass(frozen=True)
class Lesson:
    """Views with what the teacher says of them; aligned arrays."""

    views: Views
    quality: npt.NDArray[np.float32]  #: (n,) the teacher's
    features: npt.NDArray[np.float16]  #: (n, k) the teacher's principal components


@dataclass(frozen=True)
class Batch:
    """What one step sees: n views, group by group."""

    pixels: Tensor  #: (n, s, s, 3) uint8
    label: Tensor  #: (n,) nan where nobody was asked
    lost: Tensor  #: (n, 4)
    quality: Tensor  #: (n,)
    features: Tensor  #: (n, k)


def fit(
    lessons: list[Lesson], recipe: StudentRecipe, work: Path, *, validate: Callable[[JudgeNet], dict[str, Any]]
) -> JudgeNet:
    """Train, or go on from `work/student.pt`; one line of metrics an epoch goes to `work/student.jsonl`.

    Args:
        lessons: one per data set.
        recipe: sizes and steps.
        work: folder of checkpoint and log.
        validate: metrics of a network in evaluation mode; watched, never used to choose.

    Returns:
        The average of the weights over the last steps (EMA), in evaluation mode.
    """
    torch.manual_seed(recipe.seed)
    net = JudgeNet(teacher_features=lessons[0].features.shape[1])
    net = net.to(memory_format=torch.channels_last)  # as the pixels come; a quarter faster on a CPU
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.ema), use_buffers=True
    )
    optimizer = torch.optim.AdamW(net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    per_epoch = sum(lesson.views.groups for lesson in lessons) // recipe.batch_groups
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _cosine(recipe, per_epoch * recipe.epochs))
    parts = {"net": net, "average": average, "optimizer": optimizer, "schedule": schedule}
    checkpoint = work / "student.pt"
    done = _resume(checkpoint, parts)
    for epoch in range(done, recipe.epochs):
        started, sums = time.monotonic(), torch.zeros(5)
        for batch in _batches(lessons, recipe, epoch):
            losses = _losses(_forward(net, batch.pixels), batch, recipe)
            optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
            optimizer.step()
            schedule.step()
            average.update_parameters(net)
            sums += torch.stack(losses).detach()
        names = ("opinion", "features", "ladder", "attributes", "spread")
        record = {"epoch": epoch + 1, "seconds": round(time.monotonic() - started, 1)}
        record |= {f"loss_{name}": round(float(v) / per_epoch, 5) for name, v in zip(names, sums, strict=True)}
        record |= validate(_network(average))
        with (work / "student.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(record) + "\n")
        _save(checkpoint, parts, epoch + 1)
    return _network(average)


def _network(average: torch.optim.swa_utils.AveragedModel) -> JudgeNet:
    return cast("JudgeNet", average.module).eval()


def refit_quality(net: JudgeNet, lessons: list[Lesson], recipe: StudentRecipe) -> JudgeNet:
    """Put the least-squares solution into the last layer of `quality`: ridge regression on the frozen embedding.

    Gradient steps leave the last layer behind the features that it reads; this is where it was going. Targets are those
    of `fit`; pictures that people rated count `rated_weight` times.

    Args:
        net: trained, in evaluation mode; changed in place.
        lessons: what it was trained on.
        recipe: with the ridge and the weight.

    Returns:
        The same network.
    """
    d = net.quality.in_features + 1
    gram, moment = torch.zeros(d, d, dtype=torch.float64), torch.zeros(d, dtype=torch.float64)
    for lesson in lessons:
        target, weight = _refit_targets(lesson, recipe)
        for i in range(0, len(target), 120):
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
                e = net.embedding(torch.from_numpy(np.array(lesson.views.pixels[i : i + 120])))
            x = F.pad(e.double(), (0, 1), value=1.0)
            w = weight[i : i + 120, None]
            gram += x.T @ (w * x)
            moment += x.T @ (w[:, 0] * target[i : i + 120])
    ridge = torch.full((d,), recipe.ridge, dtype=torch.float64)
    ridge[-1] = 0  # the constant is free
    solution = torch.linalg.solve(gram + torch.diag(ridge), moment).float()
    with torch.no_grad():
        net.quality.weight.copy_(solution[None, :-1])
        net.quality.bias.copy_(solution[-1:])
    return net


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


def _forward(net: JudgeNet, pixels: Tensor) -> Judgement:
    with torch.autocast("cpu", torch.bfloat16):
        out = net(pixels)
    return Judgement(*(value.float() for value in out))


def _losses(out: Judgement, batch: Batch, recipe: StudentRecipe) -> list[Tensor]:
    strength = batch.lost.amax(1)
    rated = batch.label.isfinite() & (strength == 0)
    mixed = recipe.opinion_share * batch.label + (1 - recipe.opinion_share) * batch.quality
    target = torch.where(rated, mixed, batch.quality)
    opinion = 10 * (out.quality - target).square().mean() + plcc_loss(out.quality, target)
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


def attribute_loss(predicted: Tensor, lost: Tensor, clean: Tensor) -> Tensor:
    """Attributes follow the known strengths.

    A clean picture has 1 - strength of everything. Any other may have had faults before, so its strength is only an
    upper limit: it is corrected from above, and only on what was done to it.

    Args:
        predicted: (n, 4) in 0..1, 1 = no fault.
        lost: (n, 4) known strengths in 0..1.
        clean: (n,) bool.

    Returns:
        () float.
    """
    above = predicted - (1 - lost)
    limit = torch.where(lost > 0, above.clamp(min=0), torch.zeros_like(above))
    return torch.where(clean[:, None], above, limit).square().mean()


def _batches(lessons: list[Lesson], recipe: StudentRecipe, epoch: int) -> Iterator[Batch]:
    """All groups once in random order, mirrored at random; the next batch is read while this one is learned."""
    rng = np.random.default_rng([recipe.seed, epoch])
    index = np.concatenate([[(k, g) for g in range(lesson.views.groups)] for k, lesson in enumerate(lessons)])
    order = rng.permutation(index)[: len(index) // recipe.batch_groups * recipe.batch_groups]
    mirrored = rng.random(len(order)) < 0.5
    jobs = [slice(i, i + recipe.batch_groups) for i in range(0, len(order), recipe.batch_groups)]
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(_read, lessons, order[jobs[0]], mirrored[jobs[0]])
        for job in jobs[1:]:
            batch = coming.result()
            coming = reader.submit(_read, lessons, order[job], mirrored[job])
            yield batch
        yield coming.result()


def _read(lessons: list[Lesson], groups: npt.NDArray[np.int64], mirrored: npt.NDArray[np.bool_]) -> Batch:
    columns: list[tuple[npt.NDArray[Any], ...]] = []
    for (k, g), mirror in zip(groups, mirrored, strict=True):
        lesson, rows = lessons[k], slice(g * GROUP, (g + 1) * GROUP)
        pixels = lesson.views.pixels[rows]
        columns.append(
            (
                pixels[:, :, ::-1] if mirror else pixels,
                lesson.views.label[rows],
                lesson.views.lost[rows],
                lesson.quality[rows],
                lesson.features[rows].astype(np.float32),
            )
        )
    return Batch(*(torch.from_numpy(np.concatenate(column)) for column in zip(*columns, strict=True)))


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
