"""AIS 2024 user-generated video: four measures over all clips, and a clip of 30 frames in under a second."""

from mien.evaluation.protocol import Budget, Protocol, Reference, Unknown


def _row(name: str, seconds: float, note: str = "", **values: float) -> Reference:
    return Reference(name, "challenge report, as quoted by COVER", values, seconds=seconds, note=note)


PROTOCOL = Protocol(
    name="ais24-vqa",
    title="AIS 2024 user-generated video quality challenge",
    paper="arXiv 2404.16205; numbers from github.com/vztu/COVER",
    item="video",
    metrics=("srcc", "plcc", "krcc", "rmse"),
    rank_by="srcc",
    budget=Budget(
        max_seconds=1.0,
        strict=True,
        per="30-frame clip",
        counting="wall time of the whole clip (a model may look at 1 or 2 of its frames: a time per clip must not be "
        "turned into frames per second); median of at least 20 runs after 5 for warming up, the machine named",
    ),
    unknowns=(
        Unknown("how the measures are combined into the ranking", "not combined; a ranking goes by SRCC"),
        Unknown("whether a logistic was fitted before PLCC and RMSE", "no fit"),
        Unknown("split and number of the hidden clips", "whatever the label file holds"),
        Unknown(
            "warm-up, batch size, and whether decoding counts", "the time that the caller measured, per 30-frame clip"
        ),
        Unknown(
            "size of the frames: 1920 x 1080 (challenge) or 3840 x 2160 (the README with the times)",
            "1920 x 1080; the published times belong to the README, one of them is over 1 s",
        ),
        Unknown("numbers of the fifth team", "not published"),
    ),
    published=(
        _row("TVQE", 0.70530, srcc=0.9150, krcc=0.7410, plcc=0.9182),
        _row(
            "COVER",
            0.07937,
            "the same README gives a PLCC of 0.9165 in another table",
            srcc=0.9143,
            krcc=0.7413,
            plcc=0.9122,
            rmse=0.2519,
        ),
        _row("Q-Align", 1.70706, "over the limit of 1 s", srcc=0.9080, krcc=0.7340, plcc=0.9120),
        _row("SimpleVQA+", 0.24551, srcc=0.9060, krcc=0.7280, plcc=0.9110),
    ),
)
