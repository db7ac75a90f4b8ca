"""Scenes with known faces: portraits pasted into photographs without people, seen through degradations.

Three kinds of scene, each deterministic for its seed:
    composite      a photograph without people; faces in it, of many sizes, turned, covered, several at once
    photograph     a photograph with people, whose faces a finder has seen
    empty          a photograph without people, and nothing in it
Faces are cut out along a soft ellipse around the head, with shoulders or with all of their square tile; pieces of other
photographs are pasted along the same edges, so that an edge is no sign of a face. Boxes are those of the head's ellipse
after turning it. Eyes, nose and mouth may be somebody else's (`exchanged_share`): more different faces than people.
What nobody could see any more (a face of 14 px through a motion of 20) counts neither as a face nor as none.

    sources = composites.read(root, "train")
    scene = composites.scene(sources, ScenePlan(), seed=(20261125, 17))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from mien.core.errors import UsageError
from mien.core.types import Face
from mien.data import biq2021, sfhq
from mien.data.degradations import Degradation, degrade, random_chain
from mien.data.face_labels import MIRRORED, Box, five, four, mirrored, shared_area
from mien.data.sample import Sample

Kind = Literal["composite", "photograph", "empty"]
Points = npt.NDArray[np.float64]
Generator = np.random.Generator

EDITION = 3  #: of the code below: another one where the same seed gives other scenes
SURE = 0.85  #: of the finder that labelled the photographs; by eye 35 of 36 are right above it
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BOX, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)
_LARGEST = 1.6  #: a portrait is not enlarged beyond that


@dataclass(frozen=True)
class Seen:
    """A picture whose faces are known."""

    sample: Sample
    faces: tuple[Face, ...]  #: in pixels of a portrait; in parts of width and height of a photograph
    doubtful: tuple[Face, ...] = ()  #: may be faces
    others: tuple[Face, ...] = ()  #: beside the one face of a portrait: not to be cut out with it


@dataclass(frozen=True)
class Sources:
    """What scenes are made of."""

    portraits: tuple[Seen, ...]  #: one synthetic face each
    photographs: tuple[Seen, ...]  #: people in them
    empty: tuple[Sample, ...]  #: nobody in them
    cut_out: tuple[Seen, ...] = ()  #: faces in photographs, as `Seen` portraits: they are cut out, too

    @property
    def single(self) -> tuple[Seen, ...]:
        """All that a face can be cut out of."""
        return (*self.portraits, *self.cut_out)


@dataclass(frozen=True)
class Scene:
    """A picture and the truth about it."""

    picture: Image.Image
    faces: tuple[Face, ...]  #: pixels of the picture; boxes may stick out of it
    ignored: tuple[Box, ...]  #: neither a face nor none
    kind: Kind


@dataclass(frozen=True)
class ScenePlan:
    """How scenes come out. Pairs are ranges; shares are probabilities."""

    size_px: int = 320  #: side of the scene
    kinds: tuple[tuple[Kind, float], ...] = (("composite", 0.45), ("photograph", 0.4), ("empty", 0.15))
    most_faces: int = 5  #: in a composite, at least one; few are likelier than many
    face_px: tuple[float, float] = (12.0, 260.0)  #: square root of the area of the box, log-uniform
    leaning_deg: float = 20.0  #: most faces lean up to so much
    turned_share: float = 0.15  #: the others are turned by `turned_deg`
    turned_deg: tuple[float, float] = (20.0, 90.0)
    exchanged_share: float = 0.0  #: of the faces of 16 px and more; not where no other face fits, see `_exchanged`
    covered_share: float = 0.2
    covered_part: tuple[float, float] = (0.3, 0.55)  #: of the box, from one side
    pieces: int = 2  #: of other photographs at most, pasted like faces
    degraded_share: float = 0.6
    degradations: tuple[str, ...] = (
        *("motion", "blur", "dark", "bright", "low_light", "noise", "color_cast"),
        *("downscale", "jpeg", "webp"),
    )
    most_degradations: int = 3
    strength: tuple[float, float] = (0.1, 0.9)


def read(
    root: Path,
    split: str,
    relabel: Callable[[Image.Image, Face], Face] | None = None,
    *,
    cut_px: float | None = None,
    doubtful: bool = False,
) -> Sources:
    """The pictures of one part of BIQ2021 and SFHQ.

    Args:
        root: folder that holds biq2021/ and sfhq/.
        split: "train" or "val".
        relabel: a better label for the face of a portrait, see `mien.data.face_labels.consensus`; None: the table's.
        cut_px: faces in photographs of that size and more, apart from others, are cut out, too; None: not so.
        doubtful: photographs in which the finder saw only something doubtful are among the `photographs`.

    Returns:
        Pictures in the order of the tables.

    Raises:
        UsageError: a data set or a table is absent, or one of the three kinds has no picture.
    """
    seen, shown = biq2021.faces(root / "biq2021"), biq2021.read(root / "biq2021").samples
    photographs, empty = [], []
    for sample in shown:
        faces = seen.get(sample.name)
        if sample.split != split or faces is None:
            continue
        sure = tuple(face for face in faces if face.confidence >= SURE)
        if not faces:
            empty.append(sample)
        elif sure or doubtful:
            photographs.append(Seen(sample, sure, tuple(face for face in faces if face.confidence < SURE)))
    known = sfhq.faces(root / "sfhq")
    portraits = [
        Seen(s, (known[s.name] if relabel is None else relabel(s.open(), known[s.name]),))
        for s in sfhq.read(root / "sfhq")
        if s.split == split
    ]
    cut_out = () if cut_px is None else tuple(_cut_out(photographs, cut_px, relabel))
    sources = Sources(tuple(portraits), tuple(photographs), tuple(empty), cut_out)
    if lacking := [name for name in ("portraits", "photographs", "empty") if not getattr(sources, name)]:
        raise UsageError(f"{root} has no {' and no '.join(lacking)} in its {split} part; scenes need all three")
    return sources


def _cut_out(
    photographs: Sequence[Seen], least_px: float, relabel: Callable[[Image.Image, Face], Face] | None
) -> Iterator[Seen]:
    """The faces of photographs that nothing else touches, each as a portrait: faces in pixels."""
    for seen in photographs:
        if not seen.faces:
            continue
        picture = seen.sample.open()
        sure, doubtful = ([face.moved(picture.size) for face in faces] for faces in (seen.faces, seen.doubtful))
        for face in sure:
            others = tuple(other for other in (*sure, *doubtful) if other is not face)
            x1, y1, x2, y2 = face.box
            whole = x1 >= 0 and y1 >= 0 and x2 <= picture.width and y2 <= picture.height
            apart = not any(shared_area(face.box, other.box) for other in others)
            if whole and apart and _size(face.box) >= least_px:
                yield Seen(seen.sample, (face if relabel is None else relabel(picture, face),), others=others)


def scene(sources: Sources, plan: ScenePlan, seed: int | Sequence[int]) -> Scene:
    """One scene; the same for the same arguments.

    Args:
        sources: see `read`.
        plan: how it comes out.
        seed: of all chance.
    """
    rng = np.random.default_rng(seed)
    names, shares = zip(*plan.kinds, strict=True)
    kind = names[int(rng.choice(len(names), p=np.array(shares) / sum(shares)))]
    if kind == "photograph":
        made = _photograph(_pick(sources.photographs, rng), sources, plan, rng)
    else:
        made = Scene(_window(_pick(sources.empty, rng).open(), plan.size_px, rng)[0], (), (), kind)
        for _ in range(int(rng.integers(plan.pieces + 1))):
            made = replace(made, picture=_with_piece(made.picture, sources, plan, rng))
    if kind == "composite":
        for _ in range(1 + int(rng.integers(1 + rng.integers(plan.most_faces)))):
            made = _with_face(made, sources, plan, rng)
    return _degraded(made, plan, rng)


def turned_box(box: Box, angle_deg: float) -> Box:
    """The box of a face that is turned about its middle: the upright box around its ellipse.

    Args:
        box: x1, y1, x2, y2 of the upright face.
        angle_deg: in either direction.
    """
    x1, y1, x2, y2 = box
    a, b, t = (x2 - x1) / 2, (y2 - y1) / 2, np.deg2rad(angle_deg)
    w, h = float(np.hypot(a * np.cos(t), b * np.sin(t))), float(np.hypot(a * np.sin(t), b * np.cos(t)))
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return x - w, y - h, x + w, y + h


def least_visible(steps: Sequence[Degradation], scene_px: float) -> float:
    """Pixels (square root of the area) of the smallest face that is still one behind the degradations; 0 for none.

    Limits chosen by eye: a motion of half the face, a Gaussian of an eighth, six pixels after downscaling, two blocks
    of strong compression, 16 px in strong noise, 24 px in little light.
    """
    least = 0.0
    for step in steps:
        limit = {
            "motion": 0.16 * scene_px * step.strength,
            "blur": 0.16 * scene_px * step.strength**1.3,
            "downscale": 6 * (1 + 7 * step.strength),
            "jpeg": 16.0 if step.strength > 0.6 else 0.0,
            "webp": 16.0 if step.strength > 0.6 else 0.0,
            "noise": 16.0 if step.strength > 0.5 else 0.0,
            "low_light": 24.0 if step.strength > 0.5 else 0.0,
        }
        least = max(least, limit.get(step.kind, 0.0))
    return least


def random_steps(plan: ScenePlan, rng: Generator) -> tuple[Degradation, ...]:
    """What a scene of this plan is seen through; nothing for the part that stays as it is."""
    if rng.random() >= plan.degraded_share:
        return ()
    low, high = plan.strength
    return random_chain(rng, kinds=plan.degradations, most=plan.most_degradations, weakest=low, strongest=high)


# ---- photographs ----------------------------------------------------------------------------------------------------


def _photograph(seen: Seen, sources: Sources, plan: ScenePlan, rng: Generator) -> Scene:
    """A window of a photograph with people."""
    picture = seen.sample.open()
    for face in seen.faces:
        if _is_exchanged(plan, rng):
            picture = _exchanged(picture, face.moved(picture.size), sources, rng)
    window, box = _window(picture, plan.size_px, rng)
    (w, h), side = picture.size, box[2] - box[0]
    scale = w * (plan.size_px / side), h * (plan.size_px / side)
    shift = -box[0] * plan.size_px / side, -box[1] * plan.size_px / side
    kept, ignored = [], []
    for face in (*seen.faces, *seen.doubtful):
        moved = face.moved(scale, shift)
        inside = _part_inside(moved.box, plan.size_px)
        if face in seen.faces and inside >= 0.6 and _size(moved.box) >= 6:
            kept.append(moved)
        elif inside > 0.05:
            ignored.append(moved.box)
    return Scene(window, tuple(kept), tuple(ignored), "photograph")


def _window(picture: Image.Image, size_px: int, rng: Generator) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """A square window of the picture at the wanted size, and where it was."""
    shorter = min(picture.size)
    side = shorter if rng.random() < 0.4 else int(rng.integers(shorter // 2, shorter + 1))
    x, y = (int(rng.integers(length - side + 1)) for length in picture.size)
    box = (x, y, x + side, y + side)
    return picture.resize((size_px, size_px), _FILTERS[rng.integers(len(_FILTERS))], box=box), box


# ---- composites -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Cut:
    """A portrait, ready to be pasted: RGB with a soft mask, upright, at its final scale."""

    picture: Image.Image
    mask: Image.Image
    face: Face  #: in its pixels


def _with_face(made: Scene, sources: Sources, plan: ScenePlan, rng: Generator) -> Scene:
    """One more face, where there is room for it."""
    cut = _cut(_pick(sources.single, rng), sources, plan, rng)
    turned = rng.random() < plan.turned_share
    angle = rng.uniform(*plan.turned_deg) if turned else rng.uniform(0, plan.leaning_deg)
    angle *= rng.choice([-1.0, 1.0])
    upright = turned_box(cut.face.box, angle)
    place = _place(upright, made, plan, rng)
    if place is None:
        return made
    picture, mask, face = _pasted(made.picture, cut, place, angle)
    made = _hidden(replace(made, picture=picture), mask)
    if rng.random() < plan.covered_share:
        front, mask = _front(picture, face.box, sources, plan, rng)
        made = _hidden(replace(made, picture=Image.composite(front, picture, mask)), mask)
    return replace(made, faces=(*made.faces, face))


def _hidden(made: Scene, mask: Image.Image) -> Scene:
    """What came to lie in front hides faces that were there before: half of one, and it is none any more.

    Args:
        made: with the picture as it is now.
        mask: mode L, the size of the picture: where the new thing is.
    """
    front = np.asarray(mask, np.float32) / 255
    faces, ignored = [], list(made.ignored)
    for face in made.faces:
        x1, y1, x2, y2 = (round(min(max(v, 0), most)) for v, most in zip(face.box, 2 * mask.size, strict=True))
        part = float(front[y1:y2, x1:x2].mean()) if x1 < x2 and y1 < y2 else 0.0
        if part < 0.2:
            faces.append(face)
        elif part < 0.5:
            ignored.append(face.box)
    return replace(made, faces=tuple(faces), ignored=tuple(ignored))


def _cut(seen: Seen, sources: Sources, plan: ScenePlan, rng: Generator) -> _Cut:
    """A portrait at a random size, perhaps mirrored, with other light, behind its mask."""
    picture, (face,), others = seen.sample.open(), seen.faces, seen.others
    if _is_exchanged(plan, rng):
        picture = _exchanged(picture, face, sources, rng)
    if rng.random() < 0.5:
        picture, face = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), mirrored(face, picture.width)
        others = tuple(mirrored(other, picture.width) for other in others)
    low, high = plan.face_px
    wanted = np.exp(rng.uniform(np.log(low), np.log(high)))
    factor = min(float(wanted) / _size(face.box), _LARGEST)
    stretch = np.exp(rng.uniform(-0.12, 0.12))
    width, height = (
        max(1, round(side * factor * s)) for side, s in zip(picture.size, (stretch, 1 / stretch), strict=True)
    )
    scale = width / picture.width, height / picture.height
    picture = picture.resize((width, height), _FILTERS[rng.integers(len(_FILTERS))], reducing_gap=3.0)
    face = face.moved(scale)
    mask = _mask(picture.size, face.box, rng, [other.moved(scale).box for other in others])
    return _Cut(_relit(picture, rng), mask, face)


def _is_exchanged(plan: ScenePlan, rng: Generator) -> bool:
    return plan.exchanged_share > 0 and rng.random() < plan.exchanged_share


def _exchanged(picture: Image.Image, face: Face, sources: Sources, rng: Generator) -> Image.Image:
    """Eyes, nose and mouth of somebody else, or a mixture of both, where those of the face were.

    The other face comes through the affinity, perhaps with a mirror, that puts its landmarks on those of this one; of a
    few candidates the first is taken whose landmarks fit, so a profile gets no frontal face, and that lies in its
    picture as far as this one reaches. Its colours are drawn to those that were there.
    """
    here, size = np.array(face.landmarks), _size(face.box)
    if size < 16:
        return picture
    from_here = np.column_stack([here, np.ones(5)])
    x1, y1, x2, y2 = face.box
    corners = np.array([(x, y, 1.0) for x in (x1, x2) for y in (y1, y2)])
    for _ in range(4):
        other: Seen = _pick(sources.single, rng)
        (lent,) = other.faces
        there = np.array(lent.landmarks)[MIRRORED if rng.random() < 0.5 else slice(None)]
        back, lent_size = np.linalg.lstsq(from_here, there, rcond=None)[0], _size(lent.box)
        misfit = float(np.sqrt(np.square(from_here @ back - there).sum(1).mean()))
        if misfit >= 0.06 * lent_size or size >= 2.5 * lent_size:
            continue
        lender, reach = other.sample.open(), corners @ back
        if ((reach >= 0) & (reach <= lender.size)).all():
            return _lent(picture, face, lender, back, size / lent_size, rng)
    return picture


def _lent(
    picture: Image.Image, face: Face, lender: Image.Image, back: npt.NDArray[Any], scale: float, rng: Generator
) -> Image.Image:
    """The inside of the face from the lender, whose pixels (x, y, 1) @ `back` names; `scale` is that of the sizes."""
    x1, y1, x2, y2 = (round(v) for v in face.box)
    w, h = x2 - x1, y2 - y1
    if scale < 1:  # so that the affinity skips no pixels
        shrunk = lender.resize([max(1, round(side * scale)) for side in lender.size], reducing_gap=3.0)
        back, lender = back * (np.array(shrunk.size) / lender.size), shrunk
    from_box = np.vstack([back[:2], np.array([x1, y1, 1.0]) @ back])
    warped = lender.transform((w, h), Image.Transform.AFFINE, from_box.T.ravel().tolist(), Image.Resampling.BICUBIC)
    mask = Image.new("L", (w, h))
    x, y = np.array(face.landmarks).mean(0) - (x1, y1)
    wide, high = rng.uniform(0.4, 0.55, 2)
    ImageDraw.Draw(mask).ellipse(_around(float(x), float(y), wide * w, high * h), fill=round(rng.uniform(120, 256)))
    mask = _soft_edge(mask, rng.uniform(0.03, 0.08) * w)
    shown = picture.crop((x1, y1, x2, y2))
    result = picture.copy()
    result.paste(_coloured_like(warped, shown, mask), (x1, y1), mask)
    return result


def _coloured_like(picture: Image.Image, shown: Image.Image, mask: Image.Image) -> Image.Image:
    """With the mean and the contrast that is shown behind the mask, for each channel."""
    inside = np.asarray(mask) > 64
    if not inside.any():
        return picture
    mine, wanted = (np.asarray(p, np.float32) for p in (picture, shown))
    (mean, spread), (to_mean, to_spread) = ((p[inside].mean(0), p[inside].std(0)) for p in (mine, wanted))
    gain = np.clip(to_spread / np.maximum(spread, 1), 0.5, 2)
    return Image.fromarray(np.clip((mine - mean) * gain + to_mean + 0.5, 0, 255).astype(np.uint8))


def _relit(picture: Image.Image, rng: Generator) -> Image.Image:
    """Another exposure and tint, sometimes no colour, so that a face matches its scene no worse than it may."""
    gains = np.exp(rng.normal(0, 0.25) + rng.normal(0, 0.06, 3))
    gamma = np.exp(rng.normal(0, 0.2))
    ramp = np.linspace(0, 1, 256) ** gamma
    picture = picture.point([round(255 * float(v)) for gain in gains for v in np.minimum(ramp * gain, 1)])
    return picture.convert("L").convert("RGB") if rng.random() < 0.08 else picture


def _mask(size: tuple[int, int], box: Box, rng: Generator, others: Sequence[Box] = ()) -> Image.Image:
    """Soft, and black along the edges: head, head and shoulders, or the whole picture; never another face."""
    shape = rng.choice(["head", "bust", "tile"], p=[0.45, 0.35, 0.2])
    x, y, w, h = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2, box[2] - box[0], box[3] - box[1]
    if shape == "tile" and not others:
        mask = Image.new("L", size, 255)
        return mask if rng.random() < 0.5 else _soft_edge(mask, 0.06 * w)
    mask = Image.new("L", size, 0)
    draw = ImageDraw.Draw(mask)
    wide, high = rng.uniform(1.1, 1.8), rng.uniform(1.1, 1.6)
    draw.ellipse(_around(x, y - 0.08 * h, wide * w / 2, high * h / 2), fill=255)
    if shape == "bust":
        draw.ellipse(_around(x, y + 1.7 * h, rng.uniform(1.0, 2.0) * w, 1.15 * h), fill=255)
    for x1, y1, x2, y2 in others:
        draw.ellipse(_around((x1 + x2) / 2, (y1 + y2) / 2, 0.7 * (x2 - x1), 0.7 * (y2 - y1)), fill=0)
    return _soft_edge(mask, rng.uniform(0.01, 0.08) * w)


def _soft_edge(mask: Image.Image, sigma_px: float) -> Image.Image:
    """Blurred, and faded out towards the border of the tile."""
    rim = max(1, round(2 * sigma_px))
    framed = Image.new("L", mask.size, 0)
    inner = (rim, rim, mask.width - rim, mask.height - rim)
    if inner[0] < inner[2] and inner[1] < inner[3]:
        framed.paste(mask.crop(inner), inner[:2])
    return framed.filter(ImageFilter.GaussianBlur(sigma_px))


def _place(box: Box, made: Scene, plan: ScenePlan, rng: Generator) -> tuple[float, float] | None:
    """The middle of a new face: most of it in the scene, apart from the others; None where there is no room."""
    half = np.array([box[2] - box[0], box[3] - box[1]]) / 2
    low = np.minimum(half * 0.7, plan.size_px / 2)
    for _ in range(8):
        x, y = rng.uniform(low, plan.size_px - low)
        there = (x - half[0], y - half[1], x + half[0], y + half[1])
        if all(shared_area(there, face.box) < 0.15 * min(_size(there), _size(face.box)) ** 2 for face in made.faces):
            return float(x), float(y)
    return None


def _pasted(
    picture: Image.Image, cut: _Cut, place: tuple[float, float], angle_deg: float
) -> tuple[Image.Image, Image.Image, Face]:
    """The cut turned about the middle of its face, which comes to lie at `place`: picture, mask of the cut, face."""
    x1, y1, x2, y2 = cut.face.box
    middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    t = np.deg2rad(angle_deg)
    turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])  # from the cut to the picture
    corners = (np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * cut.picture.size - middle) @ turn.T + place
    low = np.maximum(np.floor(corners.min(0)), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(0)), picture.size).astype(int)
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    back = np.column_stack([turn.T, middle - turn.T @ (np.array(place) - low)])  # Pillow asks where a pixel comes from
    how = (size, Image.Transform.AFFINE, back.ravel().tolist(), Image.Resampling.BILINEAR)
    result, mask, at = picture.copy(), Image.new("L", picture.size), (int(low[0]), int(low[1]))
    soft = cut.mask.transform(*how)
    result.paste(cut.picture.transform(*how), at, soft)
    mask.paste(soft, at)
    around = tuple(v - m + p for v, m, p in zip(cut.face.box, np.tile(middle, 2), np.tile(place, 2), strict=True))
    points = (np.array(cut.face.landmarks) - middle) @ turn.T + place
    return result, mask, Face(turned_box(four(around), angle_deg), five(points), 1.0)


def _with_piece(picture: Image.Image, sources: Sources, plan: ScenePlan, rng: Generator) -> Image.Image:
    """A piece of another photograph with the edge that a face would have."""
    side = float(np.exp(rng.uniform(np.log(2 * plan.face_px[0]), np.log(plan.size_px))))
    size = (max(4, round(side)), max(4, round(side * rng.uniform(0.8, 1.4))))
    piece = _window(_pick(sources.empty, rng).open(), plan.size_px, rng)[0].resize(size)
    w, h = size
    mask = _mask(size, (0.25 * w, 0.2 * h, 0.75 * w, 0.75 * h), rng)
    x, y = (int(v) for v in rng.uniform(-0.3 * side, plan.size_px - 0.7 * side, 2))
    result = picture.copy()
    result.paste(_relit(piece, rng), (x, y), mask)
    return result


def _front(
    picture: Image.Image, box: Box, sources: Sources, plan: ScenePlan, rng: Generator
) -> tuple[Image.Image, Image.Image]:
    """Something in front of a part of a face: a picture, and the mask of where it shows.

    A piece of another photograph or one colour from one side, or an ellipse of one colour inside the box.
    """
    x1, y1, x2, y2 = box
    w, h = x2 - x1, y2 - y1
    front, mask = picture.copy(), Image.new("L", picture.size)
    if rng.random() < 0.3:
        inner = (round(x1), round(y1), round(x2), round(y2))
        strength = float(rng.uniform(0.5, 0.75))  # of its half axes, so 0.13 to 0.44 of the box
        seen = degrade(picture.crop(inner), (Degradation("occlusion", strength),), seed=int(rng.integers(2**32)))
        front.paste(seen, inner[:2])
        return front, ImageChops.difference(front, picture).convert("L").point([0] + [255] * 255)
    part, side, over = rng.uniform(*plan.covered_part), rng.integers(4), rng.uniform(0.1, 0.5)
    left, top, right, bottom = x1 - over * w, y1 - over * h, x2 + over * w, y2 + over * h
    if side == 0:
        top = y2 - part * h
    elif side == 1:
        bottom = y1 + part * h
    elif side == 2:
        right = x1 + part * w
    else:
        left = x2 - part * w
    size = (max(1, round(right - left)), max(1, round(bottom - top)))
    if rng.random() < 0.4:
        piece = Image.new("RGB", size, tuple(int(v) for v in rng.integers(0, 256, 3)))
    else:
        piece = _window(_pick(sources.empty, rng).open(), max(size), rng)[0].crop((0, 0, *size))
    at = (round(left), round(top))
    front.paste(piece, at)
    mask.paste(255, (*at, at[0] + size[0], at[1] + size[1]))
    return front, mask


# ---- both -----------------------------------------------------------------------------------------------------------


def _degraded(made: Scene, plan: ScenePlan, rng: Generator) -> Scene:
    """Through a random chain; faces that nobody can see any more become regions to ignore."""
    steps = random_steps(plan, rng)
    if not steps:
        return made
    picture = degrade(made.picture, steps, seed=int(rng.integers(2**32)))
    least = least_visible(steps, plan.size_px)
    visible = [_size(face.box) >= least for face in made.faces]
    faces = tuple(face for face, seen in zip(made.faces, visible, strict=True) if seen)
    lost = tuple(face.box for face, seen in zip(made.faces, visible, strict=True) if not seen)
    return replace(made, picture=picture, faces=faces, ignored=(*made.ignored, *lost))


def _pick(pictures: Sequence[Any], rng: Generator) -> Any:
    return pictures[int(rng.integers(len(pictures)))]


def _size(box: Box) -> float:
    """Square root of the area, pixels."""
    return float(np.sqrt(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])))


def _part_inside(box: Box, size_px: int) -> float:
    """Part of the box that lies in the scene."""
    return shared_area(box, (0.0, 0.0, float(size_px), float(size_px))) / max(_size(box) ** 2, 1e-9)


def _around(x: float, y: float, a: float, b: float) -> Box:
    return x - a, y - b, x + a, y + b
