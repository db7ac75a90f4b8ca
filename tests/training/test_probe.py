"""The probe tells a judge that follows degradations, and shrugs at what no eye notices, from one that does not."""

import numpy as np
import pytest
from PIL import Image

from mien.training import probe


@pytest.fixture
def pictures(rng):
    return [Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)) for _ in range(6)]


def test_a_judge_that_ignores_its_input_is_perfectly_steady(pictures):
    reports = probe.steadiness(lambda views: np.full(len(views), 0.5, np.float32), pictures, 32)
    assert set(reports) == {"mirrored", "shifted", "jpeg95"}
    assert all((r.mean, r.p95, r.largest) == (0, 0, 0) for r in reports.values())


def test_a_judge_that_looks_at_one_half_is_moved_by_mirroring(pictures):
    def left_half(views):
        return views[:, :, :16].mean((1, 2, 3)) / 255

    reports = probe.steadiness(left_half, pictures, 32)
    truth = []
    for picture in pictures:
        seen = np.asarray(picture.resize((32, 32), Image.Resampling.BILINEAR), float) / 255
        truth.append(abs(seen[:, :16].mean() - seen[:, ::-1][:, :16].mean()))
    assert reports["mirrored"].largest == pytest.approx(max(truth), abs=2e-3)
    assert reports["mirrored"].mean == pytest.approx(np.mean(truth), abs=2e-3)
    assert reports["mirrored"].mean <= reports["mirrored"].p95 <= reports["mirrored"].largest


def test_encoding_again_is_a_real_encoding(pictures):
    def detail(views):
        return np.abs(np.diff(views.astype(float), axis=2)).mean((1, 2, 3)) / 255

    assert 0 < probe.steadiness(detail, pictures, 48)["jpeg95"].mean < 0.2
