"""Plots as inline SVG text: axes, points, intervals. No script, no style attribute, every text escaped.

Colours come from the classes of the page that the plot is put into (`leaderboard.html`), so that it follows light and
dark. Units are CSS pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom

_CHARACTER = 6.1  #: px, mean width of one at 11 px


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from `low` to `high` on the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Pixel of a value."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (at - low) / ((high - low) or 1.0) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round values on the axis; powers of ten (and 2 and 5 between them, when they are few) on a log axis."""
        if not self.log:
            return _ticks(self.low, self.high)
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        steps = (1, 2, 5) if last - first <= 3 else (1,)
        found = [m * 10.0**e for e in range(first, last + 1) for m in steps]
        return [t for t in found if self.low <= t <= self.high]


def _ticks(low: float, high: float, wanted: int = 6) -> list[float]:
    rough = (high - low) / wanted
    if not rough > 0:
        return [low]
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m >= rough)
    found = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [min(max(k * step, low), high) for k in found]


def spanning(values: Iterable[float], start: float, end: float, *, log: bool = False, margin: float = 0.05) -> Axis:
    """An axis on which all values have room."""
    found = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    low, high = (min(found), max(found)) if found else (0.1, 1.0)
    if log:
        low, high = math.log10(low), math.log10(high)
    room = (high - low) * margin or (0.3 if log else abs(low) * 0.1 or 1.0)
    low, high = low - room, high + room
    return Axis(10**low, 10**high, start, end, True) if log else Axis(low, high, start, end)


def svg(width: float, height: float, label: str, *parts: str) -> str:
    """A picture with a description for those who do not see it."""
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img" '
        f'aria-label="{escape(label, quote=True)}">{"".join(parts)}</svg>'
    )


def text(x: float, y: float, words: str, css: str = "", anchor: str = "start") -> str:
    """Words at a place; `anchor` is start, middle or end."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(words)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    """A straight line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def dot(x: float, y: float, radius: float, css: str, title: str = "", shape: str = "circle") -> str:
    """A mark with a text that is shown when the pointer rests on it. Shapes: circle, square, diamond, triangle."""
    tip = f"<title>{escape(title)}</title>" if title else ""
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="{css}">{tip}</circle>'
    corners = {
        "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
        "triangle": [(0, -1.2), (1.15, 0.85), (-1.15, 0.85)],
    }[shape]
    points = " ".join(f"{x + radius * dx:.1f},{y + radius * dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{points}" class="{css}">{tip}</polygon>'


def path(points: Iterable[Point], css: str) -> str:
    """A line through points."""
    steps = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{steps}" class="{css}"/>'


def bottom_axis(axis: Axis, y: float, label: str, number: Callable[[float], str]) -> str:
    """A line with ticks, numbers and a label below."""
    parts = [line(axis.start, y, axis.end, y, "axis")]
    for tick in axis.ticks:
        parts.append(line(axis(tick), y, axis(tick), y + 4, "axis"))
        parts.append(text(axis(tick), y + 16, number(tick), "tick", "middle"))
    if label:
        parts.append(text((axis.start + axis.end) / 2, y + 32, label, "tick", "middle"))
    return "".join(parts)


def left_axis(axis: Axis, x: float, number: Callable[[float], str], right: float | None = None) -> str:
    """Numbers left of `x`; with `right`, thin lines across the plot."""
    parts = []
    for tick in axis.ticks:
        if right is not None:
            parts.append(line(x, axis(tick), right, axis(tick), "grid"))
        parts.append(text(x - 6, axis(tick) + 3.5, number(tick), "tick", "end"))
    return "".join(parts)


def short(value: float) -> str:
    """A number of an axis."""
    return f"{value:.4g}".replace("-", "\u2212")


def place_labels(marks: Sequence[tuple[float, float, str]], frame: Box, taken: Iterable[Box] = ()) -> list[str]:
    """Names beside their marks where they cover neither each other nor a mark; a name without room is left out.

    Args:
        marks: (x, y, name), the most important first.
        frame: where names may be.
        taken: more boxes that must stay free.
    """
    boxes = [*taken, *((x - 5, y - 5, x + 5, y + 5) for x, y, _ in marks)]
    placed = []
    for x, y, name in marks:
        shown = name if len(name) <= 26 else name[:25] + "…"
        width = _CHARACTER * len(shown)
        for left, base, anchor in (
            (x + 8, y + 4, "start"),
            (x - 8 - width, y + 4, "end"),
            (x - width / 2, y - 9, "middle"),
            (x - width / 2, y + 17, "middle"),
        ):
            box = left, base - 9, left + width, base + 3
            inside = box[0] >= frame[0] and box[2] <= frame[2] and box[1] >= frame[1] and box[3] <= frame[3]
            if inside and not any(_overlap(box, other) for other in boxes):
                boxes.append(box)
                at = {"start": left, "end": left + width, "middle": left + width / 2}[anchor]
                placed.append(text(at, base, shown, "name", anchor))
                break
    return placed


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
