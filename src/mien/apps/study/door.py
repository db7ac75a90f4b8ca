"""Who may come in, and how often: secrets are compared by their hashes, and guessing is slow."""

from __future__ import annotations

import hmac
from collections import OrderedDict
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from mien.apps.study import observers
from mien.apps.study.database import Database
from mien.apps.study.hosted import Hosted, sha256
from mien.apps.study.limits import Limiter, Rate
from mien.apps.study.observers import Observer
from mien.apps.study.refusal import RefusedError

_MOST_KNOWN = 10_000  # observers that are not looked up again


@dataclass(frozen=True, slots=True)
class Rates:
    """How often what may be asked, in the memory of one server.

    Attributes:
        joins: from one address; a class behind one router may begin together.
        guesses: wrong secrets from one address.
        votes: of one observer.
        requests: all others of one observer, pictures included.
    """

    joins: Rate
    guesses: Rate
    votes: Rate
    requests: Rate


def usual_rates(*, joins_per_minute: int = 60) -> Rates:
    """What people need, and not much more."""
    joins = Rate(joins_per_minute, joins_per_minute)
    return Rates(joins, guesses=Rate(20, 20), votes=Rate(30, 180), requests=Rate(200, 1200))


class Door:
    """Who may come in, and how often."""

    def __init__(self, database: Database, hosted: Hosted, rates: Rates) -> None:
        self._database, self._hosted = database, hosted
        self._joins, self._guesses = Limiter(rates.joins), Limiter(rates.guesses)
        self._votes, self._requests = Limiter(rates.votes), Limiter(rates.requests)
        self._known: OrderedDict[str, Observer] = OrderedDict()

    async def observer(self, request: Request) -> Observer:
        """Who asks, if they may; only somebody new is looked up in the database."""
        token = self._token(request)
        if request.url.path == "/api/session":  # where a page begins: perhaps they asked to be forgotten since
            self._known.pop(token, None)
        observer = self._known.get(token) or await run_in_threadpool(self._found, token)
        if observer is None:
            self._guessed_wrong(request)
            raise RefusedError(401, "This link is not known here. Open the link that you were given again.")
        limiter = self._votes if request.url.path.endswith("/votes") else self._requests
        _need(limiter, str(observer.seat.observer_id))
        return observer

    async def owner(self, request: Request) -> None:
        """Refuse everybody but the owner."""
        if not hmac.compare_digest(sha256(self._token(request)), sha256(self._hosted.study.owner)):
            self._guessed_wrong(request)
            raise RefusedError(401, "This needs the owner's token.")

    def link(self, link: str, request: Request) -> None:
        """Refuse links that are not this study's."""
        if not hmac.compare_digest(sha256(link), sha256(self._hosted.study.link)):
            self._guessed_wrong(request)
            raise RefusedError(404, "There is no such study here. Check the link that you were given.")

    def join(self, request: Request) -> None:
        """Refuse too many who join from one address."""
        _need(self._joins, _address(request))

    def _found(self, token: str) -> Observer | None:
        with self._database.read() as connection:
            observer = observers.find_observer(connection, self._hosted, token)
        if observer is not None and observer.checked:  # nothing about them changes any more
            self._known[token] = observer
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return observer

    @staticmethod
    def _token(request: Request) -> str:
        """The secret that came along, or ""."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return token.strip() if kind.lower() == "bearer" else ""

    def _guessed_wrong(self, request: Request) -> None:
        """Charge the address for a wrong secret; a right one is never asked to wait for those of its neighbours."""
        if wait := self._guesses.wait_s(_address(request)):
            raise RefusedError(429, "Too many wrong secrets; wait a little.", retry_after_s=int(wait) + 1)


def _need(limiter: Limiter, key: str) -> None:
    if wait := limiter.wait_s(key):
        raise RefusedError(429, "Too many requests; wait a little.", retry_after_s=int(wait) + 1)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
