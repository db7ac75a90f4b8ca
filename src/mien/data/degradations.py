"""Degradations with a known strength, each monotone: a larger strength is never a better picture.

Strength runs from 0 (unchanged) to 1 (hardly recognisable). Blur and motion are in parts of the picture's shorter side,
so that a strength means the same at every size; downscaling, noise and encoders work on pixels as they are. Every
function is deterministic for a seed.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from mien.core.types import ATTRIBUTES

Generator = np.random.Generator
Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Degradation:
    """One step of a chain."""

    kind: str  #: a key of `KINDS`
    strength: float  #: 0..1


def degrade(picture: Image.Image, steps: tuple[Degradation, ...], *, seed: int = 0) -> Image.Image:
    """Apply the steps in order.

    Args:
        picture: mode RGB, any size.
        steps: kinds and strengths; strength 0 leaves the picture as it is.
        seed: of direction and noise.

    Returns:
        Mode RGB, the size of `picture`.

    Raises:
        ValueError: an unknown kind, or a strength outside 0..1.
    """
    rng = np.random.default_rng(seed)
    for step in steps:
        if step.kind not in KINDS:
            raise ValueError(f"no degradation {step.kind!r}; there are {', '.join(KINDS)}")
        if not 0 <= step.strength <= 1:
            raise ValueError(f"strength of {step.kind} must be in 0..1, not {step.strength}")
        if step.strength > 0:
            picture = KINDS[step.kind](picture, step.strength, rng)
    return picture


def attribute_strengths(steps: tuple[Degradation, ...]) -> dict[str, float]:
    """How much each attribute has suffered, 0..1; two steps on one attribute add up as independent losses.

    A kind may hit several attributes, each by its whole strength, or none.
    """
    left = dict.fromkeys(ATTRIBUTES, 1.0)
    for step in steps:
        for attribute in ATTRIBUTES_OF[step.kind]:
            left[attribute] *= 1 - step.strength
    return {attribute: 1 - share for attribute, share in left.items()}


def chain(shares: Mapping[str, float], strength: float) -> tuple[Degradation, ...]:
    """Several kinds that grow together, in the order given; monotone, because no step falls when `strength` rises.

    Args:
        shares: kind -> its strength where the chain's is 1, each in 0..1; see `CHAINS` for ready ones.
        strength: 0..1.

    Returns:
        Steps for `degrade`; `attribute_strengths` says what they do.

    Raises:
        ValueError: a strength or a share outside 0..1.
    """
    outside = [value for value in (strength, *shares.values()) if not 0 <= value <= 1]
    if outside:
        raise ValueError(f"strength and shares of a chain must be in 0..1, not {outside[0]}")
    return tuple(Degradation(kind, float(share * strength)) for kind, share in shares.items())


def random_chain(
    rng: Generator,
    *,
    kinds: Sequence[str] | None = None,
    most: int = 3,
    weakest: float = 0.25,
    strongest: float = 1.0,
) -> tuple[Degradation, ...]:
    """One to `most` different kinds of random strength, in the order in which they happen to a photograph.

    Args:
        rng: source of chance; the result is known, and so are its `attribute_strengths`.
        kinds: to choose from; None = all.
        most: number of steps at most.
        weakest: lowest strength.
        strongest: highest strength.

    Returns:
        Steps for `degrade`, sorted as in `IN_ORDER`.
    """
    choice = list(IN_ORDER if kinds is None else kinds)
    picked = rng.choice(choice, size=int(rng.integers(1, min(most, len(choice)) + 1)), replace=False).tolist()
    picked.sort(key=IN_ORDER.index)
    return tuple(Degradation(kind, float(rng.uniform(weakest, strongest))) for kind in picked)


def _blur(picture: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Defocus: a Gaussian of up to 2 % of the shorter side."""
    return picture.filter(ImageFilter.GaussianBlur(0.02 * min(picture.size) * strength**1.3))


def _motion(picture: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Camera shake: the mean along a line of up to 8 % of the shorter side in a random direction."""
    length = 0.08 * min(picture.size) * strength
    angle = rng.uniform(0, np.pi)
    n = max(2, int(np.ceil(length)) + 1)
    pad = int(np.ceil(length / 2)) + 1
    pixels = np.pad(np.asarray(picture, np.float32), ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    total = np.zeros((picture.height, picture.width, 3), np.float32)
    for t in np.linspace(-length / 2, length / 2, n):
        total += _shifted(pixels, pad + t * np.sin(angle), pad + t * np.cos(angle), picture.size)
    return _image(total / n)


def _shifted(pixels: Floats, top: float, left: float, size: tuple[int, int]) -> Floats:
    """The window of `size` at a fractional position, bilinear."""
    y, x = int(top), int(left)
    fy, fx = top - y, left - x
    w, h = size

    def window(dy: int, dx: int) -> Floats:
        return pixels[y + dy : y + dy + h, x + dx : x + dx + w]

    upper = window(0, 0) * (1 - fx) + window(0, 1) * fx
    lower = window(1, 0) * (1 - fx) + window(1, 1) * fx
    return upper * (1 - fy) + lower * fy


def _downscale(picture: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Too few pixels: down to an eighth and up again."""
    factor = 1 + 7 * strength
    small = (max(1, round(picture.width / factor)), max(1, round(picture.height / factor)))
    return picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.BICUBIC)


