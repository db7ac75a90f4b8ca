"""The pictures of docs/studies.md: a study of the example portraits, walked through in a browser without a window.

    pip install -e ".[study]" playwright && python docs/study_screens.py --browser /usr/bin/chromium [--out docs]

It serves a study on this machine, takes part in it, and writes one small WebP for each step that the page shows.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parents[1]
SIZE = {"width": 1280, "height": 800}


@contextmanager
def served(folder: Path, *options: str) -> Iterator[tuple[str, str]]:
    """A study of the portraits; yields the links of observers and of the owner."""
    mien = [sys.executable, "-m", "mien", "study"]
    items = ["--items", str(ROOT / "examples" / "portraits"), "--title", "How do these portraits look?"]
    subprocess.run([*mien, "new", str(folder), *items, *options], check=True, stdout=subprocess.DEVNULL)
    server = subprocess.Popen([*mien, "serve", str(folder), "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        links = [re.findall(r"http://\S+", server.stdout.readline())[0] for _ in range(2)]
        yield links[0], links[1]
    finally:
        server.terminate()
        server.wait()


class Walk:
    """One browser page and where its pictures go."""

    def __init__(self, page: Any, out: Path) -> None:
        self.page, self._out = page, out

    def shoot(self, name: str) -> None:
        """Write what the page shows."""
        self.page.wait_for_timeout(250)
        picture = Image.open(io.BytesIO(self.page.screenshot()))
        picture.resize((960, 600), Image.Resampling.LANCZOS).save(
            self._out / f"study-{name}.webp", quality=72, method=6
        )

    def to_questions(self, link: str, *, shoot: bool = False) -> None:
        """Agree, go through the viewing check, begin."""
        page = self.page
        page.goto(link)
        page.wait_for_selector("#welcome:not([hidden])")
        if shoot:
            self.shoot("welcome")
        page.check("[name=consent]")
        page.click("#agree button")
        page.click("[data-do=screen-done]")
        for plate in range(3):
            page.wait_for_selector("#plates:not([hidden])")
            if shoot and plate == 1:
                self.shoot("plate")
            page.click("[data-do=plate-none]")
        page.check("[name=dark][value='4']")
        page.check("[name=bright][value='4']")
        if shoot:
            self.shoot("brightness")
        page.click("#brightness-form button")
        page.click("[data-do=go]")

    def question(self) -> None:
        """Wait until the question may be answered."""
        self.page.wait_for_selector("#trial:not([hidden]) #answers button:not([disabled])")


def main() -> None:
    """Write the pictures."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--out", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=options.browser, args=["--no-sandbox"])

        def walk() -> Walk:
            return Walk(browser.new_context(viewport=SIZE).new_page(), options.out)

        pairs = ("--method", "pairwise", "--design", "full", "--ties", "--training", "1", "--traps", "0")
        with served(Path(scratch) / "pairs", *pairs) as (link, owner):
            one = walk()
            one.to_questions(link, shoot=True)
            one.question()
            one.page.keyboard.press("ArrowLeft")
            one.page.click("#ready:not([hidden]) [data-do=go]")
            for answer in ("ArrowRight", "ArrowLeft", "ArrowDown"):
                one.question()
                one.page.keyboard.press(answer)
                one.page.wait_for_timeout(500)
            one.question()
            one.shoot("pair")
            one.page.keyboard.press("p")
            one.shoot("pause")
            two = walk()
            two.page.goto(owner)
            two.page.wait_for_selector("#study:not([hidden])")
            two.shoot("owner")
        with served(Path(scratch) / "ratings", "--method", "acr", "--training", "0", "--traps", "0") as (link, _):
            three = walk()
            three.to_questions(link)
            three.question()
            three.shoot("rating")
        browser.close()


if __name__ == "__main__":
    main()
