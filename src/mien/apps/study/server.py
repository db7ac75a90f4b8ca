"""The way in: pages, and a small JSON interface for them. Thin; what happens is in the other files.

GET  /s/{link}                      the page for observers; their secret is in the fragment, which no server sees
GET  /api/study/{link}              what it says before somebody joins
POST /api/study/{link}/observers    join: agree to the words, get a secret and a code
GET  /api/session                   where I am, what comes next          Authorization: Bearer SECRET
POST /api/session/check             what the viewing check found
POST /api/session/votes             an answer; the reply comes after it is on the disk
GET  /api/media/{item}              a picture or video, only for observers
GET  /owner                         the owner's page
GET  /api/owner, /api/owner/files/{name}; POST /api/owner/open           Authorization: Bearer OWNER'S TOKEN
GET  /healthz, /readyz
"""

import logging
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, Any

from anyio import to_thread
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.routing import Route

from mien.apps.study import observers, owner
from mien.apps.study.answers import standing_facts, study_facts
from mien.apps.study.database import Database
from mien.apps.study.door import Door, Rates, usual_rates
from mien.apps.study.export import lines, names
from mien.apps.study.guard import HEADERS, PROBLEM, Caps, Guard, problem
from mien.apps.study.hosted import Hosted
from mien.apps.study.observers import Observer
from mien.apps.study.pool import Refill
from mien.apps.study.refusal import RefusedError
from mien.apps.study.shelf import Shelf
from mien.apps.study.votes import Ballot, Standing, record, standing

_STATIC = {
    "study.css": "text/css",
    "study.js": "text/javascript",
    "check.js": "text/javascript",
    "owner.js": "text/javascript",
}
_TELEPHONE = re.compile(r"Mobi|Android|iPhone|iPad", re.IGNORECASE)
_STREAMED_BYTES = 4 * 2**20  # smaller files are sent at once, from memory when they were asked for before
_THREADS = 4  # for the database: more of them only wait for the interpreter, and for each other's locks
_CACHED = {"cache-control": "private, max-age=86400"}
_log = logging.getLogger("mien.study")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Join(_Strict):
    """Somebody agrees to the words of that hash."""

    consent: bool
    wording: str = Field(pattern=r"^[0-9a-f]{64}$")


class Check(_Strict):
    """What the viewing check found; None where it was not asked."""

    width: int = Field(ge=1, le=100_000)
    height: int = Field(ge=1, le=100_000)
    screen_width: int = Field(ge=1, le=100_000)
    screen_height: int = Field(ge=1, le=100_000)
    ratio: float = Field(gt=0, le=20)
    touch: bool
    plates_asked: int | None = Field(None, ge=0, le=10)
    plates_right: int | None = Field(None, ge=0, le=10)
    dark_seen: int | None = Field(None, ge=0, le=10)
    bright_seen: int | None = Field(None, ge=0, le=10)


class Vote(_Strict):
    """See `votes.Ballot`."""

    trial: int = Field(ge=1, lt=2**31)
    key: str = Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")
    answer: str = Field(max_length=8)
    response_ms: int = Field(ge=0, lt=2**31)
    views: int = Field(ge=0, lt=100_000)
    session: str = Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")
    width: int | None = Field(None, ge=0, le=100_000)
    height: int | None = Field(None, ge=0, le=100_000)
    ratio: float | None = Field(None, gt=0, le=20)
    shown_scale: float | None = Field(None, gt=0, le=1000)


class Open(_Strict):
    """Whether the study takes votes."""

    open: bool


def make_app(database: Database, hosted: Hosted, *, rates: Rates | None = None, caps: Caps | None = None) -> FastAPI:
    """The server of one study.

    Args:
        database: with its votes.
        hosted: the study.
        rates, caps: limits, where others than the usual ones are wanted.
    """
    app = FastAPI(title="mien study", docs_url=None, redoc_url=None, openapi_url=None, lifespan=_few_threads)
    door = Door(database, hosted, rates or usual_rates())
    _add_errors(app)
    _add_pages(app, database, hosted, door)
    _add_session(app, database, hosted, door)
    _add_owner(app, database, hosted, door)
    app.add_middleware(Guard, caps=caps or Caps())
    return app


@asynccontextmanager
async def _few_threads(_: FastAPI) -> AsyncIterator[None]:
    to_thread.current_default_thread_limiter().total_tokens = _THREADS
    yield


def _add_pages(app: FastAPI, database: Database, hosted: Hosted, door: Door) -> None:
    folder = files("mien.apps.study") / "page"
    pages = {name: (folder / f"{name}.html").read_text(encoding="utf-8") for name in ("study", "owner")}
    static = {name: (folder / name).read_bytes() for name in _STATIC}

    @app.get("/s/{link}")
    async def page(link: str, request: Request) -> HTMLResponse:
        door.link(link, request)
        return HTMLResponse(pages["study"])

    @app.get("/owner")
    async def owner_page() -> HTMLResponse:
        return HTMLResponse(pages["owner"])

    @app.get("/static/{name}")
    async def static_file(name: str) -> Response:
        if name not in static:
            raise RefusedError(404, "There is no such file.")
        return Response(static[name], media_type=_STATIC[name], headers={"cache-control": "no-cache"})

    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    def ready() -> dict[str, str]:
        with database.read() as connection:
            connection.execute(text("SELECT 1"))
        return {"status": "ok"}

    @app.get("/api/study/{link}")
    def study(link: str, request: Request) -> dict[str, Any]:
        door.link(link, request)
        return study_facts(hosted)

    @app.post("/api/study/{link}/observers", status_code=201)
    def join(link: str, body: Join, request: Request) -> dict[str, str]:
        door.link(link, request)
        door.join(request)
        if not body.consent:
            raise RefusedError(422, "Without your consent there is nothing to begin.")
        if not hosted.settings.mobile and _TELEPHONE.search(request.headers.get("user-agent", "")):
            raise RefusedError(403, "This study needs a computer: open the link there.")
        token, code = observers.join(database, hosted, wording_sha256=body.wording)
        return {"token": token, "code": code}


