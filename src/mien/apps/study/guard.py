"""What every request passes first: an id, a cap on its body, a clock, a limit on how many there are, no foreign pages.

Pure ASGI, so that a body that is too large or too slow is refused before anything has been made of it. There are no
cookies: whoever asks says who they are in a header that only our own page sends, so another site cannot ask in
somebody's name. That a browser says the request comes from elsewhere is refused all the same.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PROBLEM = "application/problem+json"
SAFE = {"GET", "HEAD", "OPTIONS"}
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
    "x-robots-tag": "noindex, nofollow",
}
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Caps:
    """What is refused."""

    body_bytes: int = 16_384
    body_s: float = 10.0  #: until the whole body has come
    at_once: int = 512  #: requests that are being answered


class Guard:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, caps: Caps) -> None:
        self._app, self._caps = app, caps
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        asked = headers.get("x-request-id", "")
        request_id = asked if _ID.fullmatch(asked) else secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        send = _with_headers(send, request_id)
        if self._running >= self._caps.at_once:
            await refuse(send, 503, "Too many requests at once; try again.", retry_after_s=1)
            return
        if refusal := foreign(scope["method"], headers):
            await refuse(send, *refusal)
            return
        self._running += 1
        try:
            await self._serve(scope, headers, receive, send)
        finally:
            self._running -= 1

    async def _serve(self, scope: Scope, headers: Headers, receive: Receive, send: Send) -> None:
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._caps.body_bytes:
            await refuse(send, 413, f"A body has at most {self._caps.body_bytes} bytes.")
            return
        body = b""
        if scope["method"] not in SAFE:
            try:
                async with asyncio.timeout(self._caps.body_s):
                    read = await _read(receive, self._caps.body_bytes)
            except TimeoutError:
                await refuse(send, 408, f"The body did not come within {self._caps.body_s:g} s.")
                return
            if read is None:
                await refuse(send, 413, f"A body has at most {self._caps.body_bytes} bytes.")
                return
            body = read
        await self._app(scope, _replay(body, receive), send)


def foreign(method: str, headers: Headers) -> tuple[int, str] | None:
    """Why a request that changes something does not come from our page; None when it does."""
    if method in SAFE:
        return None
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return 403, "Another site must not ask in your name."
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return 403, "Another site must not ask in your name."
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        return 415, "A body is application/json."
    return None


def problem(status: int, detail: str, **more: Any) -> dict[str, Any]:
    """What is wrong, in the form of RFC 9457."""
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}


async def refuse(send: Send, status: int, detail: str, *, retry_after_s: int | None = None) -> None:
    """Answer with a problem, and close the connection: its body has not been read."""
    body = json.dumps(problem(status, detail)).encode()
    headers = [
        (b"content-type", PROBLEM.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _read(receive: Receive, most: int) -> bytes | None:
    """The whole body; None as soon as it is too long."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            return None
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replay() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_headers(send: Send, request_id: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in {**HEADERS, "x-request-id": request_id}.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return sending
