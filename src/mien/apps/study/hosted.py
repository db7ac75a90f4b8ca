"""A study in a database: written there when it is first served, and what the server keeps at hand about it."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from mien.apps.study import schema
from mien.apps.study.database import Database
from mien.apps.study.folder import Study
from mien.apps.study.items import MAIN, TRAINING
from mien.apps.study.settings import PAIRWISE, Settings
from mien.core.errors import UsageError

MOST_PAIRS = 150  #: for an observer, unless `per_observer` says otherwise: about a quarter of an hour


@dataclass(frozen=True, slots=True)
class HostedItem:
    """An item by the numbers of the database."""

    id: int
    public: str  #: how observers call it
    name: str
    path: Path
    scene: str
    role: str
    mime: str
    width: int | None
    height: int | None
    size: int
    reference: int | None  #: id of the reference


@dataclass(frozen=True, slots=True)
class Hosted:
    """What does not change while a study is served.

    Attributes:
        study: the folder.
        id: of the study in the database.
        items: by id.
        scenes: ids of the items that are judged, by scene, ascending; dcr: only those that have a reference.
        training: ids of the items that are for training only.
    """

    study: Study
    id: int
    items: Mapping[int, HostedItem]
    scenes: Mapping[str, tuple[int, ...]]
    training: tuple[int, ...]

    @property
    def settings(self) -> Settings:
        """What was chosen."""
        return self.study.settings

    @property
    def judged(self) -> list[int]:
        """Ids of the items that are judged."""
        return [number for scene in self.scenes.values() for number in scene]

    @property
    def pairs(self) -> dict[str, int]:
        """How many pairs every scene has."""
        return {scene: len(items) * (len(items) - 1) // 2 for scene, items in self.scenes.items()}

    @property
    def quota(self) -> int:
        """Trials that count, for each observer."""
        wanted = self.settings.per_observer
        if self.settings.method == PAIRWISE:
            return min(sum(self.pairs.values()), wanted or MOST_PAIRS)
        everything = len(self.judged) * self.settings.repetitions
        return min(everything, wanted or everything)


def host(database: Database, study: Study) -> Hosted:
    """Bring a study into the database, or find it there.

    Raises:
        UsageError: it is there with other settings or items, and people have begun; or the owner's token is another.
    """
    try:
        with database.write() as connection:
            study_id = _found_or_written(connection, study)
    except IntegrityError:  # another server has just written it
        with database.write() as connection:
            study_id = _found_or_written(connection, study)
    with database.read() as connection:
        return _at_hand(connection, study, study_id)


def find(database: Database, study: Study) -> Hosted:
    """Find a study that has been served before.

    Raises:
        UsageError: it never was.
    """
    with database.read() as connection:
        study_id = connection.scalar(select(schema.study.c.id).where(schema.study.c.link == study.link))
        if study_id is None:
            raise UsageError(
                f"{study.folder.name} has never been served with this database: there is nothing to export"
            )
        return _at_hand(connection, study, study_id)


def is_current(connection: Connection, hosted: Hosted) -> bool:
    """Whether the study is in the database as it is at hand; until somebody has joined, another server may rewrite it.

    The public name of an item tells one writing from another: numbers, and even hashes, may come again.
    """
    s, i, item = schema.study, schema.item, next(iter(hosted.items.values()))
    there = select(s.c.settings, i.c.public).join(i, i.c.study_id == s.c.id)
    found = connection.execute(there.where(s.c.id == hosted.id, i.c.id == item.id)).first()
    return found is not None and tuple(found) == (_settings(hosted.study), item.public)


def sha256(text: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(text.encode()).hexdigest()


def _found_or_written(connection: Connection, study: Study) -> int:
    table = schema.study
    # who joins now waits, as for `lock_study`
    there = select(table).where(table.c.link == study.link).with_for_update()
    row = connection.execute(there).mappings().first()
    facts = _facts(study)
    if row is None:
        values = {**facts, "link": study.link, "open": True, "created": time.time()}
        study_id = connection.execute(insert(table).values(values).returning(table.c.id)).scalar_one()
        _write_items(connection, study, study_id)
    else:
        study_id = row["id"]
        changed = [name for name in ("settings", "items_sha256") if row[name] != facts[name]]
        if changed and _has_begun(connection, study_id):
            what = " and ".join({"settings": "settings", "items_sha256": "items"}[name] for name in changed)
            raise UsageError(
                f"the {what} of {study.folder.name} were changed after people have joined, so that their votes would "
                "mean something else: put them back, or make a new study"
            )
        if row["owner_sha256"] != facts["owner_sha256"]:
            raise UsageError(f"{study.folder}: owner.token is not the one that this study began with")
        connection.execute(update(table).where(table.c.id == study_id).values(facts))
        if "items_sha256" in changed:
            connection.execute(delete(schema.item).where(schema.item.c.study_id == study_id))
            _write_items(connection, study, study_id)
    _keep_words(connection, study, study_id)
    return study_id


def _facts(study: Study) -> dict[str, Any]:
    shown = [{k: str(v) for k, v in asdict(item).items() if k != "path"} for item in study.items]
    return {
        "owner_sha256": sha256(study.owner),
        "title": study.title,
        "settings": _settings(study),
        "items_sha256": sha256(json.dumps(shown, sort_keys=True)),
    }


def _settings(study: Study) -> str:
    return json.dumps(study.settings.to_dict(), sort_keys=True)


def _has_begun(connection: Connection, study_id: int) -> bool:
    return bool(connection.scalar(select(exists().where(schema.observer.c.study_id == study_id))))


def _write_items(connection: Connection, study: Study, study_id: int) -> None:
    rows = []
    for item in study.items:
        row = {name: value for name, value in asdict(item).items() if name != "sha256"}
        rows.append({**row, "path": str(item.path), "study_id": study_id, "public": secrets.token_urlsafe(12)})
    connection.execute(insert(schema.item), rows)


def _keep_words(connection: Connection, study: Study, study_id: int) -> None:
    table, key = schema.wording, {"study_id": study_id, "sha256": study.text_sha256}
    if connection.scalar(select(table.c.sha256).filter_by(**key)) is None:
        connection.execute(insert(table).values(**key, consent=study.consent, instructions=study.instructions))


def _at_hand(connection: Connection, study: Study, study_id: int) -> Hosted:
    table = schema.item
    rows = connection.execute(select(table).where(table.c.study_id == study_id).order_by(table.c.id)).mappings().all()
    number = {row["name"]: row["id"] for row in rows}
    paths = {item.name: item.path for item in study.items}  # the folder may have moved since
    items = {}
    for row in rows:
        facts = {name: value for name, value in row.items() if name not in ("study_id", "reference", "path")}
        path = paths.get(row["name"], Path(row["path"]))
        items[row["id"]] = HostedItem(**facts, path=path, reference=number.get(row["reference"]))
    judged = [item for item in items.values() if item.role == MAIN]
    if study.settings.method == "dcr":
        judged = [item for item in judged if item.reference is not None]
    training = tuple(item.id for item in items.values() if item.role == TRAINING)
    return Hosted(study, study_id, items, _by_scene(judged), training)


def _by_scene(items: Iterable[HostedItem]) -> dict[str, tuple[int, ...]]:
    scenes: dict[str, list[int]] = {}
    for item in items:
        scenes.setdefault(item.scene, []).append(item.id)
    return {scene: tuple(ids) for scene, ids in scenes.items()}
