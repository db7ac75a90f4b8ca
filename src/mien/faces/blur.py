"""How wide the edges of a face are: blur as a Gaussian, in pixels of the picture.

Method:  an edge that was blurred by sigma is smoothed twice, by s1 and by s2. The steepness at its middle goes down
         from 1 / sqrt(sigma² + s1²) to 1 / sqrt(sigma² + s2²), so the ratio of both tells sigma (the idea of Zhuo and
         Sim, "Defocus map estimation from a single image", Pattern Recognition 2011, with smoothing on both sides
         against noise). The median over the steepest edges inside the face counts.
Limits:  strong noise passes for fine edges and hides blur. Motion blurs edges of one direction only, and the others may
         be the steeper ones. A face without any edge (wholly dark or burnt out) gives None. Below about half a pixel
         nothing can be told.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.core.types import Face
from mien.faces.align import upright_crop

WORK_PX = 512  #: a face that is larger is averaged down to less than twice this before; its blur is then that coarse
S1, S2 = 0.7, 1.6  #: px, smoothing before the two gradients
DIFFERENCE = 1 / 3  #: px², what a central difference smooths: a box of two pixels
WIDE = 2.0  #: px; what is found to be wider is measured again on a picture of half the size
SMALLEST_PX = 48  #: side of a picture that is still looked at
STEEPEST = 0.05  #: how many places on edges count, the steepest ones, as a share of all pixels
FAINTEST = 2.0  #: grey levels per px; what is less steep than this is no edge
REACH = 0.45  #: radius of the part that is looked at, in sides of the crop

Array = npt.NDArray[np.float64]


def blur_px(picture: Image.Image, face: Face) -> float | None:
    """Standard deviation of the blur in pixels of the picture, 0 or more; None where no edge is found.

    Args:
        picture: upright, mode RGB.
        face: found in this picture.

    Raises:
        UsageError: a box without area.
    """
    crop = upright_crop(picture, face, margin=0.0).convert("L")
    blocks = max(1, crop.width // WORK_PX)
    sigma = edge_blur(np.asarray(crop.reduce(blocks) if blocks > 1 else crop, np.float64))
    return None if sigma is None else blocks * sigma


def edge_blur(grey: Array) -> float | None:
    """Median blur of the steepest edges inside a circle, in pixels of `grey` (h, w, 0..255); None without edges.

    A wide blur is measured on the picture halved, and halved again, where it is as wide as the method sees well and
    noise is averaged away.
    """
    found, pixel = _blur_at_one_scale(grey), 1
    while found is not None and found > pixel * WIDE and min(grey.shape) >= 2 * SMALLEST_PX:
        grey, pixel = _halved(grey), 2 * pixel
        sigma = _blur_at_one_scale(grey)
        if sigma is None:
            break
        found = pixel * math.sqrt(max(sigma**2 - (1 - 1 / pixel**2) / 12, 0.0))  # less the width of the larger pixel
    return found


def _blur_at_one_scale(grey: Array) -> float | None:
    fine, coarse = (_gradient(_smoothed(grey, s)) for s in (S1, S2))
    steep = np.hypot(*fine)
    height, width = grey.shape
    y, x = np.mgrid[:height, :width] + 0.5
    near = np.hypot(x - width / 2, y - height / 2) <= REACH * min(height, width)
    ridges = near & _is_ridge(steep, *fine) & (steep >= FAINTEST)
    if not ridges.any():
        return None
    count = max(1, round(STEEPEST * near.sum()))
    lowest = np.sort(steep[ridges])[-count:][0]
    edges = ridges & (steep >= lowest)
    ratio = (steep[edges] / np.maximum(np.hypot(*coarse)[edges], 1e-9)) ** 2
    return float(np.median(_sigma(ratio)))


def _halved(grey: Array) -> Array:
    """Means of 2 by 2 pixels; an odd row or column at the end is left out."""
    height, width = (side // 2 for side in grey.shape)
    return grey[: 2 * height, : 2 * width].reshape(height, 2, width, 2).mean((1, 3))


def _sigma(ratio: Array) -> Array:
    """Blur from the squared ratio of steepness; 0 where it is steeper than any single edge can be."""
    s1, s2 = (s**2 + DIFFERENCE for s in (S1, S2))
    return np.sqrt(np.maximum((s2 - ratio * s1) / np.maximum(ratio - 1, 1e-6), 0.0))


def _smoothed(grey: Array, sigma: float) -> Array:
    """Gaussian, edges repeated."""
    radius = math.ceil(4 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padded = np.pad(grey, [(radius, radius) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        length, grey = grey.shape[axis], np.zeros_like(grey)
        for i, weight in enumerate(kernel):
            grey += weight * padded.take(range(i, i + length), axis)
    return grey


def _gradient(grey: Array) -> tuple[Array, Array]:
    """Central differences across and down, 0 at the border."""
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, 1:-1] = (grey[:, 2:] - grey[:, :-2]) / 2
    down[1:-1] = (grey[2:] - grey[:-2]) / 2
    return across, down


def _is_ridge(steep: Array, across: Array, down: Array) -> npt.NDArray[np.bool_]:
    """Whether a pixel is the steepest one across its edge, along the nearer of both axes."""
    ridge = np.zeros(steep.shape, bool)
    middle = steep[1:-1, 1:-1]
    sideways = (middle >= steep[1:-1, :-2]) & (middle > steep[1:-1, 2:])
    upwards = (middle >= steep[:-2, 1:-1]) & (middle > steep[2:, 1:-1])
    flat = np.abs(across) >= np.abs(down)
    ridge[1:-1, 1:-1] = np.where(flat[1:-1, 1:-1], sideways, upwards)
    return ridge
