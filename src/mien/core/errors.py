"""Everything mien raises on purpose.

MienError
├── UnreadableImageError   one input cannot be scored; carries the `status` of its row
├── ModelError             a model file is missing, altered or does not fit
├── MissingExtraError      an optional dependency is not installed
└── UsageError             arguments that contradict each other or name nothing
"""

from __future__ import annotations


class MienError(Exception):
    """Base of all errors that mien raises on purpose."""


class UnreadableImageError(MienError):
    """One input has no score. `status` is the word that its row carries (see `mien.core.types.STATUSES`)."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class ModelError(MienError):
    """A model file is missing, altered, or is not what its card says."""


class MissingExtraError(MienError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs an extra: pip install "mien[{extra}]"')


class UsageError(MienError, ValueError):
    """Arguments that contradict each other, or that name nothing."""
