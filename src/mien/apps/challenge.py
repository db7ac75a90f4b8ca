"""A challenge in a folder: make it from a label file, open it, score a submission.

NAME/
    README.md               for whoever runs it
    public/                 to be published as it is
        README.md               for participants: the task, the score, what a submission looks like
        challenge.json          protocol, group column, limits of a submission
        splits.csv              every name, and whether its label is public or hidden
        labels.csv              the public labels (absent when all are hidden)
        sample_submission.csv   the right names with meaningless scores
    hidden/                 never to be published; git leaves it out
        labels.csv
"""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mien.apps.challenge_tables import (
    HIDDEN,
    PUBLIC,
    groups_of,
    keys_of,
    rows_of,
    take,
    write_csv,
    write_labels,
    write_splits,
)
from mien.apps.challenge_texts import organiser_readme, participant_readme
from mien.apps.submission import InvalidSubmissionError, Limits, check_names, read_submission
from mien.core.errors import UsageError
from mien.core.rows import one_line
from mien.evaluation.evaluate import evaluate
from mien.evaluation.protocol import Cost, Protocol
from mien.evaluation.protocols import load as load_protocol
from mien.evaluation.result import Result
from mien.evaluation.tables import LabelTable, Predictions, read_labels

SCHEMA = 1
CARD, SPLITS, LABELS, SAMPLE = "challenge.json", "splits.csv", "labels.csv", "sample_submission.csv"


@dataclass(frozen=True, slots=True)
class Challenge:
    """An opened challenge.

    Attributes:
        name: of the challenge.
        protocol: that scores it.
        labels: the hidden ones; `left_out` holds the names of the public ones.
        limits: of a submission.
    """

    name: str
    protocol: Protocol
    labels: LabelTable
    limits: Limits

    @property
    def name_column(self) -> str:
        """Of a submission."""
        return self.protocol.item


def score(
    challenge: Challenge, submission: Path, *, cost: Cost | None = None, draws: int = 10_000, seed: int = 0
) -> Result:
    """Check and score a submission.

    Raises:
        InvalidSubmissionError: with every reason.
    """
    predictions = read_submission(submission, challenge.name_column, challenge.limits)
    check_names(predictions, challenge.labels)
    try:
        return evaluate(predictions, challenge.labels, challenge.protocol, cost=cost, draws=draws, seed=seed)
    except ValueError as error:  # constant predictions, for instance
        raise InvalidSubmissionError(predictions.source, [str(error)]) from error


def open_challenge(folder: Path) -> Challenge:
    """Open a folder that `create` made.

    Raises:
        UsageError: it is not a challenge, of another version, or its hidden labels are not there.
    """
    shown = one_line(str(folder))
    if not (folder / PUBLIC / CARD).is_file():
        raise UsageError(f"{shown} is not a challenge: it has no {PUBLIC}/{CARD} (mien challenge new makes one)")
    if not (folder / HIDDEN / LABELS).is_file():
        raise UsageError(f"{shown} has no {HIDDEN}/{LABELS}: only whoever holds the hidden labels can score")
    return open_parts(folder / PUBLIC / CARD, folder / PUBLIC / SPLITS, folder / HIDDEN / LABELS)


def open_parts(card: Path, splits: Path, labels: Path) -> Challenge:
    """Open a challenge from its three files.

    Raises:
        UsageError: as `open_challenge`.
    """
    facts = _read_card(card)
    protocol = load_protocol(str(facts.get("protocol")))
    try:
        limits = Limits(**facts["limits"])
    except (KeyError, TypeError) as error:
        raise UsageError(f"{one_line(str(card))}: limits must have {', '.join(asdict(Limits()))}") from error
    hidden = read_labels(labels, protocol, group=facts.get("group"))
    known = frozenset(_names_of(splits, protocol))
    return Challenge(str(facts.get("name")), protocol, replace(hidden, left_out=known - set(hidden.names)), limits)


def _read_card(path: Path) -> dict[str, Any]:
    shown = one_line(str(path))
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {shown}: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{shown} is not JSON: {error}") from error
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
        raise UsageError(f"{shown} is not a challenge of this version of mien (schema {SCHEMA})")
    return facts


def _names_of(splits: Path, protocol: Protocol) -> Iterable[str]:
    try:
        with splits.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield from (row.get(key) or "" for key in keys_of(protocol))
    except OSError as error:
        raise UsageError(f"cannot read {one_line(str(splits))}: {error.strerror or error}") from error


