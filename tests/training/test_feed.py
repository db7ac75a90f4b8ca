"""The feed: plain views first, then ladders; opinions stay with their pictures; a seed decides everything."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from mien.training.feed import Feed, FeedPlan  # noqa: E402
from mien.training.ladders import Ladders  # noqa: E402

PLAN = FeedPlan(size_px=16, plain=40, ladders=6, unrated_share=0.25)


@pytest.fixture(scope="module")
def feed():
    """Eight grey pictures whose level is their number, six of them rated by a tenth of it, and ladders at 200."""
    level = np.arange(8, dtype=np.uint8)[:, None, None, None]
    label = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, np.nan, np.nan], np.float32)
    lost = np.zeros((5, 3, 4), np.float32)
    lost[:, 1, 2], lost[:, 2, 2] = 0.3, 0.8
    pixels = 200 + np.arange(3, dtype=np.uint8)[None, :, None, None, None] * np.ones((5, 1, 16, 16, 3), np.uint8)
    ladders = Ladders(pixels, np.linspace(0.5, 0.9, 5, dtype=np.float32), lost)
    return Feed(level * np.ones((1, 20, 20, 3), np.uint8), label, [ladders], torch.device("cpu"))


def test_plain_views_come_first_and_lost_nothing(feed):
    shown = feed.show(PLAN, 0)
    assert shown.pixels.shape == (40 + 18, 16, 16, 3)
    assert shown.plain == 40
    assert (shown.lost[:40] == 0).all()
    assert shown.lost[40:].amax(1).tolist() == pytest.approx([0.0, 0.3, 0.8] * 6)
    assert shown.pixels[40:, 0, 0, 0].tolist() == [200, 201, 202] * 6


def test_labels_stay_with_their_pictures(feed):
    shown = feed.show(PLAN, 1)
    level, label = shown.pixels[:40, 0, 0, 0], shown.label[:40]
    asked = level < 6
    assert torch.allclose(label[asked], level[asked] / 10)
    assert label[~asked].isnan().all()
    assert (~asked).sum() == 10
    assert (shown.label[40:].view(6, 3).std(1) == 0).all()


def test_only_whole_pictures_with_an_opinion_count_as_rated(feed):
    every = replace(PLAN, whole_share=1.0)
    assert torch.equal(feed.show(every, 2).rated[:40], feed.show(every, 2).label[:40].isfinite())
    assert not feed.show(replace(PLAN, whole_share=0.0), 2).rated.any()
    assert not feed.show(every, 2).rated[40:].any()


def test_the_same_seed_shows_the_same_and_another_something_else(feed):
    one, again, other = feed.show(PLAN, 3), feed.show(PLAN, 3), feed.show(PLAN, 4)
    assert torch.equal(one.pixels, again.pixels)
    assert not torch.equal(one.pixels[:40], other.pixels[:40])


def test_windows_lie_inside_the_picture_and_have_the_area_that_was_asked_for(feed):
    plan = replace(PLAN, smallest=0.3)
    chance = torch.Generator().manual_seed(0)
    boxes = feed._boxes(plan, torch.zeros(500, dtype=torch.bool), chance)
    left, right = torch.minimum(boxes[:, 0], boxes[:, 2]), torch.maximum(boxes[:, 0], boxes[:, 2])
    assert left.min() >= -1e-4
    assert right.max() <= 20 + 1e-4
    assert boxes[:, 1].min() >= -1e-4
    assert boxes[:, 3].max() <= 20 + 1e-4
    area = (right - left) * (boxes[:, 3] - boxes[:, 1]) / 400
    assert area.min() > 0.25  # a side that would stick out was shortened
    assert area.max() <= 1 + 1e-4
    mirrored = (boxes[:, 0] > boxes[:, 2]).float().mean()
    assert 0.4 < mirrored < 0.6


def test_a_feed_without_unrated_pictures_or_without_ladders_shows_the_rest(feed):
    assert feed.show(replace(PLAN, unrated_share=0.0), 0).label[:40].isfinite().all()
    assert len(feed.show(replace(PLAN, ladders=0), 0).label) == 40
