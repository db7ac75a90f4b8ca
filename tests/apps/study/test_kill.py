"""kill -9 amid 20 observers loses no vote and doubles none; two servers on one database give no pair twice."""

from __future__ import annotations

import http.client
import json
import os
import random
import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from mien.apps.study import schema
from mien.apps.study.database import Database
from mien.apps.study.folder import Study

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="kill -9 is a thing of POSIX")]

CHECK = {"width": 1280, "height": 720, "screen_width": 1280, "screen_height": 800, "ratio": 1, "touch": False}
PATIENCE_S = 240


class Server:
    """`mien study serve` in a process of its own, always on the same port."""

    def __init__(self, study: Study, url: str) -> None:
        self._command = [sys.executable, "-m", "mien", "study", "serve", str(study.folder), "--joins", "100000"]
        self._environment = os.environ | {"MIEN_STUDY_DATABASE": url}
        self.port = 0
        self.start()

    def start(self) -> None:
        command = [*self._command, "--port", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self._environment)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert "/s/" in line, line
        self.port = int(line.split(":")[-1].split("/")[0])

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
        assert self._process.returncode == -9

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)


@contextmanager
def servers(study: Study, url: str, n: int) -> Iterator[list[Server]]:
    started: list[Server] = []
    try:
        for _ in range(n):
            started.append(Server(study, url))
        yield started
    finally:
        for server in started:
            server.stop()


class Person(threading.Thread):
    """Takes part until there is nothing left; sends an answer with the same key until it is acknowledged."""

    def __init__(self, study: Study, ports: list[int], seed: int) -> None:
        super().__init__(daemon=True)
        self._study, self._ports, self._draw = study, ports, random.Random(seed)
        self.acknowledged: dict[str, int] = {}  # key -> trial
        self.total = -1
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._take_part()
        except BaseException as error:
            self.error = error

    def _take_part(self) -> None:
        link = f"/api/study/{self._study.link}"
        facts = self._insist("GET", link)
        token = self._insist("POST", f"{link}/observers", {"consent": True, "wording": facts["wording"]})["token"]
        headers = {"authorization": f"Bearer {token}"}
        now = self._insist("POST", "/api/session/check", CHECK, headers)
        self.total = now["total"]
        while now["trials"]:
            trial, key = now["trials"][0], secrets.token_urlsafe(12)
            answer = trial["expected"] or self._draw.choice(["left", "right"])
            body = {
                "trial": trial["id"],
                "key": key,
                "answer": answer,
                "response_ms": 1,
                "views": 1,
                "session": "s" * 8,
            }
            now = self._insist("POST", "/api/session/votes", body, headers)
            self.acknowledged[key] = trial["id"]

    def _insist(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """As the page does: again until there is an answer, with a server that is chosen anew each time."""
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self._draw.choice(self._ports), timeout=30)
            try:
                sent = None if body is None else json.dumps(body)
                more = {"content-type": "application/json"} if sent else {}
                connection.request(method, path, sent, {**(headers or {}), **more})
                reply = connection.getresponse()
                content = json.loads(reply.read())
                if reply.status < 300:
                    return content
                assert reply.status in (429, 503), content
            except (OSError, http.client.HTTPException, ValueError):
                pass
            finally:
                connection.close()
            time.sleep(0.05)


def finish(people: list[Person]) -> None:
    for person in people:
        person.join(PATIENCE_S)
        assert person.error is None, person.error
        assert not person.is_alive(), "somebody waits for ever"


def kept(url: str) -> list[Any]:
    database = Database(url)
    with database.read() as connection:
        votes = connection.execute(select(schema.vote, schema.trial).join(schema.trial)).mappings().all()
    database.close()
    return list(votes)


def check_votes(url: str, people: list[Person]) -> None:
    votes = kept(url)
    told = Counter({(key, trial): 1 for person in people for key, trial in person.acknowledged.items()})
    assert Counter((vote["key"], vote["trial_id"]) for vote in votes) == told
    assert len(votes) == sum(person.total for person in people)
    asked = Counter((v["first_id"], v["second_id"], v["round"]) for v in votes if v["role"] == "main")
    assert max(asked.values()) == 1, "the same asking of a pair was given to two"
    rounds = Counter((v["first_id"], v["second_id"]) for v in votes if v["role"] == "main")
    assert max(rounds.values()) - min(rounds.values()) <= 2


def test_kill_9_loses_no_vote_and_doubles_none(url: str, make_study):
    study = make_study("pairwise", design="full", training=2, traps=1)
    draw = random.Random(1)
    with servers(study, url, 1) as (server,):
        people = [Person(study, [server.port], seed) for seed in range(20)]
        for person in people:
            person.start()
        for step in range(1, 7):  # of 20 x 21 votes
            moment = 55 * step + draw.randrange(20)
            while sum(len(person.acknowledged) for person in people) < moment:
                assert not any(person.error for person in people), [person.error for person in people]
                time.sleep(0.001)
            time.sleep(draw.uniform(0, 0.01))
            server.kill()
            server.start()
        finish(people)
    check_votes(url, people)


def test_two_servers_on_one_database_give_no_pair_twice(url: str, make_study):
    study = make_study("pairwise", design="full", per_observer=9)
    with servers(study, url, 2) as (one, other):
        people = [Person(study, [one.port, other.port], seed) for seed in range(16)]
        for person in people:
            person.start()
        finish(people)
    check_votes(url, people)


def test_two_servers_begin_at_once_on_an_empty_database(url: str, make_study, tmp_path: Path):
    study = make_study("acr")
    found: list[Server] = []
    threads = [threading.Thread(target=lambda: found.append(Server(study, url))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for server in found:
        server.stop()
    assert len(found) == 2