def create(
    folder: Path,
    protocol: Protocol,
    labels: Path,
    *,
    public_share: float = 0.3,
    public_where: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    group: str | None = None,
    limits: Limits | None = None,
    seed: int = 0,
) -> Challenge:
    """Split a label file into public and hidden rows, and write the folder: complete or not at all.

    Args:
        folder: to be made; its last part is the name of the challenge.
        protocol: that scores it.
        labels: as `mien evaluate` takes it.
        public_share: of the labels (of whole groups where the protocol pools groups), chosen by `seed`.
        public_where: instead: rows whose columns have these values are public.
        where: use only rows whose columns have these values.
        columns: our names -> headers of the label file.
        group: column of groups when the protocol names none.
        limits: of a submission.
        seed: of the split.

    Raises:
        UsageError: the folder exists, the labels cannot be read, or a part is empty or cannot be evaluated.
    """
    if folder.exists():
        raise UsageError(f"{one_line(str(folder))} exists: choose another name")
    if not 0 <= public_share < 1:
        raise UsageError("the public share must be at least 0 and less than 1")
    where = where or {}
    everything = read_labels(labels, protocol, columns=columns, where=where, group=group)
    if public_where:
        both = {**where, **public_where}
        chosen = read_labels(labels, protocol, columns=columns, where=both, group=group)
        keys = set(rows_of(chosen))
        public = [row for row, key in enumerate(rows_of(everything)) if key in keys]
    else:
        public = _draw(everything, protocol, public_share, seed)
    hidden = sorted(set(range(len(rows_of(everything)))) - set(public))
    if not hidden:
        raise UsageError("no label is hidden: choose a smaller public part")
    challenge = Challenge(folder.name, protocol, take(everything, hidden), limits or Limits())
    sample = _sample(challenge, seed)
    _check_scorable(challenge, sample)
    card = {
        "schema": SCHEMA,
        "name": folder.name,
        "protocol": protocol.name,
        "group": group if groups_of(everything) else None,
        "limits": asdict(challenge.limits),
        "rows": {PUBLIC: len(public), HIDDEN: len(hidden)},
        "split": {"where": dict(public_where)} if public_where else {"share": public_share, "seed": seed},
    }
    _write(folder, card, challenge, everything, public, hidden, sample, group)
    return open_challenge(folder)


def _draw(labels: LabelTable, protocol: Protocol, share: float, seed: int) -> list[int]:
    """Rows of the public part."""
    groups, rng = groups_of(labels), np.random.default_rng(seed)
    n = len(rows_of(labels))
    if protocol.pooling == "rows" or not groups:
        return sorted(rng.permutation(n)[: round(share * n)].tolist())
    names = sorted(set(groups))
    chosen = {names[i] for i in rng.permutation(len(names))[: round(share * len(names))]}
    return [row for row in range(n) if groups[row] in chosen]


def _sample(challenge: Challenge, seed: int) -> dict[str, float]:
    names = sorted(challenge.labels.names)  # their order in the label file may tell the labels
    return dict(zip(names, np.random.default_rng(seed).random(len(names)).round(6).tolist(), strict=True))


def _check_scorable(challenge: Challenge, sample: Mapping[str, float]) -> None:
    predictions = Predictions(tuple(sample), np.array(list(sample.values())), SAMPLE)
    try:
        evaluate(predictions, challenge.labels, challenge.protocol, draws=0)
    except ValueError as error:
        raise UsageError(f"the hidden part cannot be scored ({error}): hide more, or split in another way") from error


# ---- the folder ---------------------------------------------------------------------------------------------------


def _write(
    folder: Path,
    card: Mapping[str, Any],
    challenge: Challenge,
    everything: LabelTable,
    public: Sequence[int],
    hidden: Sequence[int],
    sample: Mapping[str, float],
    group: str | None,
) -> None:
    temporary = folder.with_name(f".mien-{os.getpid()}-{secrets.token_hex(4)}.tmp")
    protocol = challenge.protocol
    try:
        for part in (PUBLIC, HIDDEN):
            (temporary / part).mkdir(parents=True)
        shown = temporary / PUBLIC
        write_labels(temporary / HIDDEN / LABELS, protocol, everything, hidden, group)
        (temporary / HIDDEN / ".gitignore").write_text("*\n", encoding="utf-8")
        if public:
            write_labels(shown / LABELS, protocol, everything, public, group)
        write_splits(shown / SPLITS, protocol, everything, set(public), group)
        write_csv(shown / SAMPLE, (challenge.name_column, "score"), sample.items())
        (shown / CARD).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (shown / "README.md").write_text(participant_readme(card, protocol), encoding="utf-8")
        (temporary / "README.md").write_text(organiser_readme(card, protocol), encoding="utf-8")
        temporary.rename(folder)
    except OSError as error:
        raise UsageError(f"cannot write {one_line(str(folder))}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
