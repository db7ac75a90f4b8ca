"""NTIRE 2025 XGC quality assessment, three tracks: (SRCC + PLCC)/2 over all videos."""

from dataclasses import replace

from mien.evaluation.protocol import Protocol, Reference, Unknown


def _row(name: str, main: float, srcc: float, plcc: float) -> Reference:
    return Reference(name, "track 3, test", {"main": main, "srcc": srcc, "plcc": plcc})


_TALKING_HEADS = (
    _row("QA Team", 0.8245, 0.8036, 0.8453),
    _row("MediaForensics", 0.8236, 0.8024, 0.8448),
    _row("AutoHome AIGC", 0.8047, 0.7864, 0.8229),
    _row("USTC-AC", 0.8044, 0.7813, 0.8275),
    _row("SJTU-MOE-AI", 0.8003, 0.7797, 0.8209),
    _row("FocusQ", 0.7922, 0.7708, 0.8135),
    _row("NJUST-KMG", 0.7896, 0.7599, 0.8193),
    _row("XIDIAN-VQATeam", 0.7873, 0.7730, 0.8015),
    _row("LVGroup_HFUT", 0.3049, 0.3082, 0.3015),
    Reference(
        "baseline", "track 3", {"main": 0.7892}, note="which part of the data it belongs to is not said; above rank 8"
    ),
)

_NO_FIT = Unknown("whether a logistic was fitted before PLCC", "no fit")

PROTOCOL = Protocol(
    name="ntire25-xgc",
    title="NTIRE 2025 XGC quality assessment challenge, any track",
    paper="arXiv 2506.02875",
    item="video",
    metrics=("srcc", "plcc", "krcc"),
    main={"srcc": 0.5, "plcc": 0.5},
    rank_by="main",
    model_level=True,
    unknowns=(
        Unknown("the formula in tracks 1 and 2", "that of track 3, which its published rows prove"),
        Unknown("whether several dimensions of labels are averaged", "one column of labels at a time"),
        _NO_FIT,
    ),
    published=_TALKING_HEADS,
)

USER = replace(
    PROTOCOL,
    name="ntire25-xgc-user",
    title="NTIRE 2025 XGC, track 1: user-generated video (FineVD-GC)",
    unknowns=(
        Unknown("the formula", "that of track 3"),
        Unknown("which of the fine-grained dimensions is scored", "the column that you name as label: the overall one"),
        Unknown("numbers of the teams", "not available: no reference rows"),
        _NO_FIT,
    ),
    published=(),
)

GENERATED = replace(
    PROTOCOL,
    name="ntire25-xgc-generated",
    title="NTIRE 2025 XGC, track 2: AI-generated video (Q-Eval-Video)",
    group="generator",
    unknowns=(
        Unknown("the formula", "that of track 3"),
        Unknown("which score of people is meant, and its range", "the column that you name as label"),
        Unknown("numbers of the teams", "not available: no reference rows"),
        _NO_FIT,
    ),
    published=(),
)

TALKING_HEAD = replace(
    PROTOCOL,
    name="ntire25-xgc-talking-head",
    title="NTIRE 2025 XGC, track 3: talking heads (THQA-NTIRE)",
    group="generator",
    unknowns=(
        Unknown("range of the opinions", "taken as they are: the score does not depend on it"),
        Unknown(
            "whether every team beats the baseline: the abstract says so, yet rank 8 (0.7873) is below 0.7892",
            "both numbers are kept; the baseline may belong to the validation part",
        ),
        Unknown("number of final teams: 8 in the abstract, 9 in the table", "all 9 rows are kept"),
        _NO_FIT,
    ),
)
