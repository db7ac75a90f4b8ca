"""A policy: thresholds with names, read from a TOML file, and the verdict on one picture with its reasons.

    name = "passport"
    description = "one person, looking at the camera"

    [rules.inter_eye_px]          # a number of `QUANTITIES`
    min = 90                      # and / or max; the limits themselves pass
    required = true               # what cannot be told fails; without it, it neither passes nor fails
    source = "where the 90 comes from"

Quantities are the columns of a row (`score`, `sharpness`, ...), the measures of a face (`measures.py`) and OFIQ's
components of them (0..100, under OFIQ's names).
"""

from __future__ import annotations

import difflib
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mien.core.errors import UsageError
from mien.faces.measures import MEASURES

FOLDER = Path(__file__).parent / "policies"  #: the profiles that come with mien, NAME.toml

PICTURE: dict[str, tuple[str, str]] = {
    "score": ("", "the judge's score, 0..100"),
    "score_lo": ("", "lower end of the score's 90 % interval"),
    "score_hi": ("", "upper end of the score's 90 % interval"),
    "percentile": ("", "share of the judge's population that scores lower, 0..100"),
    "sharpness": ("", "the judge's sharpness, 0..100"),
    "exposure": ("", "the judge's exposure, 0..100"),
    "noise": ("", "the judge's freedom from noise, 0..100"),
    "compression": ("", "the judge's freedom from compression, 0..100"),
    "width": ("px", "width of the picture"),
    "height": ("px", "height of the picture"),
}
FACE: dict[str, tuple[str, str]] = {name: (m.unit, m.meaning) for name, m in MEASURES.items()} | {
    m.component: ("", f"OFIQ's 0..100 of {name}") for name, m in MEASURES.items() if m.component
}
QUANTITIES: dict[str, tuple[str, str]] = PICTURE | FACE
"""Name -> unit and meaning of everything that a rule can be about."""

Values = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Rule:
    """One threshold."""

    quantity: str  #: of `QUANTITIES`
    min: float | None = None  #: this and more passes
    max: float | None = None  #: this and less passes
    required: bool = False  #: whether an unknown value fails
    source: str = ""  #: where the numbers come from


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules that a picture has to keep, all of them."""

    name: str
    rules: tuple[Rule, ...]
    description: str = ""

    @property
    def needs_faces(self) -> bool:
        """Whether a rule is about a face, so that somebody has to find one."""
        return any(rule.quantity in FACE for rule in self.rules)

    def with_minimum(self, score: float) -> Policy:
        """The same with this minimum for the score, in place of its own."""
        others = tuple(rule for rule in self.rules if rule.quantity != "score")
        return replace(self, rules=(Rule("score", min=score, required=True, source="--min"), *others))

    def with_a_face(self) -> Policy:
        """The same; where it is about a face and does not say how many there may be, there has to be one."""
        if not self.needs_faces or any(rule.quantity == "n_faces" for rule in self.rules):
            return self
        return replace(
            self, rules=(Rule("n_faces", min=1, required=True, source="a rule is about a face"), *self.rules)
        )


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule that was not kept."""

    quantity: str
    value: float | None  #: None: it cannot be told, and the rule requires it
    min: float | None
    max: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a policy says of one picture."""

    passed: bool
    reasons: tuple[Reason, ...]  #: rules that were not kept, in the order of the policy
    unknown: tuple[str, ...]  #: quantities that cannot be told and are not required


def decide(policy: Policy, values: Values) -> Verdict:
    """Hold the values of one picture against a policy.

    Args:
        policy: the rules.
        values: by the names of `QUANTITIES`; one that is absent or None is unknown.
    """
    reasons = tuple(reason for rule in policy.rules if (reason := _reason(rule, values.get(rule.quantity))))
    unknown = tuple(r.quantity for r in policy.rules if not r.required and values.get(r.quantity) is None)
    return Verdict(not reasons, reasons, unknown)


def _reason(rule: Rule, value: float | None) -> Reason | None:
    if value is None:
        if not rule.required:
            return None
        sentence = f"{rule.quantity} cannot be told and is required"
    elif _kept(rule, value):
        return None
    else:
        unit, meaning = QUANTITIES[rule.quantity]
        shown = _number(value) if not _kept(rule, float(_number(value))) else repr(value)  # 49.99999 is not 50 here
        sentence = f"{rule.quantity} {shown}{_unit(unit)}, wanted {_limits(rule)} ({meaning})"
    return Reason(rule.quantity, value, rule.min, rule.max, sentence)


def _kept(rule: Rule, value: float) -> bool:
    return (rule.min is None or value >= rule.min) and (rule.max is None or value <= rule.max)


def _limits(rule: Rule) -> str:
    if rule.min is not None and rule.min == rule.max:
        return f"exactly {_number(rule.min)}"
    if rule.min is not None and rule.max is not None:
        return f"{_number(rule.min)} to {_number(rule.max)}"
    return f"at least {_number(rule.min)}" if rule.min is not None else f"at most {_number(rule.max or 0.0)}"


def _number(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


def _unit(unit: str) -> str:
    return "" if unit in ("", "share", "ratio", "0..1") else f" {unit}"


# ---- reading and writing


def names() -> list[str]:
    """The profiles that come with mien."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_policy(name: str) -> Policy:
    """A profile of `names()`, or a TOML file.

    Args:
        name: what is in `names()` is a profile; everything else is a path.

    Raises:
        UsageError: no such file, or something in it that is no policy; the message names the file and the place.
    """
    path = FOLDER / f"{name}.toml" if name in names() else Path(name)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UsageError(f"no policy {name!r}: it is no file, and the profiles are {', '.join(names())}") from None
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot read the policy {name}: {reason}") from error
    return parse_policy(text, where=name, default_name=path.stem)


