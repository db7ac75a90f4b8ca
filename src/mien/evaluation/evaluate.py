"""One submission under one protocol: `evaluate(predictions, labels, protocol) -> Result`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from mien.core.errors import UsageError
from mien.evaluation import protocols
from mien.evaluation.agreement import agreement
from mien.evaluation.choices import choices
from mien.evaluation.edc import discard
from mien.evaluation.protocol import Cost, Protocol
from mien.evaluation.result import Bootstrap, Computed, Estimate, Fit, Result
from mien.evaluation.tables import Comparisons, Labels, LabelTable, Predictions, Votes, align


def evaluate(
    predictions: Predictions | Mapping[str, float],
    labels: LabelTable,
    protocol: Protocol | str,
    *,
    fit: Fit | None = None,
    cost: Cost | None = None,
    lower_is_better: bool = False,
    undefined: Literal["raise", "zero"] = "raise",
    draws: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    resample: Literal["groups", "rows"] | None = None,
) -> Result:
    """Compute what a protocol says.

    Args:
        predictions: one finite score a name.
        labels: what people (or a face recogniser) said; the kind that the protocol needs.
        protocol: or its name.
        fit: a logistic map before PLCC, RMSE and MAE; without it none.
        cost: of one picture or clip, for the budget of the challenge.
        lower_is_better: the predictions fall with quality (a distance): they are negated.
        undefined: a correlation of constant predictions raises, or counts as 0 with a note.
        draws: of the bootstrap; 0 = no intervals.
        level: of the intervals.
        seed: of the draws. Same labels, draws and seed: the same resamples for every submission.
        resample: "groups" (whole groups; the default where the protocol pools groups) or "rows".

    Raises:
        UsageError: (`TableError`) names do not match; labels of another kind; a correlation is undefined, with the
            name of its group; a fit that is impossible.
    """
    protocol = protocols.load(protocol) if isinstance(protocol, str) else protocol
    predictions = _as_predictions(predictions)
    how = _bootstrap(protocol, labels, draws, level, seed, resample)
    if fit is not None and protocol.kind != "labels":
        raise UsageError(f"{protocol.name} has no correlations that a fit would change")
    scores = _align(predictions, labels, fit)
    if lower_is_better:
        scores = {name: -score for name, score in scores.items()}
    match labels, protocol.kind:
        case Labels(), "labels":
            computed, n = agreement(scores, labels, protocol, fit, how, undefined), len(labels.names)
        case Votes(), "votes":
            computed, n = choices(scores, labels, protocol, how), len(labels.a)
        case Comparisons(), "comparisons":
            computed, n = discard(scores, labels, protocol, how), len(labels.a)
        case _:
            raise UsageError(f"{protocol.name} needs a table of {protocol.kind}, not {type(labels).__name__}")
    return Result(
        submission=predictions.source,
        labels=labels.source,
        protocol=protocol,
        n=n,
        total={m: Estimate.of(v, computed.samples.get(m), level) for m, v in computed.total.items()},
        groups=computed.groups,
        extras=computed.extras,
        fitted=computed.fitted,
        budget=protocol.budget.check(cost or Cost()) if protocol.budget else (),
        resampling=computed.resampling,
        level=level,
        notes=_notes(computed, predictions, labels, lower_is_better),
        samples=computed.samples,
        pairing=_pairing(protocol, labels, how),
    )


def _as_predictions(predictions: Predictions | Mapping[str, float]) -> Predictions:
    if isinstance(predictions, Predictions):
        found = predictions
    else:
        found = Predictions(tuple(predictions), np.array(list(predictions.values()), np.float64), "predictions")
    if bad := [n for n, s in zip(found.names, found.scores, strict=True) if not np.isfinite(s)]:
        raise UsageError(f"{found.source}: the score of {bad[0]} is not a finite number ({len(bad)} such)")
    return found


def _bootstrap(
    protocol: Protocol,
    labels: LabelTable,
    draws: int,
    level: float,
    seed: int,
    resample: Literal["groups", "rows"] | None,
) -> Bootstrap:
    if draws < 0 or seed < 0 or not 0 < level < 1:
        raise UsageError("draws and seed must be at least 0, level between 0 and 1")
    pools = protocol.pooling != "rows"
    if resample == "groups" and not pools:
        raise UsageError(f"{protocol.name} pools all rows: there are no groups to resample")
    return Bootstrap(draws, level, seed, resample or ("groups" if pools else "rows"))


def _align(predictions: Predictions, labels: LabelTable, fit: Fit | None) -> dict[str, float]:
    """Scores of all names that the labels and the fit need."""
    if fit is None:
        return align(predictions, labels)
    widened = replace(labels, left_out=labels.left_out | set(fit.on.names))
    return align(predictions, widened) | align(predictions, replace(fit.on, left_out=frozenset(predictions.names)))


def _notes(computed: Computed, predictions: Predictions, labels: LabelTable, lower_is_better: bool) -> tuple[str, ...]:
    notes = list(computed.notes)
    if lower_is_better:
        notes.append("lower predictions are better: they were negated")
    unused = len(labels.left_out.intersection(predictions.names))
    if unused:
        notes.append(f"{unused:,} predictions belong to rows of the label file that were not selected")
    for metric, samples in computed.samples.items():
        if undefined := int(np.sum(~np.isfinite(samples))):
            notes.append(f"{metric} is undefined in {undefined:,} of {len(samples):,} draws, which are left out")
    return tuple(notes)


def _pairing(protocol: Protocol, labels: LabelTable, how: Bootstrap) -> str:
    """What two results must share for their draws to be the same."""
    match labels:
        case Labels():
            rows = sorted(zip(labels.names, labels.values.tolist(), labels.groups or labels.names, strict=True))
        case Votes():
            groups = labels.groups or labels.a
            rows = sorted(
                zip(labels.a, labels.b, labels.votes_a.tolist(), labels.votes_b.tolist(), groups, strict=True)
            )
        case Comparisons():
            rows = sorted(zip(labels.a, labels.b, labels.similarity.tolist(), labels.mated.tolist(), strict=True))
    text = repr((protocol.name, protocol.metrics, how, rows))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]
