"""UHD-IQA: 6,073 good photographs of 3840 px, each rated 20 times by 10 experts.

Data:    Hosu et al., "UHD-IQA benchmark database", arXiv 2406.17472
Layout:  uhd-iqa-metadata.csv (image_name, quality_mos, set, ...), or uhd-iqa-training-metadata.csv of the AIM 2024
         challenge, and the folders training/, validation/, test/
Label:   0..1
"""

from __future__ import annotations

from pathlib import Path

from mien.data.layout import checked, number, rows, split_name
from mien.data.sample import Sample

TABLES = ("uhd-iqa-metadata.csv", "uhd-iqa-training-metadata.csv")
LAYOUT = f"{TABLES[0]} or {TABLES[1]}, and the folders training/, validation/, test/"


def read(root: Path, *, check_pictures: bool = True) -> tuple[Sample, ...]:
    """All photographs of the table.

    Args:
        root: folder with the layout named above.
        check_pictures: False where only the labels are at hand.

    Returns:
        Samples with the official split.

    Raises:
        UsageError: a missing table, column or picture.
    """
    file = next((root / name for name in TABLES if (root / name).is_file()), root / TABLES[0])
    samples = (
        Sample(
            row["image_name"],
            root / row["set"] / row["image_name"],
            label=number(row, "quality_mos", file),
            split=split_name(row["set"]),
        )
        for row in rows(file, ("image_name", "quality_mos", "set"), LAYOUT)
    )
    return checked(samples, root, LAYOUT, check_pictures=check_pictures)
