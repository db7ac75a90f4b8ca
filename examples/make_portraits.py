"""Make the sample pictures of `examples/portraits/` from a public-domain portrait.

Source: `skimage.data.astronaut()`, the NASA portrait of Eileen Collins (public domain), 512 x 512, inside the
scikit-image wheel. Each other file is that portrait after one degradation of `mien.data.degradations`.

    pip install scikit-image && python examples/make_portraits.py
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from mien.data.degradations import Degradation, degrade

FOLDER = Path(__file__).parent / "portraits"

DEGRADED = {
    "soft": ("blur", 0.5),
    "shaken": ("motion", 0.6),
    "too-small": ("downscale", 0.5),
    "grainy": ("noise", 0.6),
    "dark": ("dark", 0.6),
    "bright": ("bright", 0.6),
    "blocky": ("jpeg", 0.85),
}


def main() -> None:
    """Write the original and its degraded versions."""
    from skimage import data

    portrait = Image.fromarray(data.astronaut())
    FOLDER.mkdir(exist_ok=True)
    portrait.save(FOLDER / "portrait.jpg", quality=92)
    for name, (kind, strength) in DEGRADED.items():
        worse = degrade(portrait, (Degradation(kind, strength),), seed=1)
        worse.save(FOLDER / f"{name}.jpg", quality=88)


if __name__ == "__main__":
    main()