def _noise(picture: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Sensor noise, partly common to the channels: standard deviation up to 60 of 255, more in the shadows."""
    pixels = np.asarray(picture, np.float32)
    grain = rng.standard_normal(pixels.shape, np.float32)
    grain = 0.6 * grain + 0.8 * rng.standard_normal((*pixels.shape[:2], 1), np.float32)
    shadows = 1.3 - 0.6 * pixels / 255
    return _image(pixels + 60 * strength**1.3 * shadows * grain)


def _dark(picture: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Under-exposed by up to 4.5 stops, in linear light."""
    return _exposed(picture, -4.5 * strength)


def _bright(picture: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Over-exposed by up to 3 stops, in linear light, clipped."""
    return _exposed(picture, 3.0 * strength)


def _low_light(picture: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Too little light: as dark as `dark` of this strength, with the grain, beside the light left, of `noise`."""
    return _dark(_noise(picture, strength, rng), strength, rng)


def _color_cast(picture: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Wrong white balance: red and blue up to 1.6 stops apart in linear light, warm or cold, and green a little.

    A grey keeps its light, so exposure does not suffer; highlights clip where a channel gains.
    """
    warm, tint = rng.choice([-1.0, 1.0]), rng.uniform(-0.3, 0.3)
    gains = 2.0 ** (strength * np.array([0.8 * warm, tint, -0.8 * warm]))
    gains /= gains @ (0.2126, 0.7152, 0.0722)
    linear = (np.arange(256) / 255) ** 2.2
    return picture.point([round(255 * v) for gain in gains for v in np.minimum(linear * gain, 1) ** (1 / 2.2)])


def _occlusion(picture: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """Something in front: an ellipse of one colour whose half axes grow up to half of the picture's sides.

    The same seed places it alike for every strength, so that a stronger one hides all that a weaker one hides.
    """
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    x, y = rng.uniform(0.3, 0.7, 2) * picture.size
    a, b = 0.5 * strength * np.array(picture.size) * rng.uniform(0.8, 1.0, 2)
    covered = picture.copy()
    ImageDraw.Draw(covered).ellipse((x - a, y - b, x + a, y + b), fill=colour)
    return covered


def _exposed(picture: Image.Image, stops: float) -> Image.Image:
    linear = (np.arange(256) / 255) ** 2.2 * 2.0**stops
    curve = np.rint(255 * np.minimum(linear, 1) ** (1 / 2.2)).astype(int).tolist()
    return picture.point(curve * 3)


def _jpeg(picture: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """JPEG, quality 80 down to 4, chroma halved."""
    return _encoded(picture, "JPEG", quality=round(4 + 76 * (1 - strength) ** 2), subsampling=2)


def _webp(picture: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """WebP, quality 80 down to 0."""
    return _encoded(picture, "WEBP", quality=round(80 * (1 - strength) ** 2), method=2)


def _avif(picture: Image.Image, strength: float, rng: Generator) -> Image.Image:
    """AVIF, quality 60 down to 0, chroma halved; one thread, so that the bytes do not depend on the machine's cores."""
    return _encoded(picture, "AVIF", quality=round(60 * (1 - strength)), subsampling="4:2:0", speed=8, max_threads=1)


def _encoded(picture: Image.Image, encoding: str, **options: int | str) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, encoding, **options)
    with Image.open(stream) as decoded:
        return decoded.convert("RGB")


def _image(pixels: Floats) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


#: the first eight, in this order, are what the shipped judge learned from (`mien.training.ladders.JUDGE_KINDS`)
KINDS: dict[str, Callable[[Image.Image, float, Generator], Image.Image]] = {
    "blur": _blur,
    "motion": _motion,
    "downscale": _downscale,
    "noise": _noise,
    "dark": _dark,
    "bright": _bright,
    "jpeg": _jpeg,
    "webp": _webp,
    "low_light": _low_light,
    "color_cast": _color_cast,
    "avif": _avif,
    "occlusion": _occlusion,
}

#: attributes of the row that a kind takes away; none where the row has no word for it
ATTRIBUTES_OF: dict[str, tuple[str, ...]] = {
    "blur": ("sharpness",),
    "motion": ("sharpness",),
    "downscale": ("sharpness",),
    "noise": ("noise",),
    "dark": ("exposure",),
    "bright": ("exposure",),
    "jpeg": ("compression",),
    "webp": ("compression",),
    "low_light": ("exposure", "noise"),
    "color_cast": (),
    "avif": ("compression",),
    "occlusion": (),
}

#: the attribute of the kinds that have exactly one
ATTRIBUTE_OF: dict[str, str] = {kind: names[0] for kind, names in ATTRIBUTES_OF.items() if len(names) == 1}

#: in front of the lens, lens, light, sensor, encoder
IN_ORDER: tuple[str, ...] = (
    *("occlusion", "motion", "blur", "dark", "bright", "low_light", "noise", "color_cast"),
    *("downscale", "jpeg", "webp", "avif"),
)

#: ready chains for `chain`: kind -> share
CHAINS: dict[str, dict[str, float]] = {
    "night": {"motion": 0.6, "low_light": 0.8, "jpeg": 0.5},
    "webcam": {"blur": 0.5, "dark": 0.4, "noise": 0.5, "color_cast": 0.6, "webp": 0.7},
    "messenger": {"downscale": 0.5, "jpeg": 0.9},
    "reposted": {"jpeg": 0.7, "downscale": 0.4, "webp": 0.8},
    "restoration": {"blur": 0.8, "downscale": 0.8, "noise": 0.5, "jpeg": 0.7},
}
