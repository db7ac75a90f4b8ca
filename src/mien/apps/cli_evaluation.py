"""The commands that read tables of opinions and predictions: `evaluate`, `leaderboard`, `scale` and `challenge`.

Parsed here, run by `evaluate_command`, `leaderboard_command`, `scale_command` and `challenge_command`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

challenge_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Run a challenge: make, score, publish.")

Protocol = Annotated[str, typer.Option(metavar="NAME", help="A protocol of docs/protocols.md, for example plain.")]
Column = Annotated[list[str] | None, typer.Option(metavar="NAME=THEIRS", help="Our column is called THEIRS in a file.")]
Where = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="Only labels with this value, e.g. split=test.")
]
Group = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Show groups of this column, whatever the protocol groups by.")
]
Cost = Annotated[
    Path | None, typer.Option(metavar="FILE", help="JSON of 'mien cost --json', for the budget of a challenge.")
]
Draws = Annotated[int, typer.Option(min=0, help="Draws of the bootstrap; 0 = no intervals.")]
Seed = Annotated[int, typer.Option(min=0, help="Of the draws.")]


def evaluate(
    predictions: Annotated[Path, typer.Argument(metavar="PREDICTIONS", help="CSV: image (or video), score.")],
    labels: Annotated[
        Path, typer.Option(metavar="FILE", help="CSV: image (or video), label, and the protocol's grouping column.")
    ],
    protocol: Protocol,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE|-", help="Write the result as JSON, too; - is stdout only.")
    ] = None,
    column: Column = None,
    where: Where = None,
    group: Group = None,
    fit: Annotated[
        str | None, typer.Option(metavar="logistic4|logistic5", help="Fit before PLCC, RMSE and MAE; needs --fit-on.")
    ] = None,
    fit_on: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="The labels that the fit may see.")
    ] = None,
    cost: Cost = None,
    lower_is_better: Annotated[bool, typer.Option("--lower-is-better", help="Predictions are distances.")] = False,
    undefined: Annotated[
        str, typer.Option(metavar="raise|zero", help="What constant predictions give: an error, or 0.")
    ] = "raise",
    resample: Annotated[
        str | None, typer.Option(metavar="groups|rows", help="What the bootstrap draws; without it the protocol's.")
    ] = None,
    draws: Draws = 10_000,
    seed: Seed = 0,
) -> None:
    """One number, as a published challenge computes it: per group and in total, with 95 % bootstrap intervals.

    Files are joined by name; missing, doubled and extra names are errors that list them. Needs the extra "evaluate".
    """
    from mien.apps.evaluate_command import EvaluateOptions, evaluate_table

    options = EvaluateOptions(
        predictions=predictions,
        labels=labels,
        protocol=protocol,
        json=json_file,
        columns=tuple(column or ()),
        where=tuple(where or ()),
        group=group,
        fit=fit,
        fit_on=tuple(fit_on or ()),
        cost=cost,
        lower_is_better=lower_is_better,
        undefined=undefined,
        resample=resample,
        draws=draws,
        seed=seed,
    )
    raise typer.Exit(evaluate_table(options))


def leaderboard(
    name: Annotated[
        str, typer.Argument(metavar="PROTOCOL|CHALLENGE", help="A protocol, or the folder of a challenge.")
    ],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="One CSV a submission; NAME.cost.json beside NAME.csv.")
    ],
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The labels; without it DIR/labels.csv. A challenge has its own."),
    ] = None,
    out: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Write FILE.html, .md, .csv or .json; may be repeated.")
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE|all|none", help="Set this published table among the submissions: its labels are the same."
        ),
    ] = None,
    column: Column = None,
    where: Where = None,
    group: Group = None,
    title: Annotated[str | None, typer.Option(help="Of the board.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Name of the data in the JSON records.")] = None,
    alpha: Annotated[float, typer.Option(help="Chance of any false difference on the whole board.")] = 0.05,
    draws: Annotated[int, typer.Option(min=0, help="Draws of the bootstrap; 0 = no intervals, no groups.")] = 10_000,
    seed: Seed = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No table, only errors.")] = False,
) -> None:
    """Rank many submissions: intervals, groups that cannot be told apart, cost, and what was published.

    Every pair is compared by a paired bootstrap, corrected by Holm's method. Submissions that share a letter do not
    differ. Exit code 3: some submissions were refused, each is named. Needs the extra "evaluate".
    """
    from mien.apps.leaderboard_command import LeaderboardOptions, make_leaderboard

    options = LeaderboardOptions(
        name=name,
        folder=folder,
        labels=labels,
        out=tuple(out or ()),
        columns=tuple(column or ()),
        where=tuple(where or ()),
        group=group,
        published=published,
        title=title,
        dataset=dataset,
        alpha=alpha,
        draws=draws,
        seed=seed,
        quiet=quiet,
    )
    raise typer.Exit(make_leaderboard(options))


def scale(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV of ratings or votes; the columns are in docs/scaling.md.")
    ],
    method: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Ratings: mos, bt500, p913, p910, zscore, dmos. Votes: bradley-terry, thurstone, jod.",
        ),
    ],
    groups: Annotated[
        str | None, typer.Option(metavar="COL", help="Each value of this column is a study of its own [group].")
    ] = None,
    column: Column = None,
    where: Annotated[list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="Only rows with this value.")] = None,
    split: Annotated[
        bool, typer.Option("--split", help="Scale parts that were never compared with one another each alone.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the scores to FILE.csv, FILE.jsonl or FILE.parquet.")
    ] = None,
    observers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what was found about every observer, in the same forms.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write one self-contained page: plots, observers, power.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the report; without it the name of the file.")] = None,
    half_width: Annotated[
        float | None, typer.Option(metavar="WIDTH", help="Tell how many votes intervals of ± WIDTH need.")
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="bradley-terry, thurstone: weight of a penalty that keeps scores finite.")
    ] = 0.0,
    prior: Annotated[bool, typer.Option("--prior/--no-prior", help="jod: the prior on distances.")] = True,
    anchor: Annotated[
        str | None, typer.Option(metavar="ITEM", help="jod: this item is at 0; without it the mean is.")
    ] = None,
    top: Annotated[float, typer.Option(help="dmos: score of a stimulus that looks like its reference.")] = 5.0,
    draws: Annotated[int, typer.Option(min=0, help="jod: draws of the bootstrap; 0 = no intervals.")] = 1000,
    seed: Seed = 0,
    processes: Annotated[
        int | None, typer.Option(min=1, help="jod: that draw at most; without it one for each core.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary, only errors.")] = False,
) -> None:
    """Ratings or votes of people into scores with 95 % intervals; observers, agreement, how many votes are enough.

    Columns of the result: item, score, ci_low, ci_high, n, and group where there are groups. On a terminal a short
    table; piped, one JSON object per line. Groups that were never compared with one another are an error without
    --groups or --split: their scores have nothing in common. Needs the extra "evaluate".
    """
    from mien.apps.scale_command import ScaleOptions, scale_table

    options = ScaleOptions(
        file=file,
        method=method,
        groups=groups,
        columns=tuple(column or ()),
        where=tuple(where or ()),
        split=split,
        out=out,
        observers=observers,
        report=report,
        title=title,
        half_width=half_width,
        alpha=alpha,
        prior=prior,
        anchor=anchor,
        top=top,
        draws=draws,
        seed=seed,
        processes=processes,
        quiet=quiet,
    )
    raise typer.Exit(scale_table(options))


@challenge_app.command("new")
def challenge_new(
    folder: Annotated[Path, typer.Argument(metavar="NAME", help="Folder to make; its name is that of the challenge.")],
    protocol: Protocol,
    labels: Annotated[Path, typer.Option(metavar="FILE", help="All labels, as 'mien evaluate' takes them.")],
    public_share: Annotated[
        float, typer.Option(help="Share of the labels that is published; whole groups where the protocol has them.")
    ] = 0.3,
    public_where: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="Instead: labels with this value are public.")
    ] = None,
    where: Where = None,
    column: Column = None,
    group: Group = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
    codabench: Annotated[
        Path | None, typer.Option(metavar="FILE.zip", help="Write the bundle for Codabench, too.")
    ] = None,
) -> None:
    """Make a challenge from a label file: splits, public labels, hidden labels in a folder of their own, README."""
    from mien.apps.challenge_command import NewOptions, new_challenge

    options = NewOptions(
        folder=folder,
        protocol=protocol,
        labels=labels,
        public_share=public_share,
        public_where=tuple(public_where or ()),
        where=tuple(where or ()),
        columns=tuple(column or ()),
        group=group,
        seed=seed,
        codabench=codabench,
    )
    raise typer.Exit(new_challenge(options))


@challenge_app.command("score")
def challenge_score(
    submission: Annotated[Path, typer.Argument(metavar="SUBMISSION", help="A .csv, or a .zip with one .csv in it.")],
    challenge: Annotated[Path, typer.Option(metavar="DIR", help="The folder of the challenge.")],
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON.")] = None,
    cost: Cost = None,
    draws: Draws = 10_000,
) -> None:
    """Score a submission. Exit code 0: there is a result; 2: refused, every reason is listed on stderr."""
    from mien.apps.challenge_command import score_submission

    raise typer.Exit(score_submission(submission, challenge, json_file=json_file, cost=cost, draws=draws))


@challenge_app.command("codabench")
def challenge_codabench(
    challenge: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the challenge.")],
    out: Annotated[Path, typer.Option(metavar="FILE.zip", help="The bundle; holds the hidden labels.")],
) -> None:
    """Write a bundle for Codabench, whose scoring program is the code of this command line."""
    from mien.apps.challenge_command import bundle

    raise typer.Exit(bundle(challenge, out))


def add_to(app: typer.Typer) -> None:
    """Give the command line these commands."""
    app.command("evaluate")(evaluate)
    app.command("leaderboard")(leaderboard)
    app.command("scale")(scale)
    app.add_typer(challenge_app, name="challenge")
