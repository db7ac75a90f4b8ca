"""What a server says instead of an answer."""

from __future__ import annotations

from mien.core.errors import MienError


class RefusedError(MienError):
    """A request is not served; `status` is the number that HTTP has for the reason."""

    def __init__(self, status: int, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
