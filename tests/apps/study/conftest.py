"""Small studies, on SQLite and, where MIEN_TEST_DATABASE names a PostgreSQL database, on that as well."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the extra study is not installed")
pytest.importorskip("sqlalchemy", reason="the extra study is not installed")

from sqlalchemy import create_engine, event, make_url

from mien.apps.study.database import Database
from mien.apps.study.folder import Study, create
from mien.apps.study.hosted import Hosted, host
from mien.apps.study.items import read_items
from mien.apps.study.settings import Settings

POSTGRESQL = os.environ.get("MIEN_TEST_DATABASE")
KINDS = ["sqlite", *(["postgresql"] if POSTGRESQL else [])]


def write_pictures(folder: Path, scenes: int = 3, items: int = 4) -> Path:
    """A folder with so many scenes of so many small pictures."""
    rng = np.random.default_rng(3)
    for scene in range(scenes):
        (folder / f"s{scene}").mkdir(parents=True)
        for item in range(items):
            pixels = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"s{scene}" / f"{item}.png")
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("items") / "pictures")


@contextmanager
def empty_database(kind: str, folder: Path) -> Iterator[str]:
    """The address of an empty database; on PostgreSQL a schema of its own, which is dropped in the end."""
    if kind == "sqlite":
        yield f"sqlite:///{folder / 'votes.db'}"
        return
    assert POSTGRESQL is not None
    name = f"mien_{uuid.uuid4().hex[:12]}"
    base = make_url(POSTGRESQL).set(drivername="postgresql+psycopg")
    engine = create_engine(base, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    yield base.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {name} CASCADE")
    engine.dispose()


@contextmanager
def opened(url: str) -> Iterator[Database]:
    """A database with its tables; on SQLite without waiting for the disk: no test here pulls the plug."""
    database = Database(url)
    if database.engine.dialect.name == "sqlite":
        event.listen(database.engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = OFF"))
        database.close()
    yield database
    database.close()


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with empty_database(request.param, tmp_path) as url:
        yield url


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    with opened(url) as database:
        yield database


MakeStudy = Callable[..., Study]
MakeHosted = Callable[..., Hosted]


@pytest.fixture
def make_study(tmp_path: Path, pictures: Path) -> MakeStudy:
    def make(method: str = "pairwise", *, items: Path | None = None, name: str = "study", **settings: object) -> Study:
        chosen = Settings.of({"method": method, "training": 0, "traps": 0, **settings})
        return create(tmp_path / name, read_items(items or pictures), chosen)

    return make


@pytest.fixture
def hosted(make_study: MakeStudy, database: Database) -> MakeHosted:
    def make(method: str = "pairwise", **settings: object) -> Hosted:
        return host(database, make_study(method, **settings))

    return make
