"""What every request passes first, over real sockets: caps, clocks, and how many there may be at once."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from mien.apps.study.guard import Caps, Guard

CAPS = Caps(body_bytes=1000, body_s=0.5, at_once=2)
JSON = b"content-type: application/json\r\n"


@contextmanager
def running(app: object) -> Iterator[int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    def slow(_: Request) -> PlainTextResponse:
        time.sleep(0.6)
        return PlainTextResponse("done")

    app = Starlette(routes=[Route("/", echo, methods=["POST"]), Route("/slow", slow)])
    app.add_middleware(Guard, caps=CAPS)
    with running(app) as port:
        yield port


def talk(port: int, *parts: bytes, wait_s: float = 0) -> bytes:
    """Send the parts, and give back all that comes until the server hangs up or is silent."""
    with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:
                break  # it has hung up already
            time.sleep(wait_s)
        reply = b""
        try:
            while part := connection.recv(65536):
                reply += part
                if reply.endswith(b"}") or (b"\r\n\r\n" in reply and not reply.endswith(b"\r\n\r\n")):
                    break
        except (TimeoutError, ConnectionResetError):
            pass
        return reply


def head(length: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nhost: x\r\n" + JSON + length + b"\r\n\r\n"


def test_a_body_up_to_the_cap_is_read(port: int):
    assert talk(port, head(b"content-length: 1000"), b"x" * 1000).endswith(b"1000")


def test_a_long_body_is_refused_by_what_it_says(port: int):
    assert talk(port, head(b"content-length: 1001")).startswith(b"HTTP/1.1 413 ")


def test_a_long_body_is_refused_whatever_it_says(port: int):
    chunk = b"200\r\n" + b"x" * 512 + b"\r\n"
    began = time.monotonic()
    assert talk(port, head(b"transfer-encoding: chunked"), chunk, chunk).startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - began < CAPS.body_s  # it did not wait for the end


def test_a_slow_body_is_not_waited_for(port: int):
    began = time.monotonic()
    assert talk(port, head(b"content-length: 10"), b"x").startswith(b"HTTP/1.1 408 ")
    assert CAPS.body_s <= time.monotonic() - began < CAPS.body_s + 1


def test_too_many_at_once_are_told_to_come_again(port: int):
    replies: list[bytes] = []
    ask = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n"
    threads = [threading.Thread(target=lambda: replies.append(talk(port, ask))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    refused = [reply for reply in replies if reply.startswith(b"HTTP/1.1 503 ")]
    assert len(refused) == 4 and all(b"retry-after: 1" in reply for reply in refused)
    assert sum(reply.startswith(b"HTTP/1.1 200 ") for reply in replies) == 2
