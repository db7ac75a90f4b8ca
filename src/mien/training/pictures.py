"""Batches of training pictures, read ahead by threads; and prepared test pictures. Chance depends on the place only."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mien.core.decode import decode
from mien.core.errors import UnreadableImageError, UsageError
from mien.core.preprocess import read
from mien.core.views import ViewPreprocess
from mien.data.sample import Sample
from mien.training.crops import Arrays
from mien.training.recipe import Recipe, Tensors

Job = TypeVar("Job")
Made = TypeVar("Made")


def ahead(pool: Executor, jobs: Iterable[Job], make: Callable[[Job], Made], depth: int) -> Iterator[Made]:
    """What `make` makes of each job, in order, at most `depth` of them made before they are asked for."""
    waiting: deque[Future[Made]] = deque()
    for job in jobs:
        waiting.append(pool.submit(make, job))
        if len(waiting) > depth:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def decoded(sample: Sample, enough_px: int | None) -> Image.Image:
    """The picture as `mien score` sees it: upright, sRGB, transparent parts over white.

    Args:
        sample: where it is.
        enough_px: as for `mien.core.decode.decode`.

    Raises:
        UsageError: it cannot be read; the message names it.
    """
    with _named(sample):
        return decode(sample.read(), enough_px=enough_px).pixels


@contextmanager
def _named(sample: Sample) -> Iterator[None]:
    """An error says which picture cannot be read."""
    try:
        yield
    except (OSError, UnreadableImageError) as error:
        raise UsageError(
            f"the picture {sample.file} ({sample.name}) cannot be read: {error}. Repair it, or take its row out of "
            f"the table"
        ) from None


def train_views(recipe: Recipe, sample: Sample, rng: np.random.Generator) -> Arrays:
    """Views of a training picture: input -> (v, ...)."""
    picture = decoded(sample, recipe.preprocess.enough_px)
    try:
        return recipe.views(recipe.look(picture, sample.box, recipe.inputs), rng)
    except UsageError as error:
        raise UsageError(f"{sample.name}: {error}") from None


def test_views(recipe: Recipe, sample: Sample) -> dict[str, Any]:
    """What the network is shown of a picture when it is measured, as `mien score` will show it."""
    if not isinstance(recipe.preprocess, ViewPreprocess):
        with _named(sample):
            return {"image": read(sample.read(), recipe.preprocess)[1]}
    picture = decoded(sample, recipe.preprocess.enough_px)
    looks = recipe.look(picture, sample.box, recipe.inputs)
    try:
        return {name: view(looks[name]) for name, view in recipe.preprocess.inputs.items()}
    except UsageError as error:
        raise UsageError(f"{sample.name}: {error}") from None


def stacked(pictures: Sequence[dict[str, Any]], device: torch.device) -> Tensors:
    """(v, ...) of each picture -> (n, v, ...).

    Raises:
        UsageError: pictures that give different numbers or sizes of views.
    """
    try:
        arrays = {name: np.stack([p[name] for p in pictures]) for name in pictures[0]}
    except ValueError:
        shapes = sorted({str(x.shape) for p in pictures for x in p.values()})
        raise UsageError(f"pictures of one batch give views of different shapes: {', '.join(shapes)}") from None
    return {name: _on(torch.from_numpy(array), device) for name, array in arrays.items()}


def runs_of_one_shape(pictures: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Neighbours that can be stacked."""
    run: list[dict[str, Any]] = []
    for picture in pictures:
        if run and any(picture[name].shape != value.shape for name, value in run[0].items()):
            yield run
            run = []
        run.append(picture)
    if run:
        yield run


def _on(array: Tensor, device: torch.device) -> Tensor:
    return array if device.type == "cpu" else array.pin_memory().to(device, non_blocking=True)
