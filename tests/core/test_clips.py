"""Clips of a video: which frames are read, what of them, and that a description says all of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from mien.core.clips import (
    ClipView,
    EvenClips,
    Squeeze,
    StretchClips,
    StretchFrames,
    VideoFragments,
    VideoPreprocess,
)
from mien.core.errors import UsageError
from mien.core.fragments import fragment_offsets, splice

FRAGMENTS = ClipView(EvenClips(2, frames=4), VideoFragments(2, patch_px=8, aligned_frames=2))


@pytest.fixture
def video(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (12, 24, 30, 3), dtype=np.uint8)


@pytest.mark.parametrize("length", [1, 5, 31, 32, 33, 64, 100, 1000])
@pytest.mark.parametrize(
    "sampler", [EvenClips(4, 32), EvenClips(1, 8, 3), StretchClips(3, 32, 2), StretchFrames(32, 2)]
)
def test_frames_are_in_the_video_and_one_interval_apart(sampler, length: int) -> None:
    found = sampler.indices(length)
    assert found.shape == ((1, 32) if isinstance(sampler, StretchFrames) else (sampler.n, sampler.frames))
    assert found.min() >= 0 and found.max() < length
    if not isinstance(sampler, StretchFrames):
        assert (np.diff(found, axis=1) % length == sampler.interval % length).all()


def test_even_clips_begin_in_the_middle_of_equal_shares() -> None:
    starts = EvenClips(4, 32).indices(40)[:, 0]
    assert starts.tolist() == [1, 3, 5, 7]  # 9 possible starts, 2.25 for each clip
    assert EvenClips(4, 32).indices(32)[:, 0].tolist() == [0, 0, 0, 0]


def test_even_clips_of_a_short_video_start_it_over() -> None:
    assert EvenClips(2, 6, 2).indices(5).tolist() == [[0, 2, 4, 1, 3, 0]] * 2


def test_a_clip_of_a_stretch_begins_anywhere_but_at_the_last_place_that_fits() -> None:
    starts = np.array([StretchClips(3, 8, 2, seed=seed).indices(60)[:, 0] for seed in range(60)])
    assert [sorted(set(column)) for column in starts.T] == [[0, 1, 2, 3], [20, 21, 22, 23], [40, 41, 42, 43]]


@pytest.mark.parametrize("length", [47, 48, 50])
def test_a_stretch_without_room_gives_the_clip_that_begins_with_it(length: int) -> None:
    found = StretchClips(3, 8, 2, seed=5).indices(length)
    assert found[:, 0].tolist() == [0, length // 3, 2 * (length // 3)]


def test_single_frames_come_from_stretches_of_their_own() -> None:
    found = np.array([StretchFrames(4, 2, seed=seed).indices(20)[0] for seed in range(60)])
    assert [sorted(set(column)) for column in found.T] == [[0, 1, 2], [5, 6, 7], [10, 11, 12], [15, 16, 17]]


def test_a_video_with_fewer_frames_than_stretches_gives_its_first_one() -> None:
    assert not StretchFrames(32, 2).indices(31).any()


@pytest.mark.parametrize("sampler", [EvenClips(2, 3), StretchClips(2, 3), StretchFrames(2)])
def test_places_can_be_passed_in(sampler) -> None:
    assert sampler.indices(100, [7, 60]).reshape(2, -1)[:, 0].tolist() == [7, 60]


@pytest.mark.parametrize("size", [(40, 50), (17, 9), (24, 24), (300, 61)])
@pytest.mark.parametrize("antialias", [True, False])
def test_a_squeezed_frame_is_torchs(rng: np.random.Generator, size: tuple[int, int], antialias: bool) -> None:
    torch = pytest.importorskip("torch")
    frames = rng.integers(0, 256, (2, *size, 3), dtype=np.uint8)
    reference = torch.nn.functional.interpolate(
        torch.from_numpy(frames).permute(0, 3, 1, 2).float(), (24, 24), mode="bilinear", antialias=antialias
    )
    difference = np.abs(Squeeze(24, antialias)(frames) - reference.round().permute(0, 2, 3, 1).numpy())
    assert difference.max() <= 1
    assert (difference > 0).mean() < 2e-3  # halves that were rounded the other way


def test_smoothing_is_pillows_to_a_level_and_matters(rng: np.random.Generator) -> None:
    frame = rng.integers(0, 256, (90, 120, 3), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(frame).resize((30, 30), Image.Resampling.BILINEAR), np.float32)
    assert np.abs(Squeeze(30)(frame[None])[0] - pillow).max() <= 1
    assert np.abs(Squeeze(30, antialias=False)(frame[None])[0] - pillow).max() > 30


def test_a_frame_of_the_size_asked_for_is_untouched(video: np.ndarray) -> None:
    square = video[:, :, :24]
    assert np.array_equal(Squeeze(24)(square), square)
    assert np.array_equal(Squeeze(24, antialias=False)(square), square)


def test_enlarged_video_frames_are_cut_to_whole_numbers(rng: np.random.Generator) -> None:
    frames = rng.integers(0, 256, (2, 20, 25, 3), dtype=np.uint8)
    offsets = fragment_offsets(20, 25, 4)
    exact, whole = splice(frames, offsets, 4), splice(frames, offsets, 4, whole_numbers=True)
    assert np.array_equal(whole, np.floor(whole))
    assert (whole <= exact + 1e-3).all() and (exact - whole < 1 + 1e-3).all()
    assert (exact - whole).mean() == pytest.approx(0.5, abs=0.05)  # cut, not rounded


def test_fragments_stay_for_their_run_of_frames_and_are_raw(video: np.ndarray) -> None:
    still = np.repeat(video[:1], 12, axis=0)
    pixels = FRAGMENTS.pixels(still)
    assert pixels.shape == (2, 4, 16, 16, 3)
    assert np.array_equal(pixels[:, 0], pixels[:, 1]) and np.array_equal(pixels[:, 2], pixels[:, 3])
    assert not np.array_equal(pixels[0, 0], pixels[0, 2])
    offsets = np.arange(16).reshape(2, 2, 2, 2) % 4
    at = offsets[:, 1, 0, 2 - 1]
    fixed = FRAGMENTS.pixels(still, offsets=np.repeat(offsets, 2, axis=3))
    assert np.array_equal(fixed[1, 0, 8:, :8], video[0, 12 + at[0] : 20 + at[0], at[1] : at[1] + 8])


def test_only_the_frames_that_were_asked_for_are_looked_at(video: np.ndarray) -> None:
    view = ClipView(EvenClips(1, frames=2), Squeeze(16))
    indices = view.indices(len(video))
    first = view(video)
    seen = np.isin(np.arange(12), indices)
    assert seen.sum() == 2
    video[~seen] = 0
    assert np.array_equal(view(video), first)
    assert np.array_equal(view(video[::-1], 11 - indices), first)


def test_a_clip_is_normalised_channel_by_channel() -> None:
    grey = np.full((1, 8, 8, 3), 100, np.uint8)
    view = ClipView(EvenClips(3, frames=2), Squeeze(4), mean=(100.0, 90.0, 0.0), std=(1.0, 5.0, 50.0))
    found = view(grey)
    assert found.shape == (3, 3, 2, 4, 4) and found.dtype == np.float32
    assert np.array_equal(found[1, :, 1, 2, 3], np.array([0, 2, 2], np.float32))


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8, 4), np.uint8), np.zeros((4, 8, 8, 3))]
)
def test_what_is_no_video_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"\(frames, height, width, 3\) uint8"):
        FRAGMENTS(bad)


def test_a_video_without_frames_is_refused() -> None:
    with pytest.raises(UsageError, match="without frames"):
        FRAGMENTS(np.zeros((0, 8, 8, 3), np.uint8))


def test_a_preprocessing_prepares_every_input_and_names_its_frames(video: np.ndarray) -> None:
    preprocess = VideoPreprocess({"a": FRAGMENTS, "b": ClipView(StretchFrames(5), Squeeze(8))})
    made = preprocess(video)
    assert {name: view.shape for name, view in made.items()} == {"a": (2, 3, 4, 16, 16), "b": (1, 3, 5, 8, 8)}
    assert {name: frames.shape for name, frames in preprocess.indices(12).items()} == {"a": (2, 4), "b": (1, 5)}
    assert all(np.array_equal(view, preprocess(video)[name]) for name, view in made.items())


def test_the_id_changes_with_every_setting_and_the_description_is_json() -> None:
    variants = [
        FRAGMENTS,
        replace(FRAGMENTS, std=(1.0, 1.0, 1.0)),
        replace(FRAGMENTS, sampler=EvenClips(2, frames=4, interval=2)),
        replace(FRAGMENTS, sampler=StretchClips(2, frames=4)),
        replace(FRAGMENTS, space=replace(FRAGMENTS.space, seed=1)),
        replace(FRAGMENTS, space=Squeeze(16)),
        replace(FRAGMENTS, space=Squeeze(16, antialias=False)),
    ]
    described = [VideoPreprocess({"video": view}) for view in variants]
    assert len({p.id for p in described}) == len(variants)
    view = json.loads(json.dumps(described[0].to_dict()))["inputs"]["video"]
    assert view["sampler"] == {"kind": "even_clips", "n": 2, "frames": 4, "interval": 1}
    assert view["space"]["kind"] == "fragments"
