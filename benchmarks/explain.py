"""Does the map of `mien explain` find a fault that is known to be in one place, and would an occlusion map?

    pip install . && python benchmarks/explain.py PICTURE... [--json FILE]

Each picture gets one fault in a region of it, four kinds one after the other: blur, noise, darkness, JPEG blocks. For
each map the share of pairs of places is counted, one inside the region and one outside, of which the inner one is lower
(AUC; 0.5 is chance, 1 is perfect). The maps:
    parts      the score of parts by themselves, `mien.explain(...).map`
    matched    the attribute that belongs to the fault, `mien.explain(...).attributes`
    shown      what `mien explain` shows first, which knows nothing of the fault
    blurred    the classical way: blur a soft patch of the whole picture at each place, and see by how much the score
               falls; a place whose loss costs nothing, or helps, counts as low
    covered    the same with a grey patch
"""

from __future__ import annotations

import argparse
import io
import json
import platform
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from mien.apps.explain_draw import foremost, layers
from mien.runtime.explain import GRID, explain
from mien.runtime.judge import Judge

Floats = npt.NDArray[np.floating]
REGION = 0.4  #: sides of the region in sides of the picture
LONGEST_PX = 768


def blurred(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Out of focus by a hundredth of the picture."""
    return picture.filter(ImageFilter.GaussianBlur(max(picture.size) / 100))


def noisy(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Sensor noise of 28 of 255."""
    pixels = np.asarray(picture, np.float32)
    return Image.fromarray(np.clip(pixels + rng.normal(0, 28, pixels.shape), 0, 255).astype(np.uint8))


def dark(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """About two stops."""
    return picture.point([round(0.6 * 255 * (v / 255) ** 2.2) for v in range(256)] * 3)


def blocky(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """JPEG of quality 8 at half the size."""
    stream = io.BytesIO()
    picture.resize((picture.width // 2, picture.height // 2)).save(stream, "JPEG", quality=8)
    return Image.open(stream).convert("RGB").resize(picture.size, Image.Resampling.NEAREST)


FAULTS: dict[str, tuple[Callable[[Image.Image, np.random.Generator], Image.Image], str]] = {
    "blur": (blurred, "sharpness"),
    "noise": (noisy, "noise"),
    "dark": (dark, "exposure"),
    "JPEG": (blocky, "compression"),
}


def with_fault(picture: Image.Image, kind: str, rng: np.random.Generator) -> tuple[Image.Image, npt.NDArray[np.bool_]]:
    """The picture with the fault in a drawn region, and the places of the map whose middle is in it."""
    left, top = rng.uniform(0, 1 - REGION, 2)
    w, h = picture.size
    mask = Image.new("L", picture.size)
    mask.paste(255, (round(left * w), round(top * h), round((left + REGION) * w), round((top + REGION) * h)))
    soft = mask.filter(ImageFilter.GaussianBlur(max(w, h) / 80))
    middles = (np.arange(GRID) + 0.5) / GRID
    rows, columns = (np.abs(middles - start - REGION / 2) < REGION / 2 for start in (top, left))
    return Image.composite(FAULTS[kind][0](picture, rng), picture, soft), rows[:, None] & columns[None]


def auc(values: Floats, inside: npt.NDArray[np.bool_]) -> float:
    """Share of pairs of which the place inside is lower; ties count half."""
    difference = values[inside][:, None] - values[~inside][None]
    return float((difference < 0).mean() + (difference == 0).mean() / 2)


def occlusion(judge: Judge, picture: Image.Image, cover: Callable[[Image.Image], Image.Image]) -> Floats:
    """(GRID, GRID) points that the score falls by when one place is covered."""
    square = Image.fromarray(judge.prepare(picture)["image"].round().astype(np.uint8))
    other, side = cover(square), square.width
    squares = [square]
    for y in range(GRID):
        for x in range(GRID):
            mask = Image.new("L", square.size)
            left, upper, right, lower = (round(side * v / GRID) for v in (x - 0.25, y - 0.25, x + 1.25, y + 1.25))
            mask.paste(255, (left, upper, right, lower))
            squares.append(Image.composite(other, square, mask.filter(ImageFilter.GaussianBlur(6))))
    raw = [judge([{"image": np.asarray(each, np.float32)}])[0].raw or 0.0 for each in squares]
    return 100.0 * (raw[0] - np.array(raw[1:]).reshape(GRID, GRID))


def main() -> None:
    """Print a row for each kind of fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    judge = Judge.load()
    found: dict[str, dict[str, list[float]]] = {}
    for i, path in enumerate(arguments.pictures):
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        picture.thumbnail((LONGEST_PX, LONGEST_PX))
        for k, kind in enumerate(FAULTS):
            bad, inside = with_fault(picture, kind, np.random.default_rng([i, k]))
            why = explain(bad, model=judge)
            maps = {
                "parts": why.map,
                "matched": why.attributes[FAULTS[kind][1]],
                "shown": -foremost(layers(why)).loss,
                "blurred": occlusion(judge, bad, lambda square: square.filter(ImageFilter.GaussianBlur(6))),
                "covered": occlusion(judge, bad, lambda square: Image.new("RGB", square.size, (127, 127, 127))),
            }
            for name, values in maps.items():
                found.setdefault(kind, {}).setdefault(name, []).append(auc(values, inside))
    table = {kind: {name: round(float(np.mean(v)), 3) for name, v in maps.items()} for kind, maps in found.items()}
    table["mean"] = {name: round(float(np.mean([row[name] for row in table.values()])), 3) for name in table["blur"]}
    print(f"{len(arguments.pictures)} pictures, mean AUC        " + "  ".join(f"{n:>8s}" for n in table["mean"]))
    for kind, row in table.items():
        print(f"{kind:>30s}  " + "  ".join(f"{v:8.2f}" for v in row.values()))
    if arguments.json:
        facts = {"judge": judge.model_id, "pictures": len(arguments.pictures), "region": REGION, "auc": table}
        facts |= {"machine": platform.processor() or platform.machine(), "onnxruntime": version("onnxruntime")}
        arguments.json.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
