"""The way in: a study from the link to the last answer, and everything that is refused on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from starlette.testclient import TestClient

from mien.apps.study import pool, schema
from mien.apps.study.database import Database
from mien.apps.study.door import Rates, usual_rates
from mien.apps.study.folder import create
from mien.apps.study.guard import HEADERS
from mien.apps.study.hosted import Hosted, host
from mien.apps.study.items import read_items
from mien.apps.study.limits import Limiter, Rate
from mien.apps.study.observers import forget
from mien.apps.study.server import make_app
from mien.apps.study.settings import Settings

from .conftest import KINDS, empty_database, opened

CHECK = {"width": 1280, "height": 720, "screen_width": 1280, "screen_height": 800, "ratio": 1.5, "touch": False}
SESSION = "a-session"
ENDLESS = Rates(*[Rate(10**6, 10**6)] * 4)


class Browser:
    """One observer's page, as `study.js` speaks to the server."""

    def __init__(self, client: TestClient, hosted: Hosted) -> None:
        self.client, self.hosted = client, hosted
        self.headers: dict[str, str] = {}

    def join(self, **check: Any) -> dict[str, Any]:
        link = self.hosted.study.link
        wording = self.client.get(f"/api/study/{link}").json()["wording"]
        reply = self.client.post(f"/api/study/{link}/observers", json={"consent": True, "wording": wording})
        assert reply.status_code == 201, reply.text
        self.headers = {"authorization": f"Bearer {reply.json()['token']}"}
        reply = self.client.post("/api/session/check", json={**CHECK, **check}, headers=self.headers)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def vote(self, trial: dict[str, Any], answer: str, **more: Any) -> Any:
        body = {"trial": trial["id"], "key": f"key-of-{trial['id']}", "answer": answer, "response_ms": 800, "views": 1}
        return self.send({**body, "session": SESSION, **more})

    def send(self, body: dict[str, Any]) -> Any:
        return self.client.post("/api/session/votes", json=body, headers=self.headers)


@pytest.fixture(scope="module", params=KINDS)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """One for all tests here: each comes with observers of its own."""
    with empty_database(request.param, tmp_path_factory.mktemp("server")) as url, opened(url) as database:
        yield database


@pytest.fixture(scope="module")
def make_hosted(database: Database, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Hosted]:
    def make(method: str, **settings: Any) -> Hosted:
        chosen = Settings.of({"method": method, "training": 0, "traps": 0, **settings})
        return host(database, create(tmp_path_factory.mktemp("study") / "s", read_items(pictures), chosen))

    return make


@pytest.fixture(scope="module")
def acr(make_hosted: Callable[..., Hosted]) -> Hosted:
    return make_hosted("acr", training=1, traps=1)


MakeClient = Callable[..., TestClient]


@pytest.fixture
def make_client(database: Database) -> MakeClient:
    def make(hosted: Hosted, *, rates: Rates = ENDLESS) -> TestClient:
        return TestClient(make_app(database, hosted, rates=rates), raise_server_exceptions=False)

    return make


@pytest.fixture(scope="module")
def client(database: Database, acr: Hosted) -> Iterator[TestClient]:
    with TestClient(make_app(database, acr, rates=ENDLESS), raise_server_exceptions=False) as client:
        yield client


def is_problem(reply: Any, status: int, detail: str = "") -> None:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["status"] == status and detail in reply.json()["detail"]


# ---- the way through ----------------------------------------------------------------------------------------------


def test_a_study_from_the_link_to_the_last_answer(client: TestClient, acr: Hosted):
    page = client.get(f"/s/{acr.study.link}")
    assert page.status_code == 200 and "study.js" in page.text
    browser = Browser(client, acr)
    now = browser.join()
    assert (now["answered"], now["total"]) == (0, 14)
    while now["trials"]:
        trial = now["trials"][0]
        for picture in trial["pictures"]:
            media = client.get(picture["url"], headers=browser.headers)
            assert media.status_code == 200 and media.headers["content-type"] == "image/png"
            assert "private" in media.headers["cache-control"]
        before, now = now, browser.vote(trial, trial["expected"] or "4").json()
        assert now["answered"] == before["answered"] + 1
    assert now["answered"] == 14


