"""Options that several commands about pictures share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

FilesFrom = Annotated[
    str | None, typer.Option(metavar="FILE|-", help="Read more paths from FILE (- is stdin), one per line.")
]
Model = Annotated[str | None, typer.Option(metavar="NAME|FILE.onnx", help="Judge; without it the embedded one.")]
Weights = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Checkpoint of the published network that --model names.")
]
RawRange = Annotated[
    tuple[float, float] | None,
    typer.Option(metavar="LOW HIGH", help="Raw values that become score 0 and 100, if the network has no scale."),
]
Finder = Annotated[Path | None, typer.Option(metavar="FILE.onnx", help="Finder of faces; without it the embedded one.")]
Threads = Annotated[int | None, typer.Option(min=1, max=1024, help="Threads; without it what the machine has.")]
RowsFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Write the rows to FILE.csv, FILE.jsonl or FILE.parquet.")
]
Batch = Annotated[int, typer.Option(min=1, help="Pictures that go through the network together.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Begin FILE again, whatever is in it.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary, only errors.")]
