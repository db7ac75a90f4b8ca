"""From a decoded picture to the tensors that a published network reads: what its authors did, step by step.

A `ViewPreprocess` has one `InputView` per input of the network: resize, crop into v views, normalise. It is part of the
network's card and travels with an exported model. Everything is deterministic: random crops and fragments have a seed,
or their positions are passed in. Pillow resizes the uint8 picture, as the official transforms do.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.core.errors import UsageError
from mien.core.fragments import fragment_offsets, splice

Box = tuple[float, float, float, float]
Positions = npt.ArrayLike  #: of crops: (n, 2) top, left; of fragments: (2, grid, grid) rows, columns

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True, slots=True)
class Whole:
    """The picture as it is; batches need pictures of one size."""

    kind: ClassVar[str] = "whole"

    def positions(self, height: int, width: int) -> npt.NDArray[np.int64]:
        """(1, 2) top, left."""
        return np.zeros((1, 2), np.int64)


@dataclass(frozen=True, slots=True)
class Center:
    """The middle `size_px` square; black is added where the picture is smaller."""

    kind: ClassVar[str] = "center"
    size_px: int

    def positions(self, height: int, width: int) -> npt.NDArray[np.int64]:
        """(1, 2) top, left; rounded half to even, as torchvision does."""
        return np.array([[_middle(height, self.size_px), _middle(width, self.size_px)]])


@dataclass(frozen=True, slots=True)
class Five:
    """Top left, top right, bottom left, bottom right, centre: torchvision's order."""

    kind: ClassVar[str] = "five"
    size_px: int

    def positions(self, height: int, width: int) -> npt.NDArray[np.int64]:
        """(5, 2) top, left."""
        bottom, right = height - self.size_px, width - self.size_px
        middle = (_middle(height, self.size_px), _middle(width, self.size_px))
        return np.array([(0, 0), (0, right), (bottom, 0), (bottom, right), middle])


@dataclass(frozen=True, slots=True)
class Random:
    """`n` squares at uniformly drawn places; the official test procedures draw them without a usable seed."""

    kind: ClassVar[str] = "random"
    size_px: int
    n: int
    seed: int = 0

    def positions(self, height: int, width: int) -> npt.NDArray[np.int64]:
        """(n, 2) top, left, the same for the same size of picture."""
        rng = np.random.default_rng(self.seed)
        free = np.array([height - self.size_px, width - self.size_px])
        return rng.integers(0, np.maximum(free, 0) + 1, size=(self.n, 2))


