"""AIM 2024 video super-resolution quality: inside a group of comparable videos, then the mean over the groups."""

from dataclasses import replace

from mien.evaluation.protocol import Protocol, Unknown

PROTOCOL = Protocol(
    name="aim24-vsr",
    title="AIM 2024 video super-resolution quality assessment challenge",
    paper="arXiv 2410.04225",
    item="video",
    group="group",
    metrics=("srcc", "plcc", "krcc"),
    pooling="fisher-z",
    rank_by="srcc",
    unknowns=(
        Unknown(
            "how correlations are pooled over groups",
            "mean in Fisher's z with |r| clipped to 1 - 1e-7; `aim24-vsr-mean` takes the plain mean",
        ),
        Unknown(
            "what a group is", "one source clip and one set of comparisons: Bradley-Terry scores mean nothing across it"
        ),
        Unknown(
            "weights of the three subsets (easy, moderate, hard) and of the measures, and how subsets are defined",
            "no subsets, no main score; a subset can be selected with --where, a ranking goes by SRCC",
        ),
        Unknown("how votes became scores, draws and unanimous pairs among them", "scores are taken as they are"),
        Unknown("numbers of the teams and baselines", "not available: no reference rows"),
    ),
)

PLAIN_MEAN = replace(PROTOCOL, name="aim24-vsr-mean", pooling="mean")
