"""The tables: made by migrations, equal to the schema, and never changed under votes."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from mien.apps.study import observers, schema
from mien.apps.study.database import Database
from mien.apps.study.folder import Study
from mien.apps.study.hosted import find, host
from mien.apps.study.settings import Settings
from mien.core.errors import UsageError

from .people import joined


def test_the_migrations_make_the_schema(database: Database):
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), schema.metadata) == []


def test_a_database_is_opened_again_as_it_is(url: str, make_study):
    study = make_study()
    first, second = Database(url), Database(url)
    assert host(first, study).items.keys() == host(second, study).items.keys()
    first.close()
    second.close()


def test_sqlite_keeps_votes_through_a_power_failure(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    with database.read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "an address such as postgresql://"),
        ("mysql://host/name", "SQLite or PostgreSQL, not mysql"),
        ("sqlite:////nowhere/at/all.db", "cannot open the database sqlite:////nowhere/at/all.db"),
    ],
)
def test_a_wrong_address_is_told(url: str, message: str):
    with pytest.raises(UsageError, match=message):
        Database(url)


def test_a_password_is_never_told():
    pytest.importorskip("psycopg", reason="the driver of PostgreSQL is not installed")
    with pytest.raises(UsageError) as caught:
        Database("postgresql://me:hunter2@127.0.0.1:1/none?connect_timeout=2")
    assert "hunter2" not in str(caught.value) and "me:***@127.0.0.1" in str(caught.value)


def changed(study: Study, what: str) -> Study:
    if what == "settings":
        return replace(study, settings=Settings("pairwise", design="random", training=0, traps=0))
    return replace(study, items=study.items[:-1])


@pytest.mark.parametrize("what", ["settings", "items"])
def test_a_study_may_change_until_somebody_has_joined(what: str, database: Database, make_study):
    study = make_study()
    host(database, study)
    hosted = host(database, changed(study, what))
    assert len(hosted.items) == (12 if what == "settings" else 11)
    joined(database, hosted)
    with pytest.raises(UsageError, match=f"the {what} of study were changed after people have joined"):
        host(database, study)


def test_a_study_does_not_change_while_somebody_joins(database: Database, make_study, monkeypatch: pytest.MonkeyPatch):
    study = make_study()
    hosted, joining, begin = host(database, study), threading.Event(), observers.begin

    def slowly(*args: Any) -> None:
        joining.set()
        time.sleep(0.3)  # they are written down, and the transaction still open: another server starts now
        begin(*args)

    monkeypatch.setattr(observers, "begin", slowly)
    thread = threading.Thread(target=joined, args=(database, hosted))
    thread.start()
    assert joining.wait(10)
    with pytest.raises(UsageError, match="changed after people have joined"):
        host(database, changed(study, "items"))
    thread.join()


def test_the_words_may_change_and_all_that_were_agreed_to_are_kept(database: Database, make_study):
    study = make_study()
    joined(database, host(database, study))
    joined(database, host(database, replace(study, consent="Other words.")))
    with database.read() as connection:
        agreed = connection.execute(
            schema.wording.select().join(schema.observer, schema.wording.c.sha256 == schema.observer.c.wording_sha256)
        ).all()
    assert {row.consent for row in agreed} == {study.consent, "Other words."}


def test_another_owner_cannot_take_a_study_over(database: Database, make_study):
    study = make_study()
    host(database, study)
    with pytest.raises(UsageError, match=r"owner\.token is not the one"):
        host(database, replace(study, owner="x" * 32))


def test_a_study_that_was_never_served_has_nothing_to_export(database: Database, make_study):
    with pytest.raises(UsageError, match="has never been served"):
        find(database, make_study())
