"""What can be chosen about a study, what the answers are called, and how it is written down (`study.json`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_type_hints

from mien.core.errors import UsageError

PAIRWISE = "pairwise"
METHODS = ("acr", "dcr", PAIRWISE)
CHOICES: Mapping[str, tuple[str, ...]] = {
    "method": METHODS,
    "design": ("full", "random", "active"),
    "arrangement": ("side", "flicker"),
    "show": ("fit", "exact"),
}

# Five grades, best first (ITU-T P.910: absolute and degradation category rating).
GRADES: Mapping[str, Mapping[str, str]] = {
    "acr": {"5": "Excellent", "4": "Good", "3": "Fair", "2": "Poor", "1": "Bad"},
    "dcr": {
        "5": "Imperceptible",
        "4": "Perceptible, but not annoying",
        "3": "Slightly annoying",
        "2": "Annoying",
        "1": "Very annoying",
    },
}
SIDES = ("left", "right")
TIE = "tie"

_LEAST = {"repetitions": 1, "per_observer": 1, "max_observers": 1}  # all other numbers: 0


@dataclass(frozen=True, slots=True)
class Settings:
    """All that is chosen about a study; `study.json` has these names."""

    method: str  #: acr: rate one; dcr: rate the difference from its reference; pairwise: choose one of two
    design: str = "active"  #: pairwise: which pairs come next, see `mien.subjective.sampling`
    arrangement: str = "side"  #: two pictures side by side, or flicker: one place, a key switches
    show: str = "fit"  #: fit: shrunk to the window where needed; exact: one pixel of the file on one of the screen
    ties: bool = False  #: pairwise: "no difference" may be answered
    repetitions: int = 1  #: acr, dcr: how often an observer rates the same item
    per_observer: int | None = None  #: votes that count, for each observer; None: everything, at most 150 pairs
    training: int = 3  #: trials at the beginning that do not count
    traps: int = 2  #: trap questions among the others, whose right answer is written on them
    mobile: bool = False  #: telephones and tablets may take part
    min_width: int = 0  #: CSS px of the window
    min_height: int = 0
    colour_plates: bool = True  #: ask for the numbers on three colour plates
    brightness: bool = True  #: ask how many of the darkest and the brightest patches can be told apart
    break_minutes: int = 20  #: after that long the page suggests a break; 0: never
    max_observers: int | None = None
    seed: int = 0  #: of every order that is drawn

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(f"{name} is one of {', '.join(choices)}, not {getattr(self, name)!r}")
        for name, kind in get_type_hints(Settings).items():
            value = getattr(self, name)
            if kind is bool and not isinstance(value, bool):
                raise UsageError(f"{name} is true or false, not {value!r}")
            if kind in (int, int | None):
                self._check_number(name, value, optional=kind is not int)
        if self.ties and self.method != PAIRWISE:
            raise UsageError("ties are for pairwise studies: a rating has its grades")
        if self.repetitions > 1 and self.method == PAIRWISE:
            raise UsageError("repetitions are for acr and dcr: of a pair nobody is asked twice")

    def _check_number(self, name: str, value: object, *, optional: bool) -> None:
        least = _LEAST.get(name, 0)
        if value is None and optional:
            return
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
            raise UsageError(f"{name} is a whole number of at least {least}, not {value!r}")

    @property
    def answers(self) -> tuple[str, ...]:
        """What an answer may be."""
        if self.method == PAIRWISE:
            return (*SIDES, TIE) if self.ties else SIDES
        return tuple(sorted(GRADES[self.method]))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @staticmethod
    def of(values: Mapping[str, Any]) -> Settings:
        """Settings from JSON.

        Raises:
            UsageError: a name that is none, no method, or a value that cannot be.
        """
        known = {field.name for field in fields(Settings)}
        if unknown := sorted(set(values) - known):
            raise UsageError(f"study.json: no such setting: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        if "method" not in values:
            raise UsageError(f"study.json has no method; it is one of {', '.join(METHODS)}")
        return Settings(**values)
