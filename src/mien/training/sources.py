"""Where labelled pictures come from, and the folder that a run lives in. No torch is needed for either."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mien.core.errors import UsageError
from mien.data import registry, table
from mien.data.sample import Sample


@dataclass(frozen=True, slots=True)
class Source:
    """Where labelled pictures are."""

    path: Path  #: a CSV file, or a folder
    dataset: str = "table"  #: of `mien.data.registry.names()`
    columns: tuple[tuple[str, str], ...] = ()  #: our name of a column, the header in the file; of tables
    higher_is_better: bool = True  #: of the scores of a table

    @property
    def name(self) -> str:
        """For cards: never the folders of this machine."""
        return self.path.name if self.dataset == "table" else self.dataset


def read(sources: Sequence[Source]) -> tuple[Sample, ...]:
    """The pictures of one or several data sets; `subset` tells several apart.

    Raises:
        UsageError: no such data set, table, column or picture, or a score that is not a number.
    """
    if len(sources) == 1:
        return _read(sources[0])
    names = [f"{source.name}" for source in sources]
    if len(set(names)) < len(names):
        raise UsageError(f"two data sets are called {max(names, key=names.count)}: rename one of the files")
    return tuple(
        replace(sample, name=f"{name}/{sample.name}", subset=name)
        for name, source in zip(names, sources, strict=True)
        for sample in _read(source)
    )


def _read(source: Source) -> tuple[Sample, ...]:
    path, of_table = source.path, source.dataset == "table"
    if not path.exists():
        raise UsageError(f"no {path}: --data names a CSV file with the columns path and score, or a folder")
    if not of_table:
        return registry.read(source.dataset, path)
    root, file = (path, "labels.csv") if path.is_dir() else (path.parent, path.name)
    columns: Mapping[str, str] = dict(source.columns)
    return table.read(root, file=file, columns=columns, higher_is_better=source.higher_is_better)


def prepare(out: Path, made: Sequence[str], *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder with a run in it, or take the run out of it.

    Args:
        out: folder of a run.
        made: names of what a run makes there.
        resume: a run in it is wanted.
        overwrite: a run in it is not.

    Raises:
        UsageError: there is a run, and neither `resume` nor `overwrite`; both of them; or `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"--out {out} is a file; it names the folder of a run")
    if resume and overwrite:
        raise UsageError("--resume and --overwrite exclude each other")
    there = [out / name for name in made if (out / name).exists()]
    if there and not resume and not overwrite:
        raise UsageError(f"{out} holds a run ({there[0].name}): --resume goes on with it, --overwrite starts again")
    for path in there if overwrite else ():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