def _add_session(app: FastAPI, database: Database, hosted: Hosted, door: Door) -> None:
    public = {item.public: item for item in hosted.items.values()}
    refill, shelf = Refill(database, hosted), Shelf()

    def told(now: Standing, **more: Any) -> JSONResponse:
        behind = BackgroundTask(refill, now.low) if now.low else None  # after the reply
        return JSONResponse({**more, **standing_facts(hosted, now)}, background=behind)

    @app.get("/api/session")
    def session(observer: Annotated[Observer, Depends(door.observer)]) -> JSONResponse:
        about = {"code": observer.code, "checked": observer.checked, **study_facts(hosted)}
        return told(standing(database, hosted, observer), **about) if observer.checked else JSONResponse(about)

    @app.post("/api/session/check")
    def check(body: Check, observer: Annotated[Observer, Depends(door.observer)]) -> JSONResponse:
        _need_screen(hosted, body)
        return told(standing(database, hosted, observer, check=body.model_dump(exclude_none=True)))

    @app.post("/api/session/votes")
    def vote(body: Vote, observer: Annotated[Observer, Depends(door.observer)]) -> JSONResponse:
        if not observer.checked:
            raise RefusedError(403, "The viewing check comes first.")
        return told(record(database, hosted, observer, Ballot(**body.model_dump())))

    async def media(request: Request) -> Response:
        await door.observer(request)
        item = public.get(request.path_params["name"])
        if item is None:
            raise RefusedError(404, "There is no such picture.")
        if item.size > _STREAMED_BYTES and item.path.is_file():
            return FileResponse(item.path, media_type=item.mime, headers=_CACHED)
        try:
            content = await shelf.read(item.path)
        except OSError as error:
            raise RefusedError(404, "There is no such picture.") from error
        return Response(content, media_type=item.mime, headers=_CACHED)

    # Most requests are for pictures: they come first, and a bare route spares them all that FastAPI does for a body.
    app.router.routes.insert(0, Route("/api/media/{name}", media))


def _need_screen(hosted: Hosted, check: Check) -> None:
    settings = hosted.settings
    if check.touch and not settings.mobile:
        raise RefusedError(403, "This study needs a computer: open the link there.")
    if check.width < settings.min_width or check.height < settings.min_height:
        raise RefusedError(
            403, f"This study needs a window of at least {settings.min_width} x {settings.min_height}. Make it larger."
        )


def _add_owner(app: FastAPI, database: Database, hosted: Hosted, door: Door) -> None:
    only = [Depends(door.owner)]

    @app.get("/api/owner", dependencies=only)
    def overview() -> dict[str, Any]:
        return owner.overview(database, hosted)

    @app.post("/api/owner/open", dependencies=only)
    def set_open(body: Open) -> dict[str, Any]:
        owner.set_open(database, hosted, body.open)
        return owner.overview(database, hosted)

    @app.get("/api/owner/files/{name}", dependencies=only)
    def file(name: str) -> StreamingResponse:
        if name not in names(hosted):
            raise RefusedError(404, f"The files are {', '.join(names(hosted))}.")
        kind = "text/csv" if name.endswith(".csv") else "application/x-ndjson"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(lines(database, hosted, name), media_type=f"{kind}; charset=utf-8", headers=headers)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(RefusedError)
    def refused(_: Request, error: RefusedError) -> JSONResponse:
        more = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
        return _problem(error.status, str(error), more)

    @app.exception_handler(HTTPException)
    def http(_: Request, error: HTTPException) -> JSONResponse:
        return _problem(error.status_code, str(error.detail), dict(error.headers or {}))

    @app.exception_handler(RequestValidationError)
    def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        wrong = [f"{'.'.join(map(str, e['loc'][1:])) or 'body'}: {e['msg']}" for e in error.errors()]
        return _problem(422, "; ".join(wrong[:8]), {})

    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    @app.exception_handler(PoolTimeoutError)
    def database_gone(request: Request, error: Exception) -> JSONResponse:
        _log.error("request %s: the database does not answer (%s)", request.state.request_id, type(error).__name__)
        return _problem(503, "The database does not answer; send this again.", {"retry-after": "1"})

    @app.exception_handler(Exception)
    def unexpected(request: Request, error: Exception) -> JSONResponse:
        _log.error("request %s", request.state.request_id, exc_info=error)
        return _problem(
            500, "Something went wrong here; it has been noted.", HEADERS
        )  # it is answered outside of the guard


def _problem(status: int, detail: str, headers: Mapping[str, str]) -> JSONResponse:
    return JSONResponse(problem(status, detail), status, headers, media_type=PROBLEM)
