"""`recipes/face_scale.py`: how the judge's number for a crop around a face is read."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import scripts


@pytest.fixture(scope="module")
def recipe() -> ModuleType:
    pytest.importorskip("scipy")
    return scripts.load("recipes/face_scale.py")


def seen(recipe: ModuleType, n: int, *, error: float = 0.05) -> object:
    """Opinions are 0.1 + 0.8 raw and an error; the crops of the second half are small and 0.3 too low."""
    rng = np.random.default_rng(0)
    crop, px = rng.uniform(0.2, 0.9, n), np.where(np.arange(n) < n / 2, 300.0, 100.0)
    opinion = 0.1 + 0.8 * crop + rng.normal(0, error, n)
    low = np.where(px < 224, crop - 0.3, crop)
    return recipe.Seen(opinion, low, np.full(n, 0.1), crop, px, np.arange(n) % 2 == 0)


def test_the_scale_is_that_of_crops_which_are_not_enlarged(recipe: ModuleType) -> None:
    low, high = recipe.faces_part(seen(recipe, 2000), 224)["raw_range"]
    assert (low, high) == (pytest.approx(-0.125, abs=0.02), pytest.approx(1.125, abs=0.02))


def test_the_interval_holds_nine_of_ten_held_out_opinions_small_faces_too(recipe: ModuleType) -> None:
    everything = seen(recipe, 2000)
    part = recipe.faces_part(everything, 224)
    low, high = part["raw_range"]
    held = everything[everything.held]  # type: ignore[attr-defined,index]
    half = part["interval"]["factor"] * held.spread
    predicted = [(held.crop + side * half - low) / (high - low) for side in (-1, 1)]
    holds = np.mean((predicted[0] <= held.opinion) & (held.opinion <= predicted[1]))
    assert holds == pytest.approx(0.9, abs=0.005)
    assert part["interval"]["coverage_held_out"] == pytest.approx(0.9, abs=0.01)


def test_it_says_what_it_rests_on_and_how_well_crops_agree_with_opinions(recipe: ModuleType) -> None:
    part = recipe.faces_part(seen(recipe, 2000), 224)
    assert "500 of the training of the judge whose crop has 224 of 320 px" in part["rests_on"]
    assert (part["metrics"]["crops not enlarged"]["n"], part["metrics"]["held out"]["n"]) == (500, 1000)
    assert part["metrics"]["held out"]["crop"]["srcc"] < part["metrics"]["crops not enlarged"]["crop"]["srcc"]
