"""How much does a base install of mien put on the disk?

    python -m venv .venv && .venv/bin/pip install . && .venv/bin/python benchmarks/install_size.py

Counts the files that each installed distribution lists as its own, for mien and everything it needs (extras not
counted), in MB of 10^6 bytes. The bytecode (.pyc) that pip or Python writes beside them is a cache: it is shown, but
not held against the limit.
"""

from __future__ import annotations

import argparse
import re
import sys
from importlib import metadata
from pathlib import Path


def needed(name: str, seen: dict[str, metadata.Distribution]) -> dict[str, metadata.Distribution]:
    """The distribution and, recursively, what it requires without extras."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen:
        return seen
    try:
        seen[key] = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return seen  # required on other systems only
    for requirement in seen[key].requires or ():
        if "extra ==" not in requirement:
            match = re.match(r"[A-Za-z0-9._-]+", requirement)
            assert match, requirement
            needed(match.group(), seen)
    return seen


def size(distribution: metadata.Distribution, *, bytecode: bool) -> int:
    """Bytes of its files: the bytecode, or everything else."""
    paths = (Path(str(distribution.locate_file(file))) for file in distribution.files or ())
    return sum(path.stat().st_size for path in paths if (path.suffix == ".pyc") == bytecode and path.is_file())


def main() -> None:
    """Print the table; exit 1 when the total is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit", type=float, help="MB; exit 1 above it")
    args = parser.parse_args()
    found = needed("mien", {})
    sizes = {name: size(d, bytecode=False) / 1e6 for name, d in found.items()}
    for name, mb in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{mb:8.2f} MB  {name}")
    total = sum(sizes.values())
    print(f"{total:8.2f} MB  {len(sizes)} distributions")
    print(f"{sum(size(d, bytecode=True) for d in found.values()) / 1e6:8.2f} MB  bytecode beside them, not counted")
    if args.limit and total > args.limit:
        sys.exit(f"above the limit of {args.limit} MB")


if __name__ == "__main__":
    main()
