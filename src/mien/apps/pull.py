"""Fetch one weight file: the only place in mien that downloads, and only when `mien models pull` is called.

    FILE              usable
    FILE.part         what has arrived; FILE.part.json says from where. The next pull goes on there
    FILE.unverified   complete, but its SHA-256 is on no record and nobody has vouched for it yet

Only http and https, no redirect to another scheme, never more bytes than allowed, one process at a time.
"""

from __future__ import annotations

import contextlib
import hmac
import http.client
import json
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any

from mien.core.errors import ModelError, UsageError
from mien.core.rows import one_line
from mien.core.weights import PART, UNVERIFIED, WeightFile, looks_like_a_web_page, sha256_of

MAX_BYTES = 4_000_000_000
TIMEOUT_S = 30.0  #: without a single byte
ATTEMPTS = 6  #: connections that may break before this pull gives up
PAUSE_S = 0.5  #: before the second attempt; doubles

_BLOCK = 1 << 18
_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}

Watch = Callable[[int, int | None], None]  #: bytes so far, bytes in all if known


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came of it."""

    path: Path
    sha256: str
    usable: bool  #: False: `path` is FILE.unverified, its hash is on no record
    fresh: bool  #: it was downloaded just now


def fetch(
    wanted: WeightFile,
    folder: Path,
    *,
    accepted: str | None = None,
    max_bytes: int = MAX_BYTES,
    again: bool = False,
    watch: Watch = lambda done, total: None,
) -> Pulled:
    """Bring one file into a folder, or find it there.

    Args:
        wanted: what to fetch; with a `url` of None it must be in the folder.
        folder: made if need be.
        accepted: SHA-256 that the user vouches for, where none is recorded.
        max_bytes: refuse more.
        again: download although it is there; the old file stays until the new one is complete.
        watch: called as bytes arrive.

    Raises:
        ModelError: no address, no answer, too large, or another hash than the recorded one.
        UsageError: an address that is not http or https, or a folder that cannot be written.
    """
    target = folder / wanted.file
    if wanted.url is not None:
        _check_address(wanted.url)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(target):
            return _fetch(wanted, target, accepted, max_bytes, again, watch)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from error


def _fetch(wanted: WeightFile, target: Path, accepted: str | None, max_bytes: int, again: bool, watch: Watch) -> Pulled:
    part, unverified = _beside(target, PART), _beside(target, UNVERIFIED)
    if again:
        _forget(part)
        unverified.unlink(missing_ok=True)
    elif target.exists():
        return _present(wanted, target, accepted)
    fresh = not unverified.exists()
    if fresh:
        _download(wanted, part, max_bytes, watch)
        _check_content(wanted, part)
    complete = part if fresh else unverified
    found = sha256_of(complete)
    if wanted.sha256 is not None and not hmac.compare_digest(found, wanted.sha256):
        _forget(complete)
        raise ModelError(f"{wanted.file} has the SHA-256 {found} instead of {wanted.sha256}; it was deleted")
    if wanted.sha256 is None and accepted != found:
        complete.replace(unverified)
        _forget(part)
        return Pulled(unverified, found, usable=False, fresh=fresh)
    complete.replace(target)
    _forget(part)
    return Pulled(target, found, usable=True, fresh=fresh)


def _present(wanted: WeightFile, target: Path, accepted: str | None) -> Pulled:
    found, known = sha256_of(target), wanted.sha256 or accepted
    if known is not None and found != known:
        raise ModelError(f"{target} has the SHA-256 {found} instead of {known}: remove it, or fetch it with --again")
    return Pulled(target, found, usable=True, fresh=False)


def size_in_bytes(text: str) -> int:
    """4GB, 500 MB, 2GiB or a plain number of bytes.

    Raises:
        UsageError: anything else.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if found is None or found[2].lower() not in _UNITS:
        raise UsageError(f"{text!r} is not a size: write for instance 4GB, 500MB or a number of bytes")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def in_words(size: int) -> str:
    """Bytes for people."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"


def _check_address(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"only addresses that begin with http:// or https:// are fetched, not {one_line(url)}")


def _check_content(wanted: WeightFile, part: Path) -> None:
    with part.open("rb") as file:
        page = looks_like_a_web_page(file.read(1024))
    if page:
        _forget(part)
        raise ModelError(_wants_a_click(wanted))


def _wants_a_click(wanted: WeightFile) -> str:
    return (
        f"{wanted.url} gives a web page, not {wanted.file}: open it in a browser, save the file, and put it into the "
        f"cache by hand"
    )


# --- one download, in as many connections as it takes ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a .part comes from; it is gone on with only when all of this still holds."""

    url: str
    total: int | None = None
    validator: str | None = None  #: strong ETag or Last-Modified


