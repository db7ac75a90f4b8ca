"""BLAS has one thread inside, and as many as before outside, whoever leaves last."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from mien.subjective import jod
from mien.subjective.one_thread import one_thread
from mien.subjective.pairs import count
from mien.subjective.tables import Votes


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def _three():
    with threadpool_limits(3, user_api="blas"):
        if threads() != {3}:
            pytest.skip("this BLAS takes no orders")
        yield


def test_one_inside_and_as_many_as_before_outside():
    with one_thread():
        assert threads() == {1}
    assert threads() == {3}


def test_whoever_leaves_last_gives_them_back():
    first, second = one_thread(), one_thread()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert threads() == {1}
    second.__exit__(None, None, None)
    assert threads() == {3}


def test_an_error_gives_them_back():
    with pytest.raises(ValueError), one_thread():
        raise ValueError
    assert threads() == {3}


def test_scaling_computes_in_one(monkeypatch: pytest.MonkeyPatch):
    seen, minimise = [], jod.minimise

    def watched(*args, **options):
        seen.append(threads())
        return minimise(*args, **options)

    monkeypatch.setattr(jod, "minimise", watched)
    one = np.ones(3)
    jod.fit(count(Votes(("a", "b"), np.array([0, 0, 0]), np.array([1, 1, 1]), one, 1 - one, (), None)))
    assert seen and all(found == {1} for found in seen)
