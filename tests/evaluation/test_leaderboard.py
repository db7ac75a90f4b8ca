"""The ranking, the correction of p, the letters, and published rows beside submissions."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from mien.core.errors import UsageError
from mien.evaluation.evaluate import evaluate
from mien.evaluation.leaderboard import Entry, beside, holm, letter_display, published, rank, records
from mien.evaluation.protocol import Cost, Reference
from mien.evaluation.protocols import load
from mien.evaluation.tables import Labels

N = 120


def labels(seed=0):
    values = np.random.default_rng(seed).normal(size=N)
    return Labels(tuple(f"{i:03}" for i in range(N)), values, source="made up")


def entry(name, noise, *, protocol="plain", on=None, seed=1, **options):
    """A submission that sees the labels through noise; noise of another seed is independent."""
    on = on or labels()
    scores = on.values + noise * np.random.default_rng(seed).normal(size=len(on.names))
    options = {"draws": 600, **options}
    return Entry(name, evaluate(dict(zip(on.names, scores.tolist(), strict=True)), on, protocol, **options))


# ---- the correction -----------------------------------------------------------------------------------------------


def test_holm_on_an_example_worked_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_keeps_the_order_never_lowers_p_and_stays_below_one(rng):
    for _ in range(50):
        p = rng.uniform(0, 1, rng.integers(1, 20)) ** 3
        corrected = holm(p)
        assert (corrected >= p).all() and (corrected <= 1).all()
        assert (np.diff(corrected[np.argsort(p)]) >= 0).all()
        assert corrected.min() == pytest.approx(min(1, p.min() * len(p)))


# ---- the letters --------------------------------------------------------------------------------------------------


def test_letters_of_a_chain_in_which_only_the_ends_differ():
    assert letter_display(3, [(0, 2)]) == [("a",), ("a", "b"), ("b",)]


def test_letters_when_nothing_or_everything_differs():
    assert letter_display(3, []) == [("a",)] * 3
    assert letter_display(3, itertools.combinations(range(3), 2)) == [("a",), ("b",), ("c",)]


def test_two_share_a_letter_exactly_when_they_do_not_differ(rng):
    for _ in range(200):
        n = int(rng.integers(1, 9))
        differ = {pair for pair in itertools.combinations(range(n), 2) if rng.random() < 0.5}
        letters = letter_display(n, differ)
        assert all(letters) and "a" in letters[0]
        for i, j in itertools.combinations(range(n), 2):
            assert bool(set(letters[i]) & set(letters[j])) == ((i, j) not in differ)


def test_no_letter_is_superfluous(rng):
    for _ in range(100):
        n = int(rng.integers(2, 8))
        differ = {pair for pair in itertools.combinations(range(n), 2) if rng.random() < 0.5}
        display = letter_display(n, differ)
        members = {
            letter: {i for i in range(n) if letter in display[i]} for letter in {x for row in display for x in row}
        }
        for a, b in itertools.permutations(members, 2):
            assert not members[a] <= members[b]


def test_more_groups_than_letters_of_the_alphabet():
    display = letter_display(60, itertools.combinations(range(60), 2))
    assert len(set(display)) == 60 and display[59] == ("(60)",)


# ---- the ranking --------------------------------------------------------------------------------------------------


def test_best_first_with_intervals_letters_and_places():
    board = rank([entry("poor", 3.0, seed=2), entry("good", 0.3), entry("twin", 0.31)])
    assert [row.name for row in board.rows] == ["good", "twin", "poor"]
    assert [row.rank for row in board.rows] == [1, 2, 3]
    assert board.rows[2].places == (3, 3) and not set(board.rows[2].letters) & set(board.rows[0].letters)
    low, high = board.rows[0].entry.result.main.low, board.rows[0].entry.result.main.high
    assert low is not None and high is not None and low < board.rows[0].value < high


def test_twins_with_independent_errors_share_their_places():
    board = rank([entry("a", 1.0, seed=2), entry("b", 1.0, seed=3)])
    assert board.rows[0].letters == board.rows[1].letters == ("a",)
    assert [row.places for row in board.rows] == [(1, 2), (1, 2)]


def test_equal_values_share_a_rank():
    board = rank([entry("b", 0.5), entry("a", 0.5), entry("c", 2.0)])
    assert [(row.rank, row.name) for row in board.rows] == [(1, "a"), (1, "b"), (3, "c")]
    same = next(pair for pair in board.pairs if {pair.a, pair.b} == {"a", "b"})
    assert same.difference.value == 0 and same.p == 1


def test_pairs_are_corrected_together_and_the_better_one_stands_first():
    board = rank([entry("a", 0.2), entry("b", 0.9, seed=2), entry("c", 1.0, seed=3), entry("d", 4.0, seed=4)])
    assert len(board.pairs) == 6
    assert all(pair.difference.value >= 0 for pair in board.pairs)
    assert [p.p for p in board.pairs] == pytest.approx(holm([p.difference.p for p in board.pairs]).tolist())


def test_a_metric_where_lower_is_better_ranks_upwards():
    protocol = replace(load("plain"), metrics=("srcc", "rmse"), rank_by="rmse", main={})
    board = rank([entry("far", 3.0, protocol=protocol), entry("near", 0.1, protocol=protocol)])
    assert [row.name for row in board.rows] == ["near", "far"]
    assert board.rows[0].value < board.rows[1].value


def test_without_draws_there_is_a_ranking_but_no_comparison():
    board = rank([entry("a", 0.1, draws=0), entry("b", 1.0, draws=0)])
    assert [row.rank for row in board.rows] == [1, 2] and not board.pairs
    assert board.rows[0].letters == () and board.rows[0].places is None
    assert "no comparison" in board.method


def test_too_few_draws_are_told():
    board = rank([entry("a", 0.1, draws=50), entry("b", 5.0, draws=50, seed=2), entry("c", 9.0, draws=50, seed=3)])
    assert "use at least 120 draws" in board.notes[0]
    assert {row.letters for row in board.rows} == {("a",)}


def test_what_does_not_compare_is_refused():
    with pytest.raises(UsageError, match="do not compare: other protocol, labels, draws or seed"):
        rank([entry("a", 0.1), entry("b", 0.2, on=labels(seed=5))])
    with pytest.raises(UsageError, match="do not compare"):
        rank([entry("a", 0.1), entry("b", 0.2, draws=601)])
    with pytest.raises(UsageError, match="more than one submission is called a"):
        rank([entry("a", 0.1), entry("a", 0.2)])
    with pytest.raises(UsageError, match="at least one submission"):
        rank([])


# ---- published rows -----------------------------------------------------------------------------------------------


def test_published_rows_come_table_by_table_best_first():
    rows = published(load("ntire24-portrait"))
    assert list(dict.fromkeys(r.table for r in rows)) == ["PIQ23 test", "hidden test"]
    hidden = published(load("ntire24-portrait"), "hidden test")
    assert hidden[0].values["main"] == 0.517 and hidden == rows[8:]
    assert [r.values["main"] for r in hidden] == sorted((r.values["main"] for r in hidden), reverse=True)


def test_an_unknown_table_is_named_with_those_that_exist():
    with pytest.raises(UsageError, match="no published table 'x'; there is PIQ23 test, hidden test"):
        published(load("ntire24-portrait"), "x")


def test_published_rows_stand_where_their_value_belongs_and_move_no_rank():
    board = rank([entry("a", 0.1), entry("b", 3.0)])
    middle = (board.rows[0].value + board.rows[1].value) / 2
    rows = [
        Reference("best", "t", {"srcc": 1.0}),
        Reference("middle", "t", {"srcc": middle}),
        Reference("none", "t", {}),
    ]
    merged = beside(board, rows)
    assert [line.name for line in merged] == ["best", "a", "middle", "b", "none"]
    assert [row.rank for row in board.rows] == [1, 2]


def test_records_are_flat_complete_and_json():
    board = rank([replace(entry("a", 0.1), cost=Cost(1e9, 2e6, None)), entry("b", 3.0)])
    found = records(board, [Reference("paper", "its test", {"srcc": 0.9}, gmacs=0.5)], task="IQA", dataset="mine")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert len(found) == 2 * len(board.protocol.columns) + 1
    first = next(r for r in found if r["model"] == "a" and r["metric"] == "srcc")
    assert (first["task"], first["dataset"], first["rank"], first["macs"]) == ("IQA", "mine", 1, 1e9)
    assert first["value"] == board.rows[0].value and not first["published"]
    last = found[-1]
    assert last["published"] and last["dataset"] == "its test" and last["macs"] == 0.5e9 and last["rank"] is None