def test_the_same_link_goes_on_where_it_was(client: TestClient, acr: Hosted):
    browser = Browser(client, acr)
    trials = browser.join()["trials"]
    browser.vote(trials[0], "4")
    session = client.get("/api/session", headers=browser.headers).json()
    assert session["checked"] and session["answered"] == 1
    assert [t["id"] for t in session["trials"]][:5] == [t["id"] for t in trials[1:]]


def test_pairs_are_told_in_the_order_in_which_they_are_shown(make_hosted, make_client: MakeClient):
    study = make_hosted("pairwise", design="full")
    browser = Browser(make_client(study), study)
    trial = browser.join()["trials"][0]
    assert browser.vote(trial, "left").status_code == 200
    owner = {"authorization": f"Bearer {study.study.owner}"}
    logged = json.loads(browser.client.get("/api/owner/files/log.jsonl", headers=owner).text)
    shown = [next(i.name for i in study.items.values() if i.public in p["url"]) for p in trial["pictures"]]
    assert [logged["left"], logged["right"]] == shown


def test_pairs_of_a_scene_that_runs_low_are_found_after_the_reply(
    make_hosted, make_client: MakeClient, database: Database, monkeypatch
):
    monkeypatch.setattr(pool, "AT_ONCE", 3)
    study = make_hosted("pairwise", design="active")
    browser, t = Browser(make_client(study), study), schema.trial
    assert len(browser.join()["trials"]) == 6
    waiting = select(func.count()).where(t.c.study_id == study.id, t.c.pool, t.c.observer_id.is_(None))
    with database.read() as connection:
        assert connection.scalar(waiting) == 3 * 3  # N - 1 in each scene


def test_an_answer_that_is_sent_again_is_told_again(client: TestClient, acr: Hosted):
    browser = Browser(client, acr)
    trial = browser.join()["trials"][0]
    first, again = browser.vote(trial, "4"), browser.vote(trial, "4")
    assert first.json()["duplicate"] is False and again.json()["duplicate"] is True
    assert first.json()["trials"] == again.json()["trials"]
    is_problem(browser.vote(trial, "5", key="another-key"), 409, "that answer stays")


def test_health(client: TestClient):
    assert client.get("/healthz").json() == client.get("/readyz").json() == {"status": "ok"}


# ---- who may what -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/s/{}", "/api/study/{}"])
def test_a_link_cannot_be_guessed(path: str, client: TestClient, acr: Hosted):
    for wrong in ("1", "study", acr.study.link[:-1], acr.study.link + "x"):
        is_problem(client.get(path.format(wrong)), 404, "no such study")


@pytest.mark.parametrize(
    "method, path", [("GET", "/api/session"), ("GET", "/api/media/{}"), ("POST", "votes"), ("POST", "check")]
)
def test_without_a_secret_there_is_nothing(method: str, path: str, client: TestClient, acr: Hosted):
    public = next(iter(acr.items.values())).public
    path = path.format(public) if path.startswith("/") else f"/api/session/{path}"
    for headers in ({}, {"authorization": "Bearer x"}, {"authorization": f"Bearer {acr.study.owner}"}):
        is_problem(client.request(method, path, headers=headers, json=CHECK if method == "POST" else None), 401)


OWNERS = [("GET", "/api/owner"), ("POST", "/api/owner/open"), ("GET", "/api/owner/files/log.jsonl")]


@pytest.mark.parametrize(("method", "path"), OWNERS)
def test_the_owners_pages_and_files_need_the_owners_token(method: str, path: str, client: TestClient, acr: Hosted):
    browser = Browser(client, acr)
    browser.join()
    body = {"open": True} if method == "POST" else None
    for headers in ({}, browser.headers, {"authorization": f"Basic {acr.study.owner}"}):
        is_problem(client.request(method, path, headers=headers, json=body), 401, "owner's token")
    owner = {"authorization": f"Bearer {acr.study.owner}"}
    assert client.request(method, path, headers=owner, json=body).status_code == 200


def test_the_owner_closes_the_study(client: TestClient, acr: Hosted):
    browser = Browser(client, acr)
    trial = browser.join()["trials"][0]
    owner = {"authorization": f"Bearer {acr.study.owner}"}
    assert client.post("/api/owner/open", json={"open": False}, headers=owner).json()["open"] is False
    is_problem(browser.vote(trial, "4"), 403, "closed")
    assert client.post("/api/owner/open", json={"open": True}, headers=owner).json()["open"] is True
    assert browser.vote(trial, "4").status_code == 200


