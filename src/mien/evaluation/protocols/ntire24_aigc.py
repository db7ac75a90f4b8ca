"""NTIRE 2024 quality of AI-generated images (AIGIQA-20K): correlations over all images."""

from mien.evaluation.protocol import Protocol, Unknown

PROTOCOL = Protocol(
    name="ntire24-aigc",
    title="NTIRE 2024 quality assessment of AI-generated content, image track (AIGIQA-20K)",
    paper="arXiv 2404.03407, arXiv 2404.16687",
    metrics=("srcc", "plcc", "krcc"),
    group="generator",
    main={"srcc": 0.5, "plcc": 0.5},
    rank_by="main",
    model_level=True,
    unknowns=(
        Unknown(
            "the main score of the challenge",
            "(SRCC + PLCC)/2, as in the tracks of 2025 by the same organisers; not verified for 2024",
        ),
        Unknown("whether a logistic was fitted before PLCC", "no fit; --fit logistic5 --fit-on ... fits 5 parameters"),
        Unknown("how the mean opinions were screened and scaled, and their range", "labels are taken as they are"),
        Unknown("numbers of the teams and of the 16 benchmarked metrics", "not available: no reference rows"),
    ),
)
