"""CGFIQA-40k: 39,312 faces of 512 px, rated by 20 people, balanced over skin tone, gender and occlusion.

Data:    Chen et al., "DSL-FIQA", CVPR 2024
Layout:  folders train/, val/, test/, each with label.json (lists "Image" and "MOS") and img/
         (and landmark/, which is not read)
Label:   MOS as published; DSL-FIQA's code stretches it to 0..1 in each split by itself, which is not done here
"""

from __future__ import annotations

import json
from pathlib import Path

from mien.core.errors import UsageError
from mien.data.layout import checked
from mien.data.sample import Sample

LAYOUT = "train/, val/, test/, each with label.json (Image and MOS) and img/"
SPLITS = ("train", "val", "test")


def read(root: Path, *, check_pictures: bool = True) -> tuple[Sample, ...]:
    """All faces of the splits that are there.

    Args:
        root: folder with the layout named above; a split that was not downloaded is left out.
        check_pictures: False where only the labels are at hand.

    Raises:
        UsageError: no label.json at all, one that is not as described, or a missing picture.
    """
    samples = [s for split in SPLITS if (root / split / "label.json").is_file() for s in _split(root, split)]
    if not samples:
        raise UsageError(f"no {root / 'train' / 'label.json'}: expected {LAYOUT}")
    return checked(samples, root, LAYOUT, check_pictures=check_pictures)


def _split(root: Path, split: str) -> list[Sample]:
    file = root / split / "label.json"
    try:
        table = json.loads(file.read_bytes())
        pairs = [(str(name), float(mos)) for name, mos in zip(table["Image"], table["MOS"], strict=True)]
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} must hold two lists of one length, Image and MOS; expected {LAYOUT}") from error
    return [Sample(f"{split}/img/{name}", root / split / "img" / name, label=mos, split=split) for name, mos in pairs]
