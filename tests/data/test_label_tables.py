"""The compact label tables: direction, splits and references; the shared ones agree with what their README counts."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mien.core.errors import UsageError
from mien.data import kadid10k, piq23
from mien.data.label_tables import SETS, read


def test_a_dmos_is_turned_so_that_higher_is_better(tmp_path):
    (tmp_path / "live.csv").write_text("image,reference,distortion,score\njp2k/1.bmp,refimgs/a.bmp,jp2k,15.5\n")
    (found,) = read(tmp_path, data="live")
    assert (found.label, found.reference, found.distortion) == (-15.5, "refimgs/a.bmp", "jp2k")


def test_a_variance_becomes_a_standard_deviation_and_pictures_are_pointed_at(tmp_path):
    (tmp_path / "gfiqa20k_ratings.csv").write_text("image,mos,variance,r01\n7_0.png,0.5,0.04,0.7\n")
    (tmp_path / "koniq10k.csv").write_text("image,mos,split\n1.jpg,3.5,training\n")
    assert read(tmp_path, data="gfiqa20k_ratings")[0].std == pytest.approx(0.2)
    (found,) = read(tmp_path, data="koniq10k", pictures=tmp_path / "koniq")
    assert (found.split, found.file) == ("train", tmp_path / "koniq" / "1024x768" / "1.jpg")


def test_an_unknown_table_and_a_missing_one_are_told(tmp_path):
    with pytest.raises(UsageError, match=r"no label table 'flive'; there are agiqa1k, csiq"):
        read(tmp_path, data="flive")
    with pytest.raises(UsageError, match=r"no .*spaq\.csv: expected a CSV file"):
        read(tmp_path, data="spaq")


SHARED = Path(__file__).parents[3] / "shared" / "data"
shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not beside this checkout")

ROWS = {
    **{"agiqa1k": 1080, "csiq": 866, "gfiqa20k_ratings": 19_998, "kadid10k": 10_125, "koniq10k": 10_073, "live": 779},
    **{"live_challenge": 1161, "spaq": 11_125, "thqa_ntire": 12_247, "tid2013": 3000, "uhd_iqa": 6073},
}


@shared
@pytest.mark.parametrize("data", SETS)
def test_the_shared_tables_have_their_rows_and_stay_on_their_scale(data):
    found = read(SHARED / "labels", data=data)
    labels = np.array([s.label for s in found], float)
    low, high = SETS[data].scale if SETS[data].higher_is_better else tuple(-v for v in reversed(SETS[data].scale))
    assert len(found) == ROWS[data]
    assert low <= labels.min() <= labels.max() <= high


@shared
def test_the_shared_tables_have_the_official_splits_and_their_references():
    splits = {data: Counter(s.split for s in read(SHARED / "labels", data=data)) for data in ("koniq10k", "uhd_iqa")}
    assert splits["koniq10k"] == {"train": 7058, "val": 1000, "test": 2015}
    assert splits["uhd_iqa"] == {"train": 4269, "val": 904, "test": 900}
    assert len({s.reference for s in read(SHARED / "labels", data="kadid10k")}) == 81
    assert len({s.reference for s in read(SHARED / "labels", data="tid2013")}) == 25


@shared
def test_the_shared_portraits_have_both_splits_and_zero_mean_in_every_scene():
    scene, device = (piq23.read(SHARED / "piq23", split=s, check_pictures=False) for s in ("scene", "device"))
    assert Counter(s.split for s in scene) == {"train": 3630, "test": 1486}
    assert Counter(s.split for s in device) == {"train": 3604, "test": 1512}
    test = {int(s.scene.rpartition("_")[2]) for s in scene if s.split == "test"}
    assert test == set(piq23.TEST_SCENES)
    scenes = {s.scene for s in scene}
    assert len(scenes) == 50
    means = [np.mean([s.label for s in scene if s.scene == name]) for name in sorted(scenes)[:5]]
    assert np.abs(means).max() < 1e-6


@shared
def test_the_official_and_the_compact_form_of_a_table_give_the_same_samples(tmp_path):
    compact = read(SHARED / "labels", data="kadid10k")[:50]
    lines = [f"{s.name.split('/')[1]},{s.reference.split('/')[1]},{s.label},\n" for s in compact]
    (tmp_path / "dmos.csv").write_text("dist_img,ref_img,dmos,var\n" + "".join(lines))
    official = kadid10k.read(tmp_path, check_pictures=False)
    assert [(f"images/{s.name}", s.label, s.reference) for s in official] == [
        (s.name, s.label, s.reference) for s in compact
    ]
