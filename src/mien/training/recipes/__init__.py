"""One file per system: what its paper does, as a `RECIPE`, and the same in small as a `QUICK` one.

May import what training may; a file imports torch and its network. Start with `efficient_fiqa.py`, or with
`judge_net.py` for mien's own. What a source leaves open is written where it is decided.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING

from mien.core.errors import UsageError

if TYPE_CHECKING:
    from mien.training.recipe import Recipe
    from mien.training.self_training import SelfTraining

#: name -> "module:variable of the recipe:variable of its quick form"
RECIPES: dict[str, str] = {
    "bdvqa": "bdvqa:RECIPE:QUICK",
    "dn-piqa": "dn_piqa:DN_PIQA:QUICK_DN_PIQA",
    "dsl-fiqa": "dsl_fiqa:RECIPE:QUICK",
    "efficient-fiqa-student": "efficient_fiqa:STUDENT:QUICK_STUDENT",
    "efficient-fiqa-teacher": "efficient_fiqa:TEACHER:QUICK_TEACHER",
    "full-hyperiqa": "sem_hyperiqa:FULL:QUICK_FULL",
    "hyperiqa": "hyperiqa:RECIPE:QUICK",
    "judge-net": "judge_net:RECIPE:QUICK",
    "liqe": "liqe:RECIPE:QUICK",
    "monet": "monet:RECIPE:QUICK",
    "pqe": "dn_piqa:PQE:QUICK_PQE",
    "rq-net": "rq_net:RECIPE:QUICK",
    "sar": "sar:RECIPE:QUICK",
    "sem-hyperiqa": "sem_hyperiqa:SEM:QUICK_SEM",
    "uiqa": "uiqa:RECIPE:QUICK",
}

#: name -> the same, for `mien distill`
SELF_TRAININGS: dict[str, str] = {
    "efficient-fiqa": "efficient_fiqa:SELF_TRAINING:QUICK_SELF_TRAINING",
    "judge-net": "judge_net:SELF_TRAINING:QUICK_SELF_TRAINING",
}


def recipe(name: str, *, quick: bool = False) -> Recipe:
    """A recipe by its name.

    Args:
        name: a key of `RECIPES`.
        quick: its small form, to see in seconds that everything is there.

    Raises:
        UsageError: no such recipe; the nearest names are offered.
        MissingExtraError: torch, torchvision or timm is not installed.
    """
    return _find(RECIPES, name, quick, "recipe")


def self_training(name: str, *, quick: bool = False) -> SelfTraining:
    """A teacher and its student; arguments and errors as for `recipe`."""
    return _find(SELF_TRAININGS, name, quick, "recipe of a teacher and a student")


def _find(table: dict[str, str], name: str, quick: bool, what: str):
    if name not in table:
        near = difflib.get_close_matches(name, table, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(table)}"
        raise UsageError(f"no {what} {name!r}; {hint}")
    module, full, small = table[name].split(":")
    return getattr(import_module(f"mien.training.recipes.{module}"), small if quick else full)
