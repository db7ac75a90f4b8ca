"""Finding faces: a picture in, boxes with five landmarks out, the largest first.

A finder is one ONNX file. Two kinds of input are known, and told apart by their type:
    mien    uint8 (n, h, w, 3) RGB
    YuNet   float32 (n, 3, h, w) BGR, 0..255 (Wu et al., "YuNet: a tiny millisecond-level face detector", 2023)
Both answer alike. For each stride S in 8, 16, 32 there are `cls_S`, `obj_S` (n, a, 1), `bbox_S` (n, a, 4) and `kps_S`
(n, a, 10) for the a = (h / S)(w / S) places of a grid, row by row. For the place in column c and row r, and the
numbers (u, v, p, q) of its box:
    confidence     sqrt(cls obj)
    middle         S (c + u), S (r + v)
    width, height  S exp(p), S exp(q)
    landmarks      S (c + kps_0), S (r + kps_1), ...   in the order of `mien.core.types.LANDMARKS`
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.core.errors import ModelError, UsageError
from mien.core.types import Face, Point
from mien.runtime.model_file import field, open_session, read_card, read_network, usable_cores

FOLDER = Path(__file__).parent / "finders"
EMBEDDED = "mien-finder-3.onnx"  #: in FOLDER, its card beside it

STRIDES = (8, 16, 32)  #: pixels between the places of each grid
CONFIDENCE = 0.7  #: of a finder whose card names no other, or that has no card
SIZE_PX = 640
NMS_IOU = 0.45
AGAIN_FROM_PX = 320  #: where nothing is found and the network saw more than that, it looks again at half that size
AGAIN_CONFIDENCE = 0.8  #: what a face must reach there, at least
MOST = 2000  #: places that are looked at; more of them are not faces, but a picture of noise

Floats = npt.NDArray[np.floating[Any]]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Places that may be faces, in pixels of what the network saw; arrays aligned on their first axis."""

    boxes: Floats  #: (n, 4) x1, y1, x2, y2
    landmarks: Floats  #: (n, 5, 2)
    confidence: Floats  #: (n,) 0..1

    def __getitem__(self, chosen: npt.NDArray[Any]) -> Candidates:
        """Some of them, by index or mask."""
        return Candidates(self.boxes[chosen], self.landmarks[chosen], self.confidence[chosen])


