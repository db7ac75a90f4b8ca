"""KADID-10k: 81 pristine pictures, each under 25 distortions of five levels.

Data:    Lin, Hosu, Saupe, "KADID-10k: a large-scale artificially distorted IQA database", QoMEX 2019
Layout:  dmos.csv (dist_img, ref_img, dmos, var) and images/ with the distorted and the pristine pictures
Label:   1..5, higher is better, although the column is called dmos
Std:     the column called var: its values are standard deviations (where a mean shows that only two grades were given,
         they equal √(p(1 - p)))
Splits:  none official, all pictures are "train"; split by `reference`, or the same content is on both sides
"""

from __future__ import annotations

from pathlib import Path

from mien.data.layout import checked, number, optional_number, rows
from mien.data.sample import Sample

LAYOUT = "dmos.csv (dist_img, ref_img, dmos, var) and images/"


def read(root: Path, *, check_pictures: bool = True) -> tuple[Sample, ...]:
    """The distorted pictures.

    Args:
        root: folder with the layout named above.
        check_pictures: False where only the labels are at hand.

    Returns:
        Samples with `reference` "images/I01.png" and `distortion` "01".."25", the number in the file name.

    Raises:
        UsageError: a missing table, column or picture.
    """
    file = root / "dmos.csv"
    samples = (
        Sample(
            row["dist_img"],
            root / "images" / row["dist_img"],
            label=number(row, "dmos", file),
            reference=f"images/{row['ref_img']}",
            distortion=row["dist_img"].split("_")[1] if row["dist_img"].count("_") == 2 else "",
            std=optional_number(row, "var", file),
        )
        for row in rows(file, ("dist_img", "ref_img", "dmos"), LAYOUT)
    )
    return checked(samples, root, LAYOUT, check_pictures=check_pictures)
