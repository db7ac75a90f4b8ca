"""Blur: edges of a known width give this width back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from faces.drawn import face_at
from mien.faces.blur import blur_px, edge_blur


def smeared(edges: np.ndarray, sigma: float) -> np.ndarray:
    """Vertical edges at `edges`, between 60 and 190 in turn, blurred exactly: a sum of error functions."""
    x = np.arange(200) + 0.5
    line = np.full(200, 60.0)
    for i, edge in enumerate(edges):
        step = [130 * (1 if i % 2 == 0 else -1) * 0.5 * (1 + math.erf((v - edge) / (sigma * math.sqrt(2)))) for v in x]
        line += step
    return np.tile(line, (200, 1))


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.5, 2.5, 4.0])
def test_a_known_blur_comes_back(sigma: float) -> None:
    edges = np.array([40.3, 75.8, 110.2, 149.6])
    for grey in (smeared(edges, sigma), smeared(edges, sigma).T):
        assert edge_blur(grey) == pytest.approx(sigma, rel=0.12, abs=0.12)


def test_a_hard_edge_is_about_half_a_pixel_at_most() -> None:
    grey = np.full((100, 100), 60.0)
    grey[:, 50:] = 190
    found = edge_blur(grey)
    assert found is not None and found < 0.55


def test_no_edge_no_answer() -> None:
    assert edge_blur(np.full((100, 100), 60.0)) is None
    assert edge_blur(np.tile(np.linspace(0, 100, 100), (100, 1))) is None  # a slope is no edge


def test_light_noise_does_not_hide_blur(rng: np.random.Generator) -> None:
    grey = smeared(np.array([40.3, 75.8, 110.2, 149.6]), 3.0) + rng.normal(0, 3, (200, 200))
    assert edge_blur(grey) == pytest.approx(3.0, rel=0.25)


def test_it_is_told_in_pixels_of_the_picture() -> None:
    """A picture twice as large has edges twice as wide; one that is averaged down first, too."""
    grey = smeared(np.array([40.3, 75.8, 110.2, 149.6]), 2.0)
    picture = Image.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    once = blur_px(picture, face_at(100, 65, 50))
    assert once == pytest.approx(2.0, rel=0.1)
    large = picture.resize((1600, 1600), Image.Resampling.BICUBIC)
    assert blur_px(large, face_at(800, 520, 400)) == pytest.approx(16.0, rel=0.1)


def test_only_the_face_counts() -> None:
    """A sharp wall behind a soft face does not help it."""
    soft = np.rint(smeared(np.array([75.8, 110.2]), 3.0)).astype(np.uint8)
    sharp = np.tile(np.repeat([60, 190], 4), 25)[None].repeat(200, 0).astype(np.uint8)
    pixels = sharp.copy()
    pixels[30:170, 40:160] = soft[30:170, 40:160]
    assert blur_px(Image.fromarray(pixels).convert("RGB"), face_at(100, 75, 48)) == pytest.approx(3.0, rel=0.15)
