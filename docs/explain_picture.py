"""The picture of docs/faces-scoring.md: the example portrait with noise in its lower half, explained.

pip install -e . && python docs/explain_picture.py [--out docs/explain.webp]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from mien.apps.explain_command import NOTES
from mien.apps.explain_draw import sheet
from mien.runtime.explain import explain

ROOT = Path(__file__).parents[1]


def half_noisy(path: Path) -> Image.Image:
    """Noise of 30 of 255 below the middle."""
    with Image.open(path) as opened:
        pixels = np.asarray(opened.convert("RGB"), np.float32)
    middle = len(pixels) // 2
    noise = np.random.default_rng(0).normal(0, 30, pixels.shape)
    noise[:middle] = 0
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "explain.webp")
    picture = half_noisy(ROOT / "examples" / "portraits" / "portrait.jpg")
    made = sheet(explain(picture), picture, [], "The portrait, with noise in its lower half", NOTES)
    made.save(parser.parse_args().out, quality=80, method=6)


if __name__ == "__main__":
    main()
