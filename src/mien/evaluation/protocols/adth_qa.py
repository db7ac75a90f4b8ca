"""ADTH-QA: does a metric choose between two talking heads as 15 people do?"""

from mien.evaluation.protocol import Protocol, Reference, Unknown


def _rows(dimension: str, ceiling: float, soft: float, hard: float) -> tuple[Reference, Reference]:
    """Lines of reference that follow from the published votes, no results of metrics."""
    return (
        Reference(f"votes themselves ({dimension})", "derived, 10 clips", {"soft": ceiling, "hard": 1.0}),
        Reference(
            f"generator with more votes ({dimension})",
            "derived, 10 clips",
            {"soft": soft, "hard": hard},
            note="a metric below this line does not beat knowing the generator",
        ),
    )


PROTOCOL = Protocol(
    name="adth-qa",
    title="ADTH-QA: metrics for audio-driven talking heads against pairwise votes",
    paper="arXiv 2403.06421",
    kind="votes",
    item="video",
    group="clip",
    metrics=("soft", "hard"),
    pooling="mean",
    rank_by="soft",
    unknowns=(
        Unknown(
            "whether the paper counts votes or majorities",
            "both: soft = share of the voters who agree, hard = agreement with the majority; no preference earns 1/2",
        ),
        Unknown("whether metrics with a reference were compared on all pairs", "all pairs of the label file"),
        Unknown("individual votes and subjects", "only counts are published: the bootstrap draws whole clips"),
        Unknown("the percentages of the paper's table", "not available: no reference rows of metrics"),
    ),
    published=(
        *_rows("render", 0.8056, 0.7344, 0.8000),
        *_rows("lip", 0.7356, 0.6500, 0.7500),
        *_rows("head", 0.8744, 0.8489, 0.8833),
    ),
)