class _BrokenError(Exception):
    """The connection or the server failed; another attempt may help."""


def _download(wanted: WeightFile, part: Path, max_bytes: int, watch: Watch) -> None:
    """Until `part` is complete; what has arrived stays when it fails."""
    if wanted.url is None:
        raise ModelError(f"no address of {wanted.file} is known")
    problem, begun = "", _length(part) > 0
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(min(PAUSE_S * 2 ** (attempt - 1), 10.0))
        try:
            _one_connection(wanted, wanted.url, part, max_bytes, watch)
            return
        except _BrokenError as error:
            problem = one_line(str(error))
            begun = begun or _length(part) > 0
            if not begun:
                break  # nobody there; waiting seldom helps
    arrived = _length(part)
    rest = f"; {in_words(arrived)} have arrived, the same command goes on from there" if arrived else ""
    raise ModelError(f"{wanted.url}: {problem}{rest}")


def _one_connection(wanted: WeightFile, url: str, part: Path, max_bytes: int, watch: Watch) -> None:
    origin, begin = _resumable(url, part)
    if origin.total is not None and begin == origin.total:
        return
    with _open(url, begin, origin.validator, part) as response:
        begin, fresh = _answer(wanted, origin, response, part, begin)
        total = fresh.total
        _check_size(wanted, total, begin, max_bytes, part)
        _sidecar(part).write_text(json.dumps(asdict(fresh)), encoding="utf-8")
        done = _receive(response, part, begin, total, max_bytes, watch)
    if total is not None and done < total:
        raise _BrokenError(f"the connection broke after {in_words(done)} of {in_words(total)}")


def _resumable(url: str, part: Path) -> tuple[_Origin, int]:
    """What is known of the part, and its length; a part from elsewhere is thrown away."""
    if _length(part):
        with contextlib.suppress(OSError, ValueError, TypeError):
            origin = _Origin(**json.loads(_sidecar(part).read_text(encoding="utf-8")))
            if origin.url == url and (origin.total is None or _length(part) <= origin.total):
                return origin, _length(part)
    _forget(part)
    return _Origin(url), 0


def _open(url: str, begin: int, validator: str | None, part: Path) -> http.client.HTTPResponse:
    request = urllib.request.Request(urllib.parse.quote(url, safe="%/:=&?~#+!$,;'@()*[]"))
    request.add_header("User-Agent", "mien")
    request.add_header("Accept-Encoding", "identity")
    if begin:
        request.add_header("Range", f"bytes={begin}-")
        if validator is not None:
            request.add_header("If-Range", validator)
    try:
        return _opener().open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            raise _refused(error, url, part) from None
    except (OSError, http.client.HTTPException) as error:  # URLError and ssl.SSLError are OSErrors
        raise _BrokenError(_why(error)) from error


