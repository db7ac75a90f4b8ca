"""From the frames of a video to the clips that a published network reads: which frames, which pixels, scaled how.

A `VideoPreprocess` has one `ClipView` per input of the network: a sampler of frames, then fragments or a squeeze, then
the subtraction of a mean. Everything is deterministic: what the authors draw at random has a seed here or is passed in.

Sources: FAST-VQA (Wu et al., ECCV 2022) and DOVER (Wu et al., ICCV 2023), as their released code does it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from mien.core.errors import UsageError
from mien.core.fragments import fragment_offsets, splice

Pixels = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

Taps = list[tuple[Indices, npt.NDArray[np.float32]]]  #: of one output pixel: where it reads, and with which weight

IMAGENET_MEAN_255, IMAGENET_STD_255 = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@dataclass(frozen=True, slots=True)
class EvenClips:
    """`n` clips spread evenly; a video that is shorter than one clip is repeated, and all clips begin with it."""

    kind: ClassVar[str] = "even_clips"
    n: int
    frames: int
    interval: int = 1  #: one frame of so many is taken

    def indices(self, length: int, starts: npt.ArrayLike | None = None) -> Indices:
        """(n, frames) of a video with `length` frames."""
        if starts is None:
            free = length - self.frames * self.interval + 1
            share = free / self.n
            starts = (np.arange(self.n) * share + share / 2).astype(np.int64) * (free > 0)
        return _runs(np.asarray(starts), self.frames, self.interval, length)


@dataclass(frozen=True, slots=True)
class StretchClips:
    """The video is divided into `n` equal stretches; a clip begins at a random place of each (DOVER).

    It begins with the stretch when that is no longer than the clip. A clip that goes beyond the end of the video starts
    the video over.
    """

    kind: ClassVar[str] = "stretch_clips"
    n: int
    frames: int
    interval: int = 1
    seed: int = 0

    def indices(self, length: int, starts: npt.ArrayLike | None = None) -> Indices:
        """(n, frames) of a video with `length` frames; `starts` are (n,) places instead of the drawn ones."""
        if starts is None:
            starts = _stretches(length, self.n, self.frames * self.interval, self.seed)
        return _runs(np.asarray(starts), self.frames, self.interval, length)


@dataclass(frozen=True, slots=True)
class StretchFrames:
    """One clip of `n` single frames, each from a random place of one of `n` equal stretches of the video.

    A video with fewer than `n` frames gives its first frame `n` times: its stretches have no length.
    """

    kind: ClassVar[str] = "stretch_frames"
    n: int
    interval: int = 1  #: keeps a frame this far from the end of its stretch
    seed: int = 0

    def indices(self, length: int, starts: npt.ArrayLike | None = None) -> Indices:
        """(1, n) of a video with `length` frames; `starts` are (n,) places instead of the drawn ones."""
        if starts is None:
            starts = _stretches(length, self.n, self.interval, self.seed)
        return _runs(np.asarray(starts), 1, 1, length).reshape(1, -1)


@dataclass(frozen=True, slots=True)
class VideoFragments:
    """Raw patches out of a grid of cells, at places that stay for `aligned_frames` and are then drawn again."""

    kind: ClassVar[str] = "fragments"
    grid: int
    patch_px: int = 32
    aligned_frames: int = 32
    seed: int = 0

    def offsets(self, height: int, width: int, frames: int) -> npt.NDArray[np.int64]:
        """(2, grid, grid, blocks) for all frames of all clips together."""
        blocks = frames // self.aligned_frames
        return fragment_offsets(height, width, self.grid, self.patch_px, blocks=blocks, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Squeeze:
    """The whole frame as a square, its proportions lost.

    The authors resize with torchvision, which smooths (`antialias`) since version 0.17 and did not before; their
    published numbers are older than that.
    """

    kind: ClassVar[str] = "squeeze"
    size_px: int
    antialias: bool = True

    def __call__(self, frames: Pixels) -> npt.NDArray[np.float32]:
        """(t, h, w, 3) -> (t, size_px, size_px, 3), whole numbers 0..255, bilinear."""
        down, right = (_taps(length, self.size_px, self.antialias) for length in frames.shape[1:3])
        return np.stack([np.rint(_weighted(_weighted(frame, right, 1), down, 0)) for frame in frames])


Sampler = EvenClips | StretchClips | StretchFrames


@dataclass(frozen=True, slots=True)
class ClipView:
    """How one input of a network is made."""

    sampler: Sampler
    space: VideoFragments | Squeeze
    mean: tuple[float, float, float] = IMAGENET_MEAN_255  #: of values 0..255
    std: tuple[float, float, float] = IMAGENET_STD_255

    def indices(self, length: int, starts: npt.ArrayLike | None = None) -> Indices:
        """(v, t): the frames that are read of a video with `length` frames.

        Raises:
            UsageError: a video without frames.
        """
        if length < 1:
            raise UsageError("a video without frames")
        return self.sampler.indices(length, starts)

    def __call__(
        self, video: Pixels, indices: npt.ArrayLike | None = None, offsets: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float32]:
        """Prepare one video.

        Args:
            video: (frames, h, w, 3) uint8 RGB; only frames of `indices` are looked at.
            indices: (v, t) frames instead of the sampler's.
            offsets: (2, grid, grid, blocks) of fragments instead of the drawn ones.

        Returns:
            (v, 3, t, h, w) float32, normalised; v clips.

        Raises:
            UsageError: not such an array, or no frames.
        """
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        clips = [(clip - mean) / std for clip in self._clips(video, indices, offsets)]
        return np.ascontiguousarray(np.stack(clips).transpose(0, 4, 1, 2, 3))

    def pixels(
        self, video: Pixels, indices: npt.ArrayLike | None = None, offsets: npt.ArrayLike | None = None
    ) -> npt.NDArray[np.float32]:
        """The same before normalisation: (v, t, h, w, 3), whole numbers 0..255."""
        return np.stack(list(self._clips(video, indices, offsets)))

    def _clips(
        self, video: Pixels, indices: npt.ArrayLike | None, offsets: npt.ArrayLike | None
    ) -> Iterator[npt.NDArray[np.float32]]:
        if video.ndim != 4 or video.shape[3] != 3 or video.dtype != np.uint8:
            raise UsageError(f"a video is (frames, height, width, 3) uint8, not {video.shape} {video.dtype}")
        where = self.indices(len(video)) if indices is None else np.asarray(indices, np.int64)
        if isinstance(self.space, Squeeze):
            yield from (self.space(video[clip]) for clip in where)
            return
        if offsets is None:
            offsets = self.space.offsets(video.shape[1], video.shape[2], where.size)
        for clip, at in zip(where, np.split(np.asarray(offsets, np.int64), len(where), axis=3), strict=True):
            yield splice(video[clip], at, self.space.grid, self.space.patch_px, whole_numbers=True)


@dataclass(frozen=True)
class VideoPreprocess:
    """All inputs of a video network, by name."""

    inputs: Mapping[str, ClipView] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name that rows carry; two scores compare only when it is equal. Changes with every setting."""
        digest = hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:8]
        return "+".join(view.space.kind for view in self.inputs.values()) + f"-{digest}"

    def indices(self, length: int) -> dict[str, Indices]:
        """Input name -> (v, t): the frames to decode of a video with `length` frames."""
        return {name: view.indices(length) for name, view in self.inputs.items()}

    def __call__(self, video: Pixels) -> dict[str, npt.NDArray[np.float32]]:
        """Prepare one video: (frames, h, w, 3) uint8 RGB -> input name -> (v, 3, t, h, w) float32."""
        return {name: view(video) for name, view in self.inputs.items()}

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a card."""
        return {
            "inputs": {
                name: {
                    **asdict(view),
                    "sampler": {"kind": view.sampler.kind, **asdict(view.sampler)},
                    "space": {"kind": view.space.kind, **asdict(view.space)},
                }
                for name, view in self.inputs.items()
            }
        }


def _runs(starts: npt.NDArray[np.integer], frames: int, interval: int, length: int) -> Indices:
    """(n, frames): runs from each start; beyond the end they go on at the beginning."""
    return (starts[:, None].astype(np.int64) + np.arange(frames) * interval) % length


def _stretches(length: int, n: int, needed: int, seed: int) -> Indices:
    """(n,) a place in each of n equal stretches, `needed` frames before its end; the last such place is never drawn."""
    free = length // n - needed
    drawn = np.random.default_rng(seed).integers(0, free, n) if free > 0 else np.zeros(n, np.int64)
    return length // n * np.arange(n) + drawn


def _taps(n: int, new: int, antialias: bool) -> Taps:
    """Bilinear from n to `new` pixels, centres at half, in single precision as in torch, whose ties it shares."""
    half, scale = np.float32(0.5), np.float32(n / new)
    centre = scale * (np.arange(new, dtype=np.float32) + half)
    if not antialias:
        low = np.minimum(np.maximum(centre - half, 0).astype(np.int64), n - 1)
        share = np.maximum(centre - half, 0) - low.astype(np.float32)
        return [(np.minimum(low + 1, n - 1), share), (low, 1 - share)]
    reach = max(scale, np.float32(1))  # the triangle widens with the reduction
    first = np.maximum((centre - reach + half).astype(np.int64), 0)
    end = np.minimum((centre + reach + half).astype(np.int64), n)
    at = np.arange(int((end - first).max()))
    from_centre = at.astype(np.float32) + (first.astype(np.float32) - centre)[:, None] + half
    weights = np.maximum(1 - np.abs(from_centre * (1 / reach)), 0) * (first[:, None] + at < end[:, None])
    weights /= weights.sum(1, keepdims=True)
    return [(np.minimum(first + i, n - 1), weights[:, i]) for i in at]


def _weighted(frame: npt.NDArray[Any], taps: Taps, axis: int) -> npt.NDArray[np.float32]:
    """Sum of the taps along an axis; each product is added before it is rounded, as torch does it on a CPU."""
    source = frame.astype(np.float32)
    total: npt.NDArray[Any] = np.float32(0) * source.take(taps[0][0], axis)
    for index, weight in taps:
        exact = weight.astype(np.float64).reshape((-1, 1, 1) if axis == 0 else (-1, 1))
        total = (source.take(index, axis) * exact + total).astype(np.float32)
    return total
