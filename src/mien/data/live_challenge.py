"""LIVE in the Wild (LIVE Challenge): 1,162 photographs taken as they come, rated by a crowd.

Data:    Ghadiyaram and Bovik, "Massive online crowdsourced study of subjective and objective picture quality", TIP 2016
Layout:  Data/AllImages_release.mat, Data/AllMOS_release.mat, Data/AllStdDev_release.mat and Images/, where the seven
         pictures that trained the raters lie in Images/trainingImages/
Label:   0..100
Splits:  none official; all pictures are "train"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mien.core.errors import MissingExtraError, UsageError
from mien.data.layout import checked
from mien.data.sample import Sample

LAYOUT = "Data/AllImages_release.mat, AllMOS_release.mat, AllStdDev_release.mat and Images/"
TRAINING_IMAGES = 7  #: the first of the table, shown to every rater before the study; the literature leaves them out


def read(root: Path, *, training_images: bool = False, check_pictures: bool = True) -> tuple[Sample, ...]:
    """The photographs of the study.

    Args:
        root: folder with the layout named above.
        training_images: also the seven that trained the raters.
        check_pictures: False where only the labels are at hand.

    Raises:
        UsageError: a missing table or picture, or tables that do not fit together.
        MissingExtraError: SciPy, which reads .mat files, is not installed.
    """
    names = [str(name[0]) for name in _matrix(root, "AllImages_release")]
    scores = [float(v) for v in _matrix(root, "AllMOS_release")]
    deviations = [float(v) for v in _matrix(root, "AllStdDev_release")]
    if not len(names) == len(scores) == len(deviations):
        raise UsageError(
            f"{root / 'Data'} has {len(names)} names, {len(scores)} scores and {len(deviations)} deviations; "
            f"expected {LAYOUT}"
        )
    samples = [
        Sample(name, root / "Images" / ("trainingImages" if k < TRAINING_IMAGES else ".") / name, label=mos, std=std)
        for k, (name, mos, std) in enumerate(zip(names, scores, deviations, strict=True))
    ]
    first = 0 if training_images else TRAINING_IMAGES
    return checked(samples[first:], root, LAYOUT, check_pictures=check_pictures)


def _matrix(root: Path, name: str) -> Any:
    """The values of the matrix that a file is named after, flat."""
    try:
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError
    except ImportError as error:
        raise MissingExtraError("LIVE Challenge", "evaluate") from error
    file = root / "Data" / f"{name}.mat"
    if not file.is_file():
        raise UsageError(f"no {file}: expected {LAYOUT}")
    try:
        return loadmat(file)[name].ravel()
    except (ValueError, KeyError, NotImplementedError, MatReadError) as error:
        raise UsageError(f"{file} is not a MATLAB file with a matrix {name}") from error
