"""One hash for a set of facts: two runs with the same one give the same."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def fingerprint(*facts: Any) -> str:
    """SHA-256 of facts that `json` can write."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
