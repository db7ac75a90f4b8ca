"""Who is one person: examples by hand in the plane, and a slow loop that follows the definition."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from mien.core.errors import UsageError
from mien.faces.people import people

Vectors = npt.NDArray[np.float64]


def at(*degrees: float) -> Vectors:
    """Unit vectors in the plane: the cosine of two of them is that of the angle between them."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def cos(degrees: float) -> float:
    return math.cos(math.radians(degrees))


def each_alone(vectors: Vectors, same: float) -> list[int]:
    """Every face on a picture of its own."""
    return people(vectors, range(len(vectors)), same=same)


def by_definition(vectors: Vectors, pictures: Sequence[int], same: float) -> set[frozenset[int]]:
    """All pairs of groups, all means of all pairs, from the start again after every join."""
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    groups = [frozenset([i]) for i in range(len(vectors))]
    while True:
        pairs = [
            (np.mean([units[i] @ units[j] for i in a for j in b]), a, b)
            for a, b in itertools.combinations(groups, 2)
            if not {pictures[i] for i in a} & {pictures[j] for j in b}
        ]
        mean, a, b = max(pairs, key=lambda pair: pair[0], default=(-math.inf, frozenset(), frozenset()))
        if mean < same:
            return set(groups)
        groups = [group for group in groups if group not in (a, b)] + [a | b]


def groups_of(numbers: Sequence[int]) -> set[frozenset[int]]:
    return {frozenset(i for i, n in enumerate(numbers) if n == number) for number in numbers}


def test_people_are_numbered_as_they_appear() -> None:
    assert each_alone(at(0, 90, 5, 180, 95), cos(20)) == [0, 1, 0, 2, 1]
    assert each_alone(at(90, 0, 95, 180, 5), cos(20)) == [0, 1, 0, 2, 1]


def test_the_limit_itself_is_the_same_person() -> None:
    pair = np.array([[2.0, 0.0], [3.0, 4.0]])  # the cosine is 0.6 exactly
    assert each_alone(pair, 0.6) == [0, 0]
    assert each_alone(pair, math.nextafter(0.6, 1)) == [0, 1]


def test_only_the_direction_counts() -> None:
    lengths = np.array([[1e-3], [7.0], [1e3], [1.0]])
    assert each_alone(at(0, 90, 5, 95) * lengths, cos(20)) == [0, 1, 0, 1]


def test_a_chain_of_resemblances_makes_no_person() -> None:
    """Single linkage would join all: 80 is 42 degrees from 38. Its mean cosine with both is that of 63 degrees."""
    assert each_alone(at(0, 38, 80), cos(50)) == [0, 0, 1]


def test_one_poor_resemblance_does_not_part_a_person() -> None:
    """Complete linkage would refuse 60, 60 degrees from 0. Its mean cosine with both is that of 55 degrees."""
    assert each_alone(at(0, 10, 60), cos(56)) == [0, 0, 0]


def test_two_faces_of_one_picture_are_two_people_however_alike() -> None:
    assert people(at(0, 0), ["a", "a"], same=0.5) == [0, 1]
    assert people(at(0, 0), ["a", "b"], same=0.5) == [0, 0]


def test_of_two_faces_of_a_picture_the_more_similar_one_is_taken() -> None:
    assert people(at(0, 8, 3), ["a", "a", "b"], same=cos(20)) == [0, 1, 0]
    assert people(at(0, 8, 5), ["a", "a", "b"], same=cos(20)) == [0, 1, 1]


def test_groups_that_share_a_picture_stay_apart() -> None:
    """The second face is like the third, but that has been joined with the first one, of the second's picture."""
    assert people(at(0, 12, 4, 14), ["a", "a", "b", "c"], same=cos(30)) == [0, 1, 0, 1]
    assert people(at(0, 9, 4), ["a", "a", "b"], same=cos(30)) == [0, 1, 0]


@pytest.mark.parametrize("seed", range(20))
def test_the_groups_are_those_of_the_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, same = int(rng.integers(2, 25)), float(rng.uniform(-0.2, 0.9))
    vectors = rng.normal(size=(4, 6))[rng.integers(4, size=n)] + rng.normal(scale=0.7, size=(n, 6))
    pictures = rng.integers(max(n // 2, 1), size=n).tolist()
    assert groups_of(people(vectors, pictures, same=same)) == by_definition(vectors, pictures, same)


@pytest.mark.parametrize("seed", range(10))
def test_who_is_with_whom_does_not_depend_on_the_order(seed: int) -> None:
    """In steps of 15 degrees nearly all is a tie; a picture has no two faces that are equal."""
    rng = np.random.default_rng(seed)
    faces = [(picture, degrees) for picture in range(8) for degrees in 15 * rng.choice(24, 3, replace=False)]
    wanted = None
    for _ in range(6):
        rng.shuffle(faces)
        numbers = people(at(*(degrees for _, degrees in faces)), [p for p, _ in faces], same=cos(50))
        found = {frozenset(tuple(faces[i]) for i in group) for group in groups_of(numbers)}
        assert wanted in (None, found)
        wanted = found


def test_one_face_and_none() -> None:
    assert each_alone(at(30), 0.5) == [0]
    assert each_alone(np.empty((0, 512)), 0.5) == []


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones(2), r"one for each of 2 faces, and not of the shape \(2,\)"),
        (np.ones((3, 4)), r"one for each of 2 faces, and not of the shape \(3, 4\)"),
        (np.array([[1.0, 0.0], [0.0, 0.0]]), "points nowhere"),
        (np.array([[1.0, 0.0], [np.nan, 0.0]]), "points nowhere"),
    ],
)
def test_what_cannot_be_compared_is_refused(vectors: Vectors, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        people(vectors, [0, 1], same=0.5)
