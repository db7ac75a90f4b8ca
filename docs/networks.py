"""Writes docs/networks.md, a card for each network of the zoo, from src/mien/models/cards.

python docs/networks.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mien.models import zoo

PAGE = Path(__file__).with_name("networks.md")

HEAD = """# Networks

Each network below is built by `mien.models.build(NAME)` with random weights, without a download, and takes its authors'
checkpoint under the authors' key names. "Equal" means that a parity fixture pins it: with the fixture's weights its
numbers are those of the official code within 1e-4 (`mien models verify NAME --fixture FILE`; the fixtures are in
`tests/fixtures/parity`). The others exist only as text, and their cards list how each ambiguous sentence was read.
mien ships none of these weights. This page is written by `python docs/networks.py`.
"""


def page() -> str:
    """The whole page."""
    cards = [zoo.card(name) for name in zoo.names()]
    return "\n".join([HEAD, *_table(cards), "", *(line for card in cards for line in _section(card))])


def _table(cards: list[dict[str, Any]]) -> Iterator[str]:
    yield "| network | judges | parameters | MACs | equal to official code |"
    yield "|---|---|--:|--:|---|"
    for card in cards:
        equal = card.get("equal", "yes" if card["fixture"] else "no official code")
        yield (
            f"| [{card['name']}](#{card['name']}) | {card['task']} | {_millions(card['parameters'])} | "
            f"{_macs(card)} | {equal} |"
        )


def _section(card: dict[str, Any]) -> Iterator[str]:
    paper, code = card["paper"], card["code"]
    yield f"## {card['name']}"
    yield ""
    yield f"**{card['title']}**: {card['task']}."
    yield ""
    title = f"[{paper['title']}]({paper['url']})" if paper.get("url") else paper["title"]
    yield f"- Paper: {title}, {paper['venue']}"
    yield f"- Code: {_code(code)}"
    for weights in card["weights"]:
        where = f"[{weights['file']}]({weights['url']})" if weights.get("url") else weights["file"]
        yield f"- Weights: {where}; licence {weights['licence']}; trained on {weights['trained_on']}"
    yield f"- Input: {card['input']}"
    yield f"- Output: {card['output']}"
    yield f"- Range: {_range(card['raw_range'])}; {card['direction']}"
    yield f"- Data: {card['data']}"
    yield f"- Cost: {_millions(card['parameters'])} parameters, {_macs(card)} MACs ({card['macs']['input']})"
    for numbers in card["numbers"]:
        yield f"- Published: {_numbers(numbers)}"
    for name in ("quirks", "ambiguities"):
        if card[name]:
            yield f"- {name.capitalize()}:"
            yield from (f"    - {text}" for text in card[name])
    yield ""


def _code(code: dict[str, Any]) -> str:
    if not code.get("repo"):
        return code["licence"]
    commit = f" at {code['commit'][:7]}" if code.get("commit") else ""
    return f"[{code['repo']}](https://github.com/{code['repo']}){commit}; licence {code['licence']}"


def _numbers(numbers: dict[str, Any]) -> str:
    values = [f"{key.upper()} {numbers[key]}" for key in ("srcc", "plcc") if numbers.get(key) is not None]
    return ", ".join([numbers["data"], *values]) + f" ({numbers['source']})"


def _range(raw_range: list[float] | None) -> str:
    return "relative, no fixed scale" if raw_range is None else f"{raw_range[0]:g} to {raw_range[1]:g}"


def _millions(n: int | None) -> str:
    return "unknown" if n is None else f"{n / 1e6:.2f} M"


def _macs(card: dict[str, Any]) -> str:
    value = card["macs"]["value"]
    return "unknown" if value is None else f"{value / 1e9:.2f} G"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
