"""The command `mien gate`; parsed here, run by `gate_command`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.apps.cli_options import Batch, FilesFrom, Model, Overwrite, Quiet, RawRange, RowsFile, Threads, Weights

_EPILOG = """\b
Exit codes:
    0  everything passes
    1  something fails
    2  wrong usage, or an output that cannot be written
    3  everything that could be read passes, some inputs could not
    4  nothing could be judged
   70  an error in mien itself (MIEN_DEBUG=1 shows where)
  130  interrupted
"""


def gate(
    paths: Annotated[
        list[str] | None, typer.Argument(metavar="PATH...", help="Pictures, folders (with all below), quoted globs.")
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE.toml", help="passport, avatar, training-data, or a file (docs/gate.md)."),
    ] = None,
    minimum: Annotated[
        float | None,
        typer.Option("--min", metavar="SCORE", help="Lowest score that passes; alone, or over the policy's."),
    ] = None,
    finder: Annotated[
        Path | None, typer.Option(metavar="FILE.onnx", help="Finds the faces; without it the embedded one.")
    ] = None,
    copy_pass: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Copy what passes here; nothing is ever overwritten.")
    ] = None,
    copy_fail: Annotated[Path | None, typer.Option(metavar="DIR", help="Copy what fails here.")] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Judge nothing: print a policy with limits from these pictures."),
    ] = None,
    reject: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="--calibrate: share of the pictures that the policy may refuse; 0.1."),
    ] = None,
    files_from: FilesFrom = None,
    out: RowsFile = None,
    overwrite: Overwrite = False,
    model: Model = None,
    weights: Weights = None,
    raw_range: RawRange = None,
    batch: Batch = 8,
    threads: Threads = None,
    quiet: Quiet = False,
) -> None:
    """Say which pictures pass a policy, and why the others fail.

    One row for every file: the columns of 'mien score', what was measured on the largest face where the policy is about
    faces, the verdict and its reasons. On a terminal a table of what fails; piped, one JSON object per line.
    """
    from mien.apps.gate_command import GateOptions, gate_pictures

    options = GateOptions(
        paths=tuple(paths or ()),
        files_from=files_from,
        policy=policy,
        minimum=minimum,
        finder=finder,
        calibrate=calibrate,
        reject=reject,
        copy_pass=copy_pass,
        copy_fail=copy_fail,
        out=out,
        overwrite=overwrite,
        model=model,
        weights=weights,
        raw_range=raw_range,
        batch=batch,
        threads=threads,
        quiet=quiet,
    )
    raise typer.Exit(gate_pictures(options))


def add_to(app: typer.Typer) -> None:
    """Give the command line this command."""
    app.command("gate", epilog=_EPILOG)(gate)
