"""Windows of many pictures at once, resampled on any device as Pillow does it.

Resampling is linear and separable: a window of one picture is W_y P W_x^T, with one weight matrix for its rows and one
for its columns. Where a window shrinks, the filter widens by as much, so that nothing aliases.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def _triangle(x: Tensor) -> Tensor:
    return (1 - x.abs()).clamp(min=0)


def _box(x: Tensor) -> Tensor:
    return ((x > -0.5) & (x <= 0.5)).to(x.dtype)


def _cubic(x: Tensor) -> Tensor:
    """Keys' kernel, a = -1/2."""
    x = x.abs()
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def _lanczos(x: Tensor) -> Tensor:
    return torch.where(x.abs() < 3, torch.sinc(x) * torch.sinc(x / 3), 0.0)


#: kernel by the name of Pillow's filter; each is 0 beyond 3
FILTERS: dict[str, Callable[[Tensor], Tensor]] = {
    "bilinear": _triangle,
    "box": _box,
    "bicubic": _cubic,
    "lanczos": _lanczos,
}


def windows(pictures: Tensor, box: Tensor, size_px: int, kernel: str) -> Tensor:
    """One window of each picture, squashed to a square.

    Args:
        pictures: (n, h, w, c) of 0..255, any dtype.
        box: (n, 4) left, top, right, bottom in pixels, inside the picture; left > right mirrors the window.
        size_px: side of the result.
        kernel: a key of `FILTERS`.

    Returns:
        (n, size_px, size_px, c) float32 in whole grey levels, 0..255.
    """
    n, h, w, c = pictures.shape
    rows = _weights(box[:, 1], box[:, 3], h, size_px, kernel)
    columns = _weights(box[:, 0], box[:, 2], w, size_px, kernel)
    tall = torch.bmm(rows, pictures.float().reshape(n, h, w * c)).reshape(n, size_px, w, c)
    wide = torch.einsum("nsw,nrwc->nrsc", columns, tall)
    return wide.round().clamp(0, 255)


def _weights(start: Tensor, stop: Tensor, length: int, size_px: int, kernel: str) -> Tensor:
    """(n, size_px, length): row i holds the weights of the pixels that make output pixel i."""
    step = (stop - start) / size_px
    middle = start[:, None] + (torch.arange(size_px, device=start.device) + 0.5) * step[:, None]
    distance = torch.arange(length, device=start.device) + 0.5 - middle[..., None]
    weight = FILTERS[kernel](distance / step.abs().clamp(min=1)[:, None, None])
    return weight / weight.sum(2, keepdim=True)
