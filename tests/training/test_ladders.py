"""Ladders: groups of three, known strengths, the same from the same seed."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
from mien.data import biq2021
from mien.training import ladders
from mien.training.ladders import GROUP, LadderPlan
from synthetic import picture, write_biq2021

PLAN = LadderPlan(size_px=32, per_picture=2)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    root = tmp_path_factory.mktemp("ladders") / "biq"
    write_biq2021(root, 6, 2)
    return biq2021.read(root).samples


def test_each_picture_gives_its_ladders_with_its_label(samples, tmp_path):
    seen = ladders.build(samples, PLAN, tmp_path / "v", workers=1)
    assert seen.pixels.shape == (16, GROUP, 32, 32, 3)
    assert len(seen) == 16
    assert seen.label.tolist() == [np.float32(samples[i // 2].label) for i in range(16)]


def test_a_ladder_begins_undegraded_and_rises(samples, tmp_path):
    lost = ladders.build(samples, PLAN, tmp_path / "v", workers=1).lost.max(2)
    assert (lost[:, 0] == 0).all()
    assert (lost[:, 1] > 0).all()
    assert (lost[:, 1] < lost[:, 2]).all()


def test_the_number_of_workers_changes_nothing(samples, tmp_path):
    many = list(samples) * 5  # more than one job
    one = ladders.build(many, PLAN, tmp_path / "one", workers=1)
    two = ladders.build(many, PLAN, tmp_path / "two", workers=2)
    assert np.array_equal(one.pixels, two.pixels)
    assert np.array_equal(one.lost, two.lost)


def test_a_finished_file_is_kept_and_another_plan_replaces_it(samples, tmp_path):
    ladders.build(samples, PLAN, tmp_path / "v", workers=1)
    made = (tmp_path / "v.npy").stat().st_mtime_ns
    ladders.build(samples, PLAN, tmp_path / "v", workers=1)
    assert (tmp_path / "v.npy").stat().st_mtime_ns == made
    changed = ladders.build(samples, replace(PLAN, seed=1), tmp_path / "v", workers=1)
    assert (tmp_path / "v.npy").stat().st_mtime_ns > made
    assert len(changed) == 16


def test_what_a_killed_run_left_is_made_again(samples, tmp_path, monkeypatch):
    whole = np.array(ladders.build(samples, PLAN, tmp_path / "v", workers=1).pixels)

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ladders, "ProcessPoolExecutor", killed)
        ladders.build(samples, replace(PLAN, seed=1), tmp_path / "v")
    assert np.array_equal(ladders.build(samples, PLAN, tmp_path / "v", workers=1).pixels, whole)


def test_pictures_are_enlarged_before_their_ladders_and_never_made_smaller(monkeypatch):
    sizes = []

    def degrade(picture, steps, *, seed):
        sizes.append(max(picture.size))
        return picture

    monkeypatch.setattr(ladders, "degrade", degrade)
    rng = np.random.default_rng(0)
    whole = replace(PLAN, smallest_crop=1.0, widest_aspect=1.0)
    for enlarged_px, expected in (((300, 301), 300), ((10, 11), 96)):  # the pictures are 96 x 80
        sizes.clear()
        for _ in range(20):
            ladders._ladder(picture(0), replace(whole, enlarged_px=enlarged_px), rng)
        assert max(sizes) == expected
