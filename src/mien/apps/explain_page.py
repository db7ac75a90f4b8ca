"""An explanation as one self-contained HTML page: the picture, a map for the score and each attribute, no script.

The content security policy of the page allows nothing but its own style and the pictures inside it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from mien.apps.explain_draw import DEEPEST, Layer, colours, fitted, foremost, layers, pale, placed, weakest
from mien.apps.page import safe, template
from mien.apps.report import LOW_ATTRIBUTE
from mien.core.types import Score
from mien.runtime.explain import Explanation

_TALLEST_PX, _WIDEST_PX = 900, 1100
_MAP_PX = 192  #: longest side of a map; the browser interpolates the rest


def page(why: Explanation, picture: Image.Image, faces: Sequence[Score], title: str, notes: Sequence[str]) -> str:
    """The whole page; see `mien.apps.explain_draw.sheet` for the arguments."""
    shown, small = layers(why), fitted(picture, _WIDEST_PX, _TALLEST_PX)
    body = "\n".join(_body(why, shown, small, faces, title, notes))
    shape = {"width": str(small.width), "aspect": f"{small.width / small.height:.4f}"}
    before, after = template("explain.html", "body", {"title": safe(title), "switch-rules": _rules(shown), **shape})
    return before + body + after


def _rules(shown: Sequence[Layer]) -> str:
    """Which layer is seen while which switch is on."""
    return "\n".join(
        f"main:has(#show-{layer.name}:checked) :is(.pale, .{layer.name}) {{ visibility: visible; }}" for layer in shown
    )


def _body(
    why: Explanation,
    shown: Sequence[Layer],
    small: Image.Image,
    faces: Sequence[Score],
    title: str,
    notes: Sequence[str],
) -> Iterator[str]:
    yield f"<h1>{safe(title)}</h1><main>"
    yield from _switches(shown)
    yield "<figure><div class='stage'>"
    yield f"<img src='{_webp(small)}' alt='{safe(title)}'><img class='over pale' src='{_webp(pale(small))}' alt=''>"
    yield from (f"<img class='over {layer.name}' src='{_map(layer, small)}' alt=''>" for layer in shown)
    yield from _frames(faces, small.size)
    yield "</div><figcaption class='captions'>"
    yield from (f"<p class='words {layer.name}'>{safe(_sentence(layer))}</p>" for layer in shown)
    yield "</figcaption></figure><aside>"
    yield from _score(why.score)
    yield from _attributes(why, shown)
    yield from _faces(faces)
    yield from _legend(notes)
    yield "</aside></main>"


def _switches(shown: Sequence[Layer]) -> Iterator[str]:
    first = foremost(shown).name
    yield "<div class='switch' role='radiogroup' aria-label='What is shown'>"
    choices = [("picture", "Picture"), *((layer.name, layer.name.capitalize()) for layer in shown)]
    for name, label in choices:
        on = " checked" if name == first else ""
        yield f"<label><input type='radio' name='show' id='show-{name}'{on}>{safe(label)}</label>"
    yield "</div>"


def _sentence(layer: Layer) -> str:
    what = "Scores of the parts" if layer.name == "score" else f"{layer.name.capitalize()} of the parts"
    return f"{what}: {layer.words}."


def _frames(faces: Sequence[Score], size: tuple[int, int]) -> Iterator[str]:
    if not faces:
        return
    yield f"<svg viewBox='0 0 {size[0]} {size[1]}' aria-hidden='true'>"
    for row in faces:
        (x1, y1, x2, y2), points = placed(row, size)
        place = f"x='{x1:.1f}' y='{y1:.1f}' width='{x2 - x1:.1f}' height='{y2 - y1:.1f}'"
        yield f"<rect class='under' {place}/><rect class='box' {place}/>"
        yield from (f"<circle class='point' cx='{x:.1f}' cy='{y:.1f}' r='3'/>" for x, y in points)
    yield "</svg>"


def _score(row: Score) -> Iterator[str]:
    lines = ["of 100; higher is better"]
    if row.score_lo is not None and row.score_hi is not None:
        lines.append(f"90 % interval {row.score_lo:.0f} to {row.score_hi:.0f}")
    if row.percentile is not None:
        lines.append(f"better than {row.percentile:.0f} % of the reference pictures")
    yield f"<div class='score'><b>{row.score:.0f}</b><span class='quiet'>{'<br>'.join(map(safe, lines))}</span></div>"


def _attributes(why: Explanation, shown: Sequence[Layer]) -> Iterator[str]:
    for layer in shown[1:]:
        value = getattr(why.score, layer.name)
        low = " low" if value < LOW_ATTRIBUTE else ""
        yield f"<div class='bar{low}'><span>{safe(layer.name.capitalize())}</span><span>{value:.0f}</span>"
        yield "<svg viewBox='0 0 100 5' preserveAspectRatio='none' aria-hidden='true'>"
        yield f"<rect class='track' width='100' height='5'/><rect class='fill' width='{value:.1f}' height='5'/>"
        yield "</svg></div>"


def _faces(faces: Sequence[Score]) -> Iterator[str]:
    if not faces:
        return
    yield "<h2>Faces, each judged by itself</h2><table><tr><th>Face</th><th>Score</th><th>Lowest attribute</th></tr>"
    for row in faces:
        score = "" if row.score is None else f"{row.score:.0f}"
        yield f"<tr><td>{(row.face_index or 0) + 1}</td><td>{score}</td><td>{safe(weakest(row))}</td></tr>"
    yield "</table>"


def _legend(notes: Sequence[str]) -> Iterator[str]:
    ramp = colours(np.linspace(0, DEEPEST, 64, dtype=np.float32)[None].repeat(2, axis=0), (64, 2))
    yield "<h2>How to read the map</h2>"
    yield f"<img class='ramp' src='{_png(ramp)}' alt=''>"
    yield f"<div class='ticks'><span>0</span><span>-{DEEPEST / 2:.0f}</span><span>-{DEEPEST:.0f} points</span></div>"
    yield "<p class='small'>Of the score: points below the whole picture. Of an attribute: points below 100.</p>"
    yield from (f"<p class='small'>{safe(note)}</p>" for note in notes)


def _map(layer: Layer, picture: Image.Image) -> str:
    return _png(colours(layer.loss, fitted(picture, _MAP_PX, _MAP_PX).size))


def _webp(picture: Image.Image) -> str:
    bare = Image.frombytes("RGB", picture.size, picture.convert("RGB").tobytes())  # pixels, and no metadata
    return _uri(bare, "WEBP", quality=84, method=4)


def _png(picture: Image.Image) -> str:
    return _uri(picture, "PNG", optimize=True)


def _uri(picture: Image.Image, form: str, **options: object) -> str:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return f"data:image/{form.lower()};base64," + base64.b64encode(stream.getvalue()).decode("ascii")
