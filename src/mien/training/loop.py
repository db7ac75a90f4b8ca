"""The loop: epochs of steps, a checkpoint that survives a kill, the best epoch by the validation part.

Every chance is drawn from (seed, epoch, step, place in the batch), so a run that was killed and goes on gives the same
weights, bit for bit on a CPU, as one that was not, and the number of processes changes nothing but rounding.
"""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mien.core.errors import ModelError, UsageError
from mien.data.sample import Sample
from mien.training import checkpoint, log
from mien.training.checkpoint import Progress
from mien.training.fingerprint import fingerprint
from mien.training.measure import agreement, chosen_by, predict
from mien.training.order import Indices
from mien.training.parallel import Machine, synchronised
from mien.training.parts import Parts
from mien.training.pictures import ahead, stacked, train_views
from mien.training.recipe import Batch, Forward, Recipe, Tensors
from mien.training.schedule import Moment


@dataclass(frozen=True, slots=True)
class LabelMap:
    """From the opinions of the table to the scale that is learned."""

    low: float
    high: float

    def __call__(self, label: float) -> float:
        """`low` becomes 0, `high` becomes 1."""
        return (label - self.low) / (self.high - self.low)

    def back(self, value: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The inverse, of any number of values."""
        return self.low + np.asarray(value, np.float64) * (self.high - self.low)


@dataclass(frozen=True)
class Fitted:
    """What a run has come to."""

    net: nn.Module  #: with the weights of the chosen epoch, in evaluation mode
    labels: LabelMap
    epoch: int  #: the chosen one, from 1
    history: list[dict[str, Any]]  #: one record for each epoch


@dataclass(frozen=True)
class Way:
    """How a run goes, without a say in what comes out of it."""

    resume: bool = False  #: go on with the checkpoint, if there is one
    save_seconds: float = 300.0  #: between two checkpoints inside an epoch; there is one behind each epoch anyway
    workers: int = 2  #: threads that read pictures
    tensorboard: bool = False
    tell: log.Tell = lambda text: None


def label_map(recipe: Recipe, train: Sequence[Sample]) -> LabelMap:
    """Of the training labels, where the recipe wants it; else nothing is changed."""
    if recipe.labels == "given":
        return LabelMap(0.0, 1.0)
    labels = [s.label for s in train if s.label is not None]
    return LabelMap(min(labels), max(labels))


def run_key(recipe: Recipe, parts: Parts, start: str) -> str:
    """Two runs with the same key give the same weights.

    Args:
        recipe: its settings.
        parts: names, labels and sizes of the pictures.
        start: SHA-256 of the weights that the run begins with.
    """
    rows = [
        [(s.name, s.label, s.size, s.scene, s.subset, s.distortion, s.box) for s in part]
        for part in (parts.train, parts.val, parts.held)
    ]
    return fingerprint(recipe.settings(), rows, start)


def fit(recipe: Recipe, parts: Parts, out: Path, here: Machine, way: Way, *, start: Tensors | None = None) -> Fitted:
    """Train.

    Args:
        recipe: what to do.
        parts: what to learn from, and what to choose by. The other parts are not looked at.
        out: folder of checkpoint.pt, best.pt and log.jsonl; made where it is not there.
        here: this process.
        way: how to go about it.
        start: weights for `recipe.begin`.

    Raises:
        UsageError: a setting that does not fit the data, a picture that cannot be read, or a checkpoint of another run.
        ModelError: the loss became infinite or not a number.
    """
    run = _Run(recipe, parts, out, here, way, start)
    with (
        ThreadPoolExecutor(way.workers) as pool,
        log.board(out / "tensorboard" if way.tensorboard and here.main else None, run.progress.epoch) as show,
    ):
        while run.progress.epoch < recipe.epochs:
            run.epoch(pool)
            if here.main:
                record = run.progress.history[-1]
                show(record)
                way.tell(log.epoch_line(record, recipe.epochs))
        return run.result()


class _Forward(nn.Module):
    """The recipe's way through the network, as a module, so that gradients of several processes are averaged."""

    def __init__(self, net: nn.Module, forward: Forward) -> None:
        super().__init__()
        self.net, self._through = net, forward

    def forward(self, views: Tensors, batch: Batch) -> Tensors:
        """Views of a part of a batch -> named outputs."""
        return self._through(self.net, views, batch)


class _Run:
    """All that changes while a run lasts."""

    def __init__(self, recipe: Recipe, parts: Parts, out: Path, here: Machine, way: Way, start: Tensors | None) -> None:
        self.recipe, self.parts, self.out, self.here, self.way = recipe, parts, out, here, way
        self.labels = label_map(recipe, parts.train)
        self.scenes = {name: k for k, name in enumerate(sorted({s.scene for s in parts.everything} - {""}))}
        if recipe.scenes is not None and len(self.scenes) > recipe.scenes:
            raise UsageError(f"{recipe.name} tells {recipe.scenes} scenes apart, but the data has {len(self.scenes)}")
        self.groups = {name: k for k, name in enumerate(sorted({s.subset for s in parts.everything}))}
        self.per_epoch = len(self._order(0))
        torch.manual_seed(recipe.seed)
        net = recipe.network()
        if start is not None:
            recipe.begin(net, start)
        self.key = run_key(recipe, parts, _digest(net))
        self.net = synchronised(net, here).to(here.device).train()
        self.average = copy.deepcopy(self.net) if recipe.ema is not None else None
        self.through = here.wrapped(_Forward(self.net, recipe.forward))
        self.optimizer = recipe.optimizer.build(self.net)
        self.memories = {} if start is not None else _memories(self.net)
        self.progress = self._begun()
        self.saved = time.monotonic()

    @property
    def judged(self) -> nn.Module:
        """The network that is measured and kept."""
        return self.net if self.average is None else self.average

    def epoch(self, pool: Executor) -> None:
        """One epoch, or the rest of one, and its record."""
        now, recipe = self.progress, self.recipe
        if recipe.optimizer.forget and now.step == 0:
            self.optimizer = recipe.optimizer.build(self.net)
        order = self._order(now.epoch)
        weights = {} if recipe.weigh is None else recipe.weigh(now.history)
        pace = log.Pace(
            self.way.tell if self.here.main else lambda text: None,
            now.epoch + 1, recipe.epochs, len(order), order.shape[1], now.step,
        )  # fmt: skip
        begun = time.monotonic() - now.seconds
        for views in self._batches(order, pool):
            terms = self._step(order[now.step], views, weights)
            now.step += 1
            now.sums = {name: now.sums.get(name, 0.0) + value for name, value in terms.items()}
            now.seconds = time.monotonic() - begun
            pace(now.step)
            if now.step < len(order) and time.monotonic() - self.saved >= self.way.save_seconds:
                self._save()
        self._close(pool)

    def result(self) -> Fitted:
        """With the best weights that were kept.

        Raises:
            UsageError: they are of another epoch or another run.
        """
        self.here.wait()
        net = self.recipe.network()
        facts = checkpoint.load_weights(self.out / checkpoint.BEST, net)
        assert self.progress.best_epoch is not None
        if (facts.get("key"), facts.get("epoch")) != (self.key, self.progress.best_epoch):
            raise UsageError(
                f"{self.out / checkpoint.BEST} is not the one of epoch {self.progress.best_epoch} of this run, which "
                f"{checkpoint.FILE} names as the best: begin again with --overwrite"
            )
        return Fitted(net.to(self.here.device).eval(), self.labels, self.progress.best_epoch, self.progress.history)

    def _begun(self) -> Progress:
        path = self.out / checkpoint.FILE
        if self.here.main:
            self.out.mkdir(parents=True, exist_ok=True)
        if self.way.resume and path.is_file():
            return checkpoint.load(path, self.key, self._parts())
        self.here.wait()
        return Progress()

    def _parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"net": self.net, "optimizer": self.optimizer}
        return parts if self.average is None else parts | {"average": self.average}

    def _save(self) -> None:
        if self.here.main:
            checkpoint.save(self.out / checkpoint.FILE, self.key, self.progress, self._parts())
        self.saved = time.monotonic()

    def _order(self, epoch: int) -> Indices:
        recipe = self.recipe
        try:
            order = recipe.order(self.parts.train, recipe.batch, epoch, recipe.seed)
        except ValueError as error:
            raise UsageError(f"the batches of {recipe.name} do not fit this data: {error}") from None
        if order.shape[1] % recipe.accumulate:
            raise UsageError(f"a batch of {order.shape[1]} pictures cannot be learned in {recipe.accumulate} parts")
        return order

    def _batches(self, order: Indices, pool: Executor) -> Iterator[list[Tensors]]:
        """The parts of each batch that this process sees, from the step on that comes next."""
        epoch, first = self.progress.epoch, self.progress.step
        part = order.shape[1] // self.recipe.accumulate
        mine = self.here.share(part)
        places = [
            (step, column)
            for step in range(first, len(order))
            for begin in range(0, order.shape[1], part)
            for column in range(begin + mine.start, begin + mine.stop)
        ]

        def read(place: tuple[int, int]) -> dict[str, Any]:
            step, column = place
            rng = np.random.default_rng([self.recipe.seed, epoch, step, column])
            return train_views(self.recipe, self.parts.train[order[step, column]], rng)

        n = mine.stop - mine.start
        pictures: list[dict[str, Any]] = []
        ready: list[Tensors] = []
        for picture in ahead(pool, places, read, max(2 * n * self.recipe.accumulate, self.way.workers)):
            pictures.append(picture)
            if len(pictures) == n:
                ready.append(stacked(pictures, self.here.device))
                pictures = []
            if len(ready) == self.recipe.accumulate:
                yield ready
                ready = []

    def _step(self, row: np.ndarray, parts: list[Tensors], weights: Mapping[str, float]) -> dict[str, float]:
        """One step of the optimizer; the mean of each loss term over the parts of the batch."""
        now, recipe = self.progress, self.recipe
        seed = np.random.SeedSequence([recipe.seed, now.epoch, now.step, self.here.rank])
        torch.manual_seed(int(seed.generate_state(1)[0]))
        chance = float(np.random.default_rng([recipe.seed, now.epoch, now.step]).random())
        self._set_rates()
        self._set_memory()
        self.optimizer.zero_grad()
        n = len(row) // len(parts)
        totals: dict[str, float] = {}
        for k, views in enumerate(parts):
            terms = self._terms(self._batch(row[k * n : (k + 1) * n], chance), views)
            loss = torch.stack([weights.get(name, 1.0) * term for name, term in terms.items()]).sum()
            # every process has the loss of the whole batch, but gradients of its own pictures only, and they are
            # averaged: times `world`
            (loss * (self.here.world / len(parts))).backward()
            for name, term in terms.items():
                totals[name] = totals.get(name, 0.0) + float(term.detach()) / len(parts)
        self._check(totals)
        if recipe.optimizer.clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), recipe.optimizer.clip)
        self.optimizer.step()
        self._update_average()
        return totals

    def _terms(self, batch: Batch, views: Tensors) -> Tensors:
        share = self.here.share(len(batch.samples))
        with torch.autocast(self.here.device.type, torch.bfloat16, enabled=self.recipe.bf16):
            outputs = self.through(views, batch.part(share))
        return self.recipe.loss({name: self.here.gathered(x.float()) for name, x in outputs.items()}, batch)

    def _batch(self, row: np.ndarray, chance: float) -> Batch:
        samples = tuple(self.parts.train[i] for i in row)
        labels = [math.nan if s.label is None else self.labels(s.label) for s in samples]
        return Batch(
            samples,
            torch.tensor(labels, dtype=torch.float32, device=self.here.device),
            torch.tensor([self.scenes.get(s.scene, -1) for s in samples], device=self.here.device),
            torch.tensor([self.groups[s.subset] for s in samples], device=self.here.device),
            chance,
        )

    def _moment(self) -> Moment:
        step = self.progress.epoch * self.per_epoch + self.progress.step
        return Moment(step, self.per_epoch, self.recipe.epochs * self.per_epoch)

    def _set_rates(self) -> None:
        for group in self.optimizer.param_groups:
            rate, schedule = self.recipe.optimizer.rate(group["name"])
            group["lr"] = rate * schedule(self._moment())

    def _set_memory(self) -> None:
        """Statistics of batches are their plain mean, until there are enough of them for the memory of the network.

        Without it a run of few steps is judged by what it began with: mean 0 and variance 1, which no layer has.
        """
        for norm, momentum in self.memories.items():
            norm.momentum = max(momentum, 1 / (1 + self._moment().step))

    @torch.no_grad()
    def _update_average(self) -> None:
        """Exponential average of weights and statistics; its memory grows with the run, so that the start is gone."""
        if self.average is None or self.recipe.ema is None:
            return
        step = self._moment().step
        decay = min(self.recipe.ema, (1 + step) / (10 + step))
        for kept, new in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
            if kept.is_floating_point():
                kept.lerp_(new, 1 - decay)
            else:
                kept.copy_(new)

    def _check(self, terms: Mapping[str, float]) -> None:
        if not all(map(math.isfinite, terms.values())):
            shown = ", ".join(f"{name} {value}" for name, value in terms.items())
            raise ModelError(
                f"the loss is not a finite number in epoch {self.progress.epoch + 1}, step {self.progress.step + 1} "
                f"({shown}): lower the learning rate, or clip the gradient"
            )

    def _close(self, pool: Executor) -> None:
        """Measure, keep what is best, write the log, and then the checkpoint."""
        now = self.progress
        record: dict[str, Any] = {"epoch": now.epoch + 1, "steps": now.step, "seconds": round(now.seconds, 2)}
        record["learning_rate"] = self.optimizer.param_groups[0]["lr"]
        record |= {f"loss_{name}": total / now.step for name, total in now.sums.items()}
        quality = predict(self.recipe, self.judged, self.parts.val, self.here, pool)["quality"]
        metrics = agreement(self.labels.back(quality), self.parts.val)
        record |= {f"val_{name}": value for name, value in metrics.items()}
        value = chosen_by(metrics, self.recipe.select)
        record["chosen_by"] = None if value is None else round(value, 6)
        if now.best is None or (value is not None and value > now.best):  # the latest, while nothing is defined
            now.best, now.best_epoch = value, now.epoch + 1
            if self.here.main:
                checkpoint.save_weights(self.out / checkpoint.BEST, self.judged, epoch=now.epoch + 1, key=self.key)
        now.history.append(record)
        now.epoch, now.step, now.sums, now.seconds = now.epoch + 1, 0, {}, 0.0
        if self.here.main:
            log.write(self.out / "log.jsonl", now.history)
        self._save()


def _memories(net: nn.Module) -> dict[_BatchNorm, float]:
    """What each new batch counts for in the statistics of a network."""
    return {m: m.momentum for m in net.modules() if isinstance(m, _BatchNorm) and m.momentum is not None}


def _digest(net: nn.Module) -> str:
    """SHA-256 of the weights that a run begins with: the same seed gives the same, another start another."""
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(f"{name}\0{value.dtype}\0{tuple(value.shape)}\0".encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
