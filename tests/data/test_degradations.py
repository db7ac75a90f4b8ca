"""Each degradation has a known strength, keeps size and mode, is repeatable, and never gets better as it grows."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.core.types import ATTRIBUTES
from mien.data.degradations import (
    ATTRIBUTE_OF,
    ATTRIBUTES_OF,
    CHAINS,
    IN_ORDER,
    KINDS,
    Degradation,
    attribute_strengths,
    chain,
    degrade,
    random_chain,
)

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


@pytest.mark.parametrize("kind", ["noise", "motion", "low_light", "color_cast", "occlusion"])
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


def test_every_kind_says_which_attributes_of_the_row_it_hits():
    assert set(ATTRIBUTES_OF) == set(KINDS) == set(IN_ORDER)
    assert {name for names in ATTRIBUTES_OF.values() for name in names} == set(ATTRIBUTES)
    assert set(KINDS) - set(ATTRIBUTE_OF) == {"low_light", "color_cast", "occlusion"}


def test_low_light_costs_exposure_and_noise_and_a_cast_or_an_occlusion_nothing_that_the_row_names():
    lost = attribute_strengths((Degradation("low_light", 0.5), Degradation("dark", 0.5)))
    assert lost == pytest.approx({"sharpness": 0, "exposure": 0.75, "noise": 0.5, "compression": 0})
    assert set(attribute_strengths((Degradation("color_cast", 1), Degradation("occlusion", 1))).values()) == {0}


def test_the_kinds_that_the_shipped_judge_learned_from_stay_as_they_were():
    pytest.importorskip("torch")
    from mien.training.ladders import JUDGE_KINDS, LadderPlan

    assert JUDGE_KINDS == ("blur", "motion", "downscale", "noise", "dark", "bright", "jpeg", "webp")
    assert LadderPlan().kinds == JUDGE_KINDS == tuple(KINDS)[:8]


def smooth(width: int = 96, height: int = 80) -> Image.Image:
    """A grey ramp: what is not smooth was added."""
    ramp = np.linspace(90, 200, width)[None, :, None].repeat(height, 0).repeat(3, 2)
    return Image.fromarray(ramp.astype(np.uint8))


def grain(picture: Image.Image) -> float:
    """Noise beside the light there is: standard deviation of horizontal second differences over the mean."""
    grey = np.asarray(picture.convert("L"), float)
    return float(np.diff(grey, 2, axis=1).std() / grey.mean())


def test_low_light_is_darker_and_grainier_the_stronger_it_is():
    seen = [degrade(smooth(), (Degradation("low_light", s),), seed=1) for s in (0, 0.25, 0.5, 0.75, 1)]
    assert all(np.asarray(b).mean() < 0.95 * np.asarray(a).mean() for a, b in pairwise(seen))
    assert all(grain(b) > grain(a) for a, b in pairwise(seen[:4]))


def test_low_light_is_as_dark_as_dark_and_as_grainy_as_noise():
    low, dark, noise = (degrade(smooth(), (Degradation(kind, 0.4),), seed=1) for kind in ("low_light", "dark", "noise"))
    assert np.asarray(low).mean() == pytest.approx(np.asarray(dark).mean(), rel=0.05)
    assert grain(low) == pytest.approx(grain(noise), rel=0.3)


def test_a_color_cast_parts_red_from_blue_and_keeps_the_light_of_a_grey():
    grey = Image.new("RGB", (8, 8), (120, 120, 120))
    apart = []
    for seed in range(6):
        linear = (np.asarray(degrade(grey, (Degradation("color_cast", 0.6),), seed=seed), float)[0, 0] / 255) ** 2.2
        assert linear @ (0.2126, 0.7152, 0.0722) == pytest.approx((120 / 255) ** 2.2, rel=0.02)
        apart.append(np.log2(linear[0] / linear[2]))
    assert np.abs(apart) == pytest.approx(np.full(6, 0.96), abs=0.05)
    assert {bool(v > 0) for v in apart} == {True, False}  # warm and cold


def test_a_stronger_occlusion_hides_all_that_a_weaker_one_hides():
    white = Image.new("RGB", (60, 50), (255, 255, 255))
    hidden = [(np.asarray(degrade(white, (Degradation("occlusion", s),), seed=4)) != 255).any(2) for s in (0.2, 0.5, 1)]
    assert all((b[a]).all() and b.sum() > a.sum() for a, b in pairwise(hidden))
    assert 0.25 < hidden[2].mean() < 0.8


def test_avif_is_the_same_every_time(portrait):
    step = (Degradation("avif", 0.6),)
    assert distance(degrade(portrait, step), degrade(portrait, step)) == 0


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_further_from_the_original_the_stronger_it_is(portrait, name):
    away = [distance(portrait, degrade(portrait, chain(CHAINS[name], s), seed=3)) for s in (0, 0.25, 0.5, 0.75, 1)]
    assert away[0] == 0
    assert all(b > a for a, b in pairwise(away)), away


@pytest.mark.parametrize("name", CHAINS)
def test_no_step_and_no_attribute_of_a_chain_gets_better_as_it_grows(name):
    weak, strong = chain(CHAINS[name], 0.3), chain(CHAINS[name], 0.8)
    assert [s.kind for s in weak] == [s.kind for s in strong] == list(CHAINS[name])
    assert all(b.strength > a.strength for a, b in zip(weak, strong, strict=True))
    before, after = attribute_strengths(weak), attribute_strengths(strong)
    assert all(after[a] >= before[a] for a in ATTRIBUTES)


def test_a_chain_knows_its_strengths():
    steps = chain({"blur": 0.5, "jpeg": 1.0}, 0.6)
    assert steps == (Degradation("blur", pytest.approx(0.3)), Degradation("jpeg", pytest.approx(0.6)))


def test_a_chain_refuses_a_strength_outside_its_range():
    with pytest.raises(ValueError, match=r"chain must be in 0\.\.1, not 1\.2"):
        chain({"blur": 0.5}, 1.2)
    with pytest.raises(ValueError, match=r"chain must be in 0\.\.1, not -0\.5"):
        chain({"blur": -0.5}, 1)


def test_a_random_chain_has_different_kinds_in_the_order_of_a_photograph():
    seen = [random_chain(np.random.default_rng(seed)) for seed in range(60)]
    assert {len(steps) for steps in seen} == {1, 2, 3}
    for steps in seen:
        order = [IN_ORDER.index(step.kind) for step in steps]
        assert order == sorted(set(order))
        assert all(0.25 <= step.strength <= 1 for step in steps)
    assert {step.kind for steps in seen for step in steps} == set(KINDS)


def test_a_random_chain_is_decided_by_its_generator_and_keeps_to_the_kinds_given():
    again = [random_chain(np.random.default_rng(3), kinds=("jpeg", "blur"), most=5) for _ in range(2)]
    assert again[0] == again[1]
    assert {step.kind for step in again[0]} <= {"jpeg", "blur"}


def test_an_unknown_kind_names_the_known_ones(portrait):
    with pytest.raises(ValueError, match="no degradation 'fog'; there are blur"):
        degrade(portrait, (Degradation("fog", 0.5),))


def test_a_strength_outside_its_range_is_refused(portrait):
    with pytest.raises(ValueError, match=r"strength of blur must be in 0\.\.1, not 1\.5"):
        degrade(portrait, (Degradation("blur", 1.5),))
