"""Why a face is good or bad, in measured quantities: one number with a unit for each reason.

The numbers are plain image processing on five landmarks and a box; no network is asked. Where OFIQ has a component for
the same quantity, `components` gives its 0..100 under OFIQ's name. OFIQ takes 98 landmarks and parsed skin where we
have five and an ellipse: the value is ours, made with OFIQ's formula, and not OFIQ's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from mien.core.types import Face
from mien.faces.align import to_template, warp
from mien.faces.blur import blur_px
from mien.faces.light import light_of
from mien.faces.ofiq import component_value
from mien.faces.pose import chin_distance, pose_of

Better = Literal["higher", "lower", "zero", "middle"]  #: zero: the nearer to 0; middle: neither small nor large


@dataclass(frozen=True, slots=True)
class FaceMeasures:
    """What was measured on one face, in the units of `MEASURES`. None: it cannot be told, neither good nor bad."""

    n_faces: float | None = None
    second_face: float | None = None
    inter_eye_px: float | None = None
    head_size: float | None = None
    left_margin: float | None = None
    right_margin: float | None = None
    margin_above: float | None = None
    margin_below: float | None = None
    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None
    blur_px: float | None = None
    blur_percent: float | None = None
    luminance_mean: float | None = None
    luminance_variance: float | None = None
    dynamic_range: float | None = None
    under_exposed: float | None = None
    over_exposed: float | None = None
    light_overlap: float | None = None
    light_balance: float | None = None
    skin_colour: float | None = None
    background_gradient: float | None = None
    eyes_covered: float | None = None
    mouth_covered: float | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """What one number means."""

    unit: str
    better: Better
    meaning: str
    component: str = ""  #: OFIQ's name for the quantity, where its formula can be followed


MEASURES: dict[str, Measure] = {
    "n_faces": Measure("", "middle", "faces in the picture"),
    "second_face": Measure("share", "lower", "area of the second largest face over the largest", "SingleFacePresent"),
    "inter_eye_px": Measure("px", "higher", "distance between the eyes, over the cosine of yaw", "InterEyeDistance"),
    "head_size": Measure("share", "middle", "eyes to chin over the height of the picture", "HeadSize"),
    "left_margin": Measure("eye distances", "higher", "eye on the left to the left edge", "LeftwardCropOfTheFaceImage"),
    "right_margin": Measure(
        "eye distances", "higher", "eye on the right to the right edge", "RightwardCropOfTheFaceImage"
    ),
    "margin_above": Measure("eye-chin distances", "higher", "eyes to the upper edge", "MarginAboveOfTheFaceImage"),
    "margin_below": Measure("eye-chin distances", "higher", "eyes to the lower edge", "MarginBelowOfTheFaceImage"),
    "yaw": Measure("degrees", "zero", "turned to a side", "HeadPoseYaw"),
    "pitch": Measure("degrees", "zero", "looking up or down", "HeadPosePitch"),
    "roll": Measure("degrees", "zero", "tilted", "HeadPoseRoll"),
    "blur_px": Measure("px", "lower", "width of the edges in the face, as a Gaussian"),
    "blur_percent": Measure("% of the eye distance", "lower", "the same in relation to the face"),
    "luminance_mean": Measure("0..1", "middle", "mean luminance of the face", "LuminanceMean"),
    "luminance_variance": Measure("0..1", "middle", "variance of the luminance", "LuminanceVariance"),
    "dynamic_range": Measure("bits", "higher", "entropy of the luminance", "DynamicRange"),
    "under_exposed": Measure("share", "lower", "too dark part of the face", "UnderExposurePrevention"),
    "over_exposed": Measure("share", "lower", "burnt out part of the face", "OverExposurePrevention"),
    "light_overlap": Measure("share", "higher", "how alike both cheeks are lit", "IlluminationUniformity"),
    "light_balance": Measure("ratio", "higher", "luminance of the darker cheek over the brighter one"),
    "skin_colour": Measure("CIELAB", "lower", "distance of the cheeks from colours that skin has", "NaturalColour"),
    "background_gradient": Measure("grey levels per px", "lower", "structure beside and above the head"),
    "eyes_covered": Measure("share", "lower", "never told: five landmarks do not show glasses, hair or a hand"),
    "mouth_covered": Measure("share", "lower", "never told: five landmarks do not show a mask or a hand"),
}
"""Name -> unit, direction, meaning; in the order of the fields of `FaceMeasures`. Luminance is linear in light; left
and right are those of the picture. More on light in `light.py`, on angles in `pose.py`, on blur in `blur.py`.
"""

_BACKGROUND_PX = 512  #: side of the frame on which the background is looked at, three times as wide as the face's own
_HEAD_HALF, _HEAD_ABOVE = 1.9, 2.2  #: half width, and height above the eyes, of head and hair, in eye distances
_BACKGROUND_ENOUGH = 0.02  #: share of the frame that has to be background


def measure(picture: Image.Image, face: Face, faces: Sequence[Face] = ()) -> FaceMeasures:
    """Measure one face of a picture.

    Args:
        picture: upright, mode RGB, full size.
        face: found in this picture.
        faces: all faces that were found in it; empty = nobody counted, so `n_faces` and `second_face` are unknown.

    Raises:
        UsageError: landmarks that all lie in one place, or a box without area.
    """
    pose, light, sigma = pose_of(face), light_of(picture, face), blur_px(picture, face)
    (rx, ry), (lx, ly) = face.landmarks[:2]
    eyes = math.hypot(lx - rx, ly - ry)
    chin, eyes_y = chin_distance(face), (ry + ly) / 2
    areas = sorted((f.area for f in faces), reverse=True)
    return FaceMeasures(
        n_faces=float(len(faces)) if faces else None,
        second_face=None if not faces else areas[1] / areas[0] if len(areas) > 1 and areas[0] > 0 else 0.0,
        inter_eye_px=_untwisted(eyes, None if pose is None else pose.yaw),
        head_size=chin / picture.height,
        left_margin=_over(min(rx, lx), eyes),
        right_margin=_over(picture.width - max(rx, lx), eyes),
        margin_above=_over(eyes_y, chin),
        margin_below=_over(picture.height - eyes_y, chin),
        yaw=None if pose is None else pose.yaw,
        pitch=None if pose is None else pose.pitch,
        roll=None if pose is None else pose.roll,
        blur_px=sigma,
        blur_percent=None if sigma is None else _over(100 * sigma, eyes),
        luminance_mean=light.mean,
        luminance_variance=light.variance,
        dynamic_range=light.dynamic_range,
        under_exposed=light.under_exposed,
        over_exposed=light.over_exposed,
        light_overlap=light.overlap,
        light_balance=light.balance,
        skin_colour=light.skin_colour,
        background_gradient=background_gradient(picture, face),
    )


def components(measures: FaceMeasures) -> dict[str, int | None]:
    """OFIQ's 0..100 of the measures for which it has a component; None where the measure is unknown.

    The native values are ours (see the top of this file); the mapping is OFIQ's.
    """
    values = {m.component: getattr(measures, name) for name, m in MEASURES.items() if m.component}
    return {name: None if value is None else component_value(name, value) for name, value in values.items()}


def background_gradient(picture: Image.Image, face: Face) -> float | None:
    """Mean steepness of the picture beside and above the head, above the chin: 0 for an even wall.

    No body is cut out, so hair that stands far off and other people count as background. It is not OFIQ's
    BackgroundUniformity, whose native value comes from parsed pixels.

    Returns:
        Grey levels (0..255) per pixel at the scale where the eyes are 42 px apart; None where less than 2 % of the
        frame is background: a face that fills the picture.
    """
    transform = to_template(face, _BACKGROUND_PX, margin=1.0)
    grey = np.asarray(warp(picture, transform, (_BACKGROUND_PX, _BACKGROUND_PX)).convert("L"), np.float64)
    y, x = np.mgrid[:_BACKGROUND_PX, :_BACKGROUND_PX] + 0.5
    px, py = transform.inverse()(np.stack([x.ravel(), y.ravel()], axis=1)).T.reshape(2, *grey.shape)
    edge = 2 / transform.scale  # the gradient must not see where the picture ends
    inside = (px > edge) & (py > edge) & (px < picture.width - edge) & (py < picture.height - edge)
    points = transform(face.landmarks)
    (cx, cy), apart = points[:2].mean(0), float(np.linalg.norm(points[1] - points[0]))
    beside = (np.abs(x - cx) > _HEAD_HALF * apart) & (y < cy + chin_distance(face) * transform.scale)
    region = inside & (beside | (y < cy - _HEAD_ABOVE * apart))
    if region.sum() < _BACKGROUND_ENOUGH * region.size:
        return None
    down, across = np.gradient(grey)
    return float(np.hypot(across, down)[region].mean())


def _untwisted(eyes: float, yaw: float | None) -> float | None:
    """The distance that the eyes would have in a frontal view; a profile tells nothing."""
    if yaw is None or math.cos(math.radians(yaw)) < 0.1:
        return None
    return eyes / math.cos(math.radians(yaw))


def _over(value: float, unit: float) -> float | None:
    return value / unit if unit > 0 else None
