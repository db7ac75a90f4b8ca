"""Self-contained pages: a template beside this file, the style that all pages share, and a policy that knows both.

Nothing else may load or run in a page: its content security policy names the hashes of its own style and script.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files

_SHARED = {"base-head": "page_head.html", "base-style": "page.css", "plots-style": "page_plots.css"}


def template(name: str, place: str, values: Mapping[str, str] | None = None) -> tuple[str, str]:
    """A page before and after what is to be put into it.

    Args:
        name: of the file, for example "report.html".
        place: the name of the place, `{{place}}` in the file.
        values: text for other places, by name, as HTML; `{{style-hash}}`, `{{script-hash}}` and what pages share
            (`_SHARED`) are filled here.
    """
    before, after = _read(name).split(f"{{{{{place}}}}}")
    known = {key: _read(shared) for key, shared in _SHARED.items()} | dict(values or {})
    before = re.sub(r"\{\{([a-z-]+)\}\}", lambda found: known.get(found[1], found[0]), before)
    for tag in ("style", "script"):
        for content in re.findall(f"<{tag}>(.*?)</{tag}>", before + after, re.DOTALL):
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode("ascii")
            before = before.replace(f"{{{{{tag}-hash}}}}", f"sha256-{digest}")
    return before, after


def safe(value: object) -> str:
    """Anything as text that is safe inside an element and a quoted attribute."""
    return escape(str(value), quote=True)


def _read(name: str) -> str:
    return (files("mien.apps") / name).read_text(encoding="utf-8").replace("\r\n", "\n")
