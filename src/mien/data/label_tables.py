"""Label tables of public sets in one compact form, for experiments on opinions where the pictures are not at hand.

Layout:  NAME.csv for the names below, each with `image` or `video` (the path below the set's own folder) and `score` or
         `mos`; some with split, reference, distortion, generator, variance
Source:  the tables of icbcbicc/IQA-Dataset and of the data sets' own pages
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from mien.core.errors import UsageError
from mien.data import table
from mien.data.layout import number, rows
from mien.data.sample import Sample


@dataclass(frozen=True)
class Set:
    """What a table means."""

    scale: tuple[float, float]  #: of the published scores
    higher_is_better: bool = True  #: False: a DMOS; the label is its negative
    folder: str = ""  #: where the pictures lie below the set's own folder, as far as `image` does not say
    columns: tuple[tuple[str, str], ...] = ()  #: our name of a column, the header
    variance: bool = False  #: whether there is a column of that name


SETS: dict[str, Set] = {
    "agiqa1k": Set((0, 5)),
    "csiq": Set((0, 1), higher_is_better=False),
    "gfiqa20k_ratings": Set((0, 1), variance=True),
    "kadid10k": Set((1, 5)),
    "koniq10k": Set((1, 5), folder="1024x768"),
    "live": Set((-3, 112), higher_is_better=False),
    "live_challenge": Set((0, 100)),
    "spaq": Set((0, 100)),
    "thqa_ntire": Set((0, 5), columns=(("subset", "generator"),)),
    "tid2013": Set((0, 9)),
    "uhd_iqa": Set((0, 1)),
}


def read(root: Path, *, data: str, pictures: Path | None = None) -> tuple[Sample, ...]:
    """The labels of one set.

    Args:
        root: folder of the tables.
        data: one of `SETS`.
        pictures: the set's own folder, where the pictures are at hand; they are not looked for, only pointed at.

    Returns:
        Samples in the order of the table. For a DMOS the label is its negative, so that higher is better.

    Raises:
        UsageError: an unknown name, or no such table.
    """
    if data not in SETS:
        raise UsageError(f"no label table {data!r}; there are {', '.join(SETS)}")
    known, file = SETS[data], root / f"{data}.csv"
    samples = table.read(
        root,
        file=file.name,
        columns=dict(known.columns),
        higher_is_better=known.higher_is_better,
        check_pictures=False,
    )
    base = (root if pictures is None else pictures) / known.folder
    samples = tuple(replace(s, file=base / s.name) for s in samples)
    if not known.variance:
        return samples
    deviations = [math.sqrt(number(row, "variance", file)) for row in rows(file, ("variance",), table.LAYOUT)]
    return tuple(replace(s, std=std) for s, std in zip(samples, deviations, strict=True))
