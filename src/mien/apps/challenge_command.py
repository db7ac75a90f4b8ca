"""The verbs of `challenge`: make one, score a submission, write a bundle for Codabench."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from mien.apps.evaluate_command import need_scipy, pairs, result_lines
from mien.core.errors import UsageError
from mien.core.rows import one_line

DONE, REFUSED = 0, 2


@dataclass(frozen=True, slots=True)
class NewOptions:
    """What `mien challenge new --help` says."""

    folder: Path
    protocol: str
    labels: Path
    public_share: float = 0.3
    public_where: tuple[str, ...] = ()
    where: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    group: str | None = None
    seed: int = 0
    codabench: Path | None = None


def new_challenge(options: NewOptions) -> int:
    """Write the folder of a challenge (and its bundle); say what is in it.

    Returns:
        The exit code, 0.

    Raises:
        MienError: the folder exists, the labels cannot be read or split, an output cannot be written, no SciPy.
    """
    need_scipy("mien challenge")
    from mien.apps.challenge import create
    from mien.apps.codabench import write_bundle
    from mien.evaluation.protocols import load

    challenge = create(
        options.folder,
        load(options.protocol),
        options.labels,
        public_share=options.public_share,
        public_where=pairs(options.public_where, "--public-where"),
        where=pairs(options.where, "--where"),
        columns=pairs(options.columns, "--column"),
        group=options.group,
        seed=options.seed,
    )
    shown = one_line(str(options.folder))
    print(f"{shown}/public   to be published: {len(challenge.labels.left_out):,} names with public labels")
    print(f"{shown}/hidden   never to be published: labels of {len(challenge.labels.names):,} names")
    print(f"next: mien challenge score {shown}/public/sample_submission.csv --challenge {shown}")
    if options.codabench is not None:
        write_bundle(options.folder, options.codabench)
        print(f"wrote {one_line(str(options.codabench))}, which holds the hidden labels")
    return DONE


def score_submission(
    submission: Path, folder: Path, *, json_file: Path | None = None, cost: Path | None = None, draws: int = 10_000
) -> int:
    """Score one submission; print the table, write the JSON.

    Returns:
        0 when there is a result; 2 when the submission is refused, with every reason on stderr.

    Raises:
        MienError: the challenge cannot be opened, an output cannot be written, no SciPy.
    """
    need_scipy("mien challenge")
    from mien.apps.challenge import open_challenge, score
    from mien.apps.codabench import refusal
    from mien.apps.submission import InvalidSubmissionError
    from mien.evaluation.protocol import Cost

    challenge = open_challenge(folder)
    price = Cost.read(cost) if cost else None
    try:
        result = score(challenge, submission, cost=price, draws=draws)
    except InvalidSubmissionError as error:
        print(refusal(error), file=sys.stderr)
        return REFUSED
    if json_file is not None:
        text = json.dumps(result.to_dict(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
        try:
            json_file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {one_line(str(json_file))}: {error.strerror or error}") from error
    print("\n".join(result_lines(result)))
    return DONE


def bundle(folder: Path, out: Path) -> int:
    """Write a challenge as a bundle for Codabench.

    Returns:
        The exit code, 0.

    Raises:
        MienError: not a challenge, or the bundle cannot be written.
    """
    need_scipy("mien challenge")
    from mien.apps.codabench import write_bundle

    write_bundle(folder, out)
    print(f"wrote {one_line(str(out))}, which holds the hidden labels: for the organisers only")
    return DONE
