"""What the folders and pages of a challenge say, in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mien.evaluation.protocol import Budget, Protocol


def participant_readme(card: Mapping[str, Any], protocol: Protocol) -> str:
    """The task, the score and what a submission looks like."""
    return "\n\n".join(_participant(card, protocol)) + "\n"


def organiser_readme(card: Mapping[str, Any], protocol: Protocol) -> str:
    """What is in the folder and what to do with it."""
    name = card["name"]
    return f"""# {name}

A challenge under the protocol `{protocol.name}` ({protocol.title}): {card["rows"]["public"]:,} rows with public labels,
{card["rows"]["hidden"]:,} with hidden labels.

- `public/` can be published as it is. It says what participants have to do and holds no hidden label.
- `hidden/` must never be published. Its `.gitignore` keeps it out of git. Keep a copy of it somewhere safe.

```
mien challenge score SUBMISSION.csv --challenge {name} --json result.json
mien leaderboard {name} submissions/ --out leaderboard.html --out leaderboard.md
mien challenge codabench {name} --out {name}.zip
```

`mien challenge score` ends with 0 when there is a result, and with 2 when the submission is refused; every reason is
then listed on stderr. A submission is a table. Nothing in it is ever run.
"""


def _participant(card: Mapping[str, Any], protocol: Protocol) -> Iterator[str]:
    limits = card["limits"]
    yield f"# {card['name']}"
    yield f"Protocol: `{protocol.name}`, {protocol.title} ({protocol.paper})."
    yield "## Data"
    yield (
        "`splits.csv` lists every name and whether its label is public or hidden; `labels.csv` has the public labels "
        f"({card['rows']['public']:,} rows; absent when there are none). Submissions are scored on the hidden part "
        f"({card['rows']['hidden']:,} rows)."
    )
    yield "## Submission"
    yield (
        f"A CSV file in UTF-8 with the columns `{protocol.item}` and `score`, one row for each name of "
        "`sample_submission.csv`. The scores of the sample are random. Names of the public part may be there as well; "
        "they do not count. A zip file with exactly one such CSV file in it is accepted, too."
    )
    yield (
        "Higher scores mean better quality. A score is a plain finite decimal number: no formula, no empty cell. "
        f"At most {limits['bytes']:,} bytes, {limits['rows']:,} rows, {limits['columns']} columns and {limits['cell']} "
        "characters in a cell. A submission that breaks a rule is refused with all reasons."
    )
    yield (
        "Before you submit: `mien evaluate MY.csv --labels labels.csv --protocol "
        + protocol.name
        + "` on public labels."
    )
    yield "## Score"
    yield f"Ranked by `{protocol.rank_by}`, {protocol.better} is better. Main score: {protocol.formula}."
    yield f"Reported: {', '.join(f'`{name}`' for name in protocol.columns)}; {protocol.pooled}."
    if protocol.budget:
        yield "## Budget"
        yield _budget(protocol.budget)
    if protocol.unknowns:
        yield "## What the source leaves open, and the reading taken here"
        yield "\n".join(f"- {unknown.question}: {unknown.reading}" for unknown in protocol.unknowns)


def _budget(budget: Budget) -> str:
    limits = (
        ("multiply-accumulates", budget.max_macs),
        ("parameters", budget.max_parameters),
        ("seconds", budget.max_seconds),
    )
    told = ", ".join(f"at most {limit:g} {what}" for what, limit in limits if limit is not None)
    return f"For one {budget.per}: {told}. {budget.counting}"


TERMS = """# Terms

By taking part you agree that your score and the name of your team are shown on the leaderboard. Submissions are tables
of scores; they are read, never run. The organisers add here what else holds: licence of the data, prizes, deadlines.
"""