def test_an_observer_cannot_answer_for_another(client: TestClient, acr: Hosted):
    one, other = Browser(client, acr), Browser(client, acr)
    one.join()
    trial = other.join()["trials"][0]
    is_problem(one.vote(trial, "4"), 409, "no longer yours")


def test_the_viewing_check_comes_first(client: TestClient, acr: Hosted):
    browser = Browser(client, acr)
    wording = client.get(f"/api/study/{acr.study.link}").json()["wording"]
    path = f"/api/study/{acr.study.link}/observers"
    is_problem(client.post(path, json={"consent": False, "wording": wording}), 422, "Without your consent")
    token = client.post(path, json={"consent": True, "wording": wording}).json()["token"]
    browser.headers = {"authorization": f"Bearer {token}"}
    assert "trials" not in client.get("/api/session", headers=browser.headers).json()
    is_problem(browser.vote({"id": 1}, "4"), 403, "viewing check")


@pytest.mark.parametrize(
    ("settings", "check", "allowed"),
    [
        ({}, {"touch": True}, False),
        ({"mobile": True}, {"touch": True}, True),
        ({"min_width": 1281}, {}, False),
        ({"min_height": 721}, {}, False),
        ({"min_width": 1280, "min_height": 720}, {}, True),
    ],
)
def test_a_screen_that_the_study_excludes(
    settings: dict[str, Any], check: dict[str, Any], allowed: bool, make_hosted, make_client
):
    study = make_hosted("acr", **settings)
    browser = Browser(make_client(study), study)
    if allowed:
        browser.join(**check)
    else:
        with pytest.raises(AssertionError, match="This study needs a"):
            browser.join(**check)


def test_a_telephone_is_sent_away(client: TestClient, acr: Hosted):
    wording = client.get(f"/api/study/{acr.study.link}").json()["wording"]
    reply = client.post(
        f"/api/study/{acr.study.link}/observers",
        json={"consent": True, "wording": wording},
        headers={"user-agent": "Mozilla/5.0 (Linux; Android 16) Mobile"},
    )
    is_problem(reply, 403, "needs a computer")


def test_who_was_forgotten_is_nobody_any_more(client: TestClient, acr: Hosted, database: Database):
    browser = Browser(client, acr)
    trial = browser.join()["trials"][0]
    assert browser.vote(trial, "4").status_code == 200
    code = client.get("/api/session", headers=browser.headers).json()["code"]
    assert forget(database, acr, code) == 1
    is_problem(browser.vote(trial, "4"), 409, "no longer yours")
    is_problem(client.get("/api/session", headers=browser.headers), 401)


# ---- files --------------------------------------------------------------------------------------------------------

TRAVERSALS = [
    "../study.db",
    "..%2f..%2fowner.token",
    "%2e%2e/%2e%2e/etc/passwd",
    "....//x",
    "/etc/passwd",
    "s0/0.png",
    "%00",
]


@pytest.mark.parametrize("name", TRAVERSALS)
@pytest.mark.parametrize("prefix", ["/api/media/", "/static/", "/api/owner/files/", "/s/"])
def test_no_path_leads_out_of_the_study(prefix: str, name: str, client: TestClient, acr: Hosted):
    browser = Browser(client, acr)
    browser.join()
    for headers in (browser.headers, {"authorization": f"Bearer {acr.study.owner}"}):
        assert client.get(prefix + name, headers=headers).status_code in (401, 404)


def test_a_page_never_learns_the_names_of_items(client: TestClient, acr: Hosted):
    browser = Browser(client, acr)
    told = json.dumps([browser.join(), client.get("/api/session", headers=browser.headers).json()])
    assert all(item.name not in told and str(item.path) not in told for item in acr.items.values())


def test_a_picture_that_is_gone_is_told(acr: Hosted, tmp_path: Path, make_client: MakeClient):
    lost = next(iter(acr.items.values()))
    study = replace(acr, items={**acr.items, lost.id: replace(lost, path=tmp_path / "gone.png")})
    browser = Browser(make_client(study), study)
    browser.join()
    is_problem(browser.client.get(f"/api/media/{lost.public}", headers=browser.headers), 404, "no such picture")


