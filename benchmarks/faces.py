"""Which faces does a finder find, next to another one, and how fast?

    pip install ".[train]" && python benchmarks/faces.py --data ../shared/data \
        --yardstick ../shared/models/yunet_n_dynamic.onnx [--finder FILE] [--json FILE]

Held-out scenes with known faces, one fault at a time, and photographs (`mien.evaluation.finding` says which). Both
finders see the same pictures at the same size. Reported for each kind:
    recall       of the faces, at the confidence that each finder recommends
    same         recall where each leaves the same number of false faces in photographs without people (`--false-faces`)
    AP           average precision down to a confidence of 0.02
    precision    at the recommended confidence
    landmarks    median of the mean distance of the five points, in % of the eye distance
then false faces in photographs without people (every second one: the embedded finder's confidence was chosen on the
others), also in the originals of 512 px, where a finder that finds nothing looks again at half the size, recall by size
of the face in pictures of 1280 px, and milliseconds.
The portraits in the scenes are labelled by the median of several looks of `--labels`, the photographs by YuNet at
512 px: on them, and on those without people, in which it saw nothing, YuNet as a yardstick is at home.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mien.data import biq2021, composites
from mien.data.composites import Scene, Sources, scene
from mien.data.face_labels import LOOKS_PX, consensus
from mien.evaluation import finding
from mien.evaluation.detection import Matched, confidence_at, match, recall
from mien.faces.find import SIZE_PX, Finder
from mien.runtime.model_file import usable_cores

SCENE_PX = 320  #: of photographs and scenes
LOWEST = 0.02  #: confidence down to which everything is compared
FAR = replace(finding.KINDS["clean"], size_px=1280, face_px=(24.0, 768.0), most_faces=8)
PHOTOGRAPHED = (8, 16, 24, 40, 80, 320)  #: px of the face in a photograph of 320 px, edges of the bins
SIZES = (24, 48, 96, 192, 384, 768)  #: px of the face in a picture of 1280, edges of the bins
FAULTS = [kind for kind in finding.KINDS if kind not in ("clean", "large")]


@dataclass(frozen=True)
class Contender:
    """A finder, and the confidence that it recommends."""

    file: Path | None
    name: str
    confidence: float
    threads: int

    def at(self, size_px: int, confidence: float | None = None) -> Finder:
        """Looking at so many pixels; None: for everything above `LOWEST`."""
        least = LOWEST if confidence is None else confidence
        return Finder.load(self.file, size_px=size_px, confidence=least, threads=self.threads)


def contender(file: Path | None, threads: int) -> Contender:
    """From an .onnx file; None is the embedded finder."""
    finder = Finder.load(file)
    return Contender(file, finder.model_id, finder.confidence, threads)


def measure(one: Contender, pictures: dict[str, list[Scene]], size_px: int, false_faces: float) -> dict[str, Any]:
    """Numbers of each kind, at the recommended confidence and at the same number of false faces."""
    compared = finding.compare(one.at(size_px).find, pictures)
    fair = confidence_at(compared["empty"], false_faces)
    numbers = finding.report({**compared, "empty": compared["empty"][1::2]}, one.confidence)
    for kind, values in numbers.items():
        if "recall" in values:
            values["recall_same"] = round(recall(compared[kind], fair), 4)
    photographs = pictures["photographs"], compared["photographs"]
    return {
        "name": one.name,
        "confidence": one.confidence,
        "confidence_same": round(fair, 4),
        "kinds": numbers,
        "photographs_by_size": recall_by_size(*photographs, one.confidence, PHOTOGRAPHED),
    }


def recall_by_size(
    scenes: Sequence[Scene], matched: Sequence[Matched], confidence: float, edges: Sequence[float]
) -> dict[str, float]:
    """Recall of the faces between two edges, in pixels of the picture; only where there are any."""
    found = np.concatenate([m.by for m in matched]) >= confidence
    bins = size_bins(scenes, edges)
    return {name: round(float(found[chosen].mean()), 3) for name, chosen in bins.items() if chosen.any()}


def faces_by_size(scenes: Sequence[Scene], edges: Sequence[float]) -> dict[str, int]:
    """How many faces there are between two edges, in pixels of the picture."""
    return {name: int(chosen.sum()) for name, chosen in size_bins(scenes, edges).items()}


def size_bins(scenes: Sequence[Scene], edges: Sequence[float]) -> dict[str, npt.NDArray[np.bool_]]:
    """Which of all faces lie between two edges, in pixels of the picture."""
    size = np.array([np.sqrt(face.area) for s in scenes for face in s.faces])
    return {f"{a}-{b}": (size >= a) & (size < b) for a, b in pairwise(edges)}


def in_originals(one: Contender, root: Path) -> dict[str, int]:
    """False faces in the original files of BIQ2021 without people: of the first look alone, and of both."""
    finder, seen = one.at(SIZE_PX, one.confidence), biq2021.faces(root)
    files = [path for path in sorted((root / "originals").iterdir()) if seen.get(path.name) == ()]
    pictures = [Image.open(path).convert("RGB") for path in files]
    first, both = (
        sum(len(look(picture)) for picture in pictures)
        for look in (lambda picture: finder.find_at(picture, SIZE_PX, one.confidence), finder.find)
    )
    return {"pictures": len(pictures), "first_look": first, "both_looks": both}


def by_size(one: Contender, far: Sequence[Scene]) -> dict[str, dict[str, float]]:
    """Recall by the size of the face, for each size that the finder looks at."""
    result = {}
    for size_px in (320, 640, 1280):
        find = one.at(size_px, one.confidence).find
        seen = [match(find(s.picture), s.faces, size=s.picture.size) for s in far]
        result[str(size_px)] = recall_by_size(far, seen, one.confidence, SIZES)
    return result


def milliseconds(ours: Contender, theirs: Contender, sources: Sources, rounds: int) -> dict[str, dict[str, float]]:
    """Time to find the faces of one decoded picture of that size, in turns: medians, and the median of the ratios."""
    times: dict[str, dict[str, float]] = {}
    for size_px in (320, 640):
        shown = [scene(sources, replace(finding.KINDS["clean"], size_px=size_px), (1, i)).picture for i in range(8)]
        finders = [one.at(size_px, one.confidence) for one in (ours, theirs)]
        taken = np.array([[_one(f, shown[i % len(shown)]) for f in finders] for i in range(rounds + 4)])[4:]
        first, second = (round(float(v), 2) for v in np.median(taken, 0))
        ratio = statistics.median((taken[:, 0] / taken[:, 1]).tolist())
        times[str(size_px)] = {ours.name: first, theirs.name: second, "ratio": round(ratio, 3)}
    return times


def _one(finder: Finder, picture: Image.Image) -> float:
    """Milliseconds for one picture."""
    started = time.perf_counter()
    finder.find(picture)
    return 1e3 * (time.perf_counter() - started)


def table(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """One line for each kind, both finders side by side."""
    columns = ("recall", "recall_same", "average_precision", "precision")
    head = "".join(f"{name:>16}" for name in ("recall", "same", "AP", "precision", "landmarks %"))
    lines = [f"{'kind':12}{'faces':>6}{head}"]
    for kind, values in ours["kinds"].items():
        other = theirs["kinds"][kind]
        if not values["faces"]:
            continue
        cells = [f"{values.get(c, float('nan')):.3f} {other.get(c, float('nan')):.3f}" for c in columns]
        cells.append(" ".join(f"{100 * v.get('landmark_error', float('nan')):.1f}" for v in (values, other)))
        lines.append(f"{kind:12}{values['faces']:6}" + "".join(f"{cell:>16}" for cell in cells))
    false = [f"{r['kinds']['empty']['false_faces']:.4f}" for r in (ours, theirs)]
    lines.append(f"false faces in a photograph without people: {' '.join(false)}")
    return lines


def targets(ours: dict[str, Any], theirs: dict[str, Any], ms: dict[str, dict[str, float]]) -> dict[str, bool]:
    """What the finder promises beside the yardstick, kept or not."""
    a, b = ours["kinds"], theirs["kinds"]
    mine, yours = ([k[kind]["recall"] for kind in FAULTS] for k in (a, b))
    return {
        "recall on photographs at least 0.97 of the yardstick's": a["photographs"]["recall"]
        >= 0.97 * b["photographs"]["recall"],
        "precision on photographs not lower": a["photographs"].get("precision", 0)
        >= b["photographs"].get("precision", 0),
        "recall not lower for any fault": all(x >= y for x, y in zip(mine, yours, strict=True)),
        "recall higher on average over the faults": sum(mine) > sum(yours),
        "fewer false faces without people": a["empty"]["false_faces"] < b["empty"]["false_faces"],
        "landmarks within 5 % of the eye distance on clean faces": a["clean"].get("landmark_error", 1) <= 0.05,
        "not slower": all(times["ratio"] <= 1 for times in ms.values()),
    }


def main() -> None:
    """Print the machine, the versions and the tables; write the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds biq2021/ and sfhq/")
    parser.add_argument("--yardstick", type=Path, required=True, help="YuNet, or another finder")
    parser.add_argument("--finder", type=Path, help="instead of the embedded finder")
    parser.add_argument("--labels", type=Path, help="finder that labels the portraits, instead of the yardstick")
    parser.add_argument("--each", type=int, default=200, help="scenes of each kind")
    parser.add_argument("--photographs", type=int, help="only the first so many, with people and without")
    parser.add_argument(
        "--size", type=int, default=SCENE_PX, help="px that both look at, at most those of the pictures"
    )
    parser.add_argument("--false-faces", type=float, default=0.02, help="a photograph without people, for `same`")
    parser.add_argument("--rounds", type=int, default=40, help="of the timing")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.size > SCENE_PX:
        parser.error(f"pictures of {SCENE_PX} px are not enlarged: --size ends there")
    packages = {name: version(name) for name in ("mien", "Pillow", "numpy", "onnxruntime")}
    print(f"{platform.machine()}, {args.threads} threads, Python {platform.python_version()}, {packages}")
    ours, yardstick = contender(args.finder, args.threads), contender(args.yardstick, args.threads)
    if ours.name == yardstick.name:  # a finder against itself is a check of this script
        yardstick = replace(yardstick, name=f"{yardstick.name} again")
    looks = [Finder.load(args.labels or args.yardstick, size_px=size_px).find for size_px in LOOKS_PX]
    held = composites.read(args.data, "val", lambda picture, known: consensus(looks, picture, known))
    pictures = finding.trials(held, args.each, photographs=args.photographs)
    first, second = (measure(one, pictures, args.size, args.false_faces) for one in (ours, yardstick))
    print(f"{ours.name} (confidence {ours.confidence}) and {yardstick.name} ({yardstick.confidence}), {args.size} px")
    print("\n".join(table(first, second)))
    far = [scene(held, FAR, (2, i)) for i in range(max(1, args.each // 4))]
    for one in (first, second):
        print(f"recall by face px in photographs of 320 px, {one['name']}: {one['photographs_by_size']}")
    in_photographs, in_far = faces_by_size(pictures["photographs"], PHOTOGRAPHED), faces_by_size(far, SIZES)
    print(f"faces by their px in photographs of 320 px: {in_photographs}; in scenes of 1280 px: {in_far}")
    alone = {one.name: in_originals(one, args.data / "biq2021") for one in (ours, yardstick)}
    print(f"false faces in originals without people: {alone}")
    sizes = {one.name: by_size(one, far) for one in (ours, yardstick)}
    for name, rows in sizes.items():
        for size_px, values in rows.items():
            print(f"recall by face px in 1280 px, {name} at {size_px}: {values}")
    ms = milliseconds(ours, yardstick, held, args.rounds)
    for size_px, values in ms.items():
        print(f"ms at {size_px} px: {values}")
    kept = targets(first, second, ms)
    for promise, ok in kept.items():
        print(f"{'kept  ' if ok else 'BROKEN'} {promise}")
    if args.json:
        facts = {"machine": platform.machine(), "threads": args.threads, "versions": packages, "size_px": args.size}
        whole = {
            **facts,
            "results": [first, second],
            "originals": alone,
            "by_size": sizes,
            "faces_in_photographs": in_photographs,
            "faces_by_size": in_far,
            "ms": ms,
            "targets": kept,
        }
        args.json.write_text(json.dumps(whole, indent=2) + "\n")


if __name__ == "__main__":
    main()
