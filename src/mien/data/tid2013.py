"""TID2013: 25 pristine pictures, each under 24 distortions of five levels.

Data:    Ponomarenko et al., "Image database TID2013: peculiarities, results and perspectives", SPIC 2015
Layout:  mos_with_names.txt (score and name a line), mos_std.txt (the same order; may be absent), distorted_images/ and
         reference_images/; the case of names differs between table and folders
Label:   0..9
Splits:  none official, all pictures are "train"; split by `reference`
"""

from __future__ import annotations

from pathlib import Path

from mien.core.errors import UsageError
from mien.data.layout import AnyCase, checked, number
from mien.data.sample import Sample

LAYOUT = "mos_with_names.txt (score and name a line), distorted_images/ and reference_images/"


def read(root: Path, *, check_pictures: bool = True) -> tuple[Sample, ...]:
    """The distorted pictures.

    Args:
        root: folder with the layout named above.
        check_pictures: False where only the labels are at hand.

    Returns:
        Samples with `reference` "reference_images/i01.bmp" and `distortion` "01".."24", the number in the file name;
        names in lower case.

    Raises:
        UsageError: a missing table or picture, or a line that is not a score and a name.
    """
    file = root / "mos_with_names.txt"
    pairs = [line.split() for line in _lines(file)]
    deviations = [line.split() for line in _lines(root / "mos_std.txt")] if (root / "mos_std.txt").is_file() else []
    if deviations and len(deviations) != len(pairs):
        raise UsageError(f"{root / 'mos_std.txt'} has {len(deviations)} lines, {file.name} has {len(pairs)}")
    distorted, samples = AnyCase(root / "distorted_images"), []
    for k, pair in enumerate(pairs):
        parts = pair[1].lower().split("_") if len(pair) == 2 else []
        if len(parts) != 3:
            raise UsageError(f"{file}: {' '.join(pair)!r} is not a score and a name such as i01_01_1.bmp")
        samples.append(
            Sample(
                pair[1].lower(),
                distorted[pair[1]],
                label=number({"name": pair[1], "score": pair[0]}, "score", file),
                reference=f"reference_images/{parts[0]}.bmp",
                distortion=parts[1],
                std=number({"name": pair[1], "std": deviations[k][0]}, "std", file) if deviations else None,
            )
        )
    return checked(samples, root, LAYOUT, check_pictures=check_pictures)


def _lines(file: Path) -> list[str]:
    if not file.is_file():
        raise UsageError(f"no {file}: expected {LAYOUT}")
    return [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
