"""What the owner of a study sees while it runs, and may do: close it and open it again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, update

from mien.apps.study import schema
from mien.apps.study.assignment import total
from mien.apps.study.database import Database
from mien.apps.study.export import names, people
from mien.apps.study.hosted import Hosted
from mien.apps.study.items import MAIN
from mien.apps.study.settings import PAIRWISE


def overview(database: Database, hosted: Hosted) -> dict[str, Any]:
    """Votes so far, how evenly they are spread, and everybody who takes part, by code."""
    s, t, v = schema.study, schema.trial, schema.vote
    with database.read() as connection:
        is_open = bool(connection.scalar(select(s.c.open).where(s.c.id == hosted.id)))
        of_study = (t.c.study_id == hosted.id, t.c.role == MAIN)
        per_item: dict[int, int] = {}
        for column in (t.c.first_id, t.c.second_id) if hosted.settings.method == PAIRWISE else (t.c.first_id,):
            counted = select(column, func.count()).join(v, v.c.trial_id == t.c.id).where(*of_study).group_by(column)
            for row in connection.execute(counted):
                per_item[row[0]] = per_item.get(row[0], 0) + row[1]
        found = list(people(connection, hosted))
    votes = [per_item.get(item, 0) for item in hosted.judged]
    return {
        "title": hosted.study.title,
        "method": hosted.settings.method,
        "link": f"/s/{hosted.study.link}",
        "open": is_open,
        "votes": sum(votes) // (2 if hosted.settings.method == PAIRWISE else 1),
        "items": len(votes),
        "scenes": len(hosted.scenes),
        "votes_of_item": [min(votes), max(votes)],
        "files": list(names(hosted)),
        "observers": [{**person, "total": total(hosted, person["quota"])} for person in found],
    }


def set_open(database: Database, hosted: Hosted, wanted: bool) -> None:
    """Open or close the study for all servers at once."""
    s = schema.study
    with database.write() as connection:
        connection.execute(update(s).where(s.c.id == hosted.id).values(open=wanted))
