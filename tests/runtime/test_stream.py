"""What a stream promises: one row each, in order, lazily, whatever happens; and scores that depend on nothing else."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mien.core import preprocess as preprocess_module
from mien.core.errors import UsageError
from mien.core.types import STATUSES, Score
from mien.runtime.scorer import Scorer

POINTS = ["score", "score_lo", "score_hi", "percentile", "sharpness", "exposure", "noise", "compression"]
BLACK = np.zeros((300, 300, 3), np.uint8)  # the tiny judge answers NaN


@pytest.fixture(scope="module")
def scorer(tiny_judge: Path) -> Scorer:
    return Scorer(tiny_judge, threads=2)


@pytest.fixture(scope="module")
def one_by_one(scorer: Scorer, photos: list[Path]) -> dict[str, Score]:
    return {str(p): scorer.score(p) for p in photos}


def assert_same(rows: list[Score], expected: dict[str, Score]) -> None:
    for row in rows:
        for name in POINTS:
            assert getattr(row, name) == pytest.approx(getattr(expected[row.path], name), abs=1e-4), (row.path, name)


def decoding_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("mien-decode")]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch", [1, 2, 8, 32])
def test_scores_do_not_depend_on_batch_or_threads(
    tiny_judge: Path, photos: list[Path], one_by_one: dict[str, Score], batch: int, threads: int
) -> None:
    rows = list(Scorer(tiny_judge, batch=batch, threads=threads).stream(photos))
    assert [r.path for r in rows] == [str(p) for p in photos]
    assert_same(rows, one_by_one)


@pytest.mark.parametrize("batch", [1, 2, 8, 32])
def test_a_full_batch_of_the_network_answers_as_one_by_one(tiny_judge: Path, batch: int) -> None:
    """`stream` takes what is ready; this forces every size of batch through the network."""
    squares = np.random.default_rng(1).integers(1, 256, (32, 256, 256, 3)).astype(np.float32)
    judge = Scorer(tiny_judge, threads=2)._judge
    pictures = [{"image": square} for square in squares]
    alone = [judge([picture])[0] for picture in pictures]
    together = [row for i in range(0, 32, batch) for row in judge(pictures[i : i + batch])]
    for a, b in zip(alone, together, strict=True):
        assert [getattr(b, n) for n in POINTS] == pytest.approx([getattr(a, n) for n in POINTS], abs=1e-4)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_scores_do_not_depend_on_the_order_or_the_company(
    scorer: Scorer, photos: list[Path], one_by_one: dict[str, Score], data: st.DataObject
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(photos), max_size=30))
    rows = list(scorer.stream(chosen))
    assert [r.path for r in rows] == [str(p) for p in chosen]
    assert_same(rows, one_by_one)


def test_a_stream_takes_every_kind_of_source_in_any_mixture(scorer: Scorer, photos: list[Path]) -> None:
    array = np.full((80, 90, 3), 90, np.uint8)
    rows = list(scorer.stream([photos[0], str(photos[1]), photos[2].read_bytes(), array]))
    assert [r.status for r in rows] == ["ok"] * 4
    assert [r.path for r in rows] == [str(photos[0]), str(photos[1]), "", ""]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(st.sampled_from(["good", "gone", "empty", "garbage", "black", "none", "float", "folder"])))
def test_every_input_gets_one_row_and_a_row_without_score_has_a_reason_and_no_numbers(
    scorer: Scorer, photos: list[Path], kinds: list[str]
) -> None:
    sources = {
        "good": photos[0],
        "gone": photos[0].with_name("gone.jpg"),
        "empty": b"",
        "garbage": b"\xff\xd8\xff" + bytes(range(256)),
        "black": BLACK,
        "none": None,
        "float": np.ones((9, 9)),
        "folder": photos[0].parent,
    }
    rows = list(scorer.stream([sources[k] for k in kinds]))  # type: ignore[misc]
    assert ["good" if r.status == "ok" else "bad" for r in rows] == ["good" if k == "good" else "bad" for k in kinds]
    for row in (r for r in rows if r.status != "ok"):
        assert row.status in STATUSES
        assert row.error and row.error.isprintable()
        assert [k for k, v in row.to_dict().items() if isinstance(v, int | float)] == []


def test_a_file_that_is_gone_gets_a_missing_row_with_its_path(scorer: Scorer, tmp_path: Path) -> None:
    (row,) = scorer.stream([tmp_path / "gone.jpg"])
    assert (row.path, row.status, row.model) == (str(tmp_path / "gone.jpg"), "missing", "tiny@1")


def test_a_name_that_is_not_utf8_is_escaped_in_its_row(scorer: Scorer, tmp_path: Path) -> None:
    (row,) = scorer.stream([os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n.jpg")])
    row.path.encode("utf-8")
    row.error.encode("utf-8")
    assert "\n" not in row.path + row.error


def test_a_path_object_that_fails_gets_its_row(scorer: Scorer, photos: list[Path]) -> None:
    class Broken:
        def __fspath__(self) -> str:
            raise RuntimeError("no path today")

    rows = list(scorer.stream([Broken(), photos[0]]))
    assert [r.status for r in rows] == ["decode_error", "ok"]


def test_an_unforeseen_error_in_decoding_becomes_a_row_of_one_line(
    scorer: Scorer, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(preprocess_module, "decode", broken)
    (row,) = scorer.stream([photos[0]])
    assert (row.status, row.error) == ("decode_error", "ZeroDivisionError: by zero")


def test_a_network_that_fails_gives_model_error_rows_and_the_stream_goes_on(
    tiny_judge: Path, photos: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer(tiny_judge, batch=1)
    network, calls = scorer._judge._network, itertools.count()

    def moody(batch: Any) -> Any:
        if next(calls) == 1:
            raise MemoryError("no room")
        return network(batch)

    monkeypatch.setattr(scorer._judge, "_network", moody)
    rows = list(scorer.stream(photos[:3]))
    assert [r.status for r in rows] == ["ok", "model_error", "ok"]
    assert (rows[1].error, rows[1].path) == ("MemoryError: no room", str(photos[1]))


def test_an_error_of_the_source_comes_after_the_rows_before_it(scorer: Scorer, photos: list[Path]) -> None:
    def sources() -> Iterator[Path]:
        yield from photos[:3]
        raise OSError("the list ends here")

    rows: list[Score] = []
    with pytest.raises(OSError, match="the list ends here"):
        rows.extend(scorer.stream(sources()))
    assert [r.path for r in rows] == [str(p) for p in photos[:3]]
    assert decoding_threads() == []


def test_ctrl_c_in_the_source_passes_through_at_once(scorer: Scorer, photos: list[Path]) -> None:
    def sources() -> Iterator[Path]:
        yield photos[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(scorer.stream(sources()))
    assert decoding_threads() == []


def test_an_endless_source_is_read_a_bounded_number_ahead(tiny_judge: Path, photos: list[Path]) -> None:
    scorer = Scorer(tiny_judge, batch=4, threads=2)
    read = itertools.count()
    rows = scorer.stream(photos[next(read) % 3] for _ in itertools.count())
    for _ in range(20):
        next(rows)
    assert next(read) <= 20 + 2 * 4 + 2 + 4  # look-ahead, and the batch in hand
    rows.close()  # type: ignore[attr-defined]


def test_nothing_is_read_before_the_first_row_is_asked_for(scorer: Scorer) -> None:
    def sources() -> Iterator[Path]:
        raise AssertionError("read")
        yield Path()

    scorer.stream(sources())


def test_a_consumer_that_stops_early_leaves_no_threads(scorer: Scorer, photos: list[Path]) -> None:
    rows = scorer.stream(photos)
    next(rows)
    assert decoding_threads() != []
    rows.close()  # type: ignore[attr-defined]
    assert decoding_threads() == []


def test_a_stream_that_is_used_up_leaves_no_threads(scorer: Scorer, photos: list[Path]) -> None:
    list(scorer.stream(photos[:3]))
    assert decoding_threads() == []


def test_an_empty_stream_has_no_rows(scorer: Scorer) -> None:
    assert list(scorer.stream([])) == []


def test_one_scorer_serves_several_threads_at_once(
    scorer: Scorer, photos: list[Path], one_by_one: dict[str, Score]
) -> None:
    with ThreadPoolExecutor(4) as pool:
        streams = [pool.submit(lambda: list(scorer.stream(photos[:10]))) for _ in range(2)]
        rows = list(pool.map(scorer.score, photos[10:20]))
        rows += [row for s in streams for row in s.result()]
    assert len(rows) == 30
    assert_same(rows, one_by_one)


def test_an_array_of_paths_is_several_pictures(scorer: Scorer, photos: list[Path]) -> None:
    paths = np.array([str(p) for p in photos[:3]])
    assert [r.path for r in scorer.stream(paths)] == paths.tolist()


@pytest.mark.parametrize("one", ["me.jpg", b"jpeg", bytearray(b"jpeg"), Path("me.jpg"), BLACK, BLACK[..., 0]])
def test_one_picture_instead_of_many_is_a_usage_error(scorer: Scorer, one: object) -> None:
    with pytest.raises(UsageError, match=r"stream takes several pictures"):
        scorer.stream(one)  # type: ignore[arg-type]
