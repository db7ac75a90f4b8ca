"""Batches hold what they promise, the same for the same seed and epoch, and nobody is left out."""

from collections import Counter

import numpy as np
import pytest

from mien.data.samplers import mixed_batches, scene_batches, scene_pairs

SCENES = ["a"] * 7 + ["b"] * 5 + ["c"] * 9 + ["d"] * 2  # d is smaller than K below


def test_every_batch_has_s_scenes_with_k_pictures_of_each():
    for batch in scene_batches(SCENES, per_batch=3, per_scene=4):
        blocks = [[SCENES[k] for k in block] for block in batch.reshape(3, 4)]
        assert all(len(set(block)) == 1 for block in blocks)
        assert len({block[0] for block in blocks}) == 3


def test_no_picture_twice_in_a_batch_unless_its_scene_is_too_small():
    seen = scene_batches(SCENES, per_batch=4, per_scene=4, batches=30)
    for batch in seen:
        counts = Counter(k for k in batch.tolist() if SCENES[k] != "d")
        assert set(counts.values()) == {1}
        assert {k for k in batch.tolist() if SCENES[k] == "d"} == {21, 22}


def test_inside_a_scene_all_pictures_are_drawn_equally_often():
    drawn = Counter(scene_batches(SCENES, per_batch=4, per_scene=4, batches=45).ravel().tolist())
    for scene in "abcd":
        counts = [drawn[k] for k in range(len(SCENES)) if SCENES[k] == scene]
        assert max(counts) - min(counts) <= 1
        assert min(counts) > 0


def test_all_scenes_are_equally_likely():
    drawn = Counter(SCENES[k] for k in scene_batches(SCENES, per_batch=2, per_scene=1, batches=2000).ravel())
    assert all(850 < drawn[scene] < 1150 for scene in "abcd")


def test_an_epoch_is_as_long_as_the_data_and_may_be_given():
    assert scene_batches(SCENES, per_batch=2, per_scene=4).shape == (3, 8)  # 23 pictures
    assert scene_batches(SCENES, per_batch=2, per_scene=4, batches=5).shape == (5, 8)


@pytest.mark.parametrize(("scenes", "pictures"), [(5, 4), (0, 4), (2, 0)])
def test_batches_that_do_not_fit_are_refused(scenes, pictures):
    with pytest.raises(ValueError, match=f"{scenes} scenes times {pictures} pictures do not fit 4 scenes"):
        scene_batches(SCENES, per_batch=scenes, per_scene=pictures)


def test_pairs_stay_in_their_scene_and_never_pair_a_picture_with_itself():
    pairs = scene_pairs([*SCENES, "alone"], rounds=2)
    assert pairs.shape == (2 * len(SCENES), 2)
    assert all(SCENES[a] == SCENES[b] and a != b for a, b in pairs)
    assert set(Counter(pairs[:, 0].tolist()).values()) == {2}


def test_every_other_picture_of_the_scene_may_be_the_partner():
    pairs = scene_pairs(["x"] * 5, rounds=60)
    assert {(a, b) for a, b in pairs.tolist()} == {(a, b) for a in range(5) for b in range(5) if a != b}


def test_with_labels_both_pictures_of_a_pair_differ_in_them():
    labels = [0.1, 0.1, 0.4, 0.1, 0.9]
    pairs = scene_pairs(["x"] * 5, labels=labels, rounds=20)
    assert all(labels[a] != labels[b] for a, b in pairs)
    assert scene_pairs(["x"] * 3, labels=[1, 1, 1]).shape == (0, 2)


def parts(batch, sizes):
    return np.bincount(np.searchsorted(np.cumsum(sizes), batch, side="right"), minlength=len(sizes)).tolist()


def test_whole_shares_are_kept_in_every_batch_as_in_liqe():
    sizes = (30, 25, 20, 40, 300, 200)
    for batch in mixed_batches(sizes, (4, 4, 4, 4, 16, 16), 48, batches=40):
        assert parts(batch, sizes) == [4, 4, 4, 4, 16, 16]


def test_broken_shares_are_kept_over_the_batches():
    sizes, shares = (50, 40, 30), (0.61, 0.34, 0.05)
    total = np.zeros(3)
    for k, batch in enumerate(mixed_batches(sizes, shares, 7, batches=60), start=1):
        total += parts(batch, sizes)
        assert np.abs(total - 7 * k * np.array(shares)).max() <= 1 + 1e-6


def test_each_data_set_is_gone_through_at_its_own_pace():
    drawn = np.bincount(mixed_batches((10, 100), (1, 1), 20, batches=10).ravel(), minlength=110)
    assert set(drawn[:10]) == {10}  # a hundred draws of ten pictures
    assert set(drawn[10:]) == {1}


def test_a_data_set_without_a_share_is_not_drawn():
    assert mixed_batches((5, 0, 5), (1, 0, 0), 4).max() < 5


@pytest.mark.parametrize(
    ("sizes", "shares", "batch", "message"),
    [
        ((5, 5), (1,), 4, "one share each"),
        ((5, 5), (1, -1), 4, "none below 0"),
        ((5, 5), (0, 0), 4, "one share each"),
        ((5, 5), (1, 1), 0, "batch 0"),
        ((5, 0), (1, 1), 4, "data set 1 has a share, but no pictures"),
    ],
)
def test_numbers_that_do_not_belong_together_are_refused(sizes, shares, batch, message):
    with pytest.raises(ValueError, match=message):
        mixed_batches(sizes, shares, batch)


@pytest.mark.parametrize(
    "draw",
    [
        lambda **kw: scene_batches(SCENES, per_batch=2, per_scene=3, **kw),
        lambda **kw: scene_pairs(SCENES, **kw),
        lambda **kw: mixed_batches((20, 30), (1, 2), 8, **kw),
    ],
)
def test_seed_and_epoch_decide_everything(draw):
    assert np.array_equal(draw(seed=1, epoch=2), draw(seed=1, epoch=2))
    assert not np.array_equal(draw(seed=1, epoch=2), draw(seed=1, epoch=3))
    assert not np.array_equal(draw(seed=1, epoch=2), draw(seed=2, epoch=2))
