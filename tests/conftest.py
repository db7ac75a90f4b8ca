"""Options and fixtures that all tests share."""

from __future__ import annotations

import io
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

if "PYTEST_XDIST_WORKER" in os.environ:  # each of several processes has one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from PIL import Image


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--runslow", action="store_true", help="also run the tests that take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--runslow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with --runslow"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attempt to open a socket fails the test."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a test opened a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def command_line(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> Callable[..., tuple[str, str]]:
    """Runs `mien` in this process, in an empty folder; gives stdout and stderr if the exit code is `code`."""
    monkeypatch.delenv("MIEN_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, stdin: bytes = b"", code: int = 0) -> tuple[str, str]:
        from mien.apps import cli

        monkeypatch.setattr(sys, "argv", ["mien", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = (text.decode() for text in capfdbinary.readouterr())
        assert end.value.code == code, out + err
        assert "Traceback" not in out + err
        return out, err

    return run


@pytest.fixture(scope="session")
def tiny_judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small valid model with random weights (STEM.onnx, its card beside it). Do not change the files."""
    from runtime.tiny_judge import write

    return write(tmp_path_factory.mktemp("tiny"))


def blobs(seed: int, width: int, height: int) -> Image.Image:
    """A smooth random colour picture; another seed is clearly another picture."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 256, (*rng.integers(2, 24, 2), 3), dtype=np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """40 synthetic pictures of different sizes, JPEG and PNG in turn; all below the reduced-decoding limit."""
    folder = tmp_path_factory.mktemp("photos")
    sizes = np.random.default_rng(7).integers(64, 400, (40, 2)).tolist()
    paths = [folder / f"{i:02d}.{'png' if i % 2 else 'jpg'}" for i in range(40)]
    for i, (path, (width, height)) in enumerate(zip(paths, sizes, strict=True)):
        blobs(i, width, height).save(path)
    return paths
