"""Seeds that differ wherever one of their parts differs."""

from __future__ import annotations

import numpy as np


def seed_of(*parts: int) -> int:
    """A seed of 32 bits, all that torch's generator on the CPU looks at.

    Args:
        parts: not negative; what the seed is for (seed of the recipe, stage, step).
    """
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
