"""Does decoding at a reduced scale change a score?

    python benchmarks/reduced_decoding.py [--photographs FOLDER]

200 large JPEGs, each scored twice: decoded at the scale that the network needs (the default) and in full (`--exact`).
Without a folder they are generated from the public-domain portrait in `examples/`: windows of it, degraded in many
ways, enlarged to between 1.5 and 12 megapixels, with sensor noise. With a folder, contact sheets of 48 of its pictures
each (4096 x 3072) are added to them, because their detail is that of real photographs at full resolution.
Prints the largest, the 95th percentile and the mean change in points of 100.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

import mien
from mien.data.degradations import Degradation, degrade
from mien.training.ladders import JUDGE_KINDS

PORTRAIT = Path(__file__).parents[1] / "examples" / "portraits" / "portrait.jpg"


def generated(folder: Path, n: int) -> list[Path]:
    """Windows of the portrait, degraded, enlarged, with noise of the sensor."""
    rng = np.random.default_rng(0)
    with Image.open(PORTRAIT) as picture:
        portrait = picture.convert("RGB")
    paths = []
    for i in range(n):
        w, h = (int(v) for v in rng.integers(256, 513, 2))
        x, y = int(rng.integers(513 - w)), int(rng.integers(513 - h))
        step = Degradation(str(rng.choice(list(JUDGE_KINDS))), float(rng.uniform(0, 0.8)))
        scale = rng.uniform(3, 8)
        size = (round(scale * w), round(scale * h))
        large = degrade(portrait.crop((x, y, x + w, y + h)), (step,), seed=i).resize(size, Image.Resampling.LANCZOS)
        noise = rng.normal(0, rng.uniform(0, 8), (size[1], size[0], 1))
        pixels = np.clip(np.asarray(large, np.float32) + noise, 0, 255).astype(np.uint8)
        paths.append(folder / f"generated-{i:03d}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=int(rng.integers(75, 96)))
    return paths


def contact_sheets(folder: Path, photographs: Path, n: int) -> list[Path]:
    """n sheets of 8 x 6 photographs of 512 px at their own resolution, in random order."""
    rng = np.random.default_rng(1)
    sources = sorted(photographs.glob("*.jpg"))
    paths = []
    for i in range(n):
        sheet = Image.new("RGB", (8 * 512, 6 * 512))
        for k, j in enumerate(rng.choice(len(sources), 48, replace=len(sources) < 48)):
            with Image.open(sources[j]) as tile:
                sheet.paste(tile.convert("RGB").resize((512, 512)), (512 * (k % 8), 512 * (k // 8)))
        paths.append(folder / f"sheet-{i:03d}.jpg")
        sheet.save(paths[-1], quality=90)
    return paths


def main() -> None:
    """Print the change of scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, help="folder of JPEGs of about 512 px")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--model", help="name or .onnx file instead of the embedded judge")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sheets = args.pictures // 4 if args.photographs else 0
        paths = generated(folder, args.pictures - sheets)
        if args.photographs:
            paths += contact_sheets(folder, args.photographs, sheets)
        default = np.array([row.score for row in mien.Scorer(args.model).stream(paths)])
        exact = np.array([row.score for row in mien.Scorer(args.model, exact=True).stream(paths)])
    change = np.abs(default - exact)
    print(f"{len(paths)} pictures, scores {exact.min():.1f} .. {exact.max():.1f}")
    print(f"change: largest {change.max():.3f}, 95 % below {np.quantile(change, 0.95):.3f}, mean {change.mean():.3f}")
    if args.photographs:
        print(f"largest on contact sheets of photographs: {change[-sheets:].max():.3f}")


if __name__ == "__main__":
    main()
