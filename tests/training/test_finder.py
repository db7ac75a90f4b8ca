"""The finder's training: who answers for a face, what a window keeps, a killed run, and that it learns at all."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import face_sources

torch = pytest.importorskip("torch")

from faces import tiny_finder  # noqa: E402
from mien.core.errors import UsageError  # noqa: E402
from mien.data import composites  # noqa: E402
from mien.data.composites import ScenePlan  # noqa: E402
from mien.data.degradations import Degradation  # noqa: E402
from mien.faces.find import Finder, decode  # noqa: E402
from mien.models.finder_net import Answers, FinderNet  # noqa: E402
from mien.runtime.model_file import open_session  # noqa: E402
from mien.training import finder, scenes  # noqa: E402
from mien.training.finder import (  # noqa: E402
    Batch,
    FinderRecipe,
    Lesson,
    Windows,
    assign,
    grid,
    on_ignored,
    shot,
    taught,
    window,
)
from mien.training.hints import exposed  # noqa: E402
from mien.training.scenes import Scenes  # noqa: E402

SMALL = Windows(px=64, batch=3)
RECIPE = FinderRecipe(epochs=2, windows=(SMALL,))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    folder = tmp_path_factory.mktemp("data")
    sources = composites.read(face_sources.write(folder), "train")
    plan = ScenePlan(size_px=80, face_px=(20.0, 50.0), degraded_share=0.0)
    return scenes.build(sources, plan, 12, 5, folder / "scenes", workers=1)


THROUGH = ScenePlan(degraded_share=0.5, strength=(0.1, 0.4))


def guesses(seed: int, n: int, side: int) -> Answers:
    """Random answers around the places of a square."""
    generator = torch.Generator().manual_seed(seed)
    place, stride = grid(side, side)
    a = len(place)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    middle, half = place + stride[:, None] * normal(n, a, 2), stride[:, None] * normal(n, a, 2).exp()
    return Answers(normal(n, a), normal(n, a), torch.cat([middle - half, middle + half], 2), normal(n, a, 5, 2))


def slow_assign(answers: Answers, boxes: list, side: int, radius: float, most: int) -> list[int]:
    """One picture."""
    place, stride = grid(side, side)
    wants: dict[int, list[tuple[float, int]]] = {}
    for g, (x1, y1, x2, y2) in enumerate(boxes):
        costs, overlaps = [], []
        for a in range(len(place)):
            px, py, s = *place[a].tolist(), float(stride[a])
            if abs(px - (x1 + x2) / 2) > radius * s or abs(py - (y1 + y2) / 2) > radius * s:
                continue
            bx1, by1, bx2, by2 = answers.boxes[0, a].tolist()
            w, h = min(x2, bx2) - max(x1, bx1), min(y2, by2) - max(y1, by1)
            shared = max(0.0, w) * max(0.0, h)
            overlap = shared / ((x2 - x1) * (y2 - y1) + (bx2 - bx1) * (by2 - by1) - shared)
            sure = [1 / (1 + math.exp(-float(v[0, a]))) for v in (answers.cls, answers.obj)]
            overlaps.append(overlap)
            costs.append((-math.log(math.sqrt(sure[0] * sure[1])) - 3 * math.log(max(overlap, 1e-7)), a))
        k = max(1, int(sum(sorted(overlaps, reverse=True)[:most])))
        for cost, a in sorted(costs)[:k]:
            wants.setdefault(a, []).append((cost, g))
    return [min(wants[a])[1] if a in wants else -1 for a in range(len(place))]


@pytest.mark.parametrize("seed", range(6))
def test_assignment_equals_the_loop(seed: int) -> None:
    answers, side = guesses(seed, 1, 96), 96
    rng = np.random.default_rng(seed)
    corner, size = rng.uniform(0, 60, (4, 2)), rng.uniform(8, 60, (4, 2))
    boxes = torch.tensor(np.concatenate([corner, corner + size], 1)[None], dtype=torch.float32)
    is_face = torch.tensor([[True, True, True, seed % 2 == 0]])
    owner = assign(answers, boxes, is_face, *grid(side, side))
    expected = slow_assign(answers, boxes[0, : 3 + (seed % 2 == 0)].tolist(), side, 2.5, 10)
    assert owner[0].tolist() == expected
    assert set(expected) >= {0, 1, 2}


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    answers = guesses(0, 3, 64)
    boxes = torch.tensor([[[5.0, 5, 30, 30], [30, 20, 60, 64]]] * 3)
    is_face = torch.tensor([[True, True], [False, False], [True, False]])
    owner = assign(answers, boxes, is_face, *grid(64, 64))
    assert (owner[1] == -1).all()
    for i in (0, 2):
        alone = Answers(*(v[i : i + 1] for v in answers))
        assert torch.equal(owner[i : i + 1], assign(alone, boxes[i : i + 1], is_face[i : i + 1], *grid(64, 64)))


def test_places_on_an_ignored_region_cost_nothing() -> None:
    place, stride = grid(64, 64)
    boxes = torch.tensor([[[16.0, 16, 40, 40], [48, 48, 50, 50]]])
    passed = on_ignored(boxes, torch.tensor([[True, False]]), place, stride)[0]
    inside = ((place >= 16) & (place <= 40)).all(1)
    assert passed[inside].all() and not passed[(place > 56).any(1) & (stride == 8)].any()
    answers, truth = guesses(0, 1, 64), torch.zeros((1, 1, 5, 2))
    pixels = torch.zeros((1, 64, 64, 3), dtype=torch.uint8)
    flags = [torch.tensor([[ignored]]) for ignored in (False, True)]
    nobody = torch.tensor([[False]])
    without, with_region = (
        finder.losses(answers, Batch(pixels, boxes[:, :1], truth, nobody, flag), RECIPE, 0)["obj"] for flag in flags
    )
    sure = torch.nn.functional.softplus(answers.obj[0][passed]).sum()
    assert float(without - with_region) == pytest.approx(float(sure), rel=1e-5)


def test_right_answers_cost_next_to_nothing() -> None:
    boxes, points = torch.tensor([[[20.0, 16, 44, 48]]]), torch.rand((1, 1, 5, 2)) * 30
    place, stride = grid(64, 64)
    a = len(place)
    at = int(((place - torch.tensor([32.0, 32])).square().sum(1) + stride).argmin())
    sure = torch.full((1, a), -20.0)
    sure[0, at] = 20.0
    guess = boxes.expand(1, a, 4) + torch.tensor([500.0])
    guess = guess.clone()
    guess[0, at] = boxes[0, 0]
    answers = Answers(sure, sure, guess, points.expand(1, a, 5, 2))
    pixels, yes = torch.zeros((1, 64, 64, 3), dtype=torch.uint8), torch.tensor([[True]])
    right = finder.losses(answers, Batch(pixels, boxes, points, yes, ~yes), RECIPE, 0)
    assert all(float(v) < 1e-4 for v in right.values()), right
    wrong = finder.losses(answers, Batch(pixels, boxes + 4, points + 4, yes, ~yes), RECIPE, 0)
    assert all(float(wrong[name]) > 0.1 for name in ("box", "cls", "landmarks")), wrong


def test_landmarks_weigh_more_once_faces_are_found() -> None:
    boxes, points = torch.tensor([[[20.0, 16, 44, 48]]]), torch.rand((1, 1, 5, 2)) * 30
    pixels, yes = torch.zeros((1, 64, 64, 3), dtype=torch.uint8), torch.tensor([[True]])
    recipe = FinderRecipe(first_weight=2.0, landmark_weight=6.0, first_epochs=3)
    batch = Batch(pixels, boxes, points, yes, ~yes)
    early, late = (finder.losses(guesses(0, 1, 64), batch, recipe, epoch) for epoch in (2, 3))
    assert float(late["landmarks"]) == pytest.approx(3 * float(early["landmarks"]))
    assert float(late["box"]) == float(early["box"])


def test_a_batch_without_faces_has_a_finite_loss() -> None:
    none = torch.tensor([[False]])
    batch = Batch(
        torch.zeros((1, 64, 64, 3), dtype=torch.uint8), torch.ones((1, 1, 4)), torch.zeros((1, 1, 5, 2)), none, none
    )
    values = finder.losses(guesses(0, 1, 64), batch, RECIPE, 0)
    assert all(torch.isfinite(v) for v in values.values())
    assert float(values["box"]) == float(values["landmarks"]) == 0


def test_a_window_carries_pixels_and_truth_alike() -> None:
    """The only bright pixels are at the landmarks: they must be there in every window, whatever was done to it."""
    pixels = np.zeros((96, 96, 3), np.uint8)
    points = np.array([[40, 40], [60, 40], [50, 52], [42, 62], [58, 62]], np.float32)
    for x, y in points.astype(int):
        pixels[y - 2 : y + 2, x - 2 : x + 2] = 250
    marks = np.array([[34, 28, 66, 72]], np.float32), points[None], np.array([False])
    windows = replace(SMALL, whole_share=0.3)
    kept = 0
    for seed in range(40):
        view, (boxes, landmarks, ignored) = window(pixels, marks, windows, np.random.default_rng(seed))
        assert view.shape == (64, 64, 3) and view.dtype == np.uint8
        for box, five, passed in zip(boxes, landmarks, ignored, strict=True):
            inside = np.clip(box, 0, 64)
            part = (inside[2:] - inside[:2]).prod() / (box[2:] - box[:2]).prod()
            assert passed == (part < 0.6)
            kept += not passed
            middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
            assert (np.square((five - middle) / half).sum(1) < 1).all()  # turned and stretched like its landmarks
            for x, y in five:
                if 2 <= x < 62 and 2 <= y < 62:
                    row, column = round(float(y)), round(float(x))
                    assert view[row - 1 : row + 1, column - 1 : column + 1].mean() > 90
            assert five[0, 0] < five[1, 0] and five[3, 0] < five[4, 0]  # mirrored, the right eye is on the left again
    assert kept >= 10


def test_a_window_as_the_scene_is_changes_no_pixel() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    marks = np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, bool)
    for seed in range(6):
        view, _ = window(pixels, marks, replace(SMALL, whole_share=1.0), np.random.default_rng(seed))
        there = [
            np.array_equal(pixels[y : y + 64, x : x + 64][:, ::order], view)
            for y in range(33)
            for x in range(33)
            for order in (1, -1)
        ]
        assert sum(there) == 1


def test_a_shot_changes_light_and_nothing_else_where_nothing_is_degraded() -> None:
    view = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    same = shot(view, (), replace(RECIPE, light=0.0, grey_share=0.0), np.random.default_rng(0))
    assert np.array_equal(same, view)
    grey = shot(view, (), replace(RECIPE, grey_share=1.0), np.random.default_rng(0))
    assert (grey == grey[..., :1]).all()
    lit = shot(view, (), replace(RECIPE, light=0.3, grey_share=0.0), np.random.default_rng(1))
    for c in range(3):  # a monotone curve for each channel
        before, after = view[..., c].ravel(), lit[..., c].ravel().astype(int)
        assert (np.diff(after[np.argsort(before, kind="stable")]) >= 0).all() and (after != before).any()
    through = shot(view, (Degradation("blur", 1.0),), replace(RECIPE, light=0.0), np.random.default_rng(0))
    assert np.abs(np.diff(through.astype(int), axis=1)).mean() < np.abs(np.diff(view.astype(int), axis=1)).mean()


def test_a_window_that_shrinks_its_scene_skips_no_pixel() -> None:
    """Stripes of one pixel become grey, and faces shrink with them."""
    pixels = np.zeros((96, 96, 3), np.uint8)
    pixels[:, ::2] = 255
    box, points = np.array([[16, 16, 80, 80]], np.float32), np.full((1, 5, 2), 48, np.float32)
    half = replace(SMALL, whole_share=0.0, scale=(0.5, 0.5), tilt_deg=0.0, stretch=0.0)
    view, (boxes, landmarks, _) = window(pixels, (box, points, np.array([False])), half, np.random.default_rng(0))
    x1, y1, x2, y2 = boxes[0]
    assert (x2 - x1, y2 - y1) == pytest.approx((32, 32), abs=0.01)
    assert landmarks[0, 0] == pytest.approx(((x1 + x2) / 2, (y1 + y2) / 2), abs=0.01)
    inside = view[int(y1) + 2 : int(y2) - 2, int(x1) + 2 : int(x2) - 2].astype(int)
    assert np.abs(inside - 127).max() < 20


@pytest.fixture(scope="module")
def teacher() -> Finder:
    return Finder.load(threads=1)


def test_a_teacher_is_read_as_a_finder_is(teacher: Finder) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8)
    told = taught([teacher.answers(one) for one in pixels], 96)
    for i in range(2):
        expected = decode(teacher.answers(pixels[i]), 96, 0.0)
        confidence = (told.cls[i] * told.obj[i]).sqrt().numpy()
        assert np.allclose(confidence, expected.confidence, atol=1e-6)
        assert np.allclose(told.boxes[i].numpy(), expected.boxes, atol=1e-3)
        assert np.allclose(told.landmarks[i].numpy(), expected.landmarks, atol=1e-3)


def lesson(at: int, obj: float, box: torch.Tensor, *, counts: bool = True) -> Lesson:
    """A teacher that sees something at one place of 64 px, and nothing elsewhere."""
    a = len(grid(64, 64)[0])
    seen = torch.zeros((1, a))
    seen[0, at] = obj
    answers = Answers(torch.full((1, a), 0.6), seen, box.expand(1, a, 4), torch.full((1, a, 5, 2), 30.0))
    is_counted = torch.ones((1, a), dtype=torch.bool)
    is_counted[0, at] = counts
    return Lesson(answers, is_counted)


def test_what_the_teacher_sees_is_learned_where_no_face_is_known() -> None:
    pixels, no = torch.zeros((1, 64, 64, 3), dtype=torch.uint8), torch.tensor([[False]])
    answers, box = guesses(0, 1, 64), torch.tensor([20.0, 16, 44, 48])
    nobody = Batch(pixels, torch.ones((1, 1, 4)), torch.zeros((1, 1, 5, 2)), no, no)

    def cost(told: Lesson | None, guess: Answers = answers) -> dict[str, float]:
        values = finder.losses(guess, nobody._replace(lesson=told), RECIPE, 0)
        return {name: float(value) for name, value in values.items()}

    alone, unsure, sure, unseen = (
        cost(told) for told in (None, lesson(7, 0.2, box), lesson(7, 0.8, box), lesson(7, 0.8, box, counts=False))
    )
    logit = float(answers.obj[0, 7])
    assert alone["obj"] - unsure["obj"] == pytest.approx(0.2 * logit, abs=1e-4)  # binary cross-entropy with that target
    assert unsure["box"] == unsure["cls"] == unsure["landmarks"] == 0  # too little to learn a box from
    assert all(sure[name] > 0 for name in ("box", "cls", "landmarks"))
    silent = answers._replace(obj=answers.obj.index_fill(1, torch.tensor([7]), 50.0))
    assert unseen == pytest.approx(cost(lesson(7, 0.8, box, counts=False), silent), abs=1e-4)
    same = Answers(answers.cls, answers.obj, box.expand_as(answers.boxes), torch.full_like(answers.landmarks, 30.0))
    right = cost(lesson(7, 0.8, box), same)
    assert right["box"] == right["landmarks"] == pytest.approx(0, abs=1e-6)


def test_a_known_face_comes_before_the_teacher() -> None:
    boxes, points = torch.tensor([[[20.0, 16, 44, 48]]]), torch.rand((1, 1, 5, 2)) * 30
    pixels, yes = torch.zeros((1, 64, 64, 3), dtype=torch.uint8), torch.tensor([[True]])
    answers = guesses(0, 1, 64)
    batch = Batch(pixels, boxes, points, yes, ~yes)
    owner = assign(answers, boxes, yes, *grid(64, 64))
    (at,) = torch.nonzero(owner[0] >= 0)[:1, 0].tolist()
    plain = finder.losses(answers, batch, RECIPE, 0)
    doubted = finder.losses(answers, batch._replace(lesson=lesson(at, 0.5, boxes[0, 0] + 9)), RECIPE, 0)
    assert all(torch.equal(plain[name], doubted[name]) for name in plain)


def test_what_a_degradation_hides_is_neither_a_face_nor_learned_from_the_teacher() -> None:
    """A face of 8 px and one of 40, through a blur behind which 10 px are the least; the teacher sees both."""
    boxes = np.array([[4, 4, 12, 12], [20, 20, 60, 60]], np.float32)
    pixels = np.zeros((1, 64, 64, 3), np.uint8)
    points = np.repeat(boxes[:, None, :2], 5, 1) + 3
    one = Scenes(pixels, np.array([0, 2]), boxes, points, np.zeros(2, bool))
    place, stride = (v.numpy() for v in grid(64, 64))
    at = [int(np.abs(place - (b[:2] + b[2:]) / 2).sum(1).argmin()) for b in boxes]

    def look(view: np.ndarray) -> dict[str, np.ndarray]:
        told = {f"{name}_{s}": np.zeros((1, (64 // s) ** 2, k), np.float32)
                for name, k in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)) for s in (8, 16, 32)}  # fmt: skip
        for a, side in zip(at, (8, 40), strict=True):
            assert stride[a] == 8  # the first ones
            told["obj_8"][0, a] = 0.9
            told["bbox_8"][0, a, 2:] = np.log(side / 8)
        return told

    whole = replace(SMALL, whole_share=1.0)
    through = replace(THROUGH, degraded_share=1.0, degradations=("blur",), most_degradations=1, strength=(1.0, 1.0))
    clear, blurred = (
        finder._read(one, RECIPE, plan, look, finder._Job(np.array([0]), whole, (1, 2))) for plan in (None, through)
    )
    assert clear.is_face.tolist() == [[True, True]] and not clear.is_ignored.any()
    assert blurred.is_face.tolist() == [[False, True]] and blurred.is_ignored.tolist() == [[True, False]]
    assert clear.lesson is not None and clear.lesson.counts.all()
    assert blurred.lesson is not None
    assert torch.nonzero(~blurred.lesson.counts[0]).flatten().tolist() == [at[0]]


def test_in_a_region_to_ignore_only_what_the_teacher_sees_is_learned() -> None:
    pixels, no = torch.zeros((1, 64, 64, 3), dtype=torch.uint8), torch.tensor([[False]])
    answers, box = guesses(0, 1, 64), torch.tensor([0.0, 0, 64, 64])
    region = Batch(pixels, box[None, None], torch.zeros((1, 1, 5, 2)), no, ~no)
    assert float(finder.losses(answers, region, RECIPE, 0)["obj"]) == 0  # all of it
    told = region._replace(lesson=lesson(7, 0.2, box))
    logit = answers.obj[0, 7]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logit, torch.tensor(0.2))
    assert float(finder.losses(answers, told, RECIPE, 0)["obj"]) == pytest.approx(float(expected), rel=1e-5)


def test_hints_are_taken_where_the_teacher_overlooks_no_known_face() -> None:
    """Maps that are right but at one place cost something, unless that is a face which the teacher does not see."""
    boxes, points = torch.tensor([[[20.0, 16, 44, 48]]]), torch.rand((1, 1, 5, 2)) * 30
    pixels, yes = torch.zeros((1, 64, 64, 3), dtype=torch.uint8), torch.tensor([[True]])
    answers = guesses(0, 1, 64)
    owner = assign(answers, boxes, yes, *grid(64, 64))
    (at,) = torch.nonzero(owner[0] >= 0)[:1, 0].tolist()
    assert at < 64  # a place of stride 8
    maps = [torch.randn(1, 3, 64 // s, 64 // s) for s in (8, 16, 32)]
    right = [(m - m.mean((2, 3), keepdim=True)) / (m.std((2, 3), keepdim=True, correction=0) + 1e-3) for m in maps]
    wrong = [right[0].clone(), *right[1:]]
    wrong[0][0, :, at // 8, at % 8] += 1.0
    seen, unseen = (lesson(at, obj, boxes[0, 0])._replace(maps=maps) for obj in (0.8, 0.0))

    def cost(told: Lesson, mine: list[torch.Tensor]) -> float:
        batch = Batch(pixels, boxes, points, yes, ~yes, told)
        return float(finder.losses(answers, batch, RECIPE, 0, mine)["hints"])

    assert cost(seen, right) == pytest.approx(0, abs=1e-9)
    assert cost(seen, wrong) == pytest.approx(RECIPE.hint_weight / 2, rel=1e-5)  # all of what the teacher sees
    assert cost(unseen, wrong) == pytest.approx(0, abs=1e-9)


def test_an_epoch_sees_each_scene_once_in_batches_of_each_size() -> None:
    recipe = FinderRecipe(windows=(Windows(px=64, batch=3, share=0.5), Windows(px=96, batch=2, share=0.5)))
    jobs = finder._jobs(50, recipe, 0)
    assert {(job.windows.px, len(job.picked)) for job in jobs} == {(64, 3), (96, 2)}
    picked = np.concatenate([job.picked for job in jobs])
    assert len(set(picked.tolist())) == len(picked) >= 48
    assert [job.picked.tolist() for job in finder._jobs(50, recipe, 1)] != [job.picked.tolist() for job in jobs]


class KilledError(Exception):
    pass


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_run_that_was_killed_ends_with_the_same_weights(drawn: Scenes, tmp_path: Path, goes_on: bool) -> None:
    """With a teacher and its hints; from random weights, and from those of another run."""
    file = tiny_finder.write(tmp_path / "red.onnx", rgb=False, heads=True)
    teacher = Finder(open_session(exposed(file), 1, file), "red").answers
    begin = tmp_path / "first" / "checkpoint.pt"

    def validate(net: FinderNet) -> dict[str, float]:
        finder.export(net, tmp_path / "watched.onnx")  # leaves the network as it is
        return {"seen": 1.0}

    def train(work: Path, recipe: FinderRecipe, tell=lambda line: None) -> dict[str, torch.Tensor]:
        work.mkdir(exist_ok=True)
        given = {"through": THROUGH, "teacher": teacher, "begin": begin if goes_on and work != begin.parent else None}
        return finder.fit(drawn, recipe, work, "key", validate=validate, tell=tell, **given).state_dict()

    if goes_on:
        train(begin.parent, replace(RECIPE, epochs=1, validate_every=9))

    whole = train(tmp_path / "whole", RECIPE)
    lines: list[str] = []

    def killed(line: str) -> None:
        lines.append(line)
        if len(lines) == 7:  # in the second epoch: with minutes=0 there is a checkpoint, and a line, after every step
            raise KilledError

    often = replace(RECIPE, minutes=0.0)
    with pytest.raises(KilledError):
        train(tmp_path / "killed", often, killed)
    assert "step 2 of 4" in lines[-1]
    resumed = train(tmp_path / "killed", often)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    log = (tmp_path / "killed" / "finder.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in log]
    assert [line.get("seen") for line in records][-2:] == [None, 1.0]  # every second epoch is validated
    assert [line["epoch"] for line in records] == ([1, 2, 3] if goes_on else [1, 2])
    assert all(line["loss_hints"] > 0 for line in records)


def test_a_run_goes_on_from_another_ones_average(drawn: Scenes, tmp_path: Path) -> None:
    def train(name: str, epochs: int, rate: float, begin: Path | None = None) -> dict[str, torch.Tensor]:
        work = tmp_path / name
        work.mkdir()
        recipe = replace(RECIPE, epochs=epochs, learning_rate=rate)
        silent = {"validate": lambda net: {}, "tell": lambda line: None}
        net = finder.fit(drawn, recipe, work, name, begin=begin, **silent)
        return dict(net.named_parameters())

    first = train("first", 2, 1e-3)
    same = train("still", 1, 0.0, tmp_path / "first" / "checkpoint.pt")
    assert all(torch.allclose(first[name], same[name], atol=1e-7) for name in first)
    lines = [json.loads(line) for line in (tmp_path / "still" / "finder.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    other = train("alone", 1, 0.0)
    assert any(not torch.allclose(first[name], other[name], atol=1e-3) for name in first)


def test_a_run_that_goes_on_sees_other_windows_than_the_one_before(
    drawn: Scenes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[tuple[int, ...]] = []
    real = finder._read
    monkeypatch.setattr(finder, "_read", lambda *given: (seeds.append(given[-1].seed), real(*given))[1])
    silent = {"validate": lambda net: {}, "tell": lambda line: None}
    for name, begin in (("one", None), ("two", tmp_path / "one" / "checkpoint.pt")):
        (tmp_path / name).mkdir()
        finder.fit(drawn, RECIPE, tmp_path / name, name, begin=begin, **silent)
    assert len(seeds) == 16 == len(set(seeds))


def test_only_the_checkpoint_of_such_a_run_that_has_ended_can_be_gone_on_from(drawn: Scenes, tmp_path: Path) -> None:
    silent = {"validate": lambda net: {}, "tell": lambda line: None}
    finder.fit(drawn, replace(RECIPE, epochs=1), tmp_path, "one", **silent)
    ended = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    inside, other = tmp_path / "inside.pt", tmp_path / "other.pt"
    torch.save({**ended, "progress": {**ended["progress"], "step": 2}}, inside)
    torch.save({**ended, "parts": {"average": {"module.x": torch.zeros(1)}}}, other)
    for file, reason in ((inside, "inside an epoch"), (other, "no checkpoint of such a network")):
        with pytest.raises(UsageError, match=reason):
            finder.fit(drawn, RECIPE, tmp_path / "new", "new", begin=file, **silent)


def test_too_few_scenes_for_a_batch_are_refused(drawn: Scenes, tmp_path: Path) -> None:
    recipe = replace(RECIPE, windows=(replace(SMALL, batch=len(drawn) + 1),))
    with pytest.raises(UsageError, match="12 scenes do not fill a batch of 13 windows"):
        finder.fit(drawn, recipe, tmp_path, "key", validate=lambda net: {}, tell=lambda line: None)


def test_the_checkpoint_of_another_run_is_refused(drawn: Scenes, tmp_path: Path) -> None:
    recipe = replace(RECIPE, epochs=1)
    finder.fit(drawn, recipe, tmp_path, "one", validate=lambda net: {}, tell=lambda line: None)
    with pytest.raises(UsageError, match="belongs to a run with another recipe"):
        finder.fit(drawn, recipe, tmp_path, "another", validate=lambda net: {}, tell=lambda line: None)


@pytest.mark.slow
def test_it_learns(drawn: Scenes, tmp_path: Path) -> None:
    still = replace(SMALL, whole_share=1.0)
    recipe = replace(RECIPE, epochs=24, learning_rate=5e-3, light=0.0, grey_share=0.0, windows=(still,))
    finder.fit(drawn, recipe, tmp_path, "key", validate=lambda net: {}, tell=lambda line: None)
    lines = [json.loads(line) for line in (tmp_path / "finder.jsonl").read_text().splitlines()]
    assert lines[-1]["loss_obj"] < 0.7 * lines[0]["loss_obj"]
    assert lines[-1]["loss_box"] < 0.9 * lines[0]["loss_box"]
