"""mien: how good does a picture of a person look? `mien.score("me.jpg").score` is 0..100, higher is better.

This front door is lazy: it imports nothing until a name is asked for, and only the layers core, runtime and faces.
Start reading at runtime/scorer.py; what a row says stands in core/types.py.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.core.types import Score
    from mien.loading import load
    from mien.runtime.explain import Explanation, explain
    from mien.runtime.judge import list_models
    from mien.runtime.scorer import score
    from mien.scoring import Scorer

__version__ = "0.1.0"
__all__ = ["Explanation", "Score", "Scorer", "__version__", "explain", "list_models", "load", "score"]

_LAZY = {
    "Explanation": "mien.runtime.explain",
    "Score": "mien.core.types",
    "Scorer": "mien.scoring",
    "explain": "mien.runtime.explain",
    "list_models": "mien.runtime.judge",
    "load": "mien.loading",
    "score": "mien.runtime.scorer",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'mien' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
