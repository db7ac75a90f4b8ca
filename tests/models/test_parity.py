"""Every published network gives the official numbers: from a tensor, from a prepared picture, from a picture file."""

from __future__ import annotations

from pathlib import Path

import pytest

from mien.models.parity import fixture, verify

FIXTURES = Path(__file__).parents[1] / "fixtures" / "parity"

FAST = {"efficient_fiqa_student": "efficient-fiqa-student", "monet_mal": "monet"}
SLOW = {
    "adaface_ir_50": "adaface-ir50",
    "adaface_ir_101": "adaface-ir101",
    "dn_piqa": "dn-piqa",
    "dover": "dover",
    "dsl_fiqa": "dsl-fiqa",
    "efficient_fiqa_teacher": "efficient-fiqa-teacher",
    "fastvqa_b": "fast-vqa",
    "fastvqa_m": "fast-vqa-m",
    "full_hyperiqa": "full-hyperiqa",
    "hyperiqa": "hyperiqa",
    "liqe": "liqe",
    "maniqa": "maniqa",
    "mobileiqa_student": "mobileiqa-student",
    "sem_hyperiqa": "sem-hyperiqa",
    "sem_hyperiqa_1344": "sem-hyperiqa",
    "uiqa": "uiqa",
}


@pytest.mark.parametrize(
    ("file", "name"),
    [*FAST.items(), *(pytest.param(f, n, marks=pytest.mark.slow, id=f) for f, n in SLOW.items())],
)
def test_the_network_gives_the_official_numbers(file: str, name: str) -> None:
    checks = verify.verify(name, fixture.read(FIXTURES / f"{file}.json"))
    assert checks
    assert [c for c in checks if not c.ok] == []


def test_every_fixture_is_used() -> None:
    assert {p.stem for p in FIXTURES.glob("*.json")} == {*FAST, *SLOW}
