"""What a network says of pictures, and how far that agrees with people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from mien.core.errors import UsageError
from mien.core.views import Five, Random, ViewPreprocess, Windows
from mien.data.sample import Sample
from mien.evaluation import correlation, logistic
from mien.training.parallel import Machine
from mien.training.pictures import ahead, runs_of_one_shape, stacked, test_views
from mien.training.recipe import Recipe

Answers = dict[str, npt.NDArray[np.float32]]
Metrics = dict[str, float | None]
Made = TypeVar("Made")

_MOST_VIEWS = 64  #: that go through the network together


def predict(
    recipe: Recipe, net: nn.Module, samples: Sequence[Sample], here: Machine, pool: Executor, *, depth: int = 32
) -> Answers:
    """The network's answers, each picture prepared as at test.

    Args:
        recipe: says how.
        net: in any mode; judged in evaluation mode, and given back as it was.
        samples: at least one picture; every process gets the answers to all of them.
        here: this process.
        pool: reads ahead.
        depth: pictures that are kept ready.

    Returns:
        "quality" (n,) on the scale that is learned, and what else `recipe.judge` gives.

    Raises:
        UsageError: a picture cannot be read.
    """
    rows = [row for row in answers(recipe, net, samples, here, pool, depth=depth) if not isinstance(row, UsageError)]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def answers(
    recipe: Recipe,
    net: nn.Module,
    samples: Sequence[Sample],
    here: Machine,
    pool: Executor,
    *,
    depth: int = 32,
    go_on: bool = False,
) -> list[Answers | UsageError]:
    """As `predict`, one answer for each picture; with `go_on` a picture that cannot be read gets its error instead."""

    def prepared(sample: Sample) -> dict[str, Any] | UsageError:
        try:
            return test_views(recipe, sample)
        except UsageError as error:
            if not go_on:
                raise
            return error

    before = net.training
    net.eval()
    rows: list[Answers | UsageError] = []
    waiting: list[dict[str, Any] | UsageError] = []
    size = max(1, _MOST_VIEWS // _views(recipe))
    for picture in ahead(pool, samples[here.rank :: here.world], prepared, depth):
        waiting.append(picture)
        if len(waiting) == size:
            rows += _judged(recipe, net, waiting, here)
            waiting = []
    rows += _judged(recipe, net, waiting, here)
    net.train(before)
    return here.collected(rows)


def _judged(
    recipe: Recipe, net: nn.Module, waiting: list[dict[str, Any] | UsageError], here: Machine
) -> list[Answers | UsageError]:
    """Errors stay where they are."""
    readable = [picture for picture in waiting if not isinstance(picture, UsageError)]
    found = iter([row for run in runs_of_one_shape(readable) for row in _answers(recipe, net, run, here)])
    return [picture if isinstance(picture, UsageError) else next(found) for picture in waiting]


def _answers(recipe: Recipe, net: nn.Module, run: list[dict[str, Any]], here: Machine) -> list[Answers]:
    with torch.inference_mode(), torch.autocast(here.device.type, torch.bfloat16, enabled=recipe.bf16):
        answer = recipe.judge(net, stacked(run, here.device))
    columns = {name: value.float().cpu().numpy() for name, value in answer.items()}
    return [{name: column[i] for name, column in columns.items()} for i in range(len(run))]


def _views(recipe: Recipe) -> int:
    """About how many views a picture gives."""
    if not isinstance(recipe.preprocess, ViewPreprocess):
        return 1
    crops = [view.crop for view in recipe.preprocess.inputs.values()]
    return max(c.n if isinstance(c, Random | Windows) else 5 if isinstance(c, Five) else 1 for c in crops)


def agreement(predicted: npt.ArrayLike, samples: Sequence[Sample]) -> Metrics:
    """SRCC, PLCC, KRCC, RMSE and MAE of all pictures together, without a fit; None where one is undefined.

    Besides, where there are scenes: `srcc_inside` and `plcc_inside`, means over the scenes. And `plcc_fitted`,
    `rmse_fitted`, `mae_fitted` after the 4-parameter logistic that papers fit on the very pictures that they report.

    Args:
        predicted: (n,), any scale.
        samples: with a label.
    """
    q, y = np.asarray(predicted, np.float64), np.array([s.label for s in samples], np.float64)
    found: Metrics = {name: _or_none(lambda m=metric: m(q, y)) for name, metric in correlation.METRICS.items()}
    if any(s.scene for s in samples):
        scene = np.array([f"{s.subset}/{s.scene}" for s in samples])
        for name in ("srcc", "plcc"):
            found[f"{name}_inside"] = _mean_inside(correlation.METRICS[name], q, y, scene)
    mapped = _or_none(lambda: logistic.fit("logistic4", q, y)(q))
    for name in ("plcc", "rmse", "mae"):
        found[f"{name}_fitted"] = (
            None if mapped is None else _or_none(lambda n=name, q=mapped: correlation.METRICS[n](q, y))
        )
    return {name: None if value is None else round(value, 6) for name, value in found.items()}


def chosen_by(metrics: Metrics, names: Sequence[str]) -> float | None:
    """The sum that an epoch is chosen by; None when a metric is undefined.

    A name with a minus counts down. Where nothing is defined inside a scene (none has three different pictures, or
    there are no scenes), the metric of all pictures takes its place.
    """
    total = 0.0
    for name in names:
        bare = name.removeprefix("-")
        value = metrics.get(bare)
        if value is None and bare.endswith("_inside"):
            value = metrics.get(bare.removesuffix("_inside"))
        if value is None:
            return None
        total += -value if name.startswith("-") else value
    return total


def _mean_inside(
    metric: correlation.Metric, q: npt.NDArray[np.float64], y: npt.NDArray[np.float64], scene: npt.NDArray[np.str_]
) -> float | None:
    values = [_or_none(lambda i=(scene == name): metric(q[i], y[i])) for name in np.unique(scene)]
    defined = [v for v in values if v is not None]
    return float(np.mean(defined)) if defined else None


def _or_none(compute: Callable[[], Made]) -> Made | None:
    try:
        return compute()
    except ValueError:
        return None
