"""Stage 2: the eyes. A frozen ImageNet network looks at every view; the teacher learns from what it sees, pooled, and
the student learns to see the same at three scales.

It runs in onnxruntime, which needs no bfloat16 of the CPU.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.format import open_memmap
from torch import Tensor, nn

from mien.core.weights import sha256_of
from mien.models.mobilenet_v2 import FEATURES, MobileNetV2Features, pooled

#: blocks whose maps the student learns, the last ones at strides 8, 16 and 32, and their channels
BLOCKS, STRIDES, CHANNELS = (5, 12, 16), (8, 16, 32), (32, 96, 320)
_STEP = 16.0  #: levels of a stored map per standard deviation


@dataclass(frozen=True)
class Seen:
    """What the eyes saw of n views; arrays aligned on their first axis.

    `features` (n, 5568) float16 as `MobileNetV2Features` orders them; `maps` one per stride, (n, s / stride,
    s / stride, channels) uint8 and memory-mapped, to be read by `standard`.
    """

    features: npt.NDArray[np.float16]
    maps: tuple[npt.NDArray[np.uint8], ...]


class Eyes:
    """See the head of this file."""

    def __init__(self, weights: Path, size_px: int) -> None:
        """Read the folded MobileNetV2 for views of one size.

        Args:
            weights: as for `MobileNetV2Features`, which see for errors.
            size_px: side of a view, a multiple of 32.
        """
        import onnxruntime

        self._size_px, self._weights = size_px, sha256_of(weights)
        example = torch.zeros((1, size_px, size_px, 3), dtype=torch.uint8)
        names = ["features", *(f"map{stride}" for stride in STRIDES)]
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # sizes are fixed on purpose; the newer exporter needs one more dependency
            file = Path(folder) / "eyes.onnx"
            torch.onnx.export(
                _Looking(MobileNetV2Features(weights)).eval(),
                (example,),
                str(file),
                input_names=["image"],
                output_names=names,
                dynamic_axes={name: {0: "n"} for name in ("image", *names)},
                opset_version=17,
                dynamo=False,
            )
            self._session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])

    def pooled(self, pixels: npt.NDArray[np.uint8], batch: int = 32) -> npt.NDArray[np.float16]:
        """(n, s, s, 3) uint8 views -> (n, 5568) float16 features."""
        parts = [self._look(pixels[i : i + batch])[0] for i in range(0, len(pixels), batch)]
        return np.concatenate(parts).astype(np.float16)

    def look(self, pixels: npt.NDArray[np.uint8], out: Path, scale: MapScale, batch: int = 32) -> Seen:
        """Features and maps of views, written to `out.*.npy` unless they are there.

        Args:
            pixels: (n, s, s, 3) uint8.
            out: path without suffix.
            scale: of the maps, the same for all views that one student learns.
            batch: views a run.
        """
        key, done = self._key(pixels, scale), out.with_suffix(".seen")
        features_file = out.with_suffix(".features.npy")
        if not done.is_file() or done.read_text() != key:
            done.unlink(missing_ok=True)
            maps = [
                open_memmap(_map_file(out, t), mode="w+", dtype=np.uint8, shape=(len(pixels), *self._shape(k)))
                for k, t in enumerate(STRIDES)
            ]
            features = np.empty((len(pixels), FEATURES), np.float16)
            for i in range(0, len(pixels), batch):
                rows = slice(i, i + batch)
                features[rows], *seen = self._look(pixels[rows])
                for k, values in enumerate(seen):
                    maps[k][rows] = scale.stored(k, values)
            np.save(features_file, features)
            done.write_text(key)  # when all is there
        return Seen(np.load(features_file), tuple(np.load(_map_file(out, t), mmap_mode="r") for t in STRIDES))

    def scale(self, pixels: npt.NDArray[np.uint8], batch: int = 32) -> MapScale:
        """Mean and deviation of each channel of the maps over some views."""
        parts = [self._look(pixels[i : i + batch])[1:] for i in range(0, len(pixels), batch)]
        maps = [np.concatenate(column) for column in zip(*parts, strict=True)]
        return MapScale(tuple(m.mean((0, 1, 2)) for m in maps), tuple(m.std((0, 1, 2)) + 1e-6 for m in maps))

    def _key(self, pixels: npt.NDArray[np.uint8], scale: MapScale) -> str:
        """Of the weights, the scale, and the views: their number and some of them."""
        digest = hashlib.sha256(f"{self._weights} {pixels.shape}".encode())
        for array in (*scale.mean, *scale.deviation, pixels[:: max(1, len(pixels) // 64)]):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def _look(self, pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        return [np.asarray(value) for value in self._session.run(None, {"image": np.ascontiguousarray(pixels)})]

    def _shape(self, k: int) -> tuple[int, int, int]:
        side = self._size_px // STRIDES[k]
        return side, side, CHANNELS[k]


@dataclass(frozen=True)
class MapScale:
    """How maps are standardised, channel by channel."""

    mean: Sequence[npt.NDArray[np.float32]]
    deviation: Sequence[npt.NDArray[np.float32]]

    def stored(self, k: int, values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Map k, (n, h, w, c) float -> uint8, a sixteenth of a deviation a level, 8 deviations each way."""
        z = (values - self.mean[k]) / self.deviation[k]
        return np.clip(np.rint(_STEP * z) + 128, 0, 255).astype(np.uint8)


def standard(stored: Tensor) -> Tensor:
    """(n, h, w, c) uint8 of `Seen.maps` -> (n, c, h, w) float, mean 0 and deviation 1 over views."""
    return (stored.permute(0, 3, 1, 2).float() - 128) / _STEP


def _map_file(out: Path, stride: int) -> Path:
    return out.with_suffix(f".map{stride}.npy")


class _Looking(nn.Module):
    """The network from uint8 views to features and maps."""

    def __init__(self, net: MobileNetV2Features) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(n, s, s, 3) uint8 -> features (n, 5568), and the maps of `BLOCKS`, (n, h, w, c)."""
        maps = self.net.maps((image.permute(0, 3, 1, 2).float() - 128) / 128)
        return pooled(maps), *(maps[k].permute(0, 2, 3, 1) for k in BLOCKS)
