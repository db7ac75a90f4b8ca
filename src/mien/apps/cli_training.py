"""The commands that build a judge: `train`, `pseudo-label` and `distill`; parsed here, run by `train_command`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mien.apps.train_command import RunOptions

Data = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE.csv|FOLDER", help="Labelled pictures: columns path and score. May be repeated."),
]
Dataset = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="What --data is, if no table: koniq10k, piq23, gfiqa20k, ...")
]
Column = Annotated[
    list[str] | None, typer.Option(metavar="OURS=THEIRS", help="A column has another name, e.g. score=rating.")
]
LowerIsBetter = Annotated[bool, typer.Option("--lower-is-better", help="Scores of tables are DMOS and the like.")]
Out = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the run [runs/RECIPE].")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped or killed.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Begin again, whatever is in the folder.")]
Epochs = Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Pictures in a step; pairs count as two.")]
Accumulate = Annotated[int | None, typer.Option(min=1, help="Learn a batch in so many parts, for less memory.")]
LearningRate = Annotated[float | None, typer.Option(min=0, help="Instead of the recipe's.")]
Seed = Annotated[int | None, typer.Option(min=0, help="Instead of the recipe's.")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="Compute in bfloat16 where it is safe.")]
Device = Annotated[str | None, typer.Option(metavar="cpu|cuda", help="Without it a GPU where there is one.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Threads that read pictures.")]
SaveEvery = Annotated[float, typer.Option(min=0, metavar="SECONDS", help="Between checkpoints inside an epoch.")]
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help='Log for TensorBoard, too; extra "tensorboard".')]
Quick = Annotated[bool, typer.Option("--quick", help="The recipe in small, to see that everything is there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, only errors and the result.")]


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe of docs/training.md.")] = "judge-net",
    data: Data = None,
    dataset: Dataset = None,
    column: Column = None,
    lower_is_better: LowerIsBetter = False,
    out: Out = None,
    start: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Checkpoint to begin from; docs/training.md says which fits.")
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    epochs: Epochs = None,
    batch: BatchSize = None,
    accumulate: Accumulate = None,
    learning_rate: LearningRate = None,
    seed: Seed = None,
    bf16: Bf16 = False,
    device: Device = None,
    workers: Workers = None,
    save_every: SaveEvery = 300.0,
    tensorboard: TensorBoard = False,
    quick: Quick = False,
    quiet: Quiet = False,
) -> None:
    """Train a judge on your own table of pictures and scores.

    The model and its card are written to DIR/RECIPE.onnx and .json, for 'mien score --model FILE.onnx'. The epoch is
    chosen by the validation part alone: the rows with split "val", else a fifth that is drawn; it takes 11 pictures at
    least. Several GPUs: torchrun --nproc-per-node N -m mien train ... Needs the extra "train", published networks the
    extra "torch", too.
    """
    shared = _shared(locals())
    from mien.apps.train_command import train_recipe

    raise typer.Exit(train_recipe(recipe, shared, start=start))


def distill(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A teacher and its student, see docs/training.md.")
    ] = "judge-net",
    data: Data = None,
    dataset: Dataset = None,
    column: Column = None,
    lower_is_better: LowerIsBetter = False,
    u1: Annotated[
        list[str] | None, typer.Option("--u1", metavar="PATH", help="Pictures nobody rated, for the teacher.")
    ] = None,
    u2: Annotated[
        list[str] | None, typer.Option("--u2", metavar="PATH", help="Others, for the better teacher.")
    ] = None,
    out: Out = None,
    start_teacher: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Checkpoint the teacher begins from.")
    ] = None,
    start_student: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Checkpoint the student begins from.")
    ] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    epochs: Epochs = None,
    batch: BatchSize = None,
    accumulate: Accumulate = None,
    learning_rate: LearningRate = None,
    seed: Seed = None,
    bf16: Bf16 = False,
    device: Device = None,
    workers: Workers = None,
    save_every: SaveEvery = 300.0,
    tensorboard: TensorBoard = False,
    quick: Quick = False,
    quiet: Quiet = False,
) -> None:
    """Self-training and distillation: a teacher labels pictures, learns from them, and teaches a small student.

    Five steps, a file behind each, with its SHA-256 in DIR/chain.json: teacher, its labels for --u1, a better teacher
    from both, its labels for --u2, the student from all. A run that was stopped goes on with --resume at the step where
    it was. The student's model is DIR/NAME.onnx, with its card.
    """
    shared = _shared(locals())
    from mien.apps.train_command import distill_recipe

    code = distill_recipe(recipe, shared, u1 or (), u2 or (), teacher=start_teacher, student=start_student)
    raise typer.Exit(code)


def _shared(given: Mapping[str, Any]) -> RunOptions:
    """What `train` and `distill` have in common, of all that one of them was given."""
    from mien.apps.train_command import RunOptions

    values = {**given, "columns": given["column"]}
    shared: dict[str, Any] = {field.name: values[field.name] for field in fields(RunOptions)}
    for several in ("data", "dataset", "columns"):
        shared[several] = tuple(shared[several] or ())
    return RunOptions(**shared)


def pseudo_label(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A name of 'mien models list', or FILE.onnx.")],
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Pictures, folders, quoted globs.")],
    out: Annotated[Path, typer.Option(metavar="FILE.csv", help="The table to write: path, score, raw.")],
    fit: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Labelled pictures: a logistic maps the judge's numbers to their scale."),
    ] = None,
    column: Column = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Checkpoint of the published network that MODEL names.")
    ] = None,
    raw_range: Annotated[
        tuple[float, float] | None,
        typer.Option(metavar="LOW HIGH", help="For a network without a scale; labels are raw numbers anyway."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, max=1024, help="Without it what the machine has.")] = None,
    resume: Resume = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Let a judge label pictures that nobody rated: a table for 'mien train --data', and a record with its SHA-256.

    Without --fit the score is the judge's raw number. Exit code 3: some pictures could not be read; they are left out.
    """
    from mien.apps.train_command import LabelOptions, pseudo_label

    options = LabelOptions(
        model=model,
        paths=tuple(paths),
        out=out,
        weights=weights,
        raw_range=raw_range,
        fit=fit,
        columns=tuple(column or ()),
        resume=resume,
        overwrite=overwrite,
        threads=threads,
        quiet=quiet,
    )
    raise typer.Exit(pseudo_label(options))


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command("train")(train)
    app.command("distill")(distill)
    app.command("pseudo-label")(pseudo_label)
