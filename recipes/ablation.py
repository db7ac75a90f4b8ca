"""What each ingredient of the embedded judge brings: its recipe in small, whole, and with one thing changed at a time.

    python recipes/ablation.py --data ../shared/data --backbone ../shared/models/mobilenetv2_imagenet.npz

Small:   1,000 photographs of BIQ2021 and the faces of SFHQ, 96 px, 1,000 small steps from random weights. The figures
         compare with each other, not with the judge that ships.
Fair:    every row takes the same number of steps with as many views of people's opinions or the teacher's.
Noise:   the row "another seed" says how far two runs of the same recipe lie apart.
Time:    about 10 min for the ladders and the teachers, then 5 min a row on 2 CPU cores; what is done is kept in
         --work
Writes:  --out, a table in JSON, and the same in Markdown on the terminal
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import embedded_judge as judge
import numpy as np
import numpy.typing as npt
import torch

from mien.core.preprocess import Preprocess
from mien.models.judge_net import JudgeNet
from mien.training import feed as feeds
from mien.training import probe, student
from mien.training.feed import Feed, FeedPlan
from mien.training.fingerprint import fingerprint
from mien.training.ladders import GROUP, LadderPlan
from mien.training.student import StudentRecipe
from mien.training.teacher import TeacherRecipe

_TEACHER = FeedPlan(size_px=96, plain=32, ladders=12, unrated_share=0.0)
_STUDENT = FeedPlan(size_px=96, plain=12, ladders=4)
WHOLE = judge.EmbeddedJudge(
    picture_px=160,
    ladders=tuple(judge.LadderSet(of, LadderPlan(size_px=96, per_picture=3)) for of in ("photos", "faces")),
    teacher=TeacherRecipe(views=_TEACHER, probe_steps=150, steps=100, ema=0.98, measured=40),
    student=StudentRecipe(views=_STUDENT, epochs=1, steps=1000, mixed=8, ema=0.99, refit_steps=150),
    preprocess=Preprocess(size_px=96),
    pictures=1000,
    probed=30,
)


@dataclass(frozen=True)
class Row:
    """One change."""

    name: str
    student: Callable[[StudentRecipe], StudentRecipe] = lambda recipe: recipe
    teacher: Callable[[TeacherRecipe], TeacherRecipe] = lambda recipe: recipe


def _viewed(recipe: StudentRecipe, **changes: Any) -> StudentRecipe:
    return replace(recipe, views=replace(recipe.views, **changes))


def _unmixed(recipe: StudentRecipe) -> StudentRecipe:
    """Plain views in place of the mixtures."""
    return replace(_viewed(recipe, plain=recipe.views.plain + recipe.mixed), mixed=0)


def _undegraded(recipe: StudentRecipe) -> StudentRecipe:
    """Plain views in place of the ladders."""
    return _viewed(recipe, plain=recipe.views.plain + GROUP * recipe.views.ladders, ladders=0)


def _opinions_alone(recipe: StudentRecipe) -> StudentRecipe:
    rated = _viewed(_undegraded(_unmixed(recipe)), unrated_share=0.0, whole_share=1.0)
    return replace(rated, map_weight=0.0, feature_weight=0.0, opinion_share=1.0)


ROWS = (
    Row("everything"),
    Row("another seed", lambda r: replace(r, seed=r.seed + 1), lambda t: replace(t, seed=t.seed + 1)),
    Row("a teacher that is not fine-tuned", teacher=lambda t: replace(t, steps=0)),
    Row("without the teacher's features", lambda r: replace(r, map_weight=0.0, feature_weight=0.0)),
    Row("opinions of people alone: no teacher, no pseudo-labels, no degradations", _opinions_alone),
    Row("without undegraded faces, which nobody rated (pseudo-labels)", lambda r: _viewed(r, unrated_share=0.0)),
    Row("without degraded views", _undegraded),
    Row("without mixtures of views", _unmixed),
    Row("whole pictures instead of windows", lambda r: _viewed(r, whole_share=1.0)),
    Row("without PLCC loss", lambda r: replace(r, opinion_terms=("mse",))),
    Row("fidelity loss in its place", lambda r: replace(r, opinion_terms=("mse", "fidelity"))),
    Row("without the loss of steadiness", lambda r: replace(r, steady_weight=0.0)),
)


def main() -> None:
    """Command line of the table."""
    args = judge.parser(__doc__, work=Path(".cache/ablation"), out=Path("recipes/ablation.json")).parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    data = judge.read(args.data, WHOLE)
    whole = feeds.whole(data.val_photos, WHOLE.preprocess.size_px)
    feed = cache(partial(judge.feed_of, WHOLE, data, args.work, torch.device("cpu")))
    results = {}
    for row in ROWS:
        results[row.name] = _result(row, data, feed, whole, args.backbone, args.work)
        args.out.write_text(json.dumps({"settings": __doc__, "rows": results}, indent=2) + "\n")
    print(_markdown(results))


def _result(
    row: Row,
    data: judge.Data,
    feed: Callable[[], Feed],
    whole: npt.NDArray[np.uint8],
    backbone: Path,
    work: Path,
) -> dict[str, float]:
    """Train one row, or read what it came to."""
    recipe = replace(WHOLE, student=row.student(WHOLE.student), teacher=row.teacher(WHOLE.teacher))
    taught, here = (_folder(work, part) for part in (recipe.teacher, recipe))
    done = here / "result.json"
    if not done.is_file():
        master = judge.taught(recipe, data, feed, backbone, taught, torch.device("cpu"))
        net = judge.learned(recipe, data, feed, master, here, lambda net: {})
        told = judge.agreement(judge.judged(master, whole), data.val_photos)
        done.write_text(json.dumps(_figures(net, data, whole) | {f"teacher_{k}": v for k, v in told.items()}))
    result = json.loads(done.read_text())
    print(row.name, result, flush=True)
    return result


def _folder(work: Path, settings: TeacherRecipe | judge.EmbeddedJudge) -> Path:
    """One for each setting, so that a changed row is not taken for the old one."""
    folder = work / fingerprint(asdict(settings))[:12]
    folder.mkdir(exist_ok=True)
    return folder


def _figures(net: JudgeNet, data: judge.Data, whole: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Agreement with people, order of degradations, steadiness; on pictures that were not trained on."""

    def two(pixels: Any) -> Any:
        out = student.predict(net, pixels)
        return out.quality.numpy(), 100 * out.attributes.numpy()

    size_px, ordered = WHOLE.preprocess.size_px, {}
    for name, samples in (("photographs", data.val_photos), ("faces", data.val_faces)):
        reports = probe.probe(two, [s.open() for s in samples[: WHOLE.probed]], size_px)
        ordered[f"ordered_{name}"] = round(float(np.mean([r.ordered for r in reports.values()])), 4)
    moved = probe.steadiness(lambda pixels: two(pixels)[0], [s.open() for s in data.val_photos[:300]], size_px)
    return {
        **judge.agreement(two(whole)[0], data.val_photos),
        **ordered,
        "mirrored_points": round(100 * moved["mirrored"].mean, 3),
        "jpeg95_points": round(100 * moved["jpeg95"].mean, 3),
    }


_COLUMNS = {
    "srcc_pooled": "SRCC pooled",
    "srcc_mean_inside": "inside subsets",
    "ordered_photographs": "order, photographs",
    "ordered_faces": "order, faces",
    "mirrored_points": "mirrored, points",
    "jpeg95_points": "saved again, points",
}


def _markdown(results: dict[str, dict[str, float]]) -> str:
    lines = [f"| | {' | '.join(_COLUMNS.values())} |", f"|---|{'--:|' * len(_COLUMNS)}"]
    lines += [f"| {name} | {' | '.join(f'{row[c]:.3f}' for c in _COLUMNS)} |" for name, row in results.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(2)
    main()
