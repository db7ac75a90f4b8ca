"""The pictures of an explanation: the photograph with its faces marked, and the map laid over its grey copy.

Sizes are pixels of what is drawn. Everything is deterministic: the same explanation gives the same pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from mien.apps.report import LOW_ATTRIBUTE
from mien.core.types import ATTRIBUTES, Point, Score
from mien.runtime.explain import Explanation, Map

DEEPEST = 40.0  #: points below the whole picture, or below a faultless attribute, at which the colour is full
CLEAR = 3.0  #: points; a smaller difference is not worth a word

PAPER, INK, QUIET, LINE, MARK = (247, 247, 247), (26, 26, 26), (92, 92, 92), (216, 216, 216), (169, 58, 18)
_PALE, _DEEP = np.array((246.0, 178.0, 84.0)), np.array((158.0, 22.0, 22.0))
_ROWS, _COLUMNS = ("upper", "", "lower"), ("left", "", "right")

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Layer:
    """One thing that can be laid over the picture."""

    name: str  #: "score" or an attribute
    loss: Map  #: points that are missing at each place, 0 = nothing
    words: str  #: where it is lowest, in a sentence


def layers(why: Explanation) -> list[Layer]:
    """The score first, then the attributes."""
    found = [Layer("score", np.maximum(-why.map, 0), _of_score(why.map))]
    for name, values in why.attributes.items():
        lowest = float(values.min())
        place = f"lowest {_place(values)}: {lowest:.0f} of 100" if lowest < 100 - CLEAR else "nothing stands out"
        found.append(Layer(name, np.maximum(100 - values, 0), place))
    return found


def foremost(found: Sequence[Layer]) -> Layer:
    """What is shown first: the attribute that is lowest anywhere, if it is low, else the score.

    `benchmarks/explain.py` measures how well each of them finds a fault.
    """
    score, *attributes = found
    worst = max(attributes, key=lambda layer: float(layer.loss.max()), default=score)
    return worst if worst.loss.max() > 100 - LOW_ATTRIBUTE else score


def _of_score(points: Map) -> str:
    lowest = float(points.min())
    if lowest > -CLEAR:
        return "no part scores clearly lower by itself than the whole picture"
    return f"lowest {_place(points)}: {-lowest:.0f} points below the whole picture"


def _place(values: Map) -> str:
    """Words for where the lowest value is, in thirds of the picture."""
    row, column = np.unravel_index(int(values.argmin()), values.shape)
    y, x = (min(int(3 * (i + 0.5) / n), 2) for i, n in zip((row, column), values.shape, strict=True))
    words = " ".join(filter(None, (_ROWS[y], _COLUMNS[x])))
    return f"at the {words}" if words in ("left", "right") else f"in the {words or 'middle'}" + " part" * bool(words)


def weakest(row: Score) -> str:
    """The lowest attribute of a row in words; why there is none, where there is none."""
    values = {name: getattr(row, name) for name in ATTRIBUTES if getattr(row, name) is not None}
    if not values:
        return row.error
    name = min(values, key=values.__getitem__)
    return f"{name} {values[name]:.0f}"


def fitted(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The picture at a size that fits; never enlarged beyond twice its size."""
    scale = min(width / picture.width, height / picture.height, 2.0)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def colours(loss: Map, size: tuple[int, int]) -> Image.Image:
    """The map at the size of a picture, RGBA: transparent where nothing is missing, amber, then deep red."""
    smooth = Image.fromarray(loss.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
    share = np.clip(np.asarray(smooth) / DEEPEST, 0.0, 1.0)[..., None]
    rgb = _PALE + (_DEEP - _PALE) * share
    alpha = 205 * np.minimum(1.0, 1.6 * share)
    return Image.fromarray(np.rint(np.concatenate([rgb, alpha], axis=2)).astype(np.uint8))


def pale(picture: Image.Image) -> Image.Image:
    """A grey copy that lets colours speak."""
    grey = picture.convert("L").point([round(70 + v * 0.7) for v in range(256)])
    return grey.convert("RGB")


def laid_over(picture: Image.Image, loss: Map) -> Image.Image:
    """The map over the grey copy."""
    return Image.alpha_composite(pale(picture).convert("RGBA"), colours(loss, picture.size)).convert("RGB")


def with_faces(picture: Image.Image, faces: Iterable[Score]) -> Image.Image:
    """A copy with a box and five points for each face, and the score that it has by itself."""
    drawn = picture.copy()
    draw = ImageDraw.Draw(drawn)
    for row in faces:
        box, points = placed(row, drawn.size)
        draw.rectangle([v + 1 for v in box], outline=INK, width=2)
        draw.rectangle(box, outline=(255, 255, 255), width=2)
        for x, y in points:
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(255, 255, 255), outline=INK)
        if row.score is not None:
            _label(draw, (box[0], box[1] - 20), f"{row.score:.0f}")
    return drawn


def placed(row: Score, size: tuple[int, int]) -> tuple[tuple[float, float, float, float], list[Point]]:
    """Box and landmarks of a face in a copy of its picture that has another size."""
    assert row.width and row.height and None not in (row.x1, row.y1, row.x2, row.y2)
    across, down = size[0] / row.width, size[1] / row.height
    x1, y1, x2, y2 = (float(v or 0.0) for v in (row.x1, row.y1, row.x2, row.y2))
    return (x1 * across, y1 * down, x2 * across, y2 * down), [(x * across, y * down) for x, y in row.landmarks or ()]


