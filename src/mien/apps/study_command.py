"""The verbs of `study`: make one, serve it, write its tables, forget somebody."""

from __future__ import annotations

import importlib.util
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.core.errors import MissingExtraError, UsageError
from mien.core.rows import one_line

if TYPE_CHECKING:
    from mien.apps.study.database import Database
    from mien.apps.study.folder import Study

DONE = 0
_SWITCH_S = 0.0005  # a thread that holds the database gives the interpreter away at each statement, and needs it back
_MODULES = ("fastapi", "uvicorn", "sqlalchemy", "alembic", "scipy", "threadpoolctl")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `mien study serve --help` says."""

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8000
    database: str | None = None
    url: str | None = None
    behind_proxy: bool = False
    joins_per_minute: int = 60


def need_study() -> None:
    """Tell which extra is missing, before anything that needs it is imported.

    Raises:
        MissingExtraError: a part of it is not installed.
    """
    if any(importlib.util.find_spec(name) is None for name in _MODULES):
        raise MissingExtraError("mien study", "study")


def new_study(folder: Path, items: Path, *, scenes: str | None, title: str | None, settings: Mapping[str, Any]) -> int:
    """Make the folder of a study; say what is in it and what comes next.

    Returns:
        The exit code, 0.

    Raises:
        MienError: the folder exists, an item cannot be shown, or the settings contradict each other.
    """
    need_study()
    from mien.apps.study.folder import create
    from mien.apps.study.items import read_items
    from mien.apps.study.settings import Settings

    study = create(folder, read_items(items, scenes), Settings.of(settings), title=title)
    number = len({item.scene for item in study.items})
    shown = one_line(str(folder))
    print(f"{len(study.items):,} items in {number:,} scene{'' if number == 1 else 's'}, {study.settings.method}")
    print(f"{shown}/consent.txt, {shown}/instructions.txt   what people read first: edit them")
    print(f"{shown}/study.json    what was chosen; may be edited until somebody has joined")
    print(f"{shown}/owner.token   the owner's secret: keep it")
    print(f"next: mien study serve {shown}")
    return DONE


def serve_study(options: ServeOptions) -> int:
    """Serve a study until it is interrupted.

    Returns:
        The exit code, 0.

    Raises:
        MienError: it is no study, its database cannot be opened, or the port is taken.
    """
    need_study()
    import uvicorn

    from mien.apps.study.door import usual_rates
    from mien.apps.study.hosted import host
    from mien.apps.study.server import make_app
    from mien.subjective.one_thread import one_thread

    with _opened(options.folder, options.database) as (study, database):
        hosted = host(database, study)
        _tell_missing(study)
        app = make_app(database, hosted, rates=usual_rates(joins_per_minute=options.joins_per_minute))
        with one_thread(), _listening(options.host, options.port) as listener:  # once for all next pairs
            _tell_links(study, options, listener.getsockname()[1])
            sys.setswitchinterval(_SWITCH_S)
            config = uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,  # addresses of people, and links, do not belong into a log
                server_header=False,
                proxy_headers=options.behind_proxy,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=5,
            )
            uvicorn.Server(config).run(sockets=[listener])
    return DONE


def export_study(folder: Path, out: Path, *, database: str | None = None) -> int:
    """Write the tables of a study; say how many rows they have, and what reads them.

    Returns:
        The exit code, 0.

    Raises:
        MienError: it is no study, has never been served, or the folder cannot be written.
    """
    need_study()
    from mien.apps.study.export import RATINGS, VOTES, export
    from mien.apps.study.hosted import find

    with _opened(folder, database) as (study, opened):
        written = export(opened, find(opened, study), out)
    shown = one_line(str(out))
    for name, rows in written.items():
        print(f"{shown}/{name}   {rows:,} rows")
    table, method = (RATINGS, "p910") if RATINGS in written else (VOTES, "jod")
    if written[table]:
        print(f"next: mien scale {shown}/{table} --method {method}")
    else:
        print("there is nothing to scale yet: nobody has answered a question that counts")
    return DONE


def forget_observer(folder: Path, code: str, *, database: str | None = None) -> int:
    """Delete what is known about an observer.

    Returns:
        The exit code, 0.

    Raises:
        MienError: there is no such study, or nobody of that code.
    """
    need_study()
    from mien.apps.study.hosted import find
    from mien.apps.study.observers import forget

    with _opened(folder, database) as (study, opened):
        votes = forget(opened, find(opened, study), code)
    print(f"deleted {votes:,} vote{'' if votes == 1 else 's'} of {code.upper()}; export again")
    return DONE


@contextmanager
def _opened(folder: Path, database: str | None) -> Iterator[tuple[Study, Database]]:
    from mien.apps.study.database import Database
    from mien.apps.study.folder import open_study

    study = open_study(folder)
    opened = Database(database or study.database)
    try:
        yield study, opened
    finally:
        opened.close()


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(2048)  # who comes before the server is ready waits
        except OSError as error:
            raise UsageError(
                f"cannot listen on {host}, port {port}: {error.strerror or error}. Choose another one with --port"
            ) from error
        yield listener


def _tell_links(study: Study, options: ServeOptions, port: int) -> None:
    host = options.host
    if host in ("0.0.0.0", "::"):
        host = _own_address()
    base = options.url.rstrip("/") if options.url else f"http://{f'[{host}]' if ':' in host else host}:{port}"
    print(f"for observers   {base}/s/{study.link}")
    print(f"for the owner   {base}/owner#{study.owner}")
    if options.host == "127.0.0.1" and not options.url:
        print("Only this computer can open them; --host 0.0.0.0 lets others in.")
    print("Ctrl-C ends it; the votes stay.", flush=True)


def _own_address() -> str:
    """The address at which others in the same network reach this computer; nothing is sent to find out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation, in no network
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _tell_missing(study: Study) -> None:
    changed = [item.name for item in study.items if not item.path.is_file() or item.path.stat().st_size != item.size]
    if changed:
        names = ", ".join(one_line(name) for name in changed[:8])
        raise UsageError(
            f"{len(changed):,} files are not there, or have changed since the study was made: {names}. Put them back, "
            "or make a new study"
        )
