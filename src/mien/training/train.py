"""From a table of pictures and scores to a model file: read, divide, fit, deliver."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mien.core.weights import sha256_of
from mien.training import checkpoint
from mien.training.deliver import Origin, deliver
from mien.training.loop import Fitted, Way, fit
from mien.training.parallel import Machine
from mien.training.parts import Parts, divide
from mien.training.recipe import Recipe
from mien.training.sources import Source, read

MADE = (checkpoint.FILE, checkpoint.BEST, "log.jsonl", "tensorboard")  #: by a run, in its folder, beside the model


def model_files(name: str) -> tuple[str, str]:
    """What `finish` makes in the folder of a run: the model and its card."""
    return f"{name}.onnx", f"{name}.json"


def train(
    recipe: Recipe,
    sources: Sequence[Source],
    out: Path,
    here: Machine,
    way: Way,
    *,
    start: Path | None = None,
) -> Path | None:
    """Train, and write the model with its card.

    Args:
        recipe: what to do.
        sources: labelled pictures.
        out: folder of the run; the model becomes `out/NAME.onnx`.
        here: this process.
        way: how to go about it.
        start: checkpoint to begin from, see `Recipe.begin`.

    Returns:
        The model file; None in all processes but the main one.

    Raises:
        MienError: data, settings or weights that cannot be used; the message says which and what to do.
    """
    parts = divide(read(sources), recipe.split, hold=recipe.calibrate)
    fitted = fit_from(recipe, parts, out, here, way, start)
    origin = Origin(tuple(s.name for s in sources), start_in_words(start))
    return finish(recipe, fitted, parts, origin, out / f"{recipe.name}.onnx", here, way)


def fit_from(recipe: Recipe, parts: Parts, out: Path, here: Machine, way: Way, start: Path | None) -> Fitted:
    """`fit`, with the checkpoint that it starts from."""
    if start is None:
        return fit(recipe, parts, out, here, way)
    from mien.models import checkpoints

    return fit(recipe, parts, out, here, way, start=checkpoints.read(start))


def finish(
    recipe: Recipe, fitted: Fitted, parts: Parts, origin: Origin, model: Path, here: Machine, way: Way
) -> Path | None:
    """`deliver`, by the main process; the others wait."""
    made = None
    if here.main:
        way.tell(f"epoch {fitted.epoch} of {len(fitted.history)} was best; writing {model}")
        alone = Machine(here.device)
        with ThreadPoolExecutor(way.workers) as pool:
            made = deliver(recipe, fitted, parts, origin, model, alone, pool)
    here.wait()
    return made


def start_in_words(start: Path | None) -> str:
    """For cards."""
    return "random weights" if start is None else f"{start.name}, sha256 {sha256_of(start)}"