class Finder:
    """A network in memory that finds faces. Deterministic, and safe to call from several threads.

    Args:
        session: of onnxruntime, of one of the two kinds above.
        model_id: name@version, or name of the file and the beginning of its SHA-256.
        size_px: longest side of what the network sees.
        confidence: 0..1, what a face must reach.
        nms_iou: 0..1, overlap from which the less confident of two boxes is dropped.

    Raises:
        UsageError: an option outside its range.
    """

    def __init__(
        self,
        session: Any,
        model_id: str,
        *,
        size_px: int = SIZE_PX,
        confidence: float = CONFIDENCE,
        nms_iou: float = NMS_IOU,
    ) -> None:
        if size_px < STRIDES[-1]:
            raise UsageError(f"a finder needs {STRIDES[-1]} px or more to look at, not {size_px}")
        for name, value in (("confidence", confidence), ("nms_iou", nms_iou)):
            if not 0 <= value <= 1:
                raise UsageError(f"{name} of a finder must be in 0..1, not {value}")
        self.model_id, self.size_px, self.confidence, self.nms_iou = model_id, size_px, confidence, nms_iou
        self._session = session
        self._input: str = session.get_inputs()[0].name
        self._reads_rgb: bool = session.get_inputs()[0].type == "tensor(uint8)"

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        size_px: int | None = None,
        confidence: float | None = None,
        nms_iou: float | None = None,
        threads: int | None = None,
    ) -> Finder:
        """Read a finder and, where there is one, its card.

        Args:
            path: None for the embedded finder, or an .onnx file; a card beside it must describe it.
            size_px: None: what the card recommends, else `SIZE_PX`.
            confidence: None: what the card recommends, else `CONFIDENCE`.
            nms_iou: None: what the card recommends, else `NMS_IOU`.
            threads: cores that one run of the network may use; None for all that this process may use.

        Raises:
            ModelError: no such file, an altered one, or a network that is no finder.
            UsageError: an option outside its range.
        """
        where = _where(path)
        facts = read_card(where) if path is None or where.with_suffix(".json").is_file() else None
        network = _bytes(where, facts)
        session = open_session(network, threads or usable_cores(), where)
        _check(session, where)
        advice = {} if facts is None else field(facts, where, "find")
        return cls(
            session,
            _model_id(where, facts, network),
            size_px=_first(size_px, advice.get("size_px"), SIZE_PX),
            confidence=_first(confidence, advice.get("confidence"), CONFIDENCE),
            nms_iou=_first(nms_iou, advice.get("nms_iou"), NMS_IOU),
        )

    def find(self, picture: Image.Image | Pixels) -> list[Face]:
        """The faces of a picture, largest first; equal ones in the order of their confidence.

        Where there is none, the network looks once more at half the size, in which a large face is less blurred, and
        must be surer than usual.

        Args:
            picture: upright; an image of any mode, or (h, w, 3) uint8 RGB.

        Returns:
            Faces in pixels of `picture`, whose middle lies inside it. Empty where there is none.

        Raises:
            UsageError: an array of another shape or type, or a picture without pixels.
        """
        image = _image(picture)
        seen = min(self.size_px, max(image.size))
        faces = self.find_at(image, seen, self.confidence)
        if not faces and seen > AGAIN_FROM_PX:
            faces = self.find_at(image, seen // 2, max(self.confidence, AGAIN_CONFIDENCE))
        return faces

    def find_at(self, picture: Image.Image | Pixels, size_px: int, confidence: float) -> list[Face]:
        """The faces that one run of the network sees, as `find` takes and returns them.

        Args:
            picture: upright; an image of any mode, or (h, w, 3) uint8 RGB.
            size_px: longest side of what the network sees; a smaller picture is not enlarged.
            confidence: 0..1, what a face must reach.

        Raises:
            UsageError: an array of another shape or type, or a picture without pixels.
        """
        image = _image(picture)
        pixels, scale = fit(image, size_px)
        found = decode(self.answers(pixels), pixels.shape[1], confidence)
        found = found[nms(found.boxes, found.confidence, self.nms_iou)]
        return _faces(found, scale, image.size)

    def answers(self, pixels: Pixels) -> dict[str, Floats]:
        """What the network says, by the name of the output; see the head of this file.

        Args:
            pixels: (h, w, 3) uint8 RGB, both sides multiples of 32.
        """
        names = [output.name for output in self._session.get_outputs()]
        return dict(zip(names, self._session.run(None, {self._input: self._fed(pixels)}), strict=True))

    def _fed(self, pixels: Pixels) -> npt.NDArray[Any]:
        """(1, ...) as the network reads it."""
        if self._reads_rgb:
            return pixels[None]
        return np.ascontiguousarray(pixels[None, :, :, ::-1].transpose(0, 3, 1, 2), np.float32)


def fit(image: Image.Image, size_px: int) -> tuple[Pixels, tuple[float, float]]:
    """What the network sees: shrunk to `size_px` where it is larger, never enlarged, black to the right and below.

    Returns:
        (h, w, 3) uint8 RGB, both sides multiples of the largest stride; and pixels of the network for one pixel of the
        picture, in x and in y.
    """
    factor = min(1.0, size_px / max(image.size))
    w, h = (max(1, round(side * factor)) for side in image.size)
    scale = w / image.width, h / image.height
    if (w, h) != image.size:
        image = image.resize((w, h), Image.Resampling.BILINEAR, reducing_gap=3.0)
    step = STRIDES[-1]
    canvas = np.zeros((-(-h // step) * step, -(-w // step) * step, 3), np.uint8)
    canvas[:h, :w] = np.asarray(image)
    return canvas, scale


def decode(answers: Mapping[str, npt.NDArray[Any]], width_px: int, least: float) -> Candidates:
    """What the network says of one picture, as boxes; see the head of this file.

    Args:
        answers: outputs by name, of a batch of one.
        width_px: of what the network saw.
        least: confidence that a candidate must reach.

    Returns:
        At most `MOST` finite candidates, the most confident ones, in the order stride, row, column.
    """
    parts = [_decode_stride(answers, stride, width_px // stride, least) for stride in STRIDES]
    boxes, landmarks, confidence = (np.concatenate(column) for column in zip(*parts, strict=True))
    if len(confidence) > MOST:
        best = np.sort(np.argsort(-confidence, kind="stable")[:MOST])
        boxes, landmarks, confidence = boxes[best], landmarks[best], confidence[best]
    return Candidates(boxes, landmarks, confidence)


def _decode_stride(
    answers: Mapping[str, npt.NDArray[Any]], stride: int, columns: int, least: float
) -> tuple[Floats, Floats, Floats]:
    cls, obj = answers[f"cls_{stride}"][0, :, 0], answers[f"obj_{stride}"][0, :, 0]
    confidence = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))
    at = np.flatnonzero(confidence >= least)  # NaN is not
    place = np.stack([at % columns, at // columns], 1).astype(np.float32)
    box, points = answers[f"bbox_{stride}"][0, at], answers[f"kps_{stride}"][0, at].reshape(-1, 5, 2)
    with np.errstate(over="ignore"):
        middle, half = stride * (place + box[:, :2]), stride / 2 * np.exp(box[:, 2:])
    boxes = np.concatenate([middle - half, middle + half], 1)
    landmarks = stride * (place[:, None] + points)
    finite = np.isfinite(boxes).all(1) & np.isfinite(landmarks).all((1, 2))
    return boxes[finite], landmarks[finite], confidence[at][finite]


def nms(boxes: npt.NDArray[Any], confidence: npt.NDArray[Any], iou: float) -> npt.NDArray[np.int64]:
    """Greedy non-maximum suppression: of boxes that overlap more than `iou`, only the most confident one stays.

    Args:
        boxes: (n, 4) x1, y1, x2, y2.
        confidence: (n,); of equal ones the first goes first.
        iou: intersection over union above which a box is dropped.

    Returns:
        Indices that stay, from the most to the least confident.
    """
    left = np.argsort(-confidence, kind="stable")
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[int] = []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(int(first))
        low = np.maximum(boxes[left, :2], boxes[first, :2])
        high = np.minimum(boxes[left, 2:], boxes[first, 2:])
        shared = np.clip(high - low, 0, None).prod(1)
        left = left[shared <= iou * (area[left] + area[first] - shared)]
    return np.array(kept, np.int64)


def _faces(found: Candidates, scale: tuple[float, float], size: tuple[int, int]) -> list[Face]:
    """Candidates in pixels of the picture, largest first."""
    boxes, landmarks = found.boxes / np.tile(scale, 2), found.landmarks / np.array(scale)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = ((middle >= 0) & (middle < size)).all(1)
    faces = [
        Face(_four(box), _five(points), float(confidence))
        for box, points, confidence in zip(boxes[inside], landmarks[inside], found.confidence[inside], strict=True)
    ]
    return sorted(faces, key=lambda face: -face.area)


def _four(box: npt.NDArray[Any]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2


def _five(points: npt.NDArray[Any]) -> tuple[Point, Point, Point, Point, Point]:
    right_eye, left_eye, nose, mouth_right, mouth_left = ((float(x), float(y)) for x, y in points)
    return right_eye, left_eye, nose, mouth_right, mouth_left


def _image(picture: Image.Image | Pixels) -> Image.Image:
    if isinstance(picture, Image.Image):
        image = picture if picture.mode == "RGB" else picture.convert("RGB")
    elif isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3:
        if 0 in picture.shape:
            raise UsageError(f"a picture of shape {picture.shape} has no pixels to look at")
        image = Image.fromarray(np.ascontiguousarray(picture))
    else:
        kind = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise UsageError(f"a finder looks at a PIL image or at an (h, w, 3) uint8 RGB array, not at {kind}")
    if 0 in image.size:
        raise UsageError(f"a picture of {image.width} x {image.height} has no pixels to look at")
    return image


def _first(*values: Any) -> Any:
    """The first that is not None."""
    return next(value for value in values if value is not None)


def _where(path: str | os.PathLike[str] | None) -> Path:
    """The .onnx file."""
    if path is not None:
        if not Path(path).is_file():
            raise ModelError(f"there is no finder {os.fspath(path)}. A finder is an .onnx file, such as YuNet's")
        return Path(path)
    if not (FOLDER / EMBEDDED).is_file():
        raise ModelError(
            "this release of mien ships no face finder. Name one with --finder FILE (in Python Finder.load(FILE)): "
            "an .onnx file such as YuNet's"
        )
    return FOLDER / EMBEDDED


def _model_id(path: Path, facts: Mapping[str, Any] | None, network: bytes) -> str:
    """Name and version of the card; without one the name of the file and the beginning of its SHA-256."""
    if facts is not None:
        return f"{field(facts, path, 'name')}@{field(facts, path, 'version')}"
    return f"{path.name}@{hashlib.sha256(network).hexdigest()[:8]}"


def _bytes(path: Path, facts: Mapping[str, Any] | None) -> bytes:
    if facts is not None:
        return read_network(path, facts)
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"the finder {path.name} cannot be read: {error}") from error


def _check(session: Any, path: Path) -> None:
    """That it is one of the two kinds, and takes every size."""
    inputs = [(i.type, i.shape) for i in session.get_inputs()]
    outputs = {output.name for output in session.get_outputs()}
    wanted = {f"{name}_{stride}" for stride in STRIDES for name in ("cls", "obj", "bbox", "kps")}
    shapes = {"tensor(uint8)": ([1, 2], 3), "tensor(float)": ([2, 3], 1)}  # sides, channels
    if len(inputs) != 1 or inputs[0][0] not in shapes or len(inputs[0][1]) != 4 or not wanted <= outputs:
        raise ModelError(
            f"{path.name} is no face finder: wanted one picture, uint8 (n, h, w, 3) or float32 (n, 3, h, w), and the "
            f"outputs {', '.join(sorted(wanted))}; found {inputs} and {sorted(outputs)}"
        )
    sides, channels = shapes[inputs[0][0]]
    if inputs[0][1][channels] != 3 or any(isinstance(inputs[0][1][side], int) for side in sides):
        raise ModelError(
            f"{path.name} takes pictures of the shape {inputs[0][1]} alone; a finder must take every size. The file of "
            f"YuNet that does is called yunet_n_dynamic.onnx"
        )
