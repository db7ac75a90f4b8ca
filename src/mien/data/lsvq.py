"""LSVQ: 39,000 videos of users; the training set of PQE's first stage, FAST-VQA and DOVER.

Data:    Ying et al., "Patch-VQ: 'patching up' the video quality problem", CVPR 2021
Layout:  labels_train_test.csv (name, mos, is_test, ...), labels_test_1080p.csv (name, mos, ...), and the videos
         NAME.mp4, names being paths such as yfcc-batch1/747
Label:   0..100
Splits:  "train" and "test"; the 1080p videos are "test", too, with the subset "1080p"
"""

from __future__ import annotations

from pathlib import Path

from mien.core.errors import UsageError
from mien.data.layout import checked, number, rows
from mien.data.sample import Sample

LAYOUT = "labels_train_test.csv (name, mos, is_test), labels_test_1080p.csv (name, mos) and the videos NAME.mp4"


def read(root: Path, *, check_pictures: bool = True) -> tuple[Sample, ...]:
    """All videos of the tables that are there; a `Sample` points at the file, `open()` is for pictures only.

    Args:
        root: folder with the layout named above.
        check_pictures: False where the videos are not at hand.

    Raises:
        UsageError: no table at all, a missing column or video.
    """
    samples: list[Sample] = []
    for table, subset in (("labels_train_test.csv", ""), ("labels_test_1080p.csv", "1080p")):
        file = root / table
        if not file.is_file():
            continue
        for row in rows(file, ("name", "mos") if subset else ("name", "mos", "is_test"), LAYOUT):
            test = bool(subset) or row["is_test"].lower() in ("1", "1.0", "true")
            name = row["name"].replace("\\", "/")
            label, split = number(row, "mos", file), "test" if test else "train"
            samples.append(Sample(name, root / f"{name}.mp4", label=label, split=split, subset=subset))
    if not samples:
        raise UsageError(f"no {root / 'labels_train_test.csv'}: expected {LAYOUT}")
    return checked(samples, root, LAYOUT, check_pictures=check_pictures)
