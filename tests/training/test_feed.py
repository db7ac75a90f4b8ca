"""The feed: plain views first, then ladders; opinions stay with their pictures; a seed decides everything."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
from mien.data import biq2021  # noqa: E402
from mien.data.sample import Sample  # noqa: E402
from mien.training import feed as feeds  # noqa: E402
from mien.training import zoom  # noqa: E402
from mien.training.feed import Feed, FeedPlan  # noqa: E402
from mien.training.ladders import Ladders  # noqa: E402
from synthetic import write_biq2021  # noqa: E402

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


def test_a_rated_view_is_the_whole_picture_or_its_mirror_image():
    ramp = np.arange(400, dtype=np.float32).reshape(1, 20, 20, 1) % 251
    ladders = Ladders(np.zeros((1, 3, 16, 16, 3), np.uint8), np.zeros(1, np.float32), np.zeros((1, 3, 4), np.float32))
    pictures = np.repeat(ramp, 3, axis=3).astype(np.uint8)
    feed = Feed(pictures, np.array([0.5], np.float32), [ladders], torch.device("cpu"))
    shown = feed.show(replace(PLAN, whole_share=0.5), 6)
    boxes = torch.tensor([[0.0, 0, 20, 20], [20.0, 0, 0, 20]])
    both = torch.from_numpy(pictures).expand(2, -1, -1, -1)
    wholes = [zoom.windows(both, boxes, 16, kernel) for kernel in zoom.FILTERS]
    is_whole = torch.tensor([any(torch.equal(view, w) for pair in wholes for w in pair) for view in shown.pixels[:40]])
    assert torch.equal(is_whole, shown.rated[:40])
    assert 0 < is_whole.sum() < 40


def test_pictures_of_another_shape_are_squashed_and_those_of_the_right_one_kept(tmp_path):
    write_biq2021(tmp_path / "biq", 3, 1)
    samples = biq2021.read(tmp_path / "biq").samples
    pictures = feeds.pictures(samples, 80)
    assert pictures.shape == (4, 80, 80, 3)
    assert np.array_equal(feeds.whole(samples, 80)[0], np.asarray(samples[0].open().resize((80, 80), 2)))
    Image.fromarray(pictures[0]).save(tmp_path / "square.png")
    assert np.array_equal(feeds.pictures([Sample("s", tmp_path / "square.png")], 80)[0], pictures[0])


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
