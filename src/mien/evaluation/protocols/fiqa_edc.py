"""Quality as utility for recognition: error versus discard, in the manner of ISO/IEC 29794-1."""

from dataclasses import replace

from mien.evaluation.protocol import Protocol, Unknown

_PAIRS = Unknown("quality of a pair", "the lower one of its two pictures")

PROTOCOL = Protocol(
    name="fiqa-edc",
    title="face picture quality as utility: error versus discard, threshold fixed at FMR 0.001",
    paper="ISO/IEC 29794-1 (by description, not by its text); arXiv 2303.13294",
    kind="comparisons",
    metrics=("pauc", "pauc_relative", "fnmr@0.1", "fnmr@0.2"),
    rank_by="pauc",
    settings={"start": "fmr", "at": 1e-3, "threshold": "fixed", "limit": 0.3},
    unknowns=(
        _PAIRS,
        Unknown(
            "the starting error", "FMR 0.001 on all non-mated pairs; `fiqa-edc-fnmr` starts at an FNMR of 0.05 instead"
        ),
        Unknown("which pairs are discarded", "mated ones: at a fixed threshold the others do not change the FNMR"),
        Unknown("how far the area reaches", "0.3 of the pairs, as steps; also relative to ideal (0) and random (1)"),
        Unknown("pairs of equal quality", "any order of them, on average: constant quality gives a flat curve"),
        Unknown("text of the standard", "not at hand: numbers of sections are not given"),
    ),
)

AT_FNMR = replace(
    PROTOCOL,
    name="fiqa-edc-fnmr",
    title="face picture quality as utility: error versus discard, threshold fixed at FNMR 0.05",
    settings={**PROTOCOL.settings, "start": "fnmr", "at": 0.05},
)

EACH_STEP = replace(
    PROTOCOL,
    name="fiqa-edc-each-step",
    title="face picture quality as utility: error versus discard, threshold found again at every step",
    paper="the script of github.com/fdbtrs/CR-FIQA, by description",
    metrics=("pauc",),
    settings={"start": "fmr", "at": 1e-3, "threshold": "each step", "limit": 0.95, "step": 0.05},
    unknowns=(
        _PAIRS,
        Unknown("which FMR", "0.001; the script also takes 0.01 and 0.0001"),
        Unknown("pairs of equal quality", "a step keeps them together: none is dropped before all can be"),
    ),
)
