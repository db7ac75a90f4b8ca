"""Fragments: a grid of raw mini-patches spliced into one small picture, so that detail survives without resizing.

Source: FAST-VQA (Wu et al., ECCV 2022), section 3.1; used by UIQA for pictures. Two habits of the official sampler are
part of the published numbers and kept: the last admissible offset is never drawn, and the origins of the cells come
from the size before a small picture is enlarged, so its patches come from its upper left part and overlap.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def fragment_offsets(
    height: int, width: int, grid: int, patch_px: int = 32, *, blocks: int = 1, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Where in its cell each patch begins.

    Args:
        height: of the picture or frame, pixels.
        width: likewise.
        grid: cells along each side.
        patch_px: side of a patch.
        blocks: runs of frames that share their offsets; 1 for a picture.
        seed: of the drawing.

    Returns:
        (2, grid, grid, blocks): rows, then columns, each 0..cell - patch_px - 1; 0 where a cell has no room.
    """
    rng = np.random.default_rng(seed)
    free = [max(side // grid - patch_px, 1) for side in (height, width)]
    return np.stack([rng.integers(0, limit, size=(grid, grid, blocks)) for limit in free])


def splice(
    frames: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.integer],
    grid: int,
    patch_px: int = 32,
    *,
    whole_numbers: bool = False,
) -> npt.NDArray[np.float32]:
    """Cut and join.

    Args:
        frames: (t, h, w, 3) uint8; t = 1 for a picture. Enlarged (bilinear) when a side is shorter than the result.
        offsets: (2, grid, grid, blocks) as `fragment_offsets` gives them; t is divided into `blocks` equal runs.
        grid: cells along each side.
        patch_px: side of a patch.
        whole_numbers: cut enlarged frames down to whole numbers, as the official code does with videos.

    Returns:
        (t, grid * patch_px, grid * patch_px, 3) float32, 0..255; whole numbers unless the frames were enlarged.
    """
    t, height, width, _ = frames.shape
    side, blocks = grid * patch_px, offsets.shape[3]
    tops, lefts = (_origins(length, grid, patch_px) for length in (height, width))
    if t % blocks:
        raise ValueError(f"{t} frames do not divide into {blocks} blocks")
    out = np.empty((t, side, side, 3), np.float32)
    for b, block in enumerate(np.split(frames, blocks)):
        if min(height, width) < side:
            block = _upsampled(block, 1 / (min(height, width) / side), patch_px, whole_numbers)
        into = out[b * len(block) : (b + 1) * len(block)]
        for i in range(grid):
            for j in range(grid):
                y, x = tops[i] + int(offsets[0, i, j, b]), lefts[j] + int(offsets[1, i, j, b])
                into[:, i * patch_px : (i + 1) * patch_px, j * patch_px : (j + 1) * patch_px] = block[
                    :, y : y + patch_px, x : x + patch_px
                ]
    return out


def _origins(length: int, grid: int, patch_px: int) -> list[int]:
    """Where the cells begin; the last ones move inwards so that a patch ends inside the picture before enlargement."""
    return [min(length // grid * i, max(length - patch_px, 0)) for i in range(grid)]


def _upsampled(
    frames: npt.NDArray[np.uint8], scale: float, patch_px: int, whole_numbers: bool
) -> npt.NDArray[np.float32]:
    """What is enlarged: 0..255, or divided by 255 and back, which loses a level here and there when it is cut."""
    if not whole_numbers:
        return _enlarged(frames.astype(np.float32), scale, patch_px)
    top = np.float32(255)
    return np.floor(_enlarged(frames.astype(np.float32) / top, scale, patch_px) * top)


def _enlarged(frames: npt.NDArray[np.float32], scale: float, patch_px: int) -> npt.NDArray[np.float32]:
    """Bilinear by exactly `scale`, pixel centres at half: what torch does when scale_factor is given.

    Rounded as torch rounds on a CPU (columns first, a product and a sum at once); else 3 of 100,000 pixels are cut to
    another level. Patches begin in cells of the size before, so they reach no further than that size (or one patch);
    the rest is not computed: a strip of 16 x 100,000 pixels would become 480 x 3,000,000.
    """
    half, step = np.float32(0.5), np.float32(1 / scale)
    for axis in (2, 1):
        n = frames.shape[axis]
        new = int(n * scale)
        if new == n:  # of rounding, 383 to 384; torch copies then
            continue
        at = np.maximum(step * (np.arange(min(new, max(n, patch_px)), dtype=np.float32) + half) - half, 0)
        low = np.minimum(at.astype(int), n - 1)
        high = np.minimum(low + 1, n - 1)
        shape = [1] * 4
        shape[axis] = len(at)
        share = (at - low.astype(np.float32)).reshape(shape)
        rest = (1 - share).astype(np.float64)
        frames = (frames.take(low, axis) * rest + frames.take(high, axis) * share).astype(np.float32)
    return frames
