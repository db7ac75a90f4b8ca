"""OFIQ's components: from a native value to a quality of 0..100, higher is better.

Source:  OFIQ 1.0.3 (BSI-OFIQ/OFIQ-Project, MIT), the reference implementation of ISO/IEC 29794-5. Written from its
         published parameters; the conformance table of a release candidate is reproduced (`tests/faces/test_ofiq.py`).
Limits:  this is the mapping alone. Native values that `measures.py` computes come from five landmarks and an ellipse,
         OFIQ's from 98 landmarks and parsed skin: the same name and unit, not the same number.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from mien.core.errors import UsageError

Mapping = Callable[[float], float]


def _sigmoid(t: float) -> float:
    return 1 / (1 + math.exp(-t)) if t >= 0 else math.exp(t) / (1 + math.exp(t))


def _curve(h: float, a: float, s: float, x0: float, w: float) -> Mapping:
    """h (a + s sigmoid((x - x0) / w)), in OFIQ's letters."""
    return lambda x: h * (a + s * _sigmoid((x - x0) / w))


def _luminance_mean(x: float) -> float:
    return 100 * _sigmoid((x - 0.2) / 0.05) * (1 - _sigmoid((x - 0.8) / 0.05))


def _luminance_variance(x: float) -> float:
    return 100 * math.sin(math.pi * 60 * x / (60 * x + 1))


def _free(share: float) -> float:
    """Of a share that is covered, or of another face."""
    return 100 * (1 - share)


def _frontal(degrees: float) -> float:
    return 100 * max(0.0, math.cos(math.radians(degrees))) ** 2


def _no_head_coverings(x: float) -> float:
    """100 without any, 0 from 0.95 of the upper part on, and a sigmoid between these ends."""
    if x <= 0:
        return 100.0
    if x >= 0.95:
        return 0.0
    here, start, end = (_sigmoid((v - 0.02) / 0.1) for v in (x, 0.0, 0.95))
    return 100 * (end - here) / (end - start)


COMPONENTS: dict[str, Mapping] = {
    "UnifiedQualityScore": _curve(100, 0, 1, 23, 2.6),  # length of MagFace's embedding
    "BackgroundUniformity": _curve(190, 1, -1, 10, 100),  # mean gradient of the background
    "IlluminationUniformity": lambda x: 100 * x**0.3,  # overlap of the histograms of both cheeks, 0..1
    "LuminanceMean": _luminance_mean,  # 0..1
    "LuminanceVariance": _luminance_variance,  # of luminance 0..1
    "UnderExposurePrevention": _curve(120, 0.832, -1, 0.92, 0.05),  # share of dark pixels
    "OverExposurePrevention": lambda x: 1 / (x + 0.01),  # share of bright pixels
    "DynamicRange": lambda x: 12.5 * x,  # entropy in bits
    "Sharpness": _curve(1, -14, 115, -20, 15),  # trees of a forest that do not say "blurred"
    "CompressionArtifacts": _curve(1, -0.0278, 103, 0.3308, 0.092),  # predicted SSIM
    "NaturalColour": _curve(200, 1, -1, 0, 10),  # distance in CIELAB from colours that skin has
    "SingleFacePresent": _free,  # area of the second largest face over that of the largest
    "EyesOpen": _curve(100, 0, 1, 0.02, 0.01),  # distance of the lids over T
    "MouthClosed": _curve(100, 1, -1, 0.2, 0.06),  # distance of the lips over T
    "EyesVisible": _free,  # covered share of the eyes
    "MouthOcclusionPrevention": _free,  # covered share of the mouth
    "FaceOcclusionPrevention": _free,  # covered share of the face
    "InterEyeDistance": _curve(100, 0, 1, 70, 20),  # px, over the cosine of yaw
    "HeadSize": lambda x: _curve(200, 1, -1, 0, 0.05)(abs(x - 0.45)),  # T over the height of the picture
    "LeftwardCropOfTheFaceImage": _curve(100, 0, 1, 0.9, 0.1),  # right eye to the left edge, inter-eye distances
    "RightwardCropOfTheFaceImage": _curve(100, 0, 1, 0.9, 0.1),  # left eye to the right edge
    "MarginAboveOfTheFaceImage": _curve(100, 0, 1, 1.4, 0.1),  # middle of the eyes to the upper edge, over T
    "MarginBelowOfTheFaceImage": _curve(100, 0, 1, 1.8, 0.1),  # to the lower edge
    "HeadPoseYaw": _frontal,  # degrees
    "HeadPosePitch": _frontal,
    "HeadPoseRoll": _frontal,
    "ExpressionNeutrality": _curve(100, 0, 1, -5000, 5000),  # sum of a boosted classifier
    "NoHeadCoverings": _no_head_coverings,  # share of cloth and hat in the upper part
}
"""Name -> mapping before it is rounded and clipped; the comment says what the native value is. T is the distance from
the middle of the eyes to the chin."""


def component_value(name: str, native: float) -> int:
    """The quality that OFIQ gives a native value.

    Args:
        name: a key of `COMPONENTS`.
        native: in the unit of the component.

    Returns:
        0..100, rounded half away from zero.

    Raises:
        UsageError: no such component, or a native value that is not finite or that the component cannot have.
    """
    if name not in COMPONENTS:
        raise UsageError(f"OFIQ has no component {name!r}; it has {', '.join(COMPONENTS)}")
    try:
        mapped = COMPONENTS[name](native)
    except (ValueError, ZeroDivisionError):
        mapped = math.nan
    if isinstance(mapped, complex) or not (math.isfinite(native) and math.isfinite(mapped)):
        raise UsageError(f"{native} is no native value of OFIQ's {name}")
    return int(min(max(math.floor(abs(mapped) + 0.5) * math.copysign(1, mapped), 0), 100))