def parse_policy(text: str, *, where: str = "policy", default_name: str = "") -> Policy:
    """A policy from TOML.

    Args:
        text: see the top of this file.
        where: what messages call it.
        default_name: its name, where the text has none.

    Raises:
        UsageError: not TOML, an unknown key or quantity, or limits that nothing can keep.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{where} is not TOML: {error}") from None
    _check_keys(table, ("name", "description", "rules"), where)
    for key in ("name", "description"):
        if not isinstance(table.get(key, ""), str):
            raise UsageError(f"{where}: {key} is a text, not {table[key]!r}")
    rules = table.get("rules")
    if not isinstance(rules, dict) or not rules:
        raise UsageError(f"{where} has no rules: write for example [rules.score] and under it min = 50")
    return Policy(
        name=table.get("name", default_name),
        description=table.get("description", ""),
        rules=tuple(_rule(quantity, rule, where) for quantity, rule in rules.items()),
    )


def _rule(quantity: str, table: Any, where: str) -> Rule:
    place = f"{where}, [rules.{quantity}]"
    if quantity not in QUANTITIES:
        raise UsageError(f"{place}: there is no quantity {quantity!r}{_nearest(quantity, tuple(QUANTITIES))}")
    if not isinstance(table, dict):
        raise UsageError(f"{where}: rules.{quantity} is {table!r}; write [rules.{quantity}] and under it min or max")
    _check_keys(table, ("min", "max", "required", "source"), place)
    low, high = (_limit(table.get(key), key, place) for key in ("min", "max"))
    required, source = table.get("required", False), table.get("source", "")
    if not isinstance(required, bool):
        raise UsageError(f"{place}: required is true or false, not {required!r}")
    if not isinstance(source, str):
        raise UsageError(f"{place}: source is a text, not {source!r}")
    if low is None and high is None and not required:
        raise UsageError(f"{place} asks for nothing: give min, max or required = true")
    if low is not None and high is not None and low > high:
        raise UsageError(f"{place}: min {_number(low)} is above max {_number(high)}, nothing can pass")
    return Rule(quantity, low, high, required, source)


def _limit(value: Any, key: str, place: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UsageError(f"{place}: {key} is a number, not {value!r}")
    return float(value)


def _check_keys(table: Mapping[str, Any], known: Sequence[str], place: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(f"{place}: unknown key {key!r}{_nearest(key, known)}")


def _nearest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else f"; known are {', '.join(known)}"


def to_toml(policy: Policy) -> str:
    """The text that `parse_policy` reads back as this policy."""
    lines = [f"name = {_text(policy.name)}"]
    lines += [f"description = {_text(policy.description)}"] * bool(policy.description)
    for rule in policy.rules:
        lines += ["", f"[rules.{rule.quantity}]"]
        lines += [f"{key} = {_exact(v)}" for key, v in (("min", rule.min), ("max", rule.max)) if v is not None]
        lines += ["required = true"] * rule.required
        lines += [f"source = {_text(rule.source)}"] * bool(rule.source)
    return "\n".join(lines) + "\n"


def _exact(value: float) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def _text(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")  # TOML's basic strings are JSON's, but for DEL
