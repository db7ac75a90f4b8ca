"""What each ingredient of the embedded judge brings: its recipe in small, whole, and with one thing changed at a time.

    python recipes/ablation.py --data ../shared/data --backbone ../shared/models/mobilenetv2_imagenet.npz

Small:   1,000 photographs of BIQ2021 and the faces of SFHQ, 96 px, two epochs from random weights in small batches. The
         figures compare with each other, not with the judge that ships.
Fair:    every row takes the same number of steps: fewer views mean more epochs.
Noise:   the row "another seed" says how far two runs of the same recipe lie apart.
Time:    about 5 min for the views and the teacher, then 4 min a row on 2 CPU cores; what is done is kept in --work
Writes:  --out, a table in JSON, and the same in Markdown on the terminal
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import embedded_judge as judge
import numpy as np
import numpy.typing as npt
import torch

from mien.core.preprocess import Preprocess
from mien.models.judge_net import JudgeNet
from mien.training import probe, student
from mien.training.student import Lesson, StudentRecipe
from mien.training.teacher import TeacherRecipe
from mien.training.views import GROUP, ViewPlan, Views

SIZE_PX = 96
WHOLE = replace(
    judge.SECOND,
    start=None,
    photo_views=ViewPlan(size_px=SIZE_PX),
    face_views=ViewPlan(size_px=SIZE_PX),
    light_views=None,
    code_views=None,
    teacher=TeacherRecipe(members=1, epochs=72),  # as many steps as the large one
    student=replace(judge.SECOND.student, epochs=2, batch_groups=8, learning_rate=2e-3, ema=0.99),
    preprocess=Preprocess(size_px=SIZE_PX),
    pictures=1000,
    probed=30,
)

Lessons = dict[str, Lesson]


@dataclass(frozen=True)
class Row:
    """One change."""

    name: str
    recipe: Callable[[StudentRecipe], StudentRecipe] = lambda recipe: recipe
    lessons: Callable[[Lessons], Lessons] = lambda lessons: lessons
    start: str | None = None
    depths: tuple[int, ...] = WHOLE.start_depths  #: of `start`


def main() -> None:
    """Command line of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds biq2021/ and sfhq/")
    parser.add_argument("--backbone", type=Path, required=True, help="folded MobileNetV2, .npz")
    parser.add_argument("--work", type=Path, default=Path(".cache/ablation"))
    parser.add_argument("--out", type=Path, default=Path("recipes/ablation.json"))
    args = parser.parse_args()
    data = judge.read(args.data, WHOLE)
    prepared = judge.prepare(WHOLE, data, args.backbone, args.work)
    results = {row.name: _result(row, data, prepared, args.work / f"{k:02d}") for k, row in enumerate(ROWS)}
    args.out.write_text(
        json.dumps({"settings": __doc__, "teacher": prepared.teacher_metrics, "rows": results}, indent=2)
    )
    print(_markdown(results))


def plain(lessons: Lessons) -> Lessons:
    """Only undegraded views."""
    return {name: _groups(lesson, lesson.views.lost[2::GROUP].max(1) == 0) for name, lesson in lessons.items()}


def rated(lessons: Lessons) -> Lessons:
    """Only what people rated: undegraded views of photographs, and no opinion but theirs."""
    return {"photos": plain({"photos": lessons["photos"]})["photos"]}


def photographs(lessons: Lessons) -> Lessons:
    """Without the pictures that nobody rated."""
    return {"photos": lessons["photos"]}


ROWS = (
    Row("everything"),
    Row("another seed", lambda r: replace(r, seed=r.seed + 1)),
    Row("begun with edition 1 instead of random weights", start="edition-1/mien-judge-1.onnx", depths=(1, 1, 2, 1)),
    Row("without what the teacher's eyes see, place by place", lambda r: replace(r, map_weight=0.0)),
    Row("without any features of the teacher", lambda r: replace(r, map_weight=0.0, feature_weight=0.0)),
    Row("without the teacher's opinions on rated pictures", lambda r: replace(r, opinion_share=1.0)),
    Row(
        "opinions of people alone: no teacher, no pseudo-labels, no degradations",
        lambda r: replace(r, map_weight=0.0, feature_weight=0.0, opinion_share=1.0),
        rated,
    ),
    Row("without the faces, which nobody rated (pseudo-labels)", lessons=photographs),
    Row("without degraded views", lessons=plain),
    Row("without PLCC loss", lambda r: replace(r, opinion_terms=("mse",))),
    Row("fidelity loss in its place", lambda r: replace(r, opinion_terms=("mse", "fidelity"))),
    Row("without the loss of steadiness", lambda r: replace(r, steady_weight=0.0)),
)


def _groups(lesson: Lesson, kept: npt.NDArray[np.bool_]) -> Lesson:
    rows, v = np.repeat(kept, GROUP), lesson.views
    views = Views(np.asarray(v.pixels)[rows], v.picture[rows], v.label[rows], v.lost[rows])
    maps = tuple(np.asarray(m)[rows] for m in lesson.maps)
    return Lesson(views, lesson.quality[rows], lesson.features[rows], maps)


def _result(row: Row, data: judge.Data, prepared: judge.Prepared, work: Path) -> dict[str, Any]:
    """Train one row, or read what it came to."""
    done = work / "result.json"
    if not done.is_file():
        work.mkdir(parents=True, exist_ok=True)
        lessons = row.lessons(prepared.lessons)
        share = _views(prepared.lessons) / _views(lessons)
        settings = row.recipe(WHOLE.student)
        settings = replace(settings, epochs=round(settings.epochs * share))
        recipe = replace(WHOLE, student=settings, start=row.start, start_depths=row.depths)
        net = judge.learn(recipe, data, replace(prepared, lessons=lessons), work)
        done.write_text(json.dumps(_figures(net, data, prepared) | {"epochs": settings.epochs}))
    result = json.loads(done.read_text())
    print(row.name, result, flush=True)
    return result


def _views(lessons: Lessons) -> int:
    return sum(len(lesson.quality) for lesson in lessons.values())


def _figures(net: JudgeNet, data: judge.Data, prepared: judge.Prepared) -> dict[str, float]:
    """Agreement with people, order of degradations, steadiness; on pictures that were not trained on."""

    def two(pixels: Any) -> Any:
        out = student.predict(net, pixels)
        return out.quality.numpy(), 100 * out.attributes.numpy()

    ordered = {}
    for name, samples in (("photographs", data.val_photos), ("faces", data.val_faces)):
        reports = probe.probe(two, [s.open() for s in samples[: WHOLE.probed]], SIZE_PX)
        ordered[f"ordered_{name}"] = round(float(np.mean([r.ordered for r in reports.values()])), 4)
    moved = probe.steadiness(lambda pixels: two(pixels)[0], [s.open() for s in data.val_photos[:300]], SIZE_PX)
    return {
        **judge.agreement(two(prepared.whole)[0], data.val_photos),
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
