"""AIM 2024 UHD-IQA: five measures over all 4K photographs, 50 G MACs a picture."""

from mien.evaluation.protocol import Budget, Protocol, Reference, Unknown

_KEYS = ("srcc", "plcc", "krcc", "rmse", "mae")


def _row(name: str, table: str, *values: float, gmacs: float | None = None, note: str = "") -> Reference:
    return Reference(name, table, dict(zip(_KEYS, values, strict=False)), gmacs=gmacs, note=note)


_UNDERCOUNT = "43 G is what hooks on modules count; with the functional layers its three Swin-T cost about 69.5 G"
_TYPO = "the published MAE of 0.739 repeats the SRCC and is left out"

PROTOCOL = Protocol(
    name="aim24-uhd",
    title="AIM 2024 UHD-IQA challenge",
    paper="arXiv 2409.16271; tables in github.com/sunwei925/UIQA",
    metrics=_KEYS,
    rank_by="srcc",
    budget=Budget(
        max_macs=50e9,
        counting="one UHD picture, every branch and crop; functional operations counted, too (hooks on modules miss "
        "the projections of Swin blocks)",
    ),
    unknowns=(
        Unknown(
            "the formula that combines the five measures into the ranking",
            "none: five columns, a ranking goes by SRCC (the winner chose its weights by SRCC + PLCC + KRCC - RMSE - "
            "MAE, which is not the official score)",
        ),
        Unknown(
            "whether a logistic was fitted before PLCC, RMSE and MAE",
            "no fit; --fit logistic4 --fit-on split=validation does what the winner's code does (fitted on validation, "
            "applied to test)",
        ),
        Unknown("which Kendall coefficient", "τ-b: the labels have many ties"),
        Unknown("how MACs were counted", "every multiply-accumulate, functional ones included"),
    ),
    published=(
        _row("UIQA (SJTU MMLab)", "test", 0.846, 0.798, 0.657, 0.061, 0.042, gmacs=43, note=_UNDERCOUNT),
        _row("CIPLAB", "test", 0.835, 0.800, 0.642, 0.064, 0.044),
        _row("ZX AIE Vector", "test", 0.795, 0.768, 0.605, 0.062, 0.044),
        _row("I2Group", "test", 0.788, 0.756, 0.598, 0.066, 0.046),
        _row("Dominator", "test", 0.731, 0.712, 0.539, 0.072, 0.052),
        _row("ICL", "test", 0.517, 0.521, 0.361, 0.136, 0.115),
        _row("QualiCLIP (baseline)", "test", 0.770, 0.725, 0.570, 0.083, 0.066),
        _row("CLIP-IQA+ (baseline)", "test", 0.747, 0.709, 0.551, 0.111, 0.089),
        _row("ARNIQA (baseline)", "test", 0.739, 0.694, 0.544, 0.052, note=_TYPO),
        _row("CONTRIQUE (baseline)", "test", 0.732, 0.678, 0.532, 0.073, 0.052),
        _row("Effnet-2C-MLSP (baseline)", "test", 0.675, 0.641, 0.491, 0.074, 0.059),
        _row("HyperIQA (baseline)", "test", 0.553, 0.103, 0.389, 0.118, 0.070),
        _row("UIQA (SJTU MMLab)", "validation", 0.817, 0.823, 0.625, 0.040, 0.032, gmacs=43, note=_UNDERCOUNT),
        _row("QualiCLIP (baseline)", "validation", 0.757, 0.752, 0.557, 0.079, 0.064),
        _row("CLIP-IQA+ (baseline)", "validation", 0.743, 0.732, 0.546, 0.108, 0.087),
        _row("ARNIQA (baseline)", "validation", 0.718, 0.717, 0.523, 0.050, 0.039),
        _row("CONTRIQUE (baseline)", "validation", 0.716, 0.712, 0.521, 0.049, 0.038),
        _row("Effnet-2C-MLSP (baseline)", "validation", 0.615, 0.627, 0.445, 0.060, 0.050),
        _row("HyperIQA (baseline)", "validation", 0.524, 0.182, 0.359, 0.087, 0.055),
    ),
)
