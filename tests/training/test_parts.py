"""Which pictures are learned from, chosen by, held back and tested on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
from mien.core.errors import UsageError
from mien.data.sample import Sample
from mien.training.parts import FEWEST_WITHOUT_SPLIT, Split, divide


def samples(n: int = 50, **facts: str) -> list[Sample]:
    return [Sample(f"{i}.png", Path(f"{i}.png"), label=float(i % 7), **facts) for i in range(n)]


def names(part: tuple[Sample, ...]) -> set[str]:
    return {s.name for s in part}


def test_a_named_validation_part_is_taken_and_the_test_part_is_kept_apart():
    given = [replace(s, split=("train", "val", "test")[i % 3]) for i, s in enumerate(samples())]
    parts = divide(given, Split())
    assert names(parts.val) == {s.name for s in given if s.split == "val"}
    assert names(parts.test) == {s.name for s in given if s.split == "test"}
    assert names(parts.train) == {s.name for s in given if s.split == "train"}


def test_without_one_a_fifth_is_drawn_as_scikit_learn_draws_it():
    parts = divide(samples(), Split(share=0.2, seed=42))
    order = np.random.RandomState(42).permutation(50)  # the first ten of it are its test part
    assert names(parts.val) == {f"{i}.png" for i in order[:10]}
    assert not names(parts.val) & names(parts.train)
    assert divide(samples(), Split(seed=1)).val != parts.val


def test_contents_stay_whole():
    given = [replace(s, reference=f"r{i // 5}") for i, s in enumerate(samples())]
    parts = divide(given, Split())
    assert len(parts.val) == 10
    assert not {s.reference for s in parts.val} & {s.reference for s in parts.train}


def test_a_share_of_each_scene():
    given = [replace(s, scene=f"s{i % 5}") for i, s in enumerate(samples())]
    parts = divide(given, Split(share=0.1, per_scene=True))
    assert sorted(s.scene for s in parts.val) == ["s0", "s1", "s2", "s3", "s4"]


def test_a_content_of_several_scenes_is_drawn_in_all_of_them_or_in_none():
    given = [replace(s, reference=f"r{i // 5}", scene=f"s{i % 5}") for i, s in enumerate(samples())]
    parts = divide(given, Split(share=0.1, per_scene=True))
    assert not {s.reference for s in parts.val} & {s.reference for s in parts.train}
    assert sorted(s.scene for s in parts.val) == ["s0", "s1", "s2", "s3", "s4"]  # one content, in each scene


def test_contents_stay_whole_between_the_halves_of_the_validation_part():
    given = [replace(s, reference=f"r{i // 5}") for i, s in enumerate(samples(200))]
    parts = divide(given, Split(), hold=True)
    assert len(parts.val) == len(parts.held) == 20
    assert not {s.reference for s in parts.val} & {s.reference for s in parts.held}


def test_nothing_is_held_back_where_one_content_is_most_of_the_validation_part():
    given = [replace(s, split="val" if i >= 50 else "train") for i, s in enumerate(samples(100))]
    given = [replace(s, reference="r" if i >= 60 else "") for i, s in enumerate(given)]
    parts = divide(given, Split(), hold=True)
    assert (len(parts.val), parts.held) == (50, ())
    assert "held back" not in parts.made


def test_half_of_a_large_validation_part_is_held_back_and_none_of_a_small_one():
    parts = divide(samples(200), Split(), hold=True)
    assert len(parts.val) == len(parts.held) == 20
    assert not names(parts.val) & names(parts.held)
    assert divide(samples(100), Split(), hold=True).held == ()


def test_pictures_without_a_label_are_left_out():
    given = [replace(s, label=None) if i < 10 else s for i, s in enumerate(samples())]
    assert len(divide(given, Split()).everything) == 40


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([replace(s, label=None) for s in samples(5)], "none of the 5 pictures has a score"),
        (samples(3), "too few"),
        ([replace(s, label=2.5) for s in samples()], "all 40 pictures of the training part have the same score, 2.5"),
        ([replace(s, split="dev") for s in samples()], "split 'dev'; the splits are train, val, test"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        divide(given, Split())


def test_the_fewest_pictures_are_those_that_the_message_and_the_page_name():
    parts = divide(samples(FEWEST_WITHOUT_SPLIT), Split())
    assert (len(parts.train), len(parts.val)) == (8, 3)
    with pytest.raises(
        UsageError, match=r"2 pictures .* validation part are too few; .* without a column split .* 11,"
    ):
        divide(samples(FEWEST_WITHOUT_SPLIT - 1), Split())
    page = Path(__file__).parents[2] / "docs" / "training.md"
    assert f"at least {FEWEST_WITHOUT_SPLIT} pictures" in page.read_text(encoding="utf-8")
