"""AIGIQA-20K: 20,000 pictures of 15 text-to-image models, 21 opinions each on looks and faith to the prompt at once.

Data:    Li et al., "AIGIQA-20K: a large database for AI-generated image quality assessment", CVPR workshops 2024
Layout:  info_train, info_val, info_test as .csv or .xlsx (name, prompt, mos; with or without a header) and the folders
         train/, val/, test/ [unverified: as published training code reads them]
Label:   one MOS, within about 0..5; None where the challenge kept it back
"""

from __future__ import annotations

from pathlib import Path

from mien.core.errors import UsageError
from mien.data.layout import Row, checked, csv_cells, headless_rows, optional_number
from mien.data.sample import Sample
from mien.data.spreadsheet import first_sheet

LAYOUT = "info_train.csv, info_val.csv, info_test.csv or .xlsx (name, prompt, mos) and the folders train/, val/, test/"
SPLITS = ("train", "val", "test")
COLUMNS = ("name", "prompt", "mos")


def read(root: Path, *, check_pictures: bool = True) -> tuple[Sample, ...]:
    """All pictures of the tables that are there.

    Args:
        root: folder with the layout named above.
        check_pictures: False where only the labels are at hand.

    Returns:
        Samples with `subset` the model, which is the name up to its last underscore.

    Raises:
        UsageError: no table at all, a row that is not name, prompt, mos, or a missing picture.
    """
    samples = []
    for split in SPLITS:
        file = next((f for f in (root / f"info_{split}.csv", root / f"info_{split}.xlsx") if f.is_file()), None)
        if file is not None:
            samples += [_sample(row, root, split, file) for row in _table(file)]
    if not samples:
        raise UsageError(f"no {root / 'info_train.csv'}: expected {LAYOUT}")
    return checked(samples, root, LAYOUT, check_pictures=check_pictures)


def _table(file: Path) -> list[Row]:
    cells = csv_cells(file, LAYOUT) if file.suffix == ".csv" else first_sheet(file)
    return headless_rows(cells, COLUMNS, "mos", file, LAYOUT)


def _sample(row: Row, root: Path, split: str, file: Path) -> Sample:
    return Sample(
        row["name"],
        root / split / row["name"],
        label=optional_number(row, "mos", file),
        split=split,
        subset=row["name"].rpartition("_")[0],
    )