def _label(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str) -> None:
    font = _font(15)
    left, upper, right, lower = draw.textbbox(at, text, font=font)
    draw.rectangle((left - 4, upper - 3, right + 4, lower + 3), fill=(255, 255, 255))
    draw.text(at, text, font=font, fill=INK)


def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size_px)


# ---- the sheet ----------------------------------------------------------------------------------------------------

_EDGE, _GAP, _SIDE, _TALLEST = 44, 28, 620, 760


def sheet(
    why: Explanation, picture: Image.Image, faces: Sequence[Score], title: str, notes: Sequence[str]
) -> Image.Image:
    """Everything on one picture, RGB: the photograph, the map, the score, the attributes, what the map is.

    Args:
        why: of this picture.
        picture: upright pixels, any size.
        faces: rows of faces; may be empty.
        title: one line, for example the name of the file.
        notes: sentences below the map.
    """
    small = fitted(picture, _SIDE, _TALLEST)
    first = foremost(layers(why))
    width = 2 * _EDGE + 2 * _SIDE + _GAP
    top = _EDGE + 54
    below = top + small.height + 22
    made = Image.new("RGB", (width, below + 306), PAPER)
    draw = ImageDraw.Draw(made)
    draw.text((_EDGE, _EDGE - 6), _shortened(title, 90), font=_font(26), fill=INK)
    right = _EDGE + _SIDE + _GAP
    made.paste(with_faces(small, faces), (_EDGE, top))
    made.paste(laid_over(small, first.loss), (right, top))
    _draw_score(draw, (_EDGE, below), why)
    _draw_legend(made, draw, (right, below), first, [*notes, *_face_notes(faces)])
    return made


def _face_notes(faces: Sequence[Score], most: int = 3) -> list[str]:
    """The largest faces, each in a few words."""
    of = f" of {len(faces)}" if len(faces) > 1 else ""
    return [
        f"Face{f' {i + 1}{of}' if of else ''}, judged by itself: "
        f"{f'{row.score:.0f}, lowest {weakest(row)}' if row.score is not None else row.error}."
        for i, row in enumerate(faces[:most])
    ]


def _draw_score(draw: ImageDraw.ImageDraw, at: tuple[int, int], why: Explanation) -> None:
    """The number, its interval, and a bar for each attribute with its lowest place."""
    x, y = at
    row = why.score
    draw.text((x, y - 8), f"{row.score:.0f}", font=_font(64), fill=INK)
    lines = ["of 100; higher is better"]
    if row.score_lo is not None:
        lines.append(f"90 % interval {row.score_lo:.0f} to {row.score_hi:.0f}")
    if row.percentile is not None:
        lines.append(f"better than {row.percentile:.0f} % of the reference pictures")
    for i, line in enumerate(lines):
        draw.text((x + 96, y + 2 + 20 * i), line, font=_font(15), fill=QUIET)
    for i, layer in enumerate(layers(why)[1:]):
        _draw_bar(draw, (x, y + 92 + 48 * i), layer, getattr(row, layer.name))


def _draw_bar(draw: ImageDraw.ImageDraw, at: tuple[int, int], layer: Layer, value: float) -> None:
    x, y = at
    low = value < LOW_ATTRIBUTE
    draw.text((x, y), f"{layer.name.capitalize()} {value:.0f}", font=_font(16), fill=MARK if low else INK)
    low_somewhere = layer.loss.max() > 100 - LOW_ATTRIBUTE
    words = MARK if low_somewhere else QUIET
    draw.text((x + _SIDE, y + 1), f"by parts {layer.words}", font=_font(14), fill=words, anchor="ra")
    draw.rectangle((x, y + 25, x + _SIDE, y + 30), fill=LINE)
    draw.rectangle((x, y + 25, x + _SIDE * value / 100, y + 30), fill=MARK if low else (127, 127, 127))


def _draw_legend(
    made: Image.Image, draw: ImageDraw.ImageDraw, at: tuple[int, int], layer: Layer, notes: Sequence[str]
) -> None:
    x, y = at
    of_score = layer.name == "score"
    title = (
        "Where parts score lower by themselves" if of_score else f"{layer.name.capitalize()} of the parts by themselves"
    )
    draw.text((x, y), title, font=_font(18), fill=INK)
    draw.text((x, y + 25), layer.words[0].upper() + layer.words[1:] + ".", font=_font(15), fill=MARK)
    ramp = np.linspace(0.0, DEEPEST, 241, dtype=np.float32)[None]
    strip = Image.new("RGBA", (241, 12), (190, 190, 190, 255))
    strip.alpha_composite(colours(np.repeat(ramp, 2, axis=0), (241, 12)))
    made.paste(strip.convert("RGB"), (x, y + 56))
    for points in (0, 10, 20, 30, 40):
        draw.text((x + 6 * points, y + 73), f"-{points}" if points else "0", font=_font(13), fill=QUIET, anchor="ma")
    against = "points below the whole picture" if of_score else "points below 100 (no fault)"
    draw.text((x + 262, y + 53), against, font=_font(14), fill=QUIET)
    for i, line in enumerate(line for note in notes for line in wrap(note, 92)):
        draw.text((x, y + 106 + 20 * i), line, font=_font(14), fill=QUIET)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most // 2 - 1]}...{text[-(most // 2 - 2) :]}"
