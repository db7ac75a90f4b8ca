"""The face finder, from random weights.

Each face takes some places of the network for its own (SimOTA, `assign`), and with a the places of all faces
L = [ box_weight  sum_a EIoU  +  sum_a BCE(cls, IoU)  +  sum over all places BCE(obj, 1 at a, 0 elsewhere)
      + weight  sum_a smooth L1 of the landmarks in parts of the face ] / number of a
The weight of the landmarks is small at first, `first_weight`, and `landmark_weight` later: a network that begins with
the large one finds faces later, and one that keeps the small one never learns to tell a profile from a frontal face.
Places on regions to ignore have no part in obj, as long as there is no teacher. What a batch sees are windows of the
scenes: moved, scaled, stretched, tilted, mirrored, in other light, through other degradations each time.

A teacher may look at every window before it is relit and degraded ("function matching": Beyer et al., "Knowledge
distillation: a good teacher is patient and consistent", 2022). Where no known face has taken a place, its obj is the
target there, and where it is sure, its box, landmarks and cls are learned as well. Left out of obj are regions to
ignore in which the teacher sees nothing, and what it sees, but nobody could behind the degradations. Its feature maps
may be learned, too (`mien.training.hints`); not where it overlooks a known face.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from mien.core.errors import UsageError
from mien.data.composites import ScenePlan, least_visible, random_steps
from mien.data.degradations import Degradation, degrade
from mien.data.face_labels import MIRRORED
from mien.losses.boxes import eiou_loss, iou, landmark_loss
from mien.models.finder_net import NAMES, STRIDES, Answers, Deployed, FinderNet, places
from mien.training import checkpoint, log
from mien.training.checkpoint import Progress
from mien.training.ema import averaged, network
from mien.training.export import store_half
from mien.training.hints import Hint, Teacher, hint_loss, maps_of
from mien.training.scenes import Marks, Scenes
from mien.training.schedule import Cosine, Moment, set_rate

_NOTHING = 0.1  # obj below which a teacher sees nothing


@dataclass(frozen=True)
class Windows:
    """What the batches of one kind see of the scenes."""

    px: int = 256  #: side, a multiple of 32
    batch: int = 32
    share: float = 1.0  #: of the batches
    whole_share: float = 0.3  #: of the windows that are cut as the scene is
    scale: tuple[float, float] = (0.6, 1.6)  #: of the other windows
    stretch: float = 0.12  #: of those, one way or the other; natural logarithm
    tilt_deg: float = 8.0  #: of those, standard deviation


@dataclass(frozen=True)
class FinderRecipe:
    """How the finder is trained; an epoch is one pass over all scenes."""

    epochs: int = 10
    windows: tuple[Windows, ...] = (  # the second is for faces of up to 450 px, and as much work a batch
        Windows(px=224, batch=40, share=0.75),
        Windows(px=448, batch=10, share=0.25, whole_share=0.0, scale=(1.0, 1.8)),
    )
    light: float = 0.2  #: standard deviation of the logarithms of gain and gamma, a third of it for each channel
    grey_share: float = 0.08
    sure: float = 0.3  #: obj of the teacher from which a place learns its box and landmarks
    hint_weight: float = 2.0
    learning_rate: float = 1.5e-3
    weight_decay: float = 0.01
    warmup: float = 0.02  #: part of all steps
    ema: float = 0.999
    box_weight: float = 3.0
    landmark_weight: float = 40.0
    first_weight: float = 5.0  #: of the landmarks in the first `first_epochs`
    first_epochs: int = 3
    validate_every: int = 2  #: epochs; also after the last
    minutes: float = 3.0  #: between two checkpoints inside an epoch
    seed: int = 1


class Lesson(NamedTuple):
    """What a teacher says of n windows."""

    answers: Answers  #: cls and obj in 0..1
    counts: Tensor  #: (n, a) bool: what it sees there can be seen in the pixels of the batch, too
    maps: list[Tensor] | None = None  #: see `mien.training.hints.maps_of`


class Batch(NamedTuple):
    """n windows and the faces in them, g at most; rows that are no face are padding."""

    pixels: Tensor  #: (n, s, s, 3) uint8
    boxes: Tensor  #: (n, g, 4) pixels
    landmarks: Tensor  #: (n, g, 5, 2)
    is_face: Tensor  #: (n, g) bool
    is_ignored: Tensor  #: (n, g) bool
    lesson: Lesson | None = None


def fit(
    scenes: Scenes,
    recipe: FinderRecipe,
    work: Path,
    key: str,
    *,
    validate: Callable[[FinderNet], dict[str, Any]],
    through: ScenePlan | None = None,
    teacher: Teacher | None = None,
    begin: Path | None = None,
    tell: Callable[[str], None] = print,
) -> FinderNet:
    """Train, or go on from `work/checkpoint.pt`; one line of JSON for each epoch goes to `work/finder.jsonl`.

    Args:
        scenes: to learn from.
        recipe: sizes and steps.
        work: folder of checkpoint and log.
        key: fingerprint of recipe and data; another one's checkpoint is refused.
        validate: metrics of a network in evaluation mode; watched, never used to choose.
        through: windows are seen through the degradations of that plan; None: as they are.
        teacher: see the head of this file.
        begin: checkpoint of an earlier run that has ended: its average is where this one starts, and its epochs count
            before those of this run, so that no window comes again.
        tell: receives a line for people now and then.

    Returns:
        The average of the weights over the last steps (EMA), in evaluation mode.

    Raises:
        UsageError: the checkpoint is of another run, or damaged; too few scenes for a batch.
    """
    torch.manual_seed(recipe.seed)
    net = FinderNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    hint = None if teacher is None else Hint.of(teacher, net)
    earlier = [] if begin is None else checkpoint.load_average(begin, net)
    average = averaged(net, recipe.ema)
    learned = nn.ModuleList([net] if hint is None else [net, hint])
    optimizer = torch.optim.AdamW(learned.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    rate = Cosine(recipe.warmup)
    parts = {"learned": learned, "average": average, "optimizer": optimizer}
    file = work / checkpoint.FILE
    progress = checkpoint.load(file, key, parts) if file.is_file() else Progress(history=earlier)
    while progress.epoch < recipe.epochs:
        started = saved = time.monotonic()
        jobs = _jobs(len(scenes), recipe, len(progress.history))
        before, steps = progress.seconds, len(jobs)
        for batch in _batches(partial(_read, scenes, recipe, through, teacher), jobs[progress.step :]):
            moment = Moment(progress.epoch * steps + progress.step, steps, recipe.epochs * steps)
            set_rate(optimizer, recipe.learning_rate * rate(moment))
            features = net.features(batch.pixels)
            maps = None if hint is None else hint(features)
            terms = losses(net.answers(features), batch, recipe, len(progress.history), maps)
            optimizer.zero_grad()
            torch.stack(list(terms.values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
            optimizer.step()
            average.update_parameters(net)
            progress.step += 1
            for name, value in terms.items():
                progress.sums[name] = progress.sums.get(name, 0.0) + float(value.detach())
            progress.seconds = before + time.monotonic() - started
            if time.monotonic() - saved > 60 * recipe.minutes:
                checkpoint.save(file, key, progress, parts)
                saved = time.monotonic()
                tell(f"epoch {progress.epoch + 1} of {recipe.epochs} in this run: step {progress.step} of {steps}")
        _end_epoch(progress, steps, recipe, validate, network(average, FinderNet))
        checkpoint.save(file, key, progress, parts)
        log.write(work / "finder.jsonl", progress.history)
        tell(json.dumps(progress.history[-1]))
    return network(average, FinderNet)


def _end_epoch(
    progress: Progress,
    steps: int,
    recipe: FinderRecipe,
    validate: Callable[[FinderNet], dict[str, Any]],
    net: FinderNet,
) -> None:
    progress.epoch += 1
    record: dict[str, Any] = {"epoch": 1 + len(progress.history), "seconds": round(progress.seconds, 1)}
    record |= {f"loss_{name}": round(value / steps, 5) for name, value in progress.sums.items()}
    if progress.epoch % recipe.validate_every == 0 or progress.epoch == recipe.epochs:
        record |= validate(net)
    progress.history.append(record)
    progress.step, progress.sums, progress.seconds = 0, {}, 0.0


# ---- targets and losses ---------------------------------------------------------------------------------------------


def losses(
    answers: Answers, batch: Batch, recipe: FinderRecipe, epoch: int, maps: list[Tensor] | None = None
) -> dict[str, Tensor]:
    """All terms of the head of this file, weighted as in this epoch (from 0), by name.

    Args:
        answers: of the network.
        batch: what it looked at.
        recipe: weights.
        epoch: from 0.
        maps: the teacher's features as `mien.training.hints.Hint` has them; None: no hints.
    """
    side = batch.pixels.shape[1]
    place, stride = grid(side, side)
    with torch.no_grad():
        owner = assign(answers, batch.boxes, batch.is_face, place, stride)
        is_ignored = on_ignored(batch.boxes, batch.is_ignored, place, stride)
    target = _targets(answers, batch, owner, recipe.sure)
    counted = (owner >= 0) | (~is_ignored if batch.lesson is None else _counted(batch.lesson, is_ignored))
    n = max(1.0, float(target.share.sum()))
    share = target.share / n
    boxes, size = answers.boxes[target.at], (target.boxes[:, 2:] - target.boxes[:, :2]).prod(1).sqrt()
    obj = F.binary_cross_entropy_with_logits(answers.obj, target.obj, reduction="none")
    cls = F.binary_cross_entropy_with_logits(answers.cls[target.at], target.cls, reduction="none")
    weight = recipe.first_weight if epoch < recipe.first_epochs else recipe.landmark_weight
    points = landmark_loss(answers.landmarks[target.at], target.landmarks, size)
    terms = {
        "box": recipe.box_weight * (share * eiou_loss(boxes, target.boxes)).sum(),
        "cls": (share * cls).sum(),
        "obj": (obj * counted).sum() / n,
        "landmarks": weight * (share * points).sum(),
    }
    if maps is not None and batch.lesson is not None and batch.lesson.maps is not None:
        is_seen = batch.lesson.answers.obj >= _NOTHING
        taken = batch.lesson.counts & (is_seen | (owner < 0))
        terms["hints"] = recipe.hint_weight * hint_loss(maps, batch.lesson.maps, is_seen, taken)
    return terms


def _counted(lesson: Lesson, is_ignored: Tensor) -> Tensor:
    """(n, a) whether a place that no face has taken has a part in obj; `is_ignored` are those in regions to ignore."""
    return lesson.counts & ~(is_ignored & (lesson.answers.obj < _NOTHING))


class _Targets(NamedTuple):
    """What places shall say: obj everywhere, the rest at k of them."""

    obj: Tensor  #: (n, a)
    at: tuple[Tensor, ...]  #: picture and place, (k,) each
    share: Tensor  #: (k,) how much each counts: 1 for a known face, obj of the teacher for what it sees
    boxes: Tensor  #: (k, 4)
    landmarks: Tensor  #: (k, 5, 2)
    cls: Tensor  #: (k,)


def _targets(answers: Answers, batch: Batch, owner: Tensor, sure: float) -> _Targets:
    at = picture, place = torch.nonzero(owner >= 0, as_tuple=True)
    face = owner[picture, place]
    boxes, landmarks = batch.boxes[picture, face], batch.landmarks[picture, face]
    overlap = iou(answers.boxes[at], boxes).detach()
    known = _Targets((owner >= 0).float(), at, torch.ones(len(face)), boxes, landmarks, overlap)
    if batch.lesson is None:
        return known
    taught, seen = batch.lesson.answers, batch.lesson.answers.obj * batch.lesson.counts
    also = torch.nonzero((owner < 0) & (seen > sure), as_tuple=True)
    return _Targets(
        torch.maximum(known.obj, seen),
        (torch.cat([picture, also[0]]), torch.cat([place, also[1]])),
        torch.cat([known.share, seen[also]]),
        torch.cat([boxes, taught.boxes[also]]),
        torch.cat([landmarks, taught.landmarks[also]]),
        torch.cat([overlap, taught.cls[also]]),
    )


def grid(height_px: int, width_px: int) -> tuple[Tensor, Tensor]:
    """(a, 2) x, y of all places in pixels and (a,) their strides, in the order of `Answers`."""
    each = [places(height_px // stride, width_px // stride, stride) for stride in STRIDES]
    return torch.cat(each), torch.cat([torch.full((len(p),), float(s)) for p, s in zip(each, STRIDES, strict=True)])


def assign(
    answers: Answers,
    boxes: Tensor,
    is_face: Tensor,
    place: Tensor,
    stride: Tensor,
    *,
    radius: float = 2.5,
    most: int = 10,
) -> Tensor:
    """Which face each place answers for: SimOTA (Ge et al., "YOLOX: exceeding YOLO series in 2021", section 2.1).

    A face may take places within `radius` strides of its middle, in x and in y. It takes the k cheapest of them, k
    being the sum of its `most` largest IoU, rounded down, at least 1; the cost is - log of the confidence - 3 log IoU.
    A place that several faces want belongs to the one for which it is cheapest.

    Args:
        answers: of n pictures at a places.
        boxes: (n, g, 4) pixels.
        is_face: (n, g) rows that count.
        place: (a, 2) pixels.
        stride: (a,) pixels.
        radius: strides.
        most: places that may make k.

    Returns:
        (n, a) row of the face, -1 for none.
    """
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    near = ((place - middle[:, :, None]).abs() <= radius * stride[:, None]).all(-1) & is_face[..., None]  # (n, g, a)
    overlap = iou(answers.boxes[:, None], boxes[:, :, None]).nan_to_num() * near
    unsure = -(F.logsigmoid(answers.cls) + F.logsigmoid(answers.obj)) / 2
    cost = (unsure[:, None] - 3 * torch.log(overlap.clamp(min=1e-7))).masked_fill(~near, torch.inf)
    k = overlap.topk(min(most, overlap.shape[2]), dim=2).values.sum(2).long().clamp(min=1)
    rank = cost.argsort(dim=2, stable=True).argsort(dim=2)
    wanted = (rank < k[..., None]) & near
    cheapest = cost.masked_fill(~wanted, torch.inf)
    return torch.where(wanted.any(1), cheapest.argmin(1), -1)


def on_ignored(boxes: Tensor, is_ignored: Tensor, place: Tensor, stride: Tensor) -> Tensor:
    """(n, a) whether a place lies on a region to ignore, or within a stride and a half of its middle."""
    inside = ((place >= boxes[:, :, None, :2]) & (place <= boxes[:, :, None, 2:])).all(-1)
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    near = ((place - middle[:, :, None]).abs() <= 1.5 * stride[:, None]).all(-1)
    return ((inside | near) & is_ignored[..., None]).any(1)


# ---- batches --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """One batch: which scenes, and how they are seen."""

    picked: npt.NDArray[np.int64]
    windows: Windows
    seed: tuple[int, ...]


def _jobs(scenes: int, recipe: FinderRecipe, epoch: int) -> list[_Job]:
    """All scenes once in random order; the few that fill no batch wait for the next epoch."""
    rng = np.random.default_rng([recipe.seed, epoch])
    order = rng.permutation(scenes)
    shares = np.array([windows.share for windows in recipe.windows])
    jobs: list[_Job] = []
    first = 0
    while True:
        windows = recipe.windows[int(rng.choice(len(shares), p=shares / shares.sum()))]
        picked = order[first : first + windows.batch]
        if len(picked) < windows.batch:
            break
        jobs.append(_Job(picked, windows, (recipe.seed, epoch, len(jobs))))
        first += windows.batch
    if not jobs:
        raise UsageError(f"{scenes} scenes do not fill a batch of {windows.batch} windows: there is nothing to learn")
    return jobs


def _batches(read: Callable[[_Job], Batch], jobs: Sequence[_Job]) -> Iterator[Batch]:
    """The batches of these jobs; the next one is read while this one is learned."""
    with ThreadPoolExecutor(1) as reader:
        coming = [reader.submit(read, job) for job in jobs[:1]]
        for job in jobs[1:]:
            batch = coming.pop().result()
            coming.append(reader.submit(read, job))
            yield batch
        yield from (last.result() for last in coming)


def _read(scenes: Scenes, recipe: FinderRecipe, through: ScenePlan | None, teacher: Teacher | None, job: _Job) -> Batch:
    rng, side = np.random.default_rng(job.seed), job.windows.px
    cut = [window(scenes.pixels[i], scenes.marks(int(i)), job.windows, rng) for i in job.picked]
    steps = [() if through is None else random_steps(through, rng) for _ in cut]
    pixels = np.stack([shot(view, seen, recipe, rng) for (view, _), seen in zip(cut, steps, strict=True)])
    most, n = max(1, *(len(marks[0]) for _, marks in cut)), len(cut)
    boxes = np.zeros((n, most, 4), np.float32)
    boxes[..., 2:] = 1.0  # padding has an area, so that nothing divides by 0
    points, kinds = np.zeros((n, most, 5, 2), np.float32), np.zeros((2, n, most), bool)
    for i, (_, (box, landmarks, ignored)) in enumerate(cut):
        out = ignored | ~_visible(box, steps[i], side)
        boxes[i, : len(box)], points[i, : len(box)] = box, np.nan_to_num(landmarks)
        kinds[0, i, : len(box)], kinds[1, i, : len(box)] = ~out, out
    known = (torch.from_numpy(a) for a in (pixels, boxes, points, kinds[0], kinds[1]))
    return Batch(*known, lesson=None if teacher is None else _lesson(teacher, [view for view, _ in cut], steps))


def _lesson(
    teacher: Teacher, views: Sequence[npt.NDArray[np.uint8]], steps: Sequence[tuple[Degradation, ...]]
) -> Lesson:
    told, side = [teacher(view) for view in views], views[0].shape[0]
    answers = taught(told, side)
    seen = [_visible(boxes, step, side) for boxes, step in zip(answers.boxes.numpy(), steps, strict=True)]
    return Lesson(answers, (answers.obj < _NOTHING) | torch.from_numpy(np.stack(seen)), maps_of(told))


def window(
    pixels: npt.NDArray[np.uint8], marks: Marks, windows: Windows, rng: np.random.Generator
) -> tuple[npt.NDArray[np.uint8], Marks]:
    """A random window of a scene, and what of its faces is there.

    Faces of which 60 % are inside stay; of the others, regions to ignore. Beyond the scene it is black, as it is below
    and to the right of what a finder is fed. Where a window shrinks its scene, it skips no pixels.
    """
    side = windows.px
    turn, scale = np.eye(2), 1.0
    if rng.random() >= windows.whole_share:
        scale = float(np.exp(rng.uniform(*np.log(windows.scale))))
        if scale < 1:
            pixels, marks = _shrunk(pixels, marks, scale)
            scale = 1.0
        t, longer = np.deg2rad(rng.normal(0, windows.tilt_deg)), np.exp(rng.uniform(-1, 1) * windows.stretch)
        turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) @ np.diag([longer, 1 / longer])
    wide = round(side / scale)
    low = np.minimum(0, np.array(pixels.shape[:2]) - wide)
    high = np.maximum(0, np.array(pixels.shape[:2]) - wide)
    y, x = (int(rng.integers(a, b + 1)) for a, b in zip(low, high, strict=True))
    is_mirrored = rng.random() < 0.5
    if is_mirrored:
        turn = np.diag([-1.0, 1.0]) @ turn
    turn = turn * side / wide
    shift = side / 2 - turn @ np.array([x + wide / 2, y + wide / 2])
    back = np.linalg.inv(turn)  # Pillow asks where a pixel comes from
    from_view = np.column_stack([back, -back @ shift]).ravel().tolist()
    view = np.asarray(
        Image.fromarray(pixels).transform((side, side), Image.Transform.AFFINE, from_view, Image.Resampling.BILINEAR)
    )
    boxes, landmarks, ignored = marks
    landmarks = (landmarks @ turn.T + shift)[:, MIRRORED if is_mirrored else slice(None)]
    middle, half = (boxes[:, :2] + boxes[:, 2:]) / 2 @ turn.T + shift, (boxes[:, 2:] - boxes[:, :2]) / 2
    half = np.sqrt(np.square(half) @ np.square(turn).T)  # of the turned ellipse, as in composites.turned_box
    boxes = np.concatenate([middle - half, middle + half], 1)
    inside = np.clip(boxes, 0, side)
    part = (inside[:, 2:] - inside[:, :2]).prod(1) / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(1), 1e-6)
    there = part > 0.05
    return view, (boxes[there].astype(np.float32), landmarks[there].astype(np.float32), (ignored | (part < 0.6))[there])


def _shrunk(pixels: npt.NDArray[np.uint8], marks: Marks, scale: float) -> tuple[npt.NDArray[np.uint8], Marks]:
    """A scene and its marks at another scale, at most 1."""
    h, w = pixels.shape[:2]
    size = round(w * scale), round(h * scale)
    small = Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR)
    boxes, landmarks, ignored = marks
    factor = np.array([size[0] / w, size[1] / h], np.float32)
    return np.asarray(small), (boxes * np.tile(factor, 2), landmarks * factor, ignored)


def shot(
    view: npt.NDArray[np.uint8], steps: tuple[Degradation, ...], recipe: FinderRecipe, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """The window in other light and through degradations; its faces stay where they are."""
    gains = np.exp(recipe.light * (rng.normal() + rng.normal(size=3) / 3))
    ramp = np.linspace(0, 1, 256) ** np.exp(recipe.light * rng.normal())
    table = np.clip(255 * ramp[:, None] * gains + 0.5, 0, 255).astype(np.uint8)
    picture = Image.fromarray(np.stack([table[view[..., c], c] for c in range(3)], -1))
    if rng.random() < recipe.grey_share:
        picture = picture.convert("L").convert("RGB")
    return np.asarray(degrade(picture, steps, seed=int(rng.integers(2**32))))


def taught(told: Sequence[Mapping[str, npt.NDArray[Any]]], side: int) -> Answers:
    """What a teacher says of each place.

    Args:
        told: its outputs for each of n windows.
        side: of the windows, a multiple of 32.

    Returns:
        cls and obj in 0..1, boxes and landmarks in pixels.
    """
    whole = {
        name: torch.from_numpy(np.stack([np.concatenate([one[f"{name}_{s}"][0] for s in STRIDES]) for one in told]))
        for name in ("cls", "obj", "bbox", "kps")
    }
    place, stride = grid(side, side)
    box = whole["bbox"].clamp(-64, 64)
    middle, half = place + stride[:, None] * box[..., :2], stride[:, None] / 2 * box[..., 2:].clamp(max=8).exp()
    points = place[:, None] + stride[:, None, None] * whole["kps"].unflatten(2, (5, 2))
    cls, obj = (whole[name][..., 0].clamp(0, 1) for name in ("cls", "obj"))
    return Answers(cls, obj, torch.cat([middle - half, middle + half], 2), points)


def _visible(boxes: npt.NDArray[np.floating[Any]], steps: tuple[Degradation, ...], side: int) -> npt.NDArray[np.bool_]:
    """(n,) whether faces in boxes (n, 4) can be seen behind the degradations of a window."""
    size = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1))
    return size >= least_visible(steps, side)


# ---- the file that ships --------------------------------------------------------------------------------------------


def export(net: FinderNet, out: Path) -> None:
    """Write a finder that `mien.faces.find` reads; weights in half precision, computed with in single precision.

    Args:
        net: stays as it is.
        out: file to write, suffix .onnx.
    """
    import warnings

    copy = deepcopy(net).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    example = torch.zeros((1, 64, 96, 3), dtype=torch.uint8)
    answers = {name: {0: "n", 1: f"places_{name.partition('_')[2]}"} for name in NAMES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter needs one more dependency
        torch.onnx.export(
            Deployed(copy).eval(),
            (example,),
            str(out),
            input_names=["image"],
            output_names=list(NAMES),
            dynamic_axes={"image": {0: "n", 1: "h", 2: "w"}, **answers},
            opset_version=17,
            dynamo=False,
        )
    store_half(out)
