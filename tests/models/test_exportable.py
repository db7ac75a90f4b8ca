"""Every network that judges pictures becomes an ONNX file that answers as torch does, at its full size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

from torch import nn  # noqa: E402

from mien.core.views import InputView, ViewPreprocess, Whole  # noqa: E402
from mien.models import export, judging, zoo  # noqa: E402
from mien.models.parity import fixture  # noqa: E402

FAST = ("efficient-fiqa-student",)
SLOW = (
    *("dsl-fiqa", "efficient-fiqa-teacher", "full-hyperiqa", "hyperiqa", "liqe", "maniqa", "mobileiqa-student"),
    *("monet", "rq-net", "sar", "sem-hyperiqa", "uiqa"),
)
REFUSED = {  # tests/models/test_export.py says why
    *("adaface-ir50", "adaface-ir101", "bdvqa", "dn-piqa", "dover", "fast-vqa", "fast-vqa-m", "pqe"),
}
VIEWS, PICTURES = 2, 2  # the 64 pictures of an export take hours with the largest networks


def test_every_network_is_here() -> None:
    assert {*FAST, *SLOW, *REFUSED} == set(zoo.MODELS)


@pytest.mark.parametrize(
    "name", [*FAST, *(pytest.param(n, marks=[pytest.mark.slow, pytest.mark.heavy], id=n) for n in SLOW)]
)
def test_the_exported_network_answers_as_torch_does(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging.checkpoints, "load", lambda name, weights: _with_drawn_weights(name))
    (tmp_path / "weights.pt").write_bytes(b"drawn")
    judge = judging.published_judge(name, tmp_path / "weights.pt", raw_range=(0.0, 1.0))
    answers: list[float] = []

    def heard(batch: judging.Arrays, ask: Any = judge.network) -> judging.Arrays:
        answers.extend((found := ask(batch))["quality"])
        return found

    few = {key: _fewer(view) for key, view in judge.preprocess.inputs.items()}
    judge = replace(judge, preprocess=ViewPreprocess(few), network=heard)
    export.write(judge, tmp_path / "net.onnx")
    assert export.largest_difference(judge, tmp_path / "net.onnx", PICTURES) <= export.TOLERANCE
    assert len(answers) == PICTURES
    assert np.ptp(answers) > 1e-4 * np.abs(answers).max() > 0  # neither dead nor saturated: 1e-4 means something


def _with_drawn_weights(name: str) -> nn.Module:
    """The recipe of the parity fixtures and what they change in it: attention among channels softer, LIQE sharper."""
    net = zoo.build(name)
    manifest = [[key, list(v.shape), str(v.dtype).removeprefix("torch.")] for key, v in net.state_dict().items()]
    gentle = {"multipliers": {"c_q.weight": 0.25, "c_k.weight": 0.25}, "overrides": {"logit_scale": np.log(100)}}
    facts = {"seed": 7, "weights": gentle, "manifest": manifest}
    return zoo.load_official(net, fixture.Fixture(name, facts).state_dict())


def _fewer(view: InputView) -> InputView:
    if getattr(view.crop, "n", 0) > VIEWS:
        return replace(view, crop=replace(view.crop, n=VIEWS))  # type: ignore[call-arg]
    if isinstance(view.crop, Whole) and isinstance(view.resize_px, tuple):
        height, width = view.resize_px
        return replace(view, resize_px=(height // 4, width // 4))
    return view
