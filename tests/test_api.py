"""The promise: which names exist, and that importing them is cheap."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mien

HEAVY = ["torch", "torchvision", "scipy", "cv2", "pandas", "matplotlib", "ray"]
ROOT = Path(__file__).parents[1]


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after some code."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_the_exported_names_are_exactly_these() -> None:
    assert mien.__all__ == ["Explanation", "Score", "Scorer", "__version__", "explain", "list_models", "load", "score"]
    assert dir(mien) == sorted(mien.__all__)


def test_every_exported_name_exists() -> None:
    assert [name for name in mien.__all__ if getattr(mien, name, None) is None] == []


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'mien' has no attribute 'scores'"):
        mien.scores  # type: ignore[attr-defined]  # noqa: B018


def test_import_mien_loads_nothing_heavy_and_no_third_party_at_all() -> None:
    loaded = loaded_after("import mien")
    assert "mien" in loaded
    assert loaded.isdisjoint([*HEAVY, "onnxruntime", "PIL", "numpy", "typer", "rich"])


def test_using_every_public_name_loads_nothing_heavy() -> None:
    loaded = loaded_after("import mien\nfor name in mien.__all__: getattr(mien, name)\nmien.Scorer()")
    assert "onnxruntime" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_the_version_is_that_of_the_project_file() -> None:
    assert mien.__version__ == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_the_types_are_shipped() -> None:
    assert (Path(mien.__file__).parent / "py.typed").is_file()


def test_score_uses_the_embedded_judge_and_keeps_it(photos: list[Path]) -> None:
    from mien.runtime.scorer import _embedded

    assert mien.score(photos[0]).model == mien.Scorer().model_id
    assert _embedded() is _embedded()


def test_load_gives_a_scorer_for_a_name_or_a_file(tiny_judge: Path) -> None:
    assert mien.load(mien.list_models()[0], threads=1).model_id.startswith(mien.list_models()[0])
    assert mien.load(tiny_judge, batch=2).model_id == "tiny@1"
