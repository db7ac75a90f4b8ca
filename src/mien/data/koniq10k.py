"""KonIQ-10k: 10,073 photographs from the web, each with about a hundred opinions.

Data:    Hosu et al., "KonIQ-10k", IEEE TIP 2020
Layout:  koniq10k_distributions_sets.csv (with the official split), or koniq10k_scores_and_distributions.csv (without),
         and 1024x768/ or 512x384/
Label:   1..5, the mean of the published distribution of answers (c1..c5). The column MOS is on 0..100 in the first
         table and on 1..5 in the second, so it is not read.
"""

from __future__ import annotations

from pathlib import Path

from mien.core.errors import UsageError
from mien.data.layout import checked, number, optional_number, rows, split_name
from mien.data.sample import Sample

TABLES = ("koniq10k_distributions_sets.csv", "koniq10k_scores_and_distributions.csv")
LAYOUT = f"{TABLES[0]} or {TABLES[1]}, and the folder 1024x768/ or 512x384/"
GRADES = ("c1", "c2", "c3", "c4", "c5")


def read(root: Path, *, size: str = "1024x768", check_pictures: bool = True) -> tuple[Sample, ...]:
    """All photographs.

    Args:
        root: folder with the layout named above.
        size: folder of the pictures, "1024x768" or "512x384".
        check_pictures: False where only the labels are at hand.

    Returns:
        Samples with `std` and the official split ("train" for all without the first table).

    Raises:
        UsageError: a missing table, column or picture, or a row without answers.
    """
    file = next((root / name for name in TABLES if (root / name).is_file()), root / TABLES[0])
    samples = []
    for row in rows(file, ("image_name", *GRADES), LAYOUT):
        counts = [number(row, grade, file) for grade in GRADES]
        if sum(counts) <= 0:
            raise UsageError(f"{file}: {row['image_name']} has no answers")
        samples.append(
            Sample(
                row["image_name"],
                root / size / row["image_name"],
                label=sum(k * count for k, count in enumerate(counts, start=1)) / sum(counts),
                split=split_name(row.get("set", "train")),
                std=optional_number(row, "SD", file),
            )
        )
    return checked(samples, root, LAYOUT, check_pictures=check_pictures)
