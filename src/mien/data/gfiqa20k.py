"""GFIQA-20k: 20,000 faces of 512 px in the wild.

Data:    Su et al., arXiv 2207.04904, IEEE Transactions on Multimedia 26, 2024
Layout:  mos_val_rating.csv (img_name, mos) and image/ [unverified: the names that public readers of the release use];
         or the copy that DSL-FIQA ships: train/, val/, test/ with label.json and img/, as CGFIQA-40k
Label:   0..1
Splits:  only in DSL-FIQA's copy; otherwise all pictures are "train"
"""

from __future__ import annotations

from pathlib import Path

from mien.data import cgfiqa40k
from mien.data.layout import checked, number, rows
from mien.data.sample import Sample

LAYOUT = f"mos_val_rating.csv (img_name, mos) and image/, or {cgfiqa40k.LAYOUT}"


def read(root: Path, *, check_pictures: bool = True) -> tuple[Sample, ...]:
    """All faces.

    Args:
        root: folder with one of the layouts named above.
        check_pictures: False where only the labels are at hand.

    Raises:
        UsageError: neither layout, or a missing column or picture.
    """
    file = root / "mos_val_rating.csv"
    if not file.is_file() and any((root / split / "label.json").is_file() for split in cgfiqa40k.SPLITS):
        return cgfiqa40k.read(root, check_pictures=check_pictures)
    samples = (
        Sample(row["img_name"], root / "image" / row["img_name"], label=number(row, "mos", file))
        for row in rows(file, ("img_name", "mos"), LAYOUT)
    )
    return checked(samples, root, LAYOUT, check_pictures=check_pictures)
