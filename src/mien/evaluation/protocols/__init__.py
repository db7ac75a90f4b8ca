"""The protocols, one small file of data each: what is computed, what the source leaves open, what was published.

May import mien.evaluation.protocol.
Start with the table below, then `ntire24_portrait.py`.
"""

from __future__ import annotations

from importlib import import_module

from mien.core.errors import UsageError
from mien.evaluation.protocol import Protocol

PROTOCOLS = {
    "plain": "plain:PROTOCOL",
    "ntire24-portrait": "ntire24_portrait:PROTOCOL",
    "vquala25-fiqa": "vquala25_fiqa:PROTOCOL",
    "aim24-uhd": "aim24_uhd:PROTOCOL",
    "ais24-vqa": "ais24_vqa:PROTOCOL",
    "aim24-vsr": "aim24_vsr:PROTOCOL",
    "aim24-vsr-mean": "aim24_vsr:PLAIN_MEAN",
    "ntire25-xgc": "ntire25_xgc:PROTOCOL",
    "ntire25-xgc-user": "ntire25_xgc:USER",
    "ntire25-xgc-generated": "ntire25_xgc:GENERATED",
    "ntire25-xgc-talking-head": "ntire25_xgc:TALKING_HEAD",
    "ntire24-aigc": "ntire24_aigc:PROTOCOL",
    "adth-qa": "adth_qa:PROTOCOL",
    "fiqa-edc": "fiqa_edc:PROTOCOL",
    "fiqa-edc-fnmr": "fiqa_edc:AT_FNMR",
    "fiqa-edc-each-step": "fiqa_edc:EACH_STEP",
}


def names() -> list[str]:
    """Of all protocols."""
    return list(PROTOCOLS)


def load(name: str) -> Protocol:
    """A protocol by its name.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in PROTOCOLS:
        raise UsageError(f"no protocol {name!r}: {', '.join(PROTOCOLS)}")
    module, _, variable = PROTOCOLS[name].partition(":")
    return getattr(import_module(f"{__name__}.{module}"), variable)
