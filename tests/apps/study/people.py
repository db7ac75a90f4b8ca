"""Simulated observers, who vote through the functions behind the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.special import ndtr
from sqlalchemy import Row

from mien.apps.study.database import Database
from mien.apps.study.hosted import Hosted
from mien.apps.study.observers import Observer, find_observer, join
from mien.apps.study.votes import Ballot, Standing, record, standing

Answer = Callable[[Row[Any]], str]


def joined(database: Database, hosted: Hosted) -> Observer:
    """Somebody new."""
    token, _ = join(database, hosted, wording_sha256=hosted.study.text_sha256)
    with database.read() as connection:
        observer = find_observer(connection, hosted, token)
    assert observer is not None
    return observer


def ballot(trial: int, answer: str, **more: Any) -> Ballot:
    """An answer."""
    return Ballot(trial, more.pop("key", f"key-of-{trial}"), answer, 900, 1, "one-session", **more)


def vote_all(database: Database, hosted: Hosted, observer: Observer, answer: Answer) -> list[Row[Any]]:
    """Answer everything; the trials in their order."""
    seen: list[Row[Any]] = []
    now: Standing = standing(database, hosted, observer)
    while now.trials:
        trial = now.trials[0]
        seen.append(trial)
        now = record(database, hosted, observer, ballot(trial.id, trial.expected or answer(trial)))
    assert now.answered == now.total == len(seen)
    return seen


def chooser(hosted: Hosted, truth: Mapping[str, float], rng: np.random.Generator) -> Answer:
    """Chooses one of two items as Thurstone's model says, with scores in JOD by the names of the items."""

    def answer(trial: Row[Any]) -> str:
        a, b = (truth[hosted.items[i].name] for i in (trial.first_id, trial.second_id))
        first_wins = rng.random() < ndtr((a - b) / 1.4826)
        return "left" if first_wins == (trial.left_id == trial.first_id) else "right"

    return answer
