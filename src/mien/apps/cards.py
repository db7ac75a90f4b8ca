"""A model card for people: indented lines, long lists of numbers in short."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_LONG = 8  #: from this many numbers on, a list is told by its ends


def card_as_json(card: Mapping[str, Any]) -> str:
    """The card as it is, for machines."""
    return json.dumps(card, ensure_ascii=False, indent=2)


def card_as_text(card: Mapping[str, Any]) -> str:
    """The card for people, one field per line."""
    return "\n".join(_lines(card, indent=""))


def _lines(fields: Mapping[str, Any], indent: str) -> Iterator[str]:
    width = max((len(key) for key, value in fields.items() if not _is_nested(value)), default=0)
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield f"{indent}{key}"
            yield from _lines(value, indent + "  ")
        elif _is_nested(value):
            yield f"{indent}{key}"
            yield from (f"{indent}  - {_short(item)}" for item in value)
        else:
            yield f"{indent}{key:<{width}}  {_short(value)}"


def _is_nested(value: Any) -> bool:
    """A mapping, or a list of things that need a line each."""
    return isinstance(value, Mapping) or (isinstance(value, list) and not all(_is_number(v) for v in value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _short(value: Any) -> str:
    match value:
        case None:
            return "-"
        case float():
            return f"{value:.6g}"
        case [first, *_, last] if len(value) >= _LONG and _numbers(value):
            return f"{len(value)} numbers, {_short(first)} to {_short(last)}"
        case list():
            return ", ".join(_short(v) for v in value)
        case Mapping():
            return ", ".join(f"{k}: {_short(v)}" for k, v in value.items())
    return str(value)


def _numbers(values: Sequence[Any]) -> bool:
    return all(_is_number(v) for v in values)
