"""What a face finder is measured by: held-out scenes with known faces, one fault at a time, and photographs.

clean          48 to 160 px, nothing wrong
blur, motion, dark, noise, jpeg (quality 5 to 15)    the same, seen through one degradation
tiny           24 to 48 px
large          160 to 280 px
turned         by 30 to 90 degrees
covered        40 to 55 % of it, from one side, or (3 in 10) an ellipse over 13 to 44 %
photographs    of people, with the faces that YuNet saw in the originals (confidence 0.85 and above; other ones are
               ignored): how well a finder agrees with YuNet rather than with the truth
empty          photographs in which YuNet saw nobody; what is found there is false
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from mien.core.types import Face
from mien.data.composites import Scene, ScenePlan, Seen, Sources, scene
from mien.evaluation import detection
from mien.evaluation.detection import Matched

Find = Callable[[Image.Image], Sequence[Face]]  #: a finder that is asked for everything above a very low confidence

_CLEAN = ScenePlan(
    kinds=(("composite", 1.0),),
    most_faces=3,
    face_px=(48.0, 160.0),
    leaning_deg=15.0,
    turned_share=0.0,
    covered_share=0.0,
    pieces=0,
    degraded_share=0.0,
)


def _through(kind: str, weakest: float, strongest: float) -> ScenePlan:
    return replace(_CLEAN, degraded_share=1.0, degradations=(kind,), most_degradations=1, strength=(weakest, strongest))


KINDS: dict[str, ScenePlan] = {
    "clean": _CLEAN,
    "blur": _through("blur", 0.4, 0.9),
    "motion": _through("motion", 0.3, 0.8),
    "dark": _through("dark", 0.5, 0.95),
    "noise": _through("noise", 0.4, 0.9),
    "jpeg": _through("jpeg", 0.62, 0.885),
    "tiny": replace(_CLEAN, face_px=(24.0, 48.0)),
    "large": replace(_CLEAN, face_px=(160.0, 280.0), most_faces=1),
    "turned": replace(_CLEAN, turned_share=1.0, turned_deg=(30.0, 90.0)),
    "covered": replace(_CLEAN, covered_share=1.0, covered_part=(0.4, 0.55)),
}


def trials(
    sources: Sources, each: int, *, photographs: int | None = None, seed: int = 20261125, size_px: int = 320
) -> dict[str, list[Scene]]:
    """The pictures of all kinds.

    Args:
        sources: of the held-out part.
        each: scenes of each kind.
        photographs: only the first so many, with people and without; None for all.
        seed: of all chance.
        size_px: side of a scene.
    """
    made = {
        kind: [scene(sources, replace(plan, size_px=size_px), (seed, k, i)) for i in range(each)]
        for k, (kind, plan) in enumerate(KINDS.items())
    }
    made["photographs"] = [_whole(seen) for seen in sources.photographs[:photographs]]
    made["empty"] = [Scene(sample.open(), (), (), "empty") for sample in sources.empty[:photographs]]
    return made


def compare(find: Find, pictures: Mapping[str, Sequence[Scene]]) -> dict[str, list[Matched]]:
    """What a finder sees in the pictures of each kind, against the truth."""
    return {
        kind: [
            detection.match(find(s.picture), s.faces, ignored=s.ignored, size=s.picture.size) for s in pictures[kind]
        ]
        for kind in pictures
    }


def report(compared: Mapping[str, Sequence[Matched]], confidence: float) -> dict[str, dict[str, Any]]:
    """Numbers of each kind: recall, precision, false faces for a picture at that confidence; average precision.

    `landmark_error` is the median over the faces found of the mean distance in parts of the eye distance. Numbers that
    are not defined (recall where no face is) are left out.
    """
    return {kind: _numbers(pictures, confidence) for kind, pictures in compared.items()}


def _numbers(pictures: Sequence[Matched], confidence: float) -> dict[str, Any]:
    errors = np.concatenate([m.landmark_error[m.by >= confidence] for m in pictures])
    errors = errors[np.isfinite(errors)]
    values = {
        "recall": detection.recall(pictures, confidence),
        "precision": detection.precision(pictures, confidence),
        "average_precision": detection.average_precision(pictures),
        "false_faces": detection.false_faces(pictures, confidence),
        "landmark_error": float(np.median(errors)) if len(errors) else float("nan"),
    }
    faces = sum(len(m.found) for m in pictures)
    defined = {name: round(value, 4) for name, value in values.items() if np.isfinite(value)}
    return {"pictures": len(pictures), "faces": faces, **defined}


def _whole(seen: Seen) -> Scene:
    """A photograph as it is; its faces are in parts of width and height."""
    picture = seen.sample.open()
    ignored = tuple(face.moved(picture.size).box for face in seen.doubtful)
    return Scene(picture, tuple(face.moved(picture.size) for face in seen.faces), ignored, "photograph")
