"""What the server tells a page: plain dictionaries, made of what is known, and nothing that would give an item away."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from mien.apps.study.assignment import TRAP, total
from mien.apps.study.hosted import Hosted, HostedItem
from mien.apps.study.settings import GRADES, PAIRWISE
from mien.apps.study.votes import Standing

_SHOWN = ("method", "arrangement", "show", "ties", "mobile", "min_width", "min_height", "colour_plates", "brightness")


def study_facts(hosted: Hosted) -> dict[str, Any]:
    """What somebody reads who has not joined yet."""
    study, settings = hosted.study, hosted.settings
    return {
        "title": study.title,
        "consent": study.consent,
        "instructions": study.instructions,
        "wording": study.text_sha256,
        "grades": GRADES.get(settings.method, {}),
        "total": total(hosted, hosted.quota),
        "break_minutes": settings.break_minutes,
        "largest": [max((size or 0 for size in sizes), default=0) for sizes in _sizes(hosted)],
        **{name: getattr(settings, name) for name in _SHOWN},
    }


def standing_facts(hosted: Hosted, standing: Standing) -> dict[str, Any]:
    """Where an observer is, and the next questions."""
    return {
        "answered": standing.answered,
        "total": standing.total,
        "trials": [_trial(hosted, row) for row in standing.trials],
        "duplicate": standing.duplicate,
    }


def _sizes(hosted: Hosted) -> tuple[list[int | None], list[int | None]]:
    items = hosted.items.values()
    return [item.width for item in items], [item.height for item in items]


def _trial(hosted: Hosted, row: Row[Any]) -> dict[str, Any]:
    if row.role == TRAP:
        return {"id": row.id, "role": TRAP, "expected": row.expected, "pictures": []}
    shown = (row.first_id, row.second_id)
    if hosted.settings.method == PAIRWISE:
        shown = shown if row.left_id == row.first_id else shown[::-1]
    else:
        shown = shown[::-1]  # the reference comes first
    pictures = [_picture(hosted.items[item]) for item in shown if item is not None]
    return {"id": row.id, "role": row.role, "expected": None, "pictures": pictures}


def _picture(item: HostedItem) -> dict[str, Any]:
    return {"url": f"/api/media/{item.public}", "mime": item.mime, "width": item.width, "height": item.height}
