"""How fast is `mien score`, next to what it cannot avoid and to what researchers' scripts do?

    pip install ".[bench]" && python benchmarks/score.py [--json FILE]

Three ways over the same JPEG files, interleaved round by round, with the same number of threads:
    (a) mien      `mien.Scorer().stream(paths)`: files to rows, end to end
    (b) floor     decoding alone, at the reduced scale that (a) uses, in as many threads
    (c) script    the usual loop, a picture at a time: full PIL decode, torchvision resize, crop and normalise,
                  EdgeNeXt-XXS at 352 px (the student of Efficient-FIQA) in eager PyTorch
Files are generated from the public-domain portrait in `examples/`, enlarged and given sensor noise: 12 megapixels and
512 px. Reported: milliseconds a picture (median over rounds) and ratios (median over rounds of the ratio in a round).
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

import mien
from mien.core.decode import decode
from mien.runtime.judge import Judge, usable_cores

PORTRAIT = Path(__file__).parents[1] / "examples" / "portraits" / "portrait.jpg"
SETS = {"12 MP": ((4000, 3000), 16), "512 px": ((512, 512), 160)}


def make(folder: Path, size: tuple[int, int], n: int) -> list[Path]:
    """Pictures with the detail and the file size of photographs."""
    rng = np.random.default_rng(0)
    with Image.open(PORTRAIT) as portrait:
        base = np.asarray(portrait.resize(size, Image.Resampling.LANCZOS), np.int16)
    paths = []
    for i in range(n):
        noise = rng.normal(0, 4, (size[1], size[0], 1)).astype(np.int16)
        pixels = np.clip(np.roll(base, 37 * i, axis=1) + noise, 0, 255).astype(np.uint8)
        paths.append(folder / f"{size[0]}-{i:03d}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=88)
    return paths


def with_mien(scorer: mien.Scorer) -> Callable[[Sequence[Path]], None]:
    """(a)."""

    def run(paths: Sequence[Path]) -> None:
        assert all(row.status == "ok" for row in scorer.stream(paths))

    return run


def with_decoder_alone(threads: int) -> Callable[[Sequence[Path]], None]:
    """(b)."""
    enough_px = Judge.load(threads=threads).preprocess.enough_px

    def run(paths: Sequence[Path]) -> None:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(lambda path: decode(path, enough_px=enough_px).pixels.size, paths):
                pass

    return run


def with_script(threads: int) -> Callable[[Sequence[Path]], None]:
    """(c)."""
    import timm  # pyright: ignore[reportMissingImports]
    import torch
    from torchvision import transforms  # pyright: ignore[reportMissingImports]

    torch.set_num_threads(threads)
    net = timm.create_model("edgenext_xx_small", pretrained=False, num_classes=1).eval()
    prepare = transforms.Compose(
        [
            transforms.Resize(352),
            transforms.CenterCrop(352),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    def run(paths: Sequence[Path]) -> None:
        with torch.no_grad():
            for path in paths:
                tensor = prepare(Image.open(path).convert("RGB"))
                net(tensor.unsqueeze(0)).item()  # type: ignore[union-attr]

    return run


def measure(
    ways: dict[str, Callable[[Sequence[Path]], None]], paths: list[Path], rounds: int
) -> dict[str, list[float]]:
    """Milliseconds a picture, a row of each way per round; the first round only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, way in ways.items():
            started = time.perf_counter()
            way(paths)
            seconds[name].append(1e3 * (time.perf_counter() - started) / len(paths))
    return {name: values[1:] for name, values in seconds.items()}


def main() -> None:
    """Print the machine, the versions and a table; write the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    packages = {name: version(name) for name in ("mien", "Pillow", "onnxruntime", "torch", "torchvision", "timm")}
    print(f"{platform.machine()}, {args.threads} threads, Python {platform.python_version()}, {packages}")
    ways = {
        "mien": with_mien(mien.Scorer(threads=args.threads)),
        "floor": with_decoder_alone(args.threads),
        "script": with_script(args.threads),
    }
    results = {}
    print(f"{'files':8} {'mien ms':>9} {'floor ms':>9} {'script ms':>10} {'script/mien':>12} {'mien/floor':>11}")
    with tempfile.TemporaryDirectory() as folder:
        for name, (size, n) in SETS.items():
            times = measure(ways, make(Path(folder), size, n), args.rounds)
            faster = statistics.median(c / a for a, c in zip(times["mien"], times["script"], strict=True))
            above = statistics.median(a / b for a, b in zip(times["mien"], times["floor"], strict=True))
            ms = {way: statistics.median(values) for way, values in times.items()}
            print(f"{name:8} {ms['mien']:9.2f} {ms['floor']:9.2f} {ms['script']:10.2f} {faster:12.1f} {above:11.2f}")
            results[name] = {"ms": ms, "script_over_mien": faster, "mien_over_floor": above, "rounds": times}
    if args.json:
        args.json.write_text(json.dumps({"threads": args.threads, "versions": packages, "results": results}, indent=2))


if __name__ == "__main__":
    main()
