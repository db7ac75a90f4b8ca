"""What a run says of itself: one line of JSON for each epoch, TensorBoard on request, and lines for people."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mien.core.errors import MissingExtraError

Tell = Callable[[str], None]
Record = Mapping[str, Any]

SECONDS = 10.0  #: between two lines inside an epoch


def write(path: Path, history: Sequence[Record]) -> None:
    """The log as it should be after these epochs; a line that a killed run wrote twice is not there twice."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text("".join(json.dumps(record) + "\n" for record in history), encoding="utf-8")
    fresh.replace(path)


@contextmanager
def board(folder: Path | None, epochs_done: int) -> Iterator[Callable[[Record], None]]:
    """TensorBoard scalars of each epoch.

    Args:
        folder: of the event files; None: nothing is written.
        epochs_done: later epochs of an earlier, killed run are hidden.

    Yields:
        To be called with each record.

    Raises:
        MissingExtraError: tensorboard is not installed.
    """
    if folder is None:
        yield lambda record: None
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the libraries that tensorboard is made of
            from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError("--tensorboard", "tensorboard") from None
    with SummaryWriter(str(folder), purge_step=epochs_done + 1) as writer:

        def show(record: Record) -> None:
            for name, value in record.items():
                if isinstance(value, int | float) and name != "epoch":
                    writer.add_scalar(name.replace("_", "/", 1), value, record["epoch"])
            writer.flush()

        yield show


def epoch_line(record: Record, epochs: int) -> str:
    """One epoch in words."""
    loss = sum(value for name, value in record.items() if name.startswith("loss_"))
    shown = [f"{name} {record[f'val_{name}']:.4f}" for name in ("srcc", "plcc") if record[f"val_{name}"] is not None]
    validation = ", ".join(shown) or "undefined: all predictions are equal"
    return f"epoch {record['epoch']}/{epochs}: loss {loss:.4g}; validation {validation}; {record['seconds']:.0f} s"


class Pace:
    """Says now and then how far an epoch is."""

    def __init__(self, tell: Tell, epoch: int, epochs: int, steps: int, batch: int, step: int) -> None:
        self._tell, self._name, self._steps, self._batch = tell, f"epoch {epoch}/{epochs}", steps, batch
        self._first = step
        self._begin = self._told = time.monotonic()

    def __call__(self, step: int) -> None:
        """After step `step` of the epoch."""
        now = time.monotonic()
        if now - self._told < SECONDS:
            return
        self._told = now
        rate = (step - self._first) / (now - self._begin)
        left = (self._steps - step) / rate
        self._tell(
            f"{self._name}: step {step:,} of {self._steps:,}, {rate * self._batch:,.1f} pictures/s, "
            f"{left // 60:.0f}:{left % 60:02.0f} left in this epoch"
        )
