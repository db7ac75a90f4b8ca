"""NTIRE 2024 portrait quality assessment: inside a scene, then the median over the scenes."""

from mien.evaluation.protocol import Budget, Protocol, Reference, Unknown


def _rows(
    name: str,
    params_m: float,
    piq23: tuple[float, float, float, float],
    hidden: tuple[float, float, float, float],
) -> tuple[Reference, Reference]:
    """Tables 1 and 2: SRCC, PLCC, KRCC as medians over scenes, and the final metric."""
    keys = ("srcc", "plcc", "krcc", "main")
    return (
        Reference(name, "PIQ23 test", dict(zip(keys, piq23, strict=True)), params_m=params_m),
        Reference(name, "hidden test", dict(zip(keys, hidden, strict=True)), params_m=params_m),
    )


PROTOCOL = Protocol(
    name="ntire24-portrait",
    title="NTIRE 2024 portrait quality assessment challenge",
    paper="arXiv 2404.11159, sections 2 and 3",
    group="scene",
    metrics=("srcc", "plcc", "krcc"),
    pooling="median",
    main={"srcc": 1 / 3, "plcc": 1 / 3, "krcc": 1 / 3},
    main_inside=True,
    rank_by="main",
    budget=Budget(
        max_macs=2.5e12,
        max_seconds=5.0,
        counting="submission kit: at most 5 TFLOPs per forward pass, FLOPs = 2 MACs as thop counts them; 5 s a picture "
        "without loading; weights of 2 GB and 16 GB of memory at most (not checked here)",
    ),
    unknowns=(
        Unknown(
            "whether a logistic was fitted before PLCC",
            "no fit; --fit fits one map a scene and says so (7 pictures a scene are too few for 4 parameters)",
        ),
        Unknown(
            "a scene in which all predictions are equal", "an error with its name; --undefined zero counts it as 0"
        ),
        Unknown("the median of an even number of scenes", "mean of the two middle ones; the published table proves it"),
        Unknown(
            "size of the hidden test: 96 scenes of 7 (paper) or about 200 scenes of 7 (submission kit)",
            "96, the final report; the evaluation does not depend on it",
        ),
        Unknown("how the 672 hidden labels were obtained", "taken as labels like the others: without ties in a scene"),
        Unknown(
            "which attribute of PIQ23 is meant", "Overall (the challenge says so); other attributes can be selected"
        ),
    ),
    published=(
        *_rows("RQ-Net (Xidian-IPPL)", 57.6, (0.820, 0.839, 0.621, 0.751), (0.554, 0.597, 0.381, 0.517)),
        *_rows("BDVQA (BDVQAGroup)", 794, (0.849, 0.866, 0.667, 0.779), (0.393, 0.575, 0.333, 0.433)),
        *_rows("PQE (SJTU MMLab)", 174, (0.864, 0.857, 0.690, 0.811), (0.411, 0.544, 0.333, 0.429)),
        *_rows("MoNet (I²Group)", 408, (0.760, 0.791, 0.580, 0.710), (0.357, 0.433, 0.286, 0.368)),
        *_rows("SAR (SECE-SYSU)", 149, (0.828, 0.855, 0.651, 0.777), (0.304, 0.453, 0.238, 0.315)),
        *_rows("HyperIQA (baseline)", 128, (0.740, 0.736, 0.550, 0.676), (0.429, 0.560, 0.333, 0.456)),
        *_rows("SEM-HyperIQA (baseline)", 145, (0.749, 0.752, 0.558, 0.690), (0.518, 0.605, 0.333, 0.501)),
        *_rows("FULL-HyperIQA (baseline)", 145, (0.778, 0.784, 0.586, 0.711), (0.536, 0.633, 0.429, 0.515)),
    ),
)
