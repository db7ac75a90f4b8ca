"""Where the votes are: SQLite in WAL mode in the folder of the study, or PostgreSQL by its address.

Every write is one transaction that ends before the answer goes out. On SQLite a transaction that writes takes the lock
at its beginning (so it never fails half-way), threads of one server take turns, and every commit is on the disk
(synchronous = FULL) before it counts. On PostgreSQL, rows that are decided upon are locked in this order: the
observer (`mien.apps.study.observers.hold`), their trials, the study (`lock_study`); pairs of the pool at any time, for
whoever takes one passes over those that are locked.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib.resources import files
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from mien.apps.study import schema
from mien.core.errors import MissingExtraError, UsageError

_WAIT_S = 30.0  #: for the lock of SQLite, and for a connection to PostgreSQL
_MIGRATION_LOCK = 0x6D69656E  # one server at a time changes the tables


class Database:
    """Connections to one database whose tables are there."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._is_sqlite = self.engine.dialect.name == "sqlite"
        self._turn = threading.Lock() if self._is_sqlite else nullcontext()
        self._reading = self.engine.execution_options(mien_reads=True)
        try:
            self._migrate()
        except DBAPIError as error:
            self.engine.dispose()
            shown = self.engine.url.render_as_string(hide_password=True)
            raise UsageError(f"cannot open the database {shown}: {_first_line(error)}") from error

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may change things; all of it is kept, or nothing."""
        with self._turn, self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only looks; it never waits for writers."""
        with self._reading.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(files("mien.apps.study") / "migrations"))
        with self.write() as connection:
            if not self._is_sqlite:
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def lock_study(connection: Connection, study_id: int) -> None:
    """From here to the end of the transaction nobody else joins this study or adds pairs to it."""
    # the rows that point to this one need not wait
    connection.execute(select(schema.study.c.id).where(schema.study.c.id == study_id).with_for_update(key_share=True))


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UsageError("the database is an address such as postgresql://user:password@host/name") from None
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed, connect_args={"timeout": _WAIT_S, "check_same_thread": False})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    if parsed.get_backend_name() != "postgresql":
        raise UsageError(f"the database is SQLite or PostgreSQL, not {parsed.get_backend_name()}")
    try:
        return create_engine(parsed, pool_size=16, max_overflow=8, pool_timeout=_WAIT_S, pool_pre_ping=True)
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise MissingExtraError("PostgreSQL", "study-postgresql") from error


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # transactions begin as `_begin_sqlite` says
    for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {setting}")


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().get("mien_reads", False)
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _first_line(error: DBAPIError) -> str:
    return str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
