"""Fragments: every patch comes raw from its own cell, and a seed repeats the draw."""

from __future__ import annotations

import numpy as np
import pytest

from mien.core.fragments import fragment_offsets, splice


def coordinates(height: int, width: int) -> np.ndarray:
    """A frame whose pixels know where they are: row, column."""
    rows, columns = np.indices((height, width), dtype=np.uint8)
    return np.stack([rows, columns, np.zeros_like(rows)], -1)[None]


@pytest.mark.parametrize(("height", "width", "grid", "patch"), [(64, 96, 4, 8), (101, 83, 5, 8), (49, 33, 3, 11)])
def test_each_patch_is_a_window_of_its_own_cell(height: int, width: int, grid: int, patch: int) -> None:
    fragment = splice(coordinates(height, width), fragment_offsets(height, width, grid, patch), grid, patch)[0]
    cell = np.array([height // grid, width // grid])
    for i, j in np.ndindex(grid, grid):
        found = fragment[i * patch : (i + 1) * patch, j * patch : (j + 1) * patch, :2]
        offset = found[0, 0] - cell * (i, j)
        assert (offset >= 0).all() and (offset + patch <= cell).all()
        assert np.array_equal(found - found[0, 0], coordinates(patch, patch)[0, ..., :2].astype(np.float32))


def test_every_offset_but_the_last_is_drawn() -> None:
    offsets = fragment_offsets(40 * 20, 37 * 20, 20, 32, seed=1)
    assert set(offsets[0].ravel()) == set(range(8))  # a patch of 32 fits into 40 at 9 places
    assert set(offsets[1].ravel()) == set(range(5))


@pytest.mark.parametrize("side", [32 * 4, 33 * 4, 20 * 4, 7])
def test_a_cell_without_room_has_the_offset_zero(side: int) -> None:
    assert not fragment_offsets(side, side, 4, 32, seed=3).any()


def test_a_seed_repeats_the_draw_and_another_one_does_not() -> None:
    first = fragment_offsets(400, 500, 5, blocks=3, seed=7)
    assert first.shape == (2, 5, 5, 3)
    assert np.array_equal(first, fragment_offsets(400, 500, 5, blocks=3, seed=7))
    assert not np.array_equal(first, fragment_offsets(400, 500, 5, blocks=3, seed=8))


def test_frames_of_a_block_share_their_offsets() -> None:
    frames = np.concatenate([coordinates(60, 60)] * 6)
    fragments = splice(frames, fragment_offsets(60, 60, 3, 8, blocks=2, seed=1), 3, 8)
    assert fragments.shape == (6, 24, 24, 3)
    assert all(np.array_equal(fragments[0], fragments[t]) for t in (1, 2))
    assert all(np.array_equal(fragments[3], fragments[t]) for t in (4, 5))
    assert not np.array_equal(fragments[0], fragments[3])


def test_frames_that_do_not_divide_into_blocks_are_refused() -> None:
    with pytest.raises(ValueError, match="5 frames do not divide into 2 blocks"):
        splice(np.zeros((5, 60, 60, 3), np.uint8), fragment_offsets(60, 60, 3, 8, blocks=2), 3, 8)


@pytest.mark.parametrize(("height", "width"), [(100, 87), (31, 126), (63, 127), (16, 16)])
def test_a_small_frame_is_enlarged_bilinearly_by_one_factor(rng, height: int, width: int) -> None:
    frame = rng.integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    grid, patch = 4, 32
    offsets = fragment_offsets(height, width, grid, patch)
    found = splice(frame, offsets, grid, patch)[0]
    scale = 1 / (min(height, width) / (grid * patch))
    picture = frame[0].astype(float)
    for y, x in rng.integers(0, grid * patch, (40, 2)):
        cell, inside = np.array([y, x]) // patch, np.array([y, x]) % patch
        # cells are laid out before the enlargement and end where a patch still fits
        origin = np.minimum(np.array([height, width]) // grid * cell, np.maximum([height - patch, width - patch], 0))
        at = origin + offsets[:, *cell, 0] + inside
        source = np.clip((at + 0.5) / scale - 0.5, 0, None)
        low = source.astype(int)
        high = np.minimum(low + 1, [height - 1, width - 1])
        s, t = source - low
        top = picture[low[0], low[1]] * (1 - t) + picture[low[0], high[1]] * t
        bottom = picture[high[0], low[1]] * (1 - t) + picture[high[0], high[1]] * t
        np.testing.assert_allclose(found[y, x], top * (1 - s) + bottom * s, atol=1e-3)


def test_where_the_enlarged_length_rounds_back_nothing_is_enlarged(rng: np.random.Generator) -> None:
    assert int(383 * (1 / (383 / 384))) == 383
    frame = rng.integers(0, 256, (1, 383, 383, 3), dtype=np.uint8)
    fragment = splice(frame, np.zeros((2, 12, 12, 1), np.int64), 12)
    assert np.array_equal(fragment[0, :32, :32], frame[0, :32, :32])
    assert np.array_equal(fragment[0, 352:, 352:], frame[0, 341:373, 341:373])


def test_a_long_strip_costs_no_more_than_its_own_size(rng: np.random.Generator) -> None:
    import tracemalloc

    strip = rng.integers(0, 256, (1, 16, 4000, 3), dtype=np.uint8)
    tracemalloc.start()
    fragment = splice(strip, fragment_offsets(16, 4000, 15), 15)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fragment.shape == (1, 480, 480, 3)
    assert peak < 60e6  # enlarged in full it would be 480 x 120,000 x 3 floats: 691 MB
