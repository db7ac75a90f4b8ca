"""The commands about single pictures and bursts: `best` and `explain`; parsed here, run by `*_command`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.apps.cli_options import Finder, Model, Quiet, RowsFile


def best(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Folders, pictures, quoted globs.")],
    top: Annotated[int, typer.Option(min=1, help="Pictures to pick from each burst, or of each person.")] = 1,
    gap: Annotated[float, typer.Option(metavar="SECONDS", help="Longest pause between two shots of a burst.")] = 3.0,
    faces: Annotated[
        str | None,
        typer.Option(metavar="whole|best", help="Judge the whole picture, or its largest face.", show_default="whole"),
    ] = None,
    finder: Finder = None,
    model: Model = None,
    out: RowsFile = None,
    copy_to: Annotated[Path | None, typer.Option(metavar="DIR", help="Copy the picks; nothing is overwritten.")] = None,
    per_person: Annotated[
        bool, typer.Option("--per-person", help="Pick for each person of a burst; needs the next three options.")
    ] = False,
    identity: Annotated[
        str | None,
        typer.Option(metavar="adaface-ir50|adaface-ir101", help="Network that tells people apart (extra: torch)."),
    ] = None,
    identity_weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its weights: your own, none come with mien.")
    ] = None,
    same: Annotated[
        float | None,
        typer.Option(
            metavar="COSINE",
            help="From which on two faces are one person, above -1 and below 1. It depends on the weights and on which "
            "mistakes you can bear: choose it on pairs of your own.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """The best shots of bursts: pictures of one folder that were taken one right after the other.

    Time is EXIF DateTimeOriginal, else that of the file; the two are never mixed. The rows are those of 'mien score'
    with the columns group, n_group, rank (1 is the best) and taken. Exit code 3: some pictures have no score.

    With --per-person every face is judged by itself, the faces of a burst are put together by who they are, and the
    best of each person are picked. The column person is 1, 2, ... within the burst, in the order of the first picture
    that somebody is on, there from left to right. It is no name, and person 1 of the next burst may be somebody else.
    n_group counts the pictures of the person. Nothing that tells who somebody is, is kept or written.
    """
    from mien.apps.best_command import BestOptions, best_shots

    options = BestOptions(
        paths=tuple(paths),
        top=top,
        gap=gap,
        per_person=per_person,
        identity=identity,
        identity_weights=identity_weights,
        same=same,
        faces=faces,
        finder=finder,
        model=model,
        out=out,
        copy_to=copy_to,
        quiet=quiet,
    )
    raise typer.Exit(best_shots(options))


def explain(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="One picture.")],
    out: Annotated[Path, typer.Option(metavar="FILE.html|FILE.png", help="The page, or the picture, to write.")],
    model: Model = None,
    finder: Annotated[
        Path | None, typer.Option(metavar="FILE.onnx", help="Finder of faces; without it the embedded one, if any.")
    ] = None,
) -> None:
    """Why a picture has its score: its attributes, its faces, and a map of where it scores lower.

    The judge scores every part of the picture by itself; the map shows where that is lower than for the whole. It does
    not prove what the network looked at, and a part with little in it may score low without being a fault. Exit code 4:
    the picture cannot be read.
    """
    from mien.apps.explain_command import ExplainOptions, explain_picture

    raise typer.Exit(explain_picture(ExplainOptions(image, out, model, finder)))


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command("best")(best)
    app.command("explain")(explain)
