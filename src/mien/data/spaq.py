"""SPAQ: 11,125 photographs of smartphones.

Data:    Fang et al., "Perceptual quality assessment of smartphone photography", CVPR 2020
Layout:  "Annotations/MOS and Image attribute scores.xlsx" (Image name, MOS, ...) and TestImage/; both may lie in
         Dataset/, and the workbook may have been saved as .csv
Label:   0..100
Splits:  none official; all pictures are "train"
"""

from __future__ import annotations

from pathlib import Path

from mien.core.errors import UsageError
from mien.data.layout import Row, checked, number, rows
from mien.data.sample import Sample
from mien.data.spreadsheet import first_sheet

LAYOUT = '"Annotations/MOS and Image attribute scores.xlsx" (or .csv) and TestImage/'
TABLE = "MOS and Image attribute scores"


def read(root: Path, *, check_pictures: bool = True) -> tuple[Sample, ...]:
    """All photographs.

    Args:
        root: folder with the layout named above.
        check_pictures: False where only the labels are at hand.

    Raises:
        UsageError: a missing table, column or picture.
    """
    places = [base / folder for base in (root, root / "Dataset") for folder in ("Annotations", ".")]
    files = [place / f"{TABLE}{suffix}" for suffix in (".xlsx", ".csv") for place in places]
    file = next((f for f in files if f.is_file()), None)
    if file is None:
        raise UsageError(f"no {files[0]}: expected {LAYOUT}")
    folder = root / "Dataset" / "TestImage" if (root / "Dataset" / "TestImage").is_dir() else root / "TestImage"
    samples = (
        Sample(row["Image name"], folder / row["Image name"], label=number(row, "MOS", file)) for row in _table(file)
    )
    return checked(samples, root, LAYOUT, check_pictures=check_pictures)


def _table(file: Path) -> list[Row]:
    if file.suffix == ".csv":
        return rows(file, ("Image name", "MOS"), LAYOUT)
    sheet = first_sheet(file)
    header = [name.strip() for name in sheet[0]] if sheet else []
    if absent := [name for name in ("Image name", "MOS") if name not in header]:
        raise UsageError(f"{file} has no column {absent[0]}; it has {', '.join(header)}. Expected {LAYOUT}")
    return [dict(zip(header, cells, strict=True)) for cells in sheet[1:]]
