"""The layer table of the design, read from the imports: who may know whom, and who may load what at import time."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "mien"

# layer: (layers of mien that it may import anywhere, third party that it may import at import time)
EVERY = {"core", "runtime", "faces", "models", "losses", "data", "subjective", "evaluation", "video", "training"}
BASE = {"numpy", "PIL"}
LAYERS: dict[str, tuple[set[str], set[str]]] = {
    "": ({"core", "runtime", "faces", "models"}, set()),  # the front door: mien/__init__.py, loading.py, scoring.py
    "core": (set(), BASE),
    "runtime": ({"core"}, BASE | {"onnxruntime"}),
    "faces": ({"core", "runtime"}, BASE),
    "models": ({"core"}, BASE | {"torch"}),
    "losses": ({"core"}, BASE | {"torch"}),
    "data": ({"core"}, BASE),
    "subjective": ({"core"}, BASE | {"scipy", "threadpoolctl"}),
    "evaluation": ({"core", "data", "subjective"}, BASE | {"scipy"}),
    "video": ({"core", "runtime", "faces", "models"}, BASE | {"av"}),
    "training": ({"core", "data", "models", "losses", "evaluation"}, BASE | {"torch"}),
    "optimize": ({"core", "faces", "models", "losses"}, BASE | {"torch"}),
    "apps": (EVERY | {"", "optimize"}, BASE | {"typer", "rich"}),
}
# A folder of an app may load its own extra; the command line imports the folder inside its verbs.
EXTRAS = {"mien.apps.study": {"alembic", "anyio", "fastapi", "pydantic", "sqlalchemy", "starlette"}}


def imports(tree: ast.Module, package: str) -> Iterator[tuple[str, bool]]:
    """(dotted name, whether it is loaded at import time) of every import; `package` resolves the relative ones."""
    pending: list[tuple[ast.AST, bool]] = [(tree, True)]
    while pending:
        node, at_import = pending.pop()
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield from ((f"{base}.{alias.name}", at_import) for alias in node.names)
        inside = at_import and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            pending += [(child, False) for child in node.body]
            pending += [(child, at_import) for child in node.orelse]
        else:
            pending += [(child, inside) for child in ast.iter_child_nodes(node)]


def layer_of(dotted: str) -> str:
    """Layer of a name in mien: its first part when that is a layer, else "" (a name of the front door)."""
    part = ([*dotted.split("."), ""])[1]
    return part if part in LAYERS else ""


def violations(source: str, module: str, package: str) -> list[str]:
    """What breaks the table in one module of mien."""
    layer = layer_of(package)
    if layer not in LAYERS or (package != "mien" and layer == ""):
        return [f"{module}: {package} is not in the layer table"]
    allowed, third_party = LAYERS[layer]
    for folder, extra in EXTRAS.items():
        third_party = third_party | (extra if f"{package}.".startswith(f"{folder}.") else set())
    found = []
    for dotted, at_import in imports(ast.parse(source), package):
        top = dotted.partition(".")[0]
        if top == "mien":
            if layer_of(dotted) != layer and layer_of(dotted) not in allowed:
                found.append(f"{module}: {layer or 'the front door'} may not import {dotted}")
        elif at_import and top not in sys.stdlib_module_names and top not in third_party:
            found.append(f"{module}: {layer or 'the front door'} may import {top} only inside a function")
    return found


def read(path: Path) -> tuple[str, str, str]:
    relative = path.relative_to(SOURCE.parent)
    package = "mien.apps" if path == SOURCE / "__main__.py" else ".".join(relative.parent.parts)  # the command line
    return path.read_text(encoding="utf-8"), relative.as_posix(), package


def test_every_module_keeps_the_layer_table() -> None:
    paths = sorted(SOURCE.rglob("*.py"))
    assert SOURCE / "core" / "types.py" in paths
    assert [v for path in paths for v in violations(*read(path))] == []


def test_the_front_door_loads_only_its_layers_lazily() -> None:
    import mien

    assert {layer_of(module) for module in mien._LAZY.values()} <= {"", *LAYERS[""][0]}


def test_every_folder_opens_with_its_three_lines() -> None:
    for folder in (p for p in SOURCE.iterdir() if p.name in LAYERS and any(p.glob("*.py"))):
        text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        assert len(text.splitlines()) >= 3, f"{folder.name}/__init__.py: what is here, may import, where to start"
        assert "import" in text.lower() and "start" in text.lower(), folder.name


BAD = [
    ("mien.core", "from mien.runtime.judge import Judge", "core may not import mien.runtime.judge.Judge"),
    ("mien.core", "import mien.apps.cli", "core may not import mien.apps.cli"),
    ("mien.core", "from ..runtime import judge", "core may not import mien.runtime.judge"),
    ("mien.core", "from .. import runtime", "core may not import mien.runtime"),
    ("mien.core", "from mien import score", "core may not import mien.score"),
    ("mien.core", "def f():\n    from mien.training import x", "core may not import mien.training.x"),
    ("mien.core", "if TYPE_CHECKING:\n    import mien.runtime", "core may not import mien.runtime"),
    ("mien.models.deep", "import mien.data", "models may not import mien.data"),
    ("mien.evaluation", "from mien.apps import cli", "evaluation may not import mien.apps.cli"),
    ("mien.core", "import scipy.stats", "core may import scipy only inside a function"),
    ("mien.core", "try:\n    import cv2\nexcept ImportError:\n    pass", "core may import cv2 only inside a function"),
    ("mien.runtime", "class A:\n    import torch", "runtime may import torch only inside a function"),
    ("mien.evaluation", "import torch", "evaluation may import torch only inside a function"),
    ("mien", "import numpy", "the front door may import numpy only inside a function"),
    ("mien", "from mien.training import fit", "the front door may not import mien.training.fit"),
    ("mien.apps", "import fastapi", "apps may import fastapi only inside a function"),
    ("mien.apps.study", "import torch", "apps may import torch only inside a function"),
    ("mien.utils", "", "mien.utils is not in the layer table"),
]

GOOD = [
    ("mien.core", "import numpy as np\nfrom PIL import Image\nfrom mien.core.types import Score\nfrom . import types"),
    ("mien.core", "def f():\n    import pillow_heif"),
    ("mien.runtime", "import onnxruntime\nfrom mien.core import types\nfrom ..core.types import Score"),
    ("mien.training", "import torch\nimport mien.losses.rank\nfrom mien import models"),
    ("mien.models", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import scipy"),
    ("mien.apps", "import typer\nimport mien\nfrom mien.training import fit\nfrom mien import score"),
    ("mien.apps.study.migrations", "import sqlalchemy"),
    ("mien", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from mien.runtime.scorer import Scorer"),
]


@pytest.mark.parametrize(("package", "source", "message"), BAD)
def test_a_module_that_breaks_the_table_is_found(package: str, source: str, message: str) -> None:
    assert violations(source, "bad.py", package) == [f"bad.py: {message}"]


@pytest.mark.parametrize(("package", "source"), GOOD)
def test_a_module_that_keeps_the_table_is_not_reported(package: str, source: str) -> None:
    assert violations(source, "good.py", package) == []
