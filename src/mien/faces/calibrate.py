"""Thresholds from data: the strictest policy that refuses no more than a given share of pictures that were measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from mien.core.errors import UsageError
from mien.faces.policy import Policy, Rule, Values, decide

FIXED = frozenset({"n_faces"})  #: a count is asked for, not estimated
FEWEST = 10  #: pictures, for a quantile to mean anything
_DIGITS = 4


def propose(policy: Policy, pictures: Sequence[Values], *, reject: float) -> Policy:
    """New numbers for the rules of a policy.

    Each rule refuses the same share of the pictures in which its quantity is known (a rule with two limits half of it
    at each end), the largest with which all rules together refuse no more than `reject` of all pictures. Rules about
    the number of faces stay, and pictures that do not keep them are left out.

    Args:
        policy: which quantities count, and at which end; its numbers are replaced.
        pictures: what was measured on each.
        reject: share of the pictures, above 0 and below 1.

    Raises:
        UsageError: an impossible share, fewer than 10 usable pictures, a quantity that is unknown in all of them, or
            a required one that is unknown in too many.
    """
    if not 0 < reject < 1:
        raise UsageError(f"--reject {reject} is no share: give one above 0 and below 1, 0.1 for a tenth")
    fixed = replace(policy, rules=tuple(r for r in policy.rules if r.quantity in FIXED))
    usable = [values for values in pictures if decide(fixed, values).passed]
    if len(usable) < FEWEST:
        raise UsageError(f"thresholds from {len(usable)} usable pictures mean nothing: {FEWEST} at least")
    known = {r.quantity: _known(r.quantity, usable) for r in policy.rules if r.quantity not in FIXED}
    least, most = 0, len(usable)  # each rule may refuse `least` pictures, but not `most`
    while most - least > 1:
        each = (least + most) // 2
        refused = _refused(_with_limits(policy, known, each / len(usable)), usable)
        least, most = (each, most) if refused <= reject * len(usable) else (least, each)
    found = _with_limits(policy, known, least / len(usable))
    share = _refused(found, usable) / len(usable)
    if share > reject:
        raise UsageError(
            f"{100 * share:.1f} % are refused whatever the limits, for what is required cannot be told there"
        )
    note = f"all rules together refuse {100 * share:.1f} % of {len(usable)} pictures"
    if left := len(pictures) - len(usable):
        note += f", and all of {left} with another number of faces"
    return replace(found, rules=tuple(r if r.quantity in FIXED else replace(r, source=note) for r in found.rules))


def _known(quantity: str, pictures: Sequence[Values]) -> list[float]:
    found = sorted(value for values in pictures if (value := values.get(quantity)) is not None)
    if not found:
        raise UsageError(f"{quantity} is unknown in all {len(pictures)} pictures: leave its rule out")
    return found


def _refused(policy: Policy, pictures: Sequence[Values]) -> int:
    return sum(not decide(policy, values).passed for values in pictures)


def _with_limits(policy: Policy, known: dict[str, list[float]], share: float) -> Policy:
    return replace(policy, rules=tuple(_limited(rule, known.get(rule.quantity), share) for rule in policy.rules))


def _limited(rule: Rule, values: list[float] | None, share: float) -> Rule:
    """The rule with limits beyond which this share of the values lies."""
    if values is None or (rule.min is None and rule.max is None):
        return rule
    outside = math.floor(share * len(values) + 1e-9)
    below = 0 if rule.min is None else outside if rule.max is None else outside // 2
    above = outside - below
    return replace(
        rule,
        min=None if rule.min is None else _rounded(values[below], math.floor),
        max=None if rule.max is None else _rounded(values[-1 - above], math.ceil),
    )


def _rounded(value: float, towards: Callable[[float], int]) -> float:
    """Few digits, on the side that refuses nothing more."""
    if value == 0:
        return 0.0
    decimals = _DIGITS - 1 - math.floor(math.log10(abs(value)))
    return round(towards(value * 10.0**decimals) / 10.0**decimals, max(decimals, 0))
