"""Each degradation has a known strength, keeps size and mode, is repeatable, and never gets better as it grows."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.core.types import ATTRIBUTES
from mien.data.degradations import ATTRIBUTE_OF, KINDS, Degradation, attribute_strengths, degrade

PORTRAIT = Path(__file__).parents[2] / "examples" / "portraits" / "portrait.jpg"


@pytest.fixture(scope="module")
def portrait() -> Image.Image:
    with Image.open(PORTRAIT) as picture:
        return picture.convert("RGB").resize((256, 192))


def distance(a: Image.Image, b: Image.Image) -> float:
    return float(np.sqrt(np.mean((np.asarray(a, float) - np.asarray(b, float)) ** 2)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_strength_is_further_from_the_original(portrait, kind):
    away = [distance(portrait, degrade(portrait, (Degradation(kind, s),), seed=3)) for s in (0, 0.2, 0.4, 0.6, 0.8, 1)]
    assert away[0] == 0
    assert all(b > a for a, b in pairwise(away)), away


@pytest.mark.parametrize("kind", KINDS)
def test_size_and_mode_stay(portrait, kind):
    worse = degrade(portrait, (Degradation(kind, 0.7),), seed=3)
    assert (worse.size, worse.mode) == (portrait.size, "RGB")


@pytest.mark.parametrize("kind", ["noise", "motion"])
def test_the_seed_decides_chance(portrait, kind):
    step = (Degradation(kind, 0.5),)
    assert distance(degrade(portrait, step, seed=1), degrade(portrait, step, seed=1)) == 0
    assert distance(degrade(portrait, step, seed=1), degrade(portrait, step, seed=2)) > 1


@pytest.mark.parametrize("kind", ["blur", "motion"])
def test_lengths_are_relative_to_the_picture(portrait, kind):
    """Degrading and shrinking commute, as nearly as pixels allow."""
    half = (portrait.width // 2, portrait.height // 2)
    step = (Degradation(kind, 0.6),)
    a = degrade(portrait, step, seed=1).resize(half, Image.Resampling.BOX)
    b = degrade(portrait.resize(half, Image.Resampling.BOX), step, seed=1)
    assert distance(a, b) < 0.35 * distance(a, portrait.resize(half, Image.Resampling.BOX))


def test_blur_lowers_the_laplacian_and_noise_raises_it(portrait):
    def detail(picture: Image.Image) -> float:
        grey = np.asarray(picture.convert("L"), float)
        return float(np.var(np.diff(grey, 2, axis=0)))

    plain = detail(portrait)
    assert detail(degrade(portrait, (Degradation("blur", 0.5),))) < 0.5 * plain
    assert detail(degrade(portrait, (Degradation("noise", 0.5),))) > 2 * plain


def test_dark_is_darker_and_bright_is_brighter(portrait):
    mean = np.asarray(portrait).mean()
    assert np.asarray(degrade(portrait, (Degradation("dark", 0.5),))).mean() < 0.6 * mean
    assert np.asarray(degrade(portrait, (Degradation("bright", 0.5),))).mean() > 1.3 * mean


def test_strengths_on_one_attribute_add_up_as_independent_losses():
    lost = attribute_strengths((Degradation("blur", 0.5), Degradation("motion", 0.5), Degradation("jpeg", 0.2)))
    assert lost == pytest.approx({"sharpness": 0.75, "exposure": 0, "noise": 0, "compression": 0.2})


def test_every_kind_belongs_to_an_attribute_of_the_row():
    assert set(ATTRIBUTE_OF) == set(KINDS)
    assert set(ATTRIBUTE_OF.values()) == set(ATTRIBUTES)


def test_an_unknown_kind_names_the_known_ones(portrait):
    with pytest.raises(ValueError, match="no degradation 'fog'; there are blur"):
        degrade(portrait, (Degradation("fog", 0.5),))


def test_a_strength_outside_its_range_is_refused(portrait):
    with pytest.raises(ValueError, match=r"strength of blur must be in 0\.\.1, not 1\.5"):
        degrade(portrait, (Degradation("blur", 1.5),))