# ---- limits -------------------------------------------------------------------------------------------------------


def test_a_bucket_fills_again():
    limiter = Limiter(Rate(burst=2, per_minute=6000))
    assert [limiter.wait_s("a") == 0 for _ in range(3)] == [True, True, False]
    assert limiter.wait_s("b") == 0
    assert 0 < limiter.wait_s("a") <= 0.01


@pytest.mark.parametrize("what", ["joins", "guesses", "votes", "requests"])
def test_too_many_are_told_to_wait(what: str, acr: Hosted, make_client: MakeClient):
    few = {name: Rate(3, 1) if name == what else Rate(10**6, 10**6) for name in Rates.__slots__}
    client = make_client(acr, rates=Rates(**few))
    browser = Browser(client, acr)
    trial = browser.join()["trials"][0]
    wording = acr.study.text_sha256
    ask: dict[str, Callable[[], Any]] = {
        "joins": lambda: client.post(
            f"/api/study/{acr.study.link}/observers", json={"consent": True, "wording": wording}
        ),
        "guesses": lambda: client.get("/api/owner", headers={"authorization": "Bearer guess"}),
        "votes": lambda: browser.vote(trial, "4"),
        "requests": lambda: client.get("/api/session", headers=browser.headers),
    }
    replies = [ask[what]() for _ in range(5)]
    assert [r.status_code for r in replies].count(429) >= 2
    is_problem(replies[-1], 429)
    assert int(replies[-1].headers["retry-after"]) >= 1


def test_a_guesser_shuts_nobody_out_who_has_the_right_secret(acr: Hosted, make_client: MakeClient):
    client = make_client(acr, rates=usual_rates())
    before, guess = Browser(client, acr), {"authorization": "Bearer guess"}
    trial = before.join()["trials"][0]
    for _ in range(21):
        client.get("/api/owner", headers=guess)
    for path in ("/api/owner", "/api/session", f"/api/study/{acr.study.link}x"):  # all from the same address
        is_problem(client.get(path, headers=guess), 429)
    assert client.get("/api/owner", headers={"authorization": f"Bearer {acr.study.owner}"}).status_code == 200
    assert client.get("/api/session", headers=before.headers).status_code == 200
    assert before.vote(trial, "4").status_code == 200
    Browser(client, acr).join()


def test_people_are_never_slowed_down_by_the_usual_limits(acr: Hosted, make_client: MakeClient):
    browser = Browser(make_client(acr, rates=usual_rates()), acr)
    now = browser.join()
    while now["trials"]:
        trial = now["trials"][0]
        for picture in trial["pictures"]:
            assert browser.client.get(picture["url"], headers=browser.headers).status_code == 200
        now = browser.vote(trial, trial["expected"] or "4").json()


# ---- requests that are none ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_another_site_cannot_ask_in_somebodys_name(headers: dict[str, str], client: TestClient, acr: Hosted):
    browser = Browser(client, acr)
    trial = browser.join()["trials"][0]
    browser.headers |= headers
    is_problem(browser.vote(trial, "4"), 403, "Another site")


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""])
def test_a_form_of_another_page_is_refused(kind: str, client: TestClient, acr: Hosted):
    browser = Browser(client, acr)
    browser.join()
    reply = client.post("/api/session/votes", content=b"{}", headers={**browser.headers, "content-type": kind})
    is_problem(reply, 415)


def test_our_own_page_is_not_refused(client: TestClient, acr: Hosted):
    browser = Browser(client, acr)
    trial = browser.join()["trials"][0]
    browser.headers |= {"origin": "http://testserver", "sec-fetch-site": "same-origin"}
    assert browser.vote(trial, "4").status_code == 200


def test_no_cookie_is_ever_set(client: TestClient, acr: Hosted):
    Browser(client, acr).join()
    assert not client.cookies


