"""Adapters read the official layout, count what is absent, and say what is wrong."""

from pathlib import Path

import numpy as np
import pytest

from mien.core.errors import UsageError
from mien.data import biq2021, sfhq
from synthetic import picture, write_biq2021, write_sfhq


def test_a_sample_is_read_from_inside_its_shard(tmp_path):
    write_biq2021(tmp_path / "biq")
    found = biq2021.read(tmp_path / "biq")
    first = found.samples[0]
    assert (first.name, first.label, first.split, first.subset) == ("p0.jpg", 0.9, "train", "ss0")
    assert np.array_equal(np.asarray(first.open()), np.asarray(picture(0)))


def test_rows_of_an_absent_shard_are_skipped_and_counted(tmp_path):
    write_biq2021(tmp_path / "biq", n_train=24, n_val=12)
    (tmp_path / "biq" / "b.tar").unlink()
    found = biq2021.read(tmp_path / "biq")
    assert (len(found.samples), found.missing_rows, found.missing_shards) == (18, 18, ("b.tar",))


def test_a_missing_table_is_named_with_the_layout(tmp_path):
    with pytest.raises(UsageError, match=r"no .*labels\.csv: BIQ2021 needs labels\.csv and the tar shards"):
        biq2021.read(tmp_path)


def test_a_member_that_the_table_promises_must_be_there(tmp_path):
    write_biq2021(tmp_path / "biq")
    table = tmp_path / "biq" / "labels.csv"
    table.write_text(table.read_text().replace("p1.png", "other.png"))
    with pytest.raises(UsageError, match=r"b\.tar has no other\.png"):
        biq2021.read(tmp_path / "biq")


def test_people_are_groups_of_names_and_a_table_that_is_absent_is_named(tmp_path):
    write_biq2021(tmp_path / "biq", n_train=4, n_val=4)
    groups = biq2021.people(tmp_path / "biq")
    assert groups == {
        "with a face": {"p0.jpg", "p2.jpg", "p4.jpg", "p6.jpg"},
        "portraits": {"p0.jpg", "p4.jpg"},
        "without a face": {"p1.jpg", "p3.jpg", "p5.jpg", "p7.jpg"},
    }
    (tmp_path / "biq" / "people.csv").unlink()
    with pytest.raises(UsageError, match=r"no .*people\.csv"):
        biq2021.people(tmp_path / "biq")


def test_faces_have_no_opinion_and_keep_their_split_when_more_arrive(tmp_path):
    write_sfhq(tmp_path / "few", 24)
    write_sfhq(tmp_path / "more", 36)
    few, more = sfhq.read(tmp_path / "few"), sfhq.read(tmp_path / "more")
    assert {s.label for s in few} == {None}
    assert [s.split for s in few] == [s.split for s in more[:24]]
    assert {s.split for s in more} == {"train", "val"}


def test_an_absent_face_is_named(tmp_path):
    write_sfhq(tmp_path / "faces", 4)
    (tmp_path / "faces" / "images" / "f2.png").unlink()
    with pytest.raises(UsageError, match=r"lacks 1 pictures .* first is images/f2\.png"):
        sfhq.read(tmp_path / "faces")


SHARED = Path(__file__).parents[3] / "shared" / "data"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside this checkout")
def test_the_real_table_counts_what_its_readme_says():
    found = biq2021.read(SHARED / "biq2021")
    val = [s for s in found.samples if s.split == "val"]
    assert len(val) == 1000
    assert len(found.samples) + found.missing_rows == 10_000
    assert all(0 <= s.label <= 1 for s in found.samples)