@dataclass(frozen=True, slots=True)
class Windows:
    """`n` windows spread evenly over the row-major list of all windows at every `stride_px`."""

    kind: ClassVar[str] = "windows"
    size_px: int
    n: int
    stride_px: int
    long_stride_px: int | None = None  #: stride when a side is at least `long_from_px`
    long_from_px: int = 0
    ends: bool = False  #: spread from the first to the last window; else every (all // n)-th from the first

    def positions(self, height: int, width: int) -> npt.NDArray[np.int64]:
        """(n, 2) top, left; fewer when there are fewer windows."""
        stride = self.stride_px
        if self.long_stride_px is not None and max(height, width) >= self.long_from_px:
            stride = self.long_stride_px
        tops = np.arange(0, height - self.size_px + 1, stride)
        lefts = np.arange(0, width - self.size_px + 1, stride)
        every = np.stack(np.meshgrid(tops, lefts, indexing="ij"), -1).reshape(-1, 2)
        n = min(self.n, len(every))
        if self.ends:
            return every[np.linspace(0, len(every) - 1, n).astype(int)]
        return every[np.arange(n) * (len(every) // n)]


@dataclass(frozen=True, slots=True)
class Fragments:
    """A grid of cells; one raw `patch_px` square out of each, spliced into one picture (FAST-VQA, section 3.1)."""

    kind: ClassVar[str] = "fragments"
    grid: int
    patch_px: int = 32
    seed: int = 0

    @property
    def size_px(self) -> int:
        """Side of the spliced picture."""
        return self.grid * self.patch_px


Crop = Whole | Center | Five | Random | Windows | Fragments
_CROPS: dict[str, type[Crop]] = {c.kind: c for c in (Whole, Center, Five, Random, Windows, Fragments)}


@dataclass(frozen=True, slots=True)
class InputView:
    """How one input of a network is made.

    `resize_px`: an int is the new shorter side (the longer one is cut to whole pixels, as torchvision does), a pair is
    (height, width) without regard to the aspect ratio, None leaves the picture alone.
    """

    crop: Crop
    resize_px: int | tuple[int, int] | None = None
    resize_from_px: int = 0  #: resize only when both sides are at least this long
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    bgr: bool = False

    def __call__(self, picture: Image.Image, positions: Positions | None = None) -> npt.NDArray[np.float32]:
        """Prepare one picture.

        Args:
            picture: upright, mode RGB.
            positions: places of the crops or fragments instead of the ones that `crop` would choose.

        Returns:
            (v, 3, h, w) float32, normalised; v views.

        Raises:
            UsageError: the picture is smaller than a crop (only centre crops and fragments are padded or enlarged).
        """
        views = self.pixels(picture, positions)
        if self.bgr:
            views = views[..., ::-1]
        scaled = views.astype(np.float32) / np.float32(255)
        normalised = (scaled - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))

    def pixels(self, picture: Image.Image, positions: Positions | None = None) -> npt.NDArray[Any]:
        """The views before normalisation: (v, h, w, 3) RGB, uint8 or (fragments) float32 0..255."""
        pixels = np.asarray(self._resized(picture), np.uint8)
        if isinstance(self.crop, Fragments):
            offsets = self._offsets(pixels) if positions is None else np.asarray(positions, np.int64)
            return splice(pixels[None], offsets.reshape(*offsets.shape[:3], 1), self.crop.grid, self.crop.patch_px)
        height, width = pixels.shape[:2]
        if isinstance(self.crop, Whole):
            return pixels[None]
        size = self.crop.size_px
        if isinstance(self.crop, Center):
            pixels = _padded(pixels, size)
            height, width = pixels.shape[:2]
        if min(height, width) < size:
            raise UsageError(f"a picture of {width} x {height} pixels is smaller than a crop of {size}")
        where = np.asarray(self.crop.positions(height, width) if positions is None else positions, np.int64)
        return np.stack([pixels[top : top + size, left : left + size] for top, left in where])

    def _offsets(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        assert isinstance(self.crop, Fragments)
        height, width = pixels.shape[:2]
        return fragment_offsets(height, width, self.crop.grid, self.crop.patch_px, seed=self.crop.seed)

    def _resized(self, picture: Image.Image) -> Image.Image:
        if self.resize_px is None or min(picture.size) < self.resize_from_px:
            return picture
        size = self._target(*picture.size)
        return picture if size == picture.size else picture.resize(size, FILTERS[self.interpolation])

    def _target(self, width: int, height: int) -> tuple[int, int]:
        if isinstance(self.resize_px, int):
            short, long = sorted((width, height))
            new_long = int(self.resize_px * long / short)
            return (self.resize_px, new_long) if width <= height else (new_long, self.resize_px)
        assert self.resize_px is not None
        return self.resize_px[1], self.resize_px[0]


@dataclass(frozen=True)
class ViewPreprocess:
    """All inputs of a network that reads single pictures."""

    inputs: Mapping[str, InputView] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name that rows carry; two scores compare only when it is equal. Changes with every setting."""
        digest = hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:8]
        return "+".join(view.crop.kind for view in self.inputs.values()) + f"-{digest}"

    @property
    def enough_px(self) -> None:
        """Published networks see the picture decoded in full."""
        return None

    def __call__(self, picture: Image.Image, box: Box | None = None) -> dict[str, npt.NDArray[np.float32]]:
        """Prepare one picture.

        Args:
            picture: upright, mode RGB.
            box: not supported here: these networks get the whole picture, decoded in full.

        Returns:
            Input name -> (v, 3, h, w) float32.
        """
        return {name: view(picture) for name, view in self.inputs.items()}

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a card."""
        return {
            "inputs": {
                name: {**asdict(view), "crop": {"kind": view.crop.kind, **asdict(view.crop)}}
                for name, view in self.inputs.items()
            }
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ViewPreprocess:
        """The inverse of `to_dict`.

        Raises:
            UsageError: an unknown kind or field.
        """
        try:
            return cls({name: _view_of(dict(view)) for name, view in values["inputs"].items()})
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UsageError(f"not a description of views: {error}") from error


def _view_of(values: dict[str, Any]) -> InputView:
    crop = dict(values.pop("crop"))
    made = _CROPS[crop.pop("kind")](**crop)
    known = {f.name for f in fields(InputView)}
    if not values.keys() <= known:
        raise ValueError(f"unknown fields {sorted(values.keys() - known)}")
    settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    return InputView(made, **settings)


def _middle(length: int, size: int) -> int:
    return round((length - size) / 2.0)


def _padded(pixels: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """Black around what is smaller than `size`; the odd pixel goes to the bottom and right, as in torchvision."""
    height, width = pixels.shape[:2]
    extra = [max(size - height, 0), max(size - width, 0)]
    if not any(extra):
        return pixels
    return np.pad(pixels, [(e // 2, (e + 1) // 2) for e in extra] + [(0, 0)])
