"""The data sets: a table of names and of who reads them. Nothing here downloads anything or decodes a picture."""

from __future__ import annotations

import difflib
from importlib import import_module
from pathlib import Path
from typing import Any

from mien.core.errors import UsageError
from mien.data.sample import Sample

#: name -> "module:function"; the function takes the folder and options of its own, and returns samples
DATASETS: dict[str, str] = {
    "aigiqa20k": "mien.data.aigiqa20k:read",
    "biq2021": "mien.data.biq2021:samples",
    "cgfiqa40k": "mien.data.cgfiqa40k:read",
    "gfiqa20k": "mien.data.gfiqa20k:read",
    "kadid10k": "mien.data.kadid10k:read",
    "koniq10k": "mien.data.koniq10k:read",
    "label-tables": "mien.data.label_tables:read",
    "live-challenge": "mien.data.live_challenge:read",
    "lsvq": "mien.data.lsvq:read",
    "piq23": "mien.data.piq23:read",
    "sfhq": "mien.data.sfhq:read",
    "spaq": "mien.data.spaq:read",
    "table": "mien.data.table:read",
    "tid2013": "mien.data.tid2013:read",
    "uhd-iqa": "mien.data.uhd_iqa:read",
    "vquala25-fiqa": "mien.data.vquala25_fiqa:read",
}


def names() -> list[str]:
    """All data sets that `read` knows."""
    return sorted(DATASETS)


def read(name: str, root: Path, **options: Any) -> tuple[Sample, ...]:
    """The samples of a data set.

    Args:
        name: of `names()`.
        root: its folder, in the official layout.
        **options: of the data set's own function, for instance `attribute` of "piq23".

    Raises:
        UsageError: no such data set (the nearest names are offered), or a file is missing (it is named, with the layout
            that was expected).
    """
    if name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names())}"
        raise UsageError(f"no data set {name!r}; {hint}")
    module, _, function = DATASETS[name].partition(":")
    return getattr(import_module(module), function)(root, **options)
