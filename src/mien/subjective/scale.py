"""From a table to scores by the name of a method; groups are studies of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from mien.subjective import observers
from mien.subjective.bootstrap import run_draws
from mien.subjective.bradley_terry import bradley_terry
from mien.subjective.bt500 import bt500
from mien.subjective.dmos import dmos
from mien.subjective.jod import fit_checked, jod, sample, with_intervals
from mien.subjective.mos import mos
from mien.subjective.p910 import p910
from mien.subjective.p913 import p913
from mien.subjective.pairs import Pairs, count, split
from mien.subjective.result import Scale
from mien.subjective.tables import Ratings, TableError, Votes, listed
from mien.subjective.thurstone import thurstone
from mien.subjective.zscore import zscore

RATING_METHODS: dict[str, Callable[..., Scale]] = {
    "mos": mos,
    "bt500": bt500,
    "p913": p913,
    "p910": p910,
    "zscore": zscore,
    "dmos": dmos,
}
VOTE_METHODS: dict[str, Callable[..., Scale]] = {"bradley-terry": bradley_terry, "thurstone": thurstone, "jod": jod}
METHODS = (*RATING_METHODS, *VOTE_METHODS)

_T = TypeVar("_T")


def scale_ratings(groups: Mapping[str, Ratings], method: str, **options: Any) -> dict[str, Scale]:
    """Scale each group of ratings.

    Args:
        groups: as `tables.read_ratings` gives them.
        method: a key of `RATING_METHODS`.
        options: of the method: `level`; `top` of dmos.
    """
    return {name: _told(RATING_METHODS[method](ratings, **options), ratings) for name, ratings in groups.items()}


def scale_votes(groups: Mapping[str, Votes], method: str, **options: Any) -> dict[str, Scale]:
    """Scale each group of votes.

    Args:
        groups: as `tables.read_votes` gives them, or `apart` of it.
        method: a key of `VOTE_METHODS`.
        options: of the method: `level`; `alpha` of bradley-terry and thurstone; `prior`, `anchor`, `draws`, `seed`,
            `processes` and `progress` of jod, whose draws of all groups share the processes.

    Raises:
        TableError: as the methods; the message names the group.
    """
    counted = {name: count(votes) for name, votes in groups.items()}
    if method == "jod":
        scales = _jod(counted, **options)
    else:
        scales = {name: _named(name, VOTE_METHODS[method], pairs, **options) for name, pairs in counted.items()}
    return {name: _with_ties(scale, groups[name]) for name, scale in scales.items()}


def _jod(
    groups: Mapping[str, Pairs],
    *,
    prior: bool = True,
    anchor: str | None = None,
    draws: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    **how: Any,
) -> dict[str, Scale]:
    """`jod` of every group; what cannot be scaled is refused before anything is drawn."""
    fits = {name: _named(name, fit_checked, pairs, prior=prior, anchor=anchor) for name, pairs in groups.items()}
    samples = [sample(pairs, fits[name], prior, seed) for name, pairs in groups.items()]
    drawn = dict(zip(groups, run_draws(samples, draws, **how), strict=True))
    return {
        name: with_intervals(pairs, fits[name], drawn[name], anchor=anchor, level=level)
        for name, pairs in groups.items()
    }


def _named(name: str, step: Callable[..., _T], pairs: Pairs, **options: Any) -> _T:
    try:
        return step(pairs, **options)
    except TableError as error:
        raise TableError(f"group {name}: {error}" if name else str(error)) from None


def apart(groups: Mapping[str, Votes]) -> dict[str, Votes]:
    """Every group as its parts that were never compared with one another; a group that is whole keeps its name."""
    result = {}
    for name, votes in groups.items():
        found = split(votes)
        for number, part in enumerate(found, start=1):
            result[f"{name} part {number}".strip() if len(found) > 1 else name] = part
    return result


def examine_ratings(scale: Scale, ratings: Ratings) -> Scale:
    """The same scores, with how far the observers agree (`observers.rating_report`), α and split-half of all."""
    facts = {"alpha": observers.krippendorff_alpha(ratings), "split_half": observers.split_half(ratings)}
    return replace(
        scale, observers={**scale.observers, **observers.rating_report(ratings)}, facts={**scale.facts, **facts}
    )


def examine_votes(scale: Scale, votes: Votes) -> Scale:
    """The same scores, with every observer against the others (`observers.report`), and u of all."""
    pairs = count(votes)
    return replace(scale, observers=observers.report(pairs), facts={**scale.facts, "u": observers.agreement(pairs)})


def rows(scales: Mapping[str, Scale]) -> Iterator[dict[str, object]]:
    """One dict for each score: `result.COLUMNS`, and `group` where groups have names."""
    named = any(scales)
    for name, scale in scales.items():
        yield from ({**row, "group": name} if named else row for row in scale.rows())


def observer_rows(scales: Mapping[str, Scale]) -> Iterator[dict[str, object]]:
    """One dict for each observer of each group: what the method says about them."""
    named = any(scales)
    for name, scale in scales.items():
        columns = scale.observers
        for cells in zip(*columns.values(), strict=True):
            row = dict(zip(columns, cells, strict=True))
            yield {**row, "group": name} if named else row


def _told(scale: Scale, ratings: Ratings) -> Scale:
    notes = []
    if ratings.unrated:
        notes.append(f"nobody rated {listed(ratings.unrated)}")
    if ratings.missing:
        notes.append(f"{ratings.missing:,} rows have no vote")
    return replace(scale, notes=(*scale.notes, *notes))


def _with_ties(scale: Scale, votes: Votes) -> Scale:
    if not votes.ties:
        return scale
    return replace(scale, notes=(*scale.notes, f"{votes.ties:,} ties count as half a vote for either side"))
