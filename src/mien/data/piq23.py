"""PIQ23: portraits of 50 scenes, scaled from pairwise comparisons inside each scene.

Data:    Chahine et al., "An image quality assessment dataset for portraits", CVPR 2023 (on request; research only)
Layout:  Scores_Overall.csv, Scores_Exposure.csv, Scores_Details.csv beside the folders Overall/, Exposure/, Details/;
         for the device split also "Device Split.csv" of the authors' repository (folder "Test split"); or scores.csv,
         one table of all three with columns device_split and scene_split
Label:   JOD, mean 0 in every scene: never compare across scenes
Splits:  scene (35 / 15 scenes, the NTIRE 2024 challenge) and device (all 50 scenes on both sides)
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from mien.core.errors import UsageError
from mien.data.layout import Row, checked, number, optional_number, rows, split_name
from mien.data.sample import Sample

LAYOUT = "Scores_Overall.csv beside the folder Overall/ (likewise Exposure and Details), or scores.csv"
ATTRIBUTES = ("Overall", "Exposure", "Details")
TEST_SCENES = (1, 5, 10, 11, 16, 17, 20, 28, 30, 31, 33, 34, 43, 45, 46)  #: of the official scene split


def read(
    root: Path,
    *,
    attribute: str = "Overall",
    split: Literal["scene", "device"] = "scene",
    check_pictures: bool = True,
) -> tuple[Sample, ...]:
    """The portraits under one attribute.

    Args:
        root: folder with the layout named above.
        attribute: "Overall", "Exposure" or "Details".
        split: which of the two official splits.
        check_pictures: False where only the score tables are at hand.

    Returns:
        Samples in the order of the table: `scene`, `subset` the light ("Indoor", "Outdoor", "Lowlight", "Night"),
        `std` that of the JOD, `split` "train" or "test".

    Raises:
        UsageError: an unknown attribute or split, a missing table, column or picture.
    """
    if attribute not in ATTRIBUTES or split not in ("scene", "device"):
        raise UsageError(
            f"PIQ23 has the attributes {', '.join(ATTRIBUTES)} and the splits scene, device; not {attribute}, {split}"
        )
    if (root / "scores.csv").is_file():
        samples = _compact(root, attribute, split)
    else:
        samples = _official(root, attribute, split)
    return checked(samples, root, LAYOUT, check_pictures=check_pictures)


def _official(root: Path, attribute: str, split: str) -> list[Sample]:
    file = root / f"Scores_{attribute}.csv"
    table = rows(file, ("IMAGE PATH", "IMAGE", "JOD", "JOD STD", "SCENE", "SCENE IDX", "CONDITION"), LAYOUT)
    devices = _device_split(root) if split == "device" else {}

    def part(row: Row) -> str:
        if split == "scene":
            return "test" if int(number(row, "SCENE IDX", file)) in TEST_SCENES else "train"
        if row["IMAGE"] not in devices:
            raise UsageError(f"Device Split.csv does not name {row['IMAGE']}")
        return devices[row["IMAGE"]]

    return [
        Sample(
            row["IMAGE"],
            root / row["IMAGE PATH"].replace("\\", "/"),
            label=number(row, "JOD", file),
            split=part(row),
            subset=row["CONDITION"],
            scene=row["SCENE"],
            std=optional_number(row, "JOD STD", file),
        )
        for row in table
    ]


def _device_split(root: Path) -> dict[str, str]:
    file = root / "Test split" / "Device Split.csv"
    if not file.is_file():
        file = root / "Device Split.csv"
    table = rows(file, ("IMAGE", "SPLIT"), "the folder `Test split` of the authors' repository beside the scores")
    return {row["IMAGE"]: split_name(row["SPLIT"]) for row in table}


def _compact(root: Path, attribute: str, split: str) -> list[Sample]:
    file = root / "scores.csv"
    needed = ("attribute", "image", "scene", "condition", "jod", "jod_std", f"{split}_split")
    return [
        Sample(
            row["image"],
            root / attribute / row["image"],
            label=number(row, "jod", file),
            split=split_name(row[f"{split}_split"]),
            subset=row["condition"],
            scene=row["scene"],
            std=optional_number(row, "jod_std", file),
        )
        for row in rows(file, needed, LAYOUT)
        if row["attribute"] == attribute
    ]
