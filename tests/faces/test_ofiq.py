"""OFIQ's mappings: its conformance table to the last point, and the places where the table is silent by hand."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mien.core.errors import UsageError
from mien.faces.ofiq import COMPONENTS, component_value

TABLE = Path(__file__).parents[1] / "fixtures" / "ofiq" / "expected_results.csv"
OLD_NAMES = {
    "MarginAboveOfTheFaceImage": "DownwardCropOfTheFaceImage",
    "MarginBelowOfTheFaceImage": "UpwardCropOfTheFaceImage",
}


def rows() -> list[dict[str, str]]:
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def test_the_table_has_28_pictures_and_every_component() -> None:
    found = rows()
    assert len(found) == 28
    assert {OLD_NAMES.get(name, name) for name in COMPONENTS} <= found[0].keys()
    assert len(COMPONENTS) == 28


@pytest.mark.parametrize("name", [name for name in COMPONENTS if name != "NoHeadCoverings"])  # mapped otherwise then
def test_the_conformance_table_is_reproduced(name: str) -> None:
    column = OLD_NAMES.get(name, name)
    for row in rows():
        assert component_value(name, float(row[column])) == int(row[f"{column}.scalar"]), row["Filename"]


@pytest.mark.parametrize(
    ("name", "native", "value"),
    [
        ("InterEyeDistance", 70.0, 50),  # the midpoint of the sigmoid
        ("InterEyeDistance", 90.0, 73),  # 100 / (1 + 1/e) = 73.1
        ("MarginAboveOfTheFaceImage", 1.4, 50),
        ("MarginBelowOfTheFaceImage", 1.8, 50),
        ("HeadSize", 0.45, 100),
        ("HeadSize", 0.50, 54),  # 200 / (1 + e) = 53.8
        ("HeadPoseYaw", 60.0, 25),  # cos² = 1/4
        ("HeadPoseYaw", -95.0, 0),
        ("OverExposurePrevention", 0.0, 100),
        ("OverExposurePrevention", 0.03, 25),  # 1 / 0.04
        ("OverExposurePrevention", 0.99, 1),
        ("UnderExposurePrevention", 0.0, 100),  # 99.84
        ("UnderExposurePrevention", 0.92, 40),  # 120 (0.832 - 1/2) = 39.84
        ("DynamicRange", 8.0, 100),
        ("DynamicRange", 0.04, 1),  # 0.5 exactly: half away from zero
        ("DynamicRange", 0.2, 3),  # 2.5 exactly; half to even would say 2
        ("IlluminationUniformity", 0.0, 0),
        ("LuminanceVariance", 1 / 60, 100),  # sin(π/2)
        ("SingleFacePresent", 0.25, 75),
        ("NoHeadCoverings", 0.0, 100),
        ("NoHeadCoverings", 0.95, 0),
        ("NoHeadCoverings", 0.02, 91),  # (σ(9.3) - σ(0)) / (σ(9.3) - σ(-0.2)) = 0.49991 / 0.54974
        ("Sharpness", 0.0, 77),  # 115 σ(4/3) - 14 = 76.99
    ],
)
def test_values_computed_by_hand(name: str, native: float, value: int) -> None:
    assert component_value(name, native) == value


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_value_is_an_integer_from_0_to_100(name: str) -> None:
    for native in (0.0, 1e-6, 0.02, 0.5, 1.0, 8.0, 1e6):
        value = component_value(name, native)
        assert isinstance(value, int) and 0 <= value <= 100


@pytest.mark.parametrize("native", [float("nan"), float("inf"), -0.5])
def test_what_is_no_native_value_is_refused(native: float) -> None:
    with pytest.raises(UsageError, match="no native value of OFIQ's IlluminationUniformity"):
        component_value("IlluminationUniformity", native)


def test_an_unknown_component_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no component 'Smile'; it has UnifiedQualityScore, "):
        component_value("Smile", 1.0)
