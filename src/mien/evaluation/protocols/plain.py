"""One pool, five measures, nothing fitted: for a table that belongs to no challenge."""

from mien.evaluation.protocol import Protocol, Unknown

PROTOCOL = Protocol(
    name="plain",
    title="all rows in one pool",
    paper="none",
    metrics=("srcc", "plcc", "krcc", "rmse", "mae"),
    unknowns=(
        Unknown(
            "whether predictions and labels share a scale",
            "RMSE and MAE are those of the numbers as they are; without a common scale or a fit they mean nothing",
        ),
    ),
)
