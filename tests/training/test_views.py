"""Views: groups of three, known strengths, the same from the same seed."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
from mien.data import biq2021
from mien.training import views
from mien.training.views import GROUP, ViewPlan
from synthetic import picture, write_biq2021

PLAN = ViewPlan(size_px=32, plain_groups=1, ladder_groups=2)


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    root = tmp_path_factory.mktemp("views") / "biq"
    write_biq2021(root, 6, 2)
    return biq2021.read(root).samples


def test_each_picture_gives_its_groups_with_its_label(samples, tmp_path):
    seen = views.build(samples, PLAN, tmp_path / "v", workers=1)
    assert seen.pixels.shape == (8 * PLAN.per_picture, 32, 32, 3)
    assert seen.groups == 8 * 3
    assert [int(seen.picture[i]) for i in (0, 8, 9)] == [0, 0, 1]
    assert seen.label[9] == np.float32(samples[1].label)


def test_a_plain_group_lost_nothing_and_a_ladder_rises(samples, tmp_path):
    seen = views.build(samples, PLAN, tmp_path / "v", workers=1)
    lost = seen.lost.max(1).reshape(8, 3, GROUP)
    assert (lost[:, 0] == 0).all()
    assert (lost[:, 1:, 0] == 0).all()
    assert (lost[:, 1:, 1] < lost[:, 1:, 2]).all()
    assert (lost[:, 1:, 1] > 0).all()


def test_the_first_view_is_the_whole_picture_as_at_inference(samples, tmp_path):
    seen = views.build(samples, PLAN, tmp_path / "v", workers=1)
    assert np.array_equal(seen.pixels[:: PLAN.per_picture], views.whole(samples, 32))


def test_the_number_of_workers_changes_nothing(samples, tmp_path):
    one = views.build(samples, PLAN, tmp_path / "one", workers=1)
    two = views.build(samples, PLAN, tmp_path / "two", workers=2)
    assert np.array_equal(one.pixels, two.pixels)
    assert np.array_equal(one.lost, two.lost)


def test_a_finished_file_is_kept_and_another_plan_replaces_it(samples, tmp_path):
    views.build(samples, PLAN, tmp_path / "v", workers=1)
    made = (tmp_path / "v.npy").stat().st_mtime_ns
    views.build(samples, PLAN, tmp_path / "v", workers=1)
    assert (tmp_path / "v.npy").stat().st_mtime_ns == made
    changed = views.build(samples, replace(PLAN, seed=1), tmp_path / "v", workers=1)
    assert (tmp_path / "v.npy").stat().st_mtime_ns > made
    assert changed.groups == 24


def test_pictures_are_enlarged_before_their_ladders_and_never_made_smaller(samples, tmp_path, monkeypatch):
    sizes = []

    def degrade(picture, steps, *, seed):
        sizes.append(max(picture.size))
        return picture

    monkeypatch.setattr(views, "degrade", degrade)
    rng = np.random.default_rng(0)
    whole = replace(PLAN, smallest_crop=1.0, widest_aspect=1.0)
    for enlarged_px, expected in (((300, 301), 300), ((10, 11), 96)):  # the pictures are 96 x 80
        sizes.clear()
        for _ in range(20):
            views._ladder_group(picture(0), replace(whole, enlarged_px=enlarged_px), rng)
        assert max(sizes) == expected
