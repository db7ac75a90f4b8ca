"""The command line `mien`: parse, call one public function, print. Everything heavy is imported inside the verbs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from mien.apps import cli_evaluation, cli_explain, cli_gate, cli_study, cli_training
from mien.apps.cli_options import (
    Batch,
    FilesFrom,
    Finder,
    Model,
    Overwrite,
    Quiet,
    RawRange,
    RowsFile,
    Threads,
    Weights,
)
from mien.core.errors import MienError

UNEXPECTED = 70  #: exit code of what should not happen (EX_SOFTWARE)

_EPILOG = """\b
Exit codes:
    0  done
    2  wrong usage, or an output that cannot be written
    3  some inputs have no score (each has its row)
    4  nothing was scored
   70  an error in mien itself (MIEN_DEBUG=1 shows where)
  130  interrupted (resumable with --out and --resume)
"""

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="The judges and the published networks.")
app.add_typer(models_app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        from mien import __version__

        typer.echo(f"mien {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """How good does a picture of a person look? Scores with reasons, on your machine."""


@app.command(epilog=_EPILOG)
def score(
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...", help="Pictures, folders (with all below), quoted globs; - is one picture from stdin."
        ),
    ] = None,
    files_from: FilesFrom = None,
    null: Annotated[bool, typer.Option("--null", "-0", help="--files-from is separated by NUL, not by lines.")] = False,
    model: Model = None,
    weights: Weights = None,
    raw_range: RawRange = None,
    exact: Annotated[bool, typer.Option("--exact", help="Decode every picture at its full size; slower.")] = False,
    faces: Annotated[
        str, typer.Option(metavar="whole|best|all", help="Judge the whole picture, its largest face, or every face.")
    ] = "whole",
    finder: Finder = None,
    batch: Batch = 8,
    threads: Threads = None,
    out: RowsFile = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with FILE: paths that have a row in it are skipped.")
    ] = False,
    overwrite: Overwrite = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write one self-contained page, worst pictures first.")
    ] = None,
    thumbnails: Annotated[bool, typer.Option("--thumbnails/--no-thumbnails", help="Pictures in the report.")] = True,
    quiet: Quiet = False,
) -> None:
    """Score pictures: 0..100, higher is better, one row for every file, or for every face.

    On a terminal a short table, worst first; piped, one JSON object per line as soon as it is known. With --out the
    rows go to that file instead. An existing FILE is never touched without --resume or --overwrite.
    """
    from mien.apps.score_command import ScoreOptions, score_pictures

    options = ScoreOptions(
        paths=tuple(paths or ()),
        files_from=files_from,
        null=null,
        model=model,
        weights=weights,
        raw_range=raw_range,
        exact=exact,
        faces=faces,
        finder=finder,
        batch=batch,
        threads=threads,
        out=out,
        resume=resume,
        overwrite=overwrite,
        report=report,
        thumbnails=thumbnails,
        quiet=quiet,
    )
    raise typer.Exit(score_pictures(options))


@models_app.command("list")
def models_list(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """All judges and published networks, and which of them need weights.

    On a terminal a table; piped, one name per line: first what --model takes as it is, then the networks that need
    their authors' weights as well.
    """
    from mien.apps.zoo_commands import list_networks

    raise typer.Exit(list_networks(as_json=as_json))


@models_app.command("show")
def models_show(
    name: Annotated[str, typer.Argument(help="A name of 'mien models list'.")],
    as_json: Annotated[bool, typer.Option("--json", help="The card as it is.")] = False,
) -> None:
    """The card of a judge or network: data, licence, range, numbers, known failures, where its weights are."""
    from mien.apps.zoo_commands import show

    raise typer.Exit(show(name, as_json=as_json))


@models_app.command("licences")
def models_licences(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line, on a terminal, too.")] = False,
) -> None:
    """Licences of the authors' code and weights; mien's own code is Apache-2.0 throughout."""
    from mien.apps.zoo_commands import licences

    raise typer.Exit(licences(as_json=as_json))


@models_app.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(help="A published network of 'mien models list'.")],
    file: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this file; without it all that are on record.")
    ] = None,
    url: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Fetch from here, http or https.")] = None,
    accept_hash: Annotated[
        str | None, typer.Option(metavar="SHA256", help="Keep a file without a recorded hash, if it has this one.")
    ] = None,
    max_size: Annotated[str | None, typer.Option(metavar="SIZE", help="Refuse larger files [4GB].")] = None,
    again: Annotated[bool, typer.Option("--again", help="Fetch it although it is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only errors.")] = False,
) -> None:
    """Fetch the weights of a network; the only command that downloads.

    Files are kept as NAME/FILE in $MIEN_CACHE, or else in ~/.cache/mien/models (macOS: ~/Library/Caches/mien/models,
    Windows: %LOCALAPPDATA%/mien/models); put them there by hand for a machine without a network. The path of every
    file is printed. An interrupted download goes on where it stopped. A file whose SHA-256 is on no record is not used
    before you have accepted it: exit code 2, and the command for that is shown.
    """
    from mien.apps.zoo_commands import PullOptions, pull_weights

    options = PullOptions(
        name=name, file=file, url=url, accept_hash=accept_hash, max_size=max_size, again=again, quiet=quiet
    )
    raise typer.Exit(pull_weights(options))


@models_app.command("convert")
def models_convert(
    source: Annotated[
        Path, typer.Argument(metavar="FILE", help="The authors' checkpoint, or a folder with its parts.")
    ],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="The network that it belongs to.")],
    out: Annotated[Path, typer.Option(metavar="FILE.safetensors", help="File to write.")],
    half: Annotated[bool, typer.Option("--half", help="Half precision: half the size, rounded to 3 digits.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Turn a checkpoint into .safetensors: checked against the network, no pickle any more. Needs the extra "torch".

    The checkpoint is opened as data; one that wants to run code is refused.
    """
    from mien.apps.zoo_commands import convert_weights

    raise typer.Exit(convert_weights(source, name, out, half=half, force=force))


