"""The commands of `mien study`: `new`, `serve`, `export` and `forget`; parsed here, run by `study_command`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

study = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Ask people: run a study in the browser.")


@study.command("new")
def new(
    folder: Annotated[Path, typer.Argument(metavar="NAME", help="Folder to make; its name is that of the study.")],
    items: Annotated[
        Path, typer.Option(metavar="DIR|CSV", help="Pictures and videos: a folder, or a table with a column image.")
    ],
    method: Annotated[
        str, typer.Option(metavar="acr|dcr|pairwise", help="Rate one; rate it beside its reference; choose one of two.")
    ],
    scenes: Annotated[
        str | None, typer.Option(metavar="COL", help="Column of the CSV with the scene; of a folder its subfolders.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="What people see; without it NAME.")] = None,
    design: Annotated[
        str, typer.Option(metavar="full|random|active", help="Which pairs come next; active: where votes teach most.")
    ] = "active",
    arrangement: Annotated[
        str, typer.Option(metavar="side|flicker", help="Two pictures side by side, or a key switches between them.")
    ] = "side",
    show: Annotated[
        str, typer.Option(metavar="fit|exact", help="Shrink to the window where needed, or show pixel for pixel.")
    ] = "fit",
    per_observer: Annotated[
        int | None, typer.Option(min=1, help="Votes of one observer; without it everything, at most 150 pairs.")
    ] = None,
    repetitions: Annotated[int, typer.Option(min=1, help="acr, dcr: how often one observer rates the same item.")] = 1,
    training: Annotated[int, typer.Option(min=0, help="Trials at the beginning that do not count.")] = 3,
    traps: Annotated[int, typer.Option(min=0, help="Cards that say which answer to give.")] = 2,
    ties: Annotated[bool, typer.Option("--ties", help='pairwise: "no difference" may be answered.')] = False,
    mobile: Annotated[bool, typer.Option("--mobile", help="Telephones and tablets may take part.")] = False,
    min_window: Annotated[
        tuple[int, int], typer.Option(metavar="WIDTH HEIGHT", min=0, help="Smallest window, in CSS pixels.")
    ] = (0, 0),
    plates: Annotated[bool, typer.Option("--plates/--no-plates", help="A short test of colour vision.")] = True,
    brightness: Annotated[bool, typer.Option("--brightness/--no-brightness", help="A test of the screen.")] = True,
    max_observers: Annotated[int | None, typer.Option(min=1, help="No more than so many may join.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every order that is drawn.")] = 0,
) -> None:
    """Make a study: a folder with what is shown, what is chosen, and texts to edit. Needs the extra "study".

    Then: edit consent.txt and instructions.txt in it, and 'mien study serve NAME'.
    """
    from mien.apps.study_command import new_study

    settings = {
        "method": method,
        "design": design,
        "arrangement": arrangement,
        "show": show,
        "ties": ties,
        "repetitions": repetitions,
        "per_observer": per_observer,
        "training": training,
        "traps": traps,
        "mobile": mobile,
        "min_width": min_window[0],
        "min_height": min_window[1],
        "colour_plates": plates,
        "brightness": brightness,
        "max_observers": max_observers,
        "seed": seed,
    }
    raise typer.Exit(new_study(folder, items, scenes=scenes, title=title, settings=settings))


_STUDY = typer.Argument(metavar="NAME", help="The folder of the study.")
_DATABASE = typer.Option(
    metavar="ADDRESS",
    envvar="MIEN_STUDY_DATABASE",
    show_envvar=True,
    help="postgresql://...; without it NAME/study.db.",
)


@study.command("serve")
def serve(
    folder: Annotated[Path, _STUDY],
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="0.0.0.0 lets other computers in; without it only this one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 8000,
    database: Annotated[str | None, _DATABASE] = None,
    url: Annotated[
        str | None, typer.Option(metavar="https://...", help="Where people reach it, if a proxy is in front.")
    ] = None,
    proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="Believe the X-Forwarded-For of a proxy on this machine.")
    ] = False,
    joins: Annotated[int, typer.Option(min=1, help="How many may join from one address in a minute.")] = 60,
) -> None:
    """Serve a study until Ctrl-C: prints the link for observers, and the owner's. Needs the extra "study".

    A vote is acknowledged after it is on the disk. Any number of servers may share one PostgreSQL database.
    """
    from mien.apps.study_command import ServeOptions, serve_study

    options = ServeOptions(
        folder=folder, host=host, port=port, database=database, url=url, behind_proxy=proxy, joins_per_minute=joins
    )
    raise typer.Exit(serve_study(options))


@study.command("export")
def export(
    folder: Annotated[Path, _STUDY],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write the tables into.")],
    database: Annotated[str | None, _DATABASE] = None,
) -> None:
    """Write the votes as tables for 'mien scale', every vote as one line of JSON, and the observers.

    May be run while the study is served. Needs the extra "study".
    """
    from mien.apps.study_command import export_study

    raise typer.Exit(export_study(folder, out, database=database))


@study.command("forget")
def forget(
    folder: Annotated[Path, _STUDY],
    code: Annotated[str, typer.Argument(metavar="CODE", help="The code of somebody who asks for it.")],
    database: Annotated[str | None, _DATABASE] = None,
) -> None:
    """Delete the votes of one observer and all that is known about them. Needs the extra "study"."""
    from mien.apps.study_command import forget_observer

    raise typer.Exit(forget_observer(folder, code, database=database))


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.add_typer(study, name="study")