def test_every_reply_has_the_headers_of_security_and_an_id(client: TestClient, acr: Hosted):
    replies = [
        client.get(f"/s/{acr.study.link}"),
        client.get("/owner"),
        client.get("/static/study.js"),
        client.get("/nothing"),
        client.get("/api/session"),
        client.post("/api/session/votes", content=b"x" * 20_000, headers={"content-type": "application/json"}),
    ]
    for reply in replies:
        assert {name: reply.headers.get(name) for name in HEADERS} == HEADERS
        assert reply.headers["x-request-id"] and reply.headers["cache-control"]
    policy = replies[0].headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert client.get("/healthz", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    assert client.get("/healthz", headers={"x-request-id": "<script>"}).headers["x-request-id"] != "<script>"


@pytest.mark.parametrize(
    "change",
    [
        {"trial": 0},
        {"trial": "x"},
        {"key": "short"},
        {"key": "has spaces in it"},
        {"answer": "9"},
        {"answer": "x" * 100},
        {"response_ms": -1},
        {"views": 1.5},
        {"session": ""},
        {"ratio": 0},
        {"colour": "red"},
    ],
)
def test_a_wrong_body_is_told(change: dict[str, Any], client: TestClient, acr: Hosted):
    browser = Browser(client, acr)
    trial = browser.join()["trials"][0]
    right = {"trial": trial["id"], "key": "a-new-key", "answer": "4", "response_ms": 1, "views": 1, "session": SESSION}
    is_problem(browser.send({**right, **change}), 422)
    assert browser.send(right).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b'{"trial": NaN}', b"\xff"])
def test_what_is_no_json_is_told(body: bytes, client: TestClient, acr: Hosted):
    browser = Browser(client, acr)
    browser.join()
    headers = {**browser.headers, "content-type": "application/json"}
    reply = client.post("/api/session/votes", content=body, headers=headers)
    assert reply.status_code in (400, 422) and reply.headers["content-type"] == "application/problem+json"


def test_a_database_that_is_gone_is_told_and_the_answer_sent_again_is_kept(
    client: TestClient, acr: Hosted, database: Database, monkeypatch
):
    browser = Browser(client, acr)
    trial = browser.join()["trials"][0]

    def gone() -> None:
        raise OperationalError("", {}, Exception("no"))

    with monkeypatch.context() as broken:
        broken.setattr(database, "write", gone)
        reply = browser.vote(trial, "4")
    is_problem(reply, 503, "send this again")
    assert reply.headers["retry-after"] == "1"
    assert browser.vote(trial, "4").json() | {"trials": []} == {
        "answered": 1,
        "total": 14,
        "trials": [],
        "duplicate": False,
    }


def test_an_error_of_ours_tells_nothing_about_us(client: TestClient, acr: Hosted, database: Database, monkeypatch):
    browser = Browser(client, acr)
    trial = browser.join()["trials"][0]
    monkeypatch.setattr(database, "write", lambda: 1 / 0)
    reply = browser.vote(trial, "4")
    is_problem(reply, 500)
    assert {name: reply.headers.get(name) for name in HEADERS} == HEADERS
    assert "division" not in reply.text and "Traceback" not in reply.text


@pytest.mark.parametrize("what", ["settings", "items", "items and back"])
def test_a_server_that_another_one_has_overtaken_says_so(
    what: str, database: Database, pictures: Path, tmp_path: Path, make_client: MakeClient
):
    chosen = Settings.of({"method": "acr", "training": 0, "traps": 0})
    study = create(tmp_path / "s", read_items(pictures), chosen)
    early = host(database, study)
    if what == "settings":
        late = host(database, replace(study, settings=replace(chosen, repetitions=2)))
    else:
        late = host(database, replace(study, items=study.items[1:]))
    if what == "items and back":
        late = host(database, study)
    overtaken, there = make_client(early), Browser(make_client(late), late)
    wording = there.client.get(f"/api/study/{study.link}").json()["wording"]
    reply = overtaken.post(f"/api/study/{study.link}/observers", json={"consent": True, "wording": wording})
    is_problem(reply, 503, "changed after this server had begun")
    assert there.join()["total"] == {"settings": 24, "items": 11, "items and back": 12}[what]
    for reply in (
        overtaken.get("/api/session", headers=there.headers),
        overtaken.post("/api/session/check", json=CHECK, headers=there.headers),
    ):
        is_problem(reply, 503, "has to start it again")
    again = make_client(host(database, late.study))
    assert again.get("/api/session", headers=there.headers).json()["trials"]
