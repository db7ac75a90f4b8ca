"""Where a head looks, from five landmarks.

Method:  a mean face of five points in space is fitted to the landmarks by least squares with an affine camera, and the
         nearest scaled rotation is taken (weak perspective: the head is far away compared with its depth).
Mean face: across and down the five points of FFHQ's template (`align.TEMPLATES[512]`), which says what "straight ahead"
         is; depth from MediaPipe's canonical face model (google-ai-edge/mediapipe, face_geometry, Apache-2.0): eyes as
         the middle of their corners, tip of the nose, corners of the mouth.
Limits:  people differ from the mean face: a nose that is a fifth longer adds 4 degrees to a yaw of 20, a nose that ends
         lower or a broad smile takes 5 to 8 degrees off pitch; perspective moves both when a phone is held near (the
         tests have the numbers). Beyond about 60 degrees of yaw it is an extrapolation, for the landmarks of a hidden
         eye are guesses of the finder. Roll is the line through the eyes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mien.core.types import Face

MEAN_FACE = np.array(
    [(-0.5, 0.0, 0.0), (0.5, 0.0, 0.0), (0.0, 0.587, 0.636), (-0.444, 1.042, 0.130), (0.444, 1.042, 0.130)]
)
"""(5, 3): right, down, towards the camera, in distances between the eyes; in the order of `LANDMARKS`."""

CHIN_PER_EYE_MOUTH = 1.73  #: eyes to chin over eyes to mouth, in MediaPipe's canonical face model


@dataclass(frozen=True, slots=True)
class Pose:
    """Degrees. The head is first nodded, then turned, then tilted in the plane of the picture."""

    yaw: float  #: positive: the nose points to the right edge of the picture (the person turned to their left)
    pitch: float  #: positive: looks up
    roll: float  #: -180..180; positive: tilted clockwise, as one looks at the picture


def rotation(pose: Pose) -> npt.NDArray[np.float64]:
    """(3, 3) that turns `MEAN_FACE` into this pose; axes as there."""
    yaw, pitch, roll = (math.radians(v) for v in (pose.yaw, pose.pitch, pose.roll))
    nod = np.array([(1, 0, 0), (0, math.cos(pitch), -math.sin(pitch)), (0, math.sin(pitch), math.cos(pitch))])
    turn = np.array([(math.cos(yaw), 0, math.sin(yaw)), (0, 1, 0), (-math.sin(yaw), 0, math.cos(yaw))])
    tilt = np.array([(math.cos(roll), -math.sin(roll), 0), (math.sin(roll), math.cos(roll), 0), (0, 0, 1)])
    return tilt @ turn @ nod


def pose_of(face: Face) -> Pose | None:
    """The pose of a head; None where the landmarks span no plane (all on one line)."""
    points = np.array(face.landmarks, np.float64)
    model = MEAN_FACE - MEAN_FACE.mean(0)
    camera = np.linalg.lstsq(model, points - points.mean(0), rcond=None)[0].T  # (2, 3)
    if not np.isfinite(camera).all():
        return None
    u, scales, v = np.linalg.svd(camera, full_matrices=False)
    if scales[1] <= 1e-9 * max(scales[0], 1e-9):
        return None
    right, down = u @ v
    return _angles(np.stack([right, down, np.cross(right, down)]))


def _angles(r: npt.NDArray[np.float64]) -> Pose:
    """The inverse of `rotation`."""
    roll = math.atan2(r[1, 0], r[0, 0])
    across = math.cos(roll) * r[0, 2] + math.sin(roll) * r[1, 2]
    downwards = math.cos(roll) * r[1, 2] - math.sin(roll) * r[0, 2]
    yaw = math.atan2(across, r[2, 2])
    pitch = math.asin(min(max(-downwards, -1.0), 1.0))
    return Pose(math.degrees(yaw), math.degrees(pitch), math.degrees(roll))


def chin_distance(face: Face) -> float:
    """From the middle of the eyes to the chin in pixels, OFIQ's T.

    There is no landmark of the chin: it is put on the line from the eyes through the mouth, at the proportion of the
    canonical face. An open mouth, a beard or another face changes it.
    """
    points = np.array(face.landmarks, np.float64)
    return float(CHIN_PER_EYE_MOUTH * np.linalg.norm(points[3:].mean(0) - points[:2].mean(0)))