def _answer(
    wanted: WeightFile, origin: _Origin, response: http.client.HTTPResponse, part: Path, begin: int
) -> tuple[int, _Origin]:
    """First byte of the body in the file, and where the body comes from."""
    headers = response.headers
    if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise ModelError(_wants_a_click(wanted))
    if (headers.get("Content-Encoding") or "identity") != "identity":
        raise ModelError(f"{wanted.url} sends the file compressed, although that was declined")
    validator = headers.get("ETag") or headers.get("Last-Modified")
    fresh = replace(origin, validator=None if validator is None or validator.startswith("W/") else validator)
    if response.status == 200:
        return 0, replace(fresh, total=_number(headers.get("Content-Length")))
    span = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range") or "")
    if response.status != 206 or span is None:
        raise ModelError(f"{wanted.url} answers with status {response.status}, not with a file")
    total = _number(span[2])
    if int(span[1]) != begin or (None not in (total, origin.total) and total != origin.total):
        _forget(part)
        raise _BrokenError("the server now has another file; it is fetched from the start")
    return begin, replace(fresh, total=total)


def _check_size(wanted: WeightFile, total: int | None, begin: int, max_bytes: int, part: Path) -> None:
    if total is None:
        return
    if total > max_bytes:
        raise ModelError(_too_large(f"{wanted.file} has {in_words(total)}", max_bytes))
    if wanted.size is not None and total != wanted.size:
        raise ModelError(f"{wanted.url} has {total} bytes, but {wanted.file} should have {wanted.size}")
    if (free := shutil.disk_usage(part.parent).free) < total - begin:
        raise ModelError(f"{in_words(total - begin)} are to come, but {part.parent} has only {in_words(free)} left")


def _receive(
    response: http.client.HTTPResponse, part: Path, begin: int, total: int | None, max_bytes: int, watch: Watch
) -> int:
    """Append the body; how long the file is then."""
    done = begin
    with part.open("ab" if begin else "wb") as file:
        watch(done, total)
        while block := _next(response):
            done += len(block)
            if done > max_bytes:
                break
            file.write(block)
            watch(done, total)
        file.flush()
        os.fsync(file.fileno())
    if done > max_bytes:
        _forget(part)
        raise ModelError(_too_large("it does not end", max_bytes))
    return done


def _next(response: http.client.HTTPResponse) -> bytes:
    try:
        return response.read1(_BLOCK)  # what has come, without waiting for a whole block
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(_why(error)) from error


def _too_large(what: str, max_bytes: int) -> str:
    return f"{what}, more than the {in_words(max_bytes)} that are allowed; raise the limit with --max-size"


def _refused(error: urllib.error.HTTPError, url: str, part: Path) -> Exception:
    if error.code == 416:  # the part is longer than the file, which is another one now
        _forget(part)
        return _BrokenError("the server now has another file; it is fetched from the start")
    if error.code in (408, 429) or error.code >= 500:
        return _BrokenError(f"the server answers {error.code} {error.reason}")
    hint = {404: ": the file is not there (any more)", 401: ": it wants a login", 403: ": it wants a login"}
    return ModelError(f"{url} answers {error.code} {one_line(str(error.reason))}{hint.get(error.code, '')}")


def _why(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return f"{type(error).__name__}: {reason}"


class _OneScheme(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but not from one scheme to another."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request to follow, as the base class makes it."""
        if urllib.parse.urlsplit(newurl).scheme != urllib.parse.urlsplit(req.full_url).scheme:
            raise ModelError(
                f"{req.full_url} leads to {one_line(newurl)}, which is another kind of address; "
                f"if you trust it and it begins with http, pass it with --url"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> Any:
    """Only http and https: no file:, ftp: or data:, whatever a server says."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        _OneScheme,
    ):
        opener.add_handler(handler())
    return opener


# --- files of a download --------------------------------------------------------------------------------------------


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _sidecar(part: Path) -> Path:
    return _beside(part, ".json")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _sidecar(part).unlink(missing_ok=True)


def _length(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """One process at a time works on a file; the lock goes when the process does.

    Raises:
        ModelError: another one is at it.
    """
    with target.with_name(f".{target.name}.lock").open("wb") as file:
        try:
            _lock(file.fileno())
        except (BlockingIOError, PermissionError):
            raise ModelError(f"another mien is fetching {target}; wait for it") from None
        yield


def _lock(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            return  # a file system without locks; renaming is atomic all the same
