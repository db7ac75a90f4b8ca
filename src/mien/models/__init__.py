"""Torch networks, one readable file per published system, each loading its authors' checkpoint.

May import core; third party: torch (torchvision and timm inside functions).
Start with `zoo.py`, the table of names; `efficient_fiqa.py` is the shortest network, `judge_net.py` the one that ships.
"""

from mien.models.zoo import build, card, load_official, names

__all__ = ["build", "card", "load_official", "names"]
