"""What the scorer promises for one picture: which sources it takes, what the row says, which errors it raises."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import blobs
from mien.core.errors import ModelError, UnreadableImageError, UsageError
from mien.runtime.scorer import Scorer

NUMBERS = ["score", "score_lo", "score_hi", "raw", "percentile", "sharpness", "exposure", "noise", "compression"]


@pytest.fixture(scope="module")
def scorer(tiny_judge: Path) -> Scorer:
    return Scorer(tiny_judge, threads=2)


def test_a_row_that_is_ok_has_every_number_and_no_error(scorer: Scorer, photos: list[Path]) -> None:
    row = scorer.score(photos[0])
    assert (row.status, row.error) == ("ok", "")
    for name in NUMBERS:
        assert getattr(row, name) is not None and 0 <= getattr(row, name) <= 100, name
    assert row.score_lo < row.score < row.score_hi  # type: ignore[operator]
    assert row.ms is not None and row.ms > 0


def test_a_row_names_the_judge_and_the_preprocessing(scorer: Scorer, photos: list[Path]) -> None:
    row = scorer.score(photos[0])
    assert (row.model, row.preprocess) == ("tiny@1", "squash256-2")
    assert (row.model, row.preprocess) == (scorer.model_id, scorer.preprocess_id)


def test_a_row_has_the_size_of_the_picture_in_the_file(scorer: Scorer, tmp_path: Path) -> None:
    blobs(1, 3000, 2400).save(tmp_path / "large.jpg")
    row = scorer.score(tmp_path / "large.jpg")
    assert (row.width, row.height) == (3000, 2400)


def test_path_is_as_given_for_files_and_empty_for_other_sources(scorer: Scorer, photos: list[Path]) -> None:
    assert scorer.score(photos[0]).path == str(photos[0])
    assert scorer.score(str(photos[0])).path == str(photos[0])
    assert scorer.score(photos[0].read_bytes()).path == ""


@pytest.mark.parametrize("exact", [False, True])
def test_path_bytes_pil_and_array_of_one_picture_get_the_same_score(
    tiny_judge: Path, photos: list[Path], exact: bool
) -> None:
    scorer = Scorer(tiny_judge, exact=exact)
    for path in photos[:4]:
        with Image.open(path) as opened:
            rgb = opened.convert("RGB")
        scores = [scorer.score(s).score for s in (path, str(path), path.read_bytes(), rgb, np.asarray(rgb))]
        assert scores == pytest.approx([scores[0]] * 5, abs=1e-4)


def test_exact_gives_a_large_jpeg_the_score_of_its_pixels(tiny_judge: Path) -> None:
    file = io.BytesIO()
    blobs(3, 2100, 1700).save(file, "JPEG")
    exact = Scorer(tiny_judge, exact=True)
    with Image.open(file) as opened:
        pixels = np.asarray(opened.convert("RGB"))
    assert exact.score(file.getvalue()).score == pytest.approx(exact.score(pixels).score, abs=1e-4)


def test_reduced_decoding_changes_a_score_by_less_than_half_a_point(tiny_judge: Path) -> None:
    reduced, exact = Scorer(tiny_judge), Scorer(tiny_judge, exact=True)
    for seed in range(4):
        file = io.BytesIO()
        blobs(seed, 2600, 2200).save(file, "JPEG")
        assert reduced.score(file.getvalue()).score == pytest.approx(exact.score(file.getvalue()).score, abs=0.5)


def test_exact_and_reduced_agree_on_pictures_at_the_ends_of_the_range(tiny_judge: Path) -> None:
    pixels = 3 + np.random.default_rng(0).normal(0, 6, (2200, 2600, 1)) + np.zeros(3)
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=95)
    assert (
        Scorer(tiny_judge).score(file.getvalue()).score == Scorer(tiny_judge, exact=True).score(file.getvalue()).score
    )


def test_scoring_twice_gives_the_same_numbers(scorer: Scorer, photos: list[Path]) -> None:
    first, second = scorer.score(photos[0]), scorer.score(photos[0])
    assert [getattr(first, n) for n in NUMBERS] == [getattr(second, n) for n in NUMBERS]


def test_score_raises_missing_for_a_file_that_is_not_there(scorer: Scorer, tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        scorer.score(tmp_path / "gone.jpg")
    assert caught.value.status == "missing"


def test_score_raises_decode_error_for_garbage_behind_a_jpeg_header(scorer: Scorer) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        scorer.score(b"\xff\xd8\xff\xe0" + b"garbage" * 50)
    assert caught.value.status == "decode_error"


def test_score_raises_model_error_when_the_network_gives_no_number(scorer: Scorer) -> None:
    with pytest.raises(ModelError, match="not finite"):
        scorer.score(np.zeros((300, 300, 3), np.uint8))


@pytest.mark.parametrize("options", [{"batch": 0}, {"threads": 0}, {"threads": -1}])
def test_options_that_make_no_sense_are_refused(tiny_judge: Path, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Scorer(tiny_judge, **options)  # type: ignore[arg-type]


def test_an_unknown_model_is_refused_when_the_scorer_is_made() -> None:
    with pytest.raises(ModelError, match=r"there is no file nobody\.onnx"):
        Scorer("nobody.onnx")
