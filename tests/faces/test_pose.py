"""Pose: points in space of a known pose, projected, give this pose back."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from faces.drawn import projected
from mien.core.types import Face
from mien.faces.align import TEMPLATES, roll_degrees
from mien.faces.pose import MEAN_FACE, Pose, chin_distance, pose_of


def angles(pose: Pose | None) -> tuple[float, float, float]:
    assert pose is not None
    return pose.yaw, pose.pitch, pose.roll


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll"), list(itertools.product((-60, -20, 0, 35), (-30, 0, 12, 40), (-150, -20, 0, 45, 179)))
)
def test_a_known_pose_comes_back(yaw: float, pitch: float, roll: float) -> None:
    pose = Pose(yaw, pitch, roll)
    assert angles(pose_of(projected(pose))) == pytest.approx(angles(pose), abs=1e-6)


@pytest.mark.parametrize(("yaw", "pitch"), list(itertools.product((-30, 0, 30), (-20, 0, 20))))
def test_perspective_of_a_portrait_moves_it_by_a_few_degrees(yaw: float, pitch: float) -> None:
    """A phone at arm's length is about 10 distances between the eyes away."""
    found = angles(pose_of(projected(Pose(yaw, pitch, 5.0), distance=10.0)))
    assert found == pytest.approx((yaw, pitch, 5.0), abs=6.0)


def test_the_signs_are_what_the_words_say() -> None:
    straight = np.array(projected(Pose(0, 0, 0)).landmarks)
    right = np.array(projected(Pose(30, 0, 0)).landmarks)
    up = np.array(projected(Pose(0, 30, 0)).landmarks)
    assert right[2, 0] > straight[2, 0] + 5  # the nose moves to the right
    assert up[2, 1] < straight[2, 1] - 5  # the nose moves up
    assert roll_degrees(projected(Pose(25, -10, 17))) == pytest.approx(17)


def test_the_templates_look_straight_ahead() -> None:
    points = TEMPLATES[512]
    face = Face((0, 0, 512, 512), tuple(map(tuple, points.tolist())), 1.0)
    assert angles(pose_of(face)) == pytest.approx((0, 0, 0), abs=1.0)
    assert chin_distance(face) == pytest.approx(1.73 * 131.2, abs=0.5)


def test_half_a_pixel_of_noise_at_40_px_is_a_few_degrees(rng: np.random.Generator) -> None:
    pose = Pose(15, -5, 3)
    errors = []
    for _ in range(200):
        points = np.array(projected(pose).landmarks) + rng.normal(0, 0.5, (5, 2))
        noisy = Face((0, 0, 1, 1), tuple(map(tuple, points.tolist())), 1.0)
        errors.append(np.subtract(angles(pose_of(noisy)), angles(pose)))
    assert np.std(errors, axis=0).max() < 4.0


def test_another_face_moves_the_angles_by_this_much() -> None:
    long_nose, low_nose, smile = (MEAN_FACE.copy() for _ in range(3))
    long_nose[2, 2] *= 1.2
    low_nose[2, 1] += 0.08
    smile[3:] += [(-0.08, -0.08, 0.0), (0.08, -0.08, 0.0)]
    turned = Pose(20, 0, 0)
    assert angles(pose_of(projected(turned, model=long_nose)))[0] == pytest.approx(24, abs=0.5)
    assert angles(pose_of(projected(Pose(0, 0, 0), model=low_nose)))[1] == pytest.approx(-8, abs=0.5)
    assert angles(pose_of(projected(Pose(0, 0, 0), model=smile)))[1] == pytest.approx(-5, abs=0.5)


def test_points_on_a_line_have_no_pose() -> None:
    line = Face((0, 0, 1, 1), ((0, 0), (1, 1), (2, 2), (3, 3), (4, 4)), 1.0)
    assert pose_of(line) is None
    assert pose_of(Face((0, 0, 1, 1), ((5.0, 5.0),) * 5, 1.0)) is None
