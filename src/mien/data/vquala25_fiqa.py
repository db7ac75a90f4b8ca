"""VQualA 2025 face quality challenge: 27,686 training faces, mostly of CelebA and Flickr, short side 224..1024 px.

Data:    Ma et al., "VQualA 2025 challenge on face image quality assessment", ICCV workshops 2025
Layout:  train.csv without a header (name,score; a name without a suffix means .png) and train/ [unverified: the names
         that the winner's training configuration uses]
Label:   within 0..1; predictions of DSL-FIQA averaged over 20 patches, not opinions of people
Splits:  none in the release; the winner keeps a random fifth for validation
"""

from __future__ import annotations

from pathlib import Path

from mien.data.layout import checked, csv_cells, headless_rows, number
from mien.data.sample import Sample

LAYOUT = "train.csv without a header (name,score) and the folder train/"


def read(
    root: Path, *, labels: str = "train.csv", pictures: str = "train", check_pictures: bool = True
) -> tuple[Sample, ...]:
    """The labelled faces.

    Args:
        root: folder with the layout named above.
        labels: name of the table below `root`.
        pictures: name of the folder below `root`.
        check_pictures: False where only the labels are at hand.

    Raises:
        UsageError: a missing table or picture, or a score that is not a number.
    """
    file = root / labels
    samples = []
    for row in headless_rows(csv_cells(file, LAYOUT), ("name", "score"), "score", file, LAYOUT):
        name = row["name"] if Path(row["name"]).suffix else f"{row['name']}.png"
        samples.append(Sample(name, root / pictures / name, label=number(row, "score", file)))
    return checked(samples, root, LAYOUT, check_pictures=check_pictures)