@models_app.command("verify")
def models_verify(
    name: Annotated[str, typer.Argument(help="A published network of 'mien models list'.")],
    fixture: Annotated[
        Path, typer.Option(metavar="FILE.json", help="Numbers of the official code: tests/fixtures/parity/*.json.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per comparison.")] = False,
) -> None:
    """Prove that a network gives the numbers of its official code. Needs the extra "torch".

    From a tensor, from a prepared picture and from a picture file. Exit code 0: all within tolerance; 1: not all.
    """
    from mien.apps.zoo_commands import verify_network

    raise typer.Exit(verify_network(name, fixture, as_json=as_json))


@app.command()
def cost(
    model: Annotated[str, typer.Argument(metavar="NAME|FILE.onnx", help="A name of 'mien models list', or a file.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    time: Annotated[bool, typer.Option("--time/--no-time", help="Measure the time of a picture.")] = True,
    runs: Annotated[
        int | None, typer.Option(min=1, help="Timed runs; without it up to 100, for at most about 3 seconds.")
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; without it what the machine has.")] = None,
) -> None:
    """What one picture costs: multiply-accumulates, parameters, size of the file, time; counted, not quoted.

    One multiply-accumulate (MAC) is one product of a convolution or a matrix product, everything that runs for one
    picture included; biases, activations, pooling and normalisation are not counted. Two FLOPs make a MAC. Papers
    disagree: some print MACs under the name FLOPs, some print 2 MACs, and counters that hook into modules miss matrix
    products that are called as functions. The time is that of the network alone, one picture at a time, without
    decoding: the median, and the range from 5 % to 95 % of the runs. Needs the extra "cost".
    """
    import json

    from mien.runtime.cost import cost_lines, cost_record, count, measure
    from mien.runtime.judge import find_model

    path = find_model(model)
    counted, timed = count(path), measure(path, runs=runs, threads=threads) if time else None
    typer.echo(json.dumps(cost_record(counted, timed)) if as_json else "\n".join(cost_lines(counted, timed)))


@app.command()
def export(
    name: Annotated[str, typer.Argument(help="A published network of 'mien models list'.")],
    weights: Annotated[Path, typer.Option(metavar="FILE", help="The authors' checkpoint, or .safetensors.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE.onnx", help="Without it NAME.onnx.")] = None,
    raw_range: RawRange = None,
) -> None:
    """A published network with its weights as ONNX, for 'mien score --model FILE.onnx' without torch.

    The file and its card are written only when it answers as torch does, within 1e-4 on 64 pictures. Needs the extra
    "torch".
    """
    from mien.apps.terminal import told_seldom
    from mien.core.errors import UsageError
    from mien.models import zoo

    target = out or Path(f"{name}.onnx")
    if target.suffix != ".onnx":
        raise UsageError(f"--out {target}: the file ends in .onnx")
    zoo.card(name)  # an unknown name is told first
    zoo.need_torch("mien export")
    from mien.models.export import PICTURES
    from mien.models.export import export as write_onnx

    difference = write_onnx(
        name, weights, target, raw_range=raw_range, watch=told_seldom("pictures compared with torch")
    )
    typer.echo(f"wrote {target} and its card; largest difference from torch on {PICTURES} pictures {difference:.1e}")


cli_evaluation.add_to(app)
cli_gate.add_to(app)
cli_explain.add_to(app)
cli_study.add_to(app)
cli_training.add_to(app)


def main() -> None:
    """Run the command line; ends the process. Whatever happens is one line on stderr, never a traceback."""
    _fill_closed_streams()
    debug = bool(os.environ.get("MIEN_DEBUG"))
    if not debug:
        import warnings

        warnings.simplefilter("ignore")
    try:
        app(prog_name="mien")
    except Exception as error:
        if debug:
            raise
        sys.exit(_tell(error))


def _fill_closed_streams() -> None:
    """A standard stream that the caller has closed leads nowhere; its number is not left for the next file to take."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open to the end


def _tell(error: Exception) -> int:
    """One line on stderr; the exit code."""
    from mien.core.rows import one_line

    if isinstance(error, MienError):
        sys.stderr.write(f"mien: {one_line(str(error))}\n")
        return 2
    sys.stderr.write(f"mien: unexpected {type(error).__name__}: {one_line(str(error))} (MIEN_DEBUG=1 shows where)\n")
    return UNEXPECTED
