"""VQualA 2025 face image quality assessment: (SRCC + PLCC)/2 over all faces, at most 0.5 G MACs and 5 M parameters."""

from mien.evaluation.protocol import Budget, Protocol, Reference, Unknown


def _row(name: str, main: float, gmacs: float, params_m: float, note: str = "") -> Reference:
    return Reference(name, "leaderboard", {"main": main}, gmacs=gmacs, params_m=params_m, note=note)


PROTOCOL = Protocol(
    name="vquala25-fiqa",
    title="VQualA 2025 face image quality assessment challenge",
    paper="arXiv 2508.18445; leaderboard in github.com/sunwei925/Efficient-FIQA",
    metrics=("srcc", "plcc", "krcc", "rmse"),
    main={"srcc": 0.5, "plcc": 0.5},
    rank_by="main",
    budget=Budget(
        max_macs=0.5e9,
        max_parameters=5e6,
        counting="the whole inference of one picture, every crop and a face finder included; the 'GFLOPs' of the "
        "challenge are multiply-accumulates as fvcore counts them",
    ),
    unknowns=(
        Unknown("whether a logistic was fitted before PLCC", "no fit (the winner's training code fits 4 parameters)"),
        Unknown(
            "what the 'GFLOPs' count",
            "multiply-accumulates: fvcore gives 0.3313 G for the winner's network at 288 x 288, the published figure",
        ),
        Unknown("the SRCC and PLCC of the teams", "only their mean was published"),
        Unknown("the score of the baseline", "not published"),
        Unknown(
            "whether the labels are people's opinions",
            "taken as they are; a secondary source says that they are predictions of DSL-FIQA (not verified)",
        ),
    ),
    published=(
        _row(
            "Efficient-FIQA (ECNU-SJTU VQA Team)",
            0.9664,
            0.3313,
            1.1796,
            "0.3313 G is the cost at 288 x 288; at the 352 x 352 of the released code fvcore counts 0.4949 G",
        ),
        _row("MediaForensics", 0.9624, 0.4687, 1.5189),
        _row("Next", 0.9583, 0.4533, 1.2224),
        _row("ATHENAFace", 0.9566, 0.4985, 2.0916),
        _row("NJUPT-IQA-Group", 0.9547, 0.4860, 3.7171),
        _row("ECNU VIS Lab", 0.9406, 0.4923, 3.2805),
    ),
)
