"""Batches of an epoch: who is in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
from mien.core.errors import UsageError
from mien.data.sample import Sample
from mien.training.order import Mixed, Pairs, Scenes, Shuffled

SAMPLES = [Sample(f"{i}", Path(f"{i}"), label=float(i % 4), scene=f"s{i % 5}") for i in range(43)]


@pytest.mark.parametrize("order", [Shuffled(), Scenes(4), Pairs(2), Mixed()])
def test_the_same_epoch_is_the_same_and_another_is_another(order):
    first = order(SAMPLES, 8, 0, 7)
    assert first.shape[1] == 8
    assert (first == order(SAMPLES, 8, 0, 7)).all()
    assert not (first == order(SAMPLES, 8, 1, 7)).all()
    assert not (first == order(SAMPLES, 8, 0, 8)).all()


def test_shuffled_shows_every_picture_at_most_once_and_only_full_batches():
    order = Shuffled()(SAMPLES, 8, 0, 0)
    assert order.shape == (5, 8)
    assert len(np.unique(order)) == 40


def test_repeated_pictures_come_once_in_each_round():
    order = Shuffled(repeat=2)(SAMPLES, 43, 0, 0)
    assert (np.sort(order, 1) == np.arange(43)).all()


def test_a_table_smaller_than_a_batch_is_one_batch():
    assert Shuffled()(SAMPLES[:5], 32, 0, 0).shape == (1, 5)


def test_scenes_are_balanced():
    for row in Scenes(4)(SAMPLES, 12, 0, 0):
        scenes = [SAMPLES[i].scene for i in row]
        assert sorted(scenes.count(s) for s in set(scenes)) == [3, 3, 3, 3]


def test_pairs_stay_inside_a_scene_and_differ_where_wanted():
    for row in Pairs(different=True)(SAMPLES, 8, 0, 0):
        for a, b in row.reshape(-1, 2):
            assert SAMPLES[a].scene == SAMPLES[b].scene
            assert SAMPLES[a].label != SAMPLES[b].label


def test_data_sets_are_mixed_by_their_shares():
    given = [replace(s, subset="large" if i < 40 else "small") for i, s in enumerate(SAMPLES)]
    order = Mixed({"large": 3, "small": 1}, steps=7)(given, 8, 0, 0)
    assert order.shape == (7, 8)
    assert [sum(given[i].subset == "small" for i in row) for row in order] == [2] * 7


@pytest.mark.parametrize(
    ("order", "samples", "batch", "message"),
    [
        (Scenes(4), [replace(s, scene="") for s in SAMPLES], 8, "training pictures of 1 scene: this recipe needs a"),
        (Pairs(), SAMPLES, 7, "its batch is even, not 7"),
        (Pairs(), SAMPLES[:5], 2, "no two training pictures share a scene"),
    ],
)
def test_what_does_not_fit_is_said(order, samples, batch, message):
    with pytest.raises(UsageError, match=message):
        order(samples, batch, 0, 0)
