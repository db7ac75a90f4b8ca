"""The values that travel between the layers: one `Score` is one row, everywhere."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

Status = Literal["ok", "no_face", "decode_error", "unsupported", "too_large", "too_small", "missing", "model_error"]
STATUSES: tuple[str, ...] = get_args(Status)

ATTRIBUTES: tuple[str, ...] = ("sharpness", "exposure", "noise", "compression")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Score:
    """What mien says of one picture (or one face). The fields are the columns of a row, in this order.

    A score that is not `ok` carries its reason in `error` and says nothing of the quality: never NaN, never 0. What is
    known of the face (`face_index` to `y2`, `landmarks`) stays.
    """

    path: str = ""  #: as given; bytes that are not UTF-8 and control characters are backslash-escaped
    status: Status = "ok"
    score: float | None = None  #: 0..100, higher is better
    score_lo: float | None = None  #: lower end of the 90 % interval, 0..100
    score_hi: float | None = None  #: upper end of the 90 % interval, 0..100
    raw: float | None = None  #: the network's own output on its training scale (see the model card)
    percentile: float | None = None  #: 0..100, share of the card's population that scores lower
    sharpness: float | None = None  #: 0..100, 100 = no visible blur
    exposure: float | None = None  #: 0..100, 100 = neither too dark nor too bright
    noise: float | None = None  #: 0..100, 100 = no visible noise
    compression: float | None = None  #: 0..100, 100 = no visible compression artefacts
    face_index: int | None = None  #: which face of the picture, 0 = the largest; None = the whole picture
    n_faces: int | None = None  #: faces found; None = nobody looked
    x1: float | None = None  #: box of the face in pixels of the upright picture; it may stick out
    y1: float | None = None
    x2: float | None = None
    y2: float | None = None
    width: int | None = None  #: pixels of the upright picture
    height: int | None = None
    model: str = ""  #: name@version of the judge
    preprocess: str = ""  #: id of the preprocessing; scores compare only under the same one
    ms: float | None = None  #: wall time spent on this picture, decoding and its share of the batch
    error: str = ""  #: why there is no score
    landmarks: tuple[Point, ...] | None = None  #: of the face, x and y in the same pixels, in the order of `LANDMARKS`
    face_confidence: float | None = None  #: 0..1, how sure the finder is that this is a face

    def of_face(self, face: Face, index: int, n_faces: int) -> Score:
        """The row with where the face lies: the one of this index among so many, in pixels of the upright picture."""
        x1, y1, x2, y2 = face.box
        return replace(
            self,
            face_index=index,
            n_faces=n_faces,
            x1=x1,
            y1=y1,
            x2=x2,
            y2=y2,
            landmarks=face.landmarks,
            face_confidence=face.confidence,
        )

    def to_dict(self) -> dict[str, Any]:
        """The row: every column in order, `None` where there is nothing to say."""
        return {name: getattr(self, name) for name in COLUMNS}

    def _repr_html_(self) -> str:
        """A small table for notebooks."""
        from html import escape

        if self.status != "ok":
            return f"<b>{escape(self.status)}</b> {escape(self.error)}"
        cells = [("score", f"<b>{self.score:.1f}</b>{self._interval()}")]
        if self.percentile is not None:
            cells.append(("percentile", f"{self.percentile:.0f}"))
        cells += [(a, f"{getattr(self, a):.0f}") for a in ATTRIBUTES if getattr(self, a) is not None]
        rows = "".join(f"<tr><th style='text-align:left'>{k}</th><td>{v}</td></tr>" for k, v in cells)
        return f"<table>{rows}</table><small>{escape(self.path)} · {escape(self.model)}</small>"

    def _interval(self) -> str:
        return "" if self.score_lo is None else f" ({self.score_lo:.0f} to {self.score_hi:.0f})"


COLUMNS: tuple[str, ...] = tuple(f.name for f in fields(Score))

#: in the order of `Face.landmarks`; left and right as the person in the picture has them
LANDMARKS: tuple[str, ...] = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")


@dataclass(frozen=True, slots=True)
class Face:
    """A face that was found. Pixels of the upright picture, x to the right and y down; the corner of a pixel is whole.

    The box follows the face from forehead to chin and may stick out of the picture.
    """

    box: tuple[float, float, float, float]  #: x1, y1, x2, y2
    landmarks: tuple[Point, Point, Point, Point, Point]  #: see `LANDMARKS`
    confidence: float  #: 0..1, of the finder

    @property
    def area(self) -> float:
        """Of the box, square pixels."""
        x1, y1, x2, y2 = self.box
        return max(0.0, x2 - x1) * max(0.0, y2 - y1)

    def moved(self, scale: Point, shift: Point = (0.0, 0.0)) -> Face:
        """The face after x -> scale x + shift, in x and in y."""

        def move(point: Point) -> Point:
            return scale[0] * point[0] + shift[0], scale[1] * point[1] + shift[1]

        x1, y1, x2, y2 = self.box
        first, second, third, fourth, fifth = map(move, self.landmarks)
        return Face((*move((x1, y1)), *move((x2, y2))), (first, second, third, fourth, fifth), self.confidence)
