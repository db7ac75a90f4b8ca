"""Downloads against a server of our own: broken connections, resume, hashes, limits, redirects, two at once."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import mien
from mien.apps import pull
from mien.apps.zoo_commands import PullOptions, pull_weights
from mien.core import weights
from mien.core.errors import ModelError, UsageError
from mien.core.weights import WeightFile

BODY = np.random.default_rng(3).bytes(300_000)
DIGEST = hashlib.sha256(BODY).hexdigest()


@dataclass
class Shop:
    """What the server does, and what it was asked."""

    url: str
    body: bytes = BODY
    ranges: bool = True  #: knows Range
    etag: str | None = '"one"'
    breaks_after: list[int] = field(default_factory=list)  #: bytes of the body per connection, then it hangs up
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    length: bool = True  #: says how long the body is
    asked: list[dict[str, str]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append({key.lower(): value for key, value in request.headers.items()})
        if self.status is not None:
            request.send_response(self.status)
            for key, value in self.headers.items():
                request.send_header(key, value)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        begin = self._begin()
        if begin is not None and begin >= len(self.body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(self.body)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(200 if begin is None else 206)
        if begin is not None:
            request.send_header("Content-Range", f"bytes {begin}-{len(self.body) - 1}/{len(self.body)}")
        if self.length:
            request.send_header("Content-Length", str(len(self.body) - (begin or 0)))
        if self.etag:
            request.send_header("ETag", self.etag)
        for key, value in self.headers.items():
            request.send_header(key, value)
        request.end_headers()
        body = self.body[begin or 0 :]
        request.wfile.write(body[: self.breaks_after.pop(0)] if self.breaks_after else body)

    def _begin(self) -> int | None:
        asked = self.asked[-1]
        found = re.fullmatch(r"bytes=(\d+)-", asked.get("range", ""))
        if found is None or not self.ranges or asked.get("if-range", self.etag) != self.etag:
            return None
        return int(found[1])


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pull, "PAUSE_S", 0.0)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Shop(f"http://127.0.0.1:{server.server_address[1]}/weights/net.pt")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def wanted(shop: Shop, sha256: str | None = DIGEST, size: int | None = None) -> WeightFile:
    return WeightFile("net.pt", shop.url, sha256, size)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


# --- one file -------------------------------------------------------------------------------------------------------


def test_a_file_with_a_recorded_hash_arrives_and_is_not_fetched_twice(shop: Shop, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    found = pull.fetch(wanted(shop), tmp_path, watch=lambda done, total: seen.append((done, total)))
    assert found == pull.Pulled(tmp_path / "net.pt", DIGEST, usable=True, fresh=True)
    assert found.path.read_bytes() == BODY and visible(tmp_path) == ["net.pt"]
    assert seen[0] == (0, len(BODY)) and seen[-1] == (len(BODY), len(BODY))
    assert pull.fetch(wanted(shop), tmp_path) == pull.Pulled(tmp_path / "net.pt", DIGEST, usable=True, fresh=False)
    assert len(shop.asked) == 1


def test_a_connection_that_breaks_is_taken_up_where_it_broke(shop: Shop, tmp_path: Path) -> None:
    shop.breaks_after = [100_000, 50_000]
    assert pull.fetch(wanted(shop), tmp_path).path.read_bytes() == BODY
    assert [asked.get("range") for asked in shop.asked] == [None, "bytes=100000-", "bytes=150000-"]
    assert shop.asked[1]["if-range"] == '"one"'


def test_a_pull_that_gave_up_is_taken_up_by_the_next(shop: Shop, tmp_path: Path) -> None:
    shop.breaks_after = [100_000] + [0] * (pull.ATTEMPTS - 1)
    with pytest.raises(
        ModelError, match=r"broke after 100\.0 kB of 300\.0 kB; 100\.0 kB have arrived, the same command"
    ):
        pull.fetch(wanted(shop), tmp_path)
    assert visible(tmp_path) == ["net.pt.part", "net.pt.part.json"]
    assert len(shop.asked) == pull.ATTEMPTS
    assert pull.fetch(wanted(shop), tmp_path).path.read_bytes() == BODY
    assert shop.asked[-1]["range"] == "bytes=100000-" and visible(tmp_path) == ["net.pt"]


def test_a_server_without_ranges_starts_again(shop: Shop, tmp_path: Path) -> None:
    shop.ranges, shop.breaks_after = False, [100_000]
    assert pull.fetch(wanted(shop), tmp_path).path.read_bytes() == BODY
    assert shop.asked[1]["range"] == "bytes=100000-"


def test_a_file_that_changed_on_the_server_starts_again(shop: Shop, tmp_path: Path) -> None:
    shop.breaks_after = [100_000] + [0] * (pull.ATTEMPTS - 1)
    with pytest.raises(ModelError):
        pull.fetch(wanted(shop), tmp_path)
    shop.body, shop.etag = BODY[::-1], '"two"'
    digest = hashlib.sha256(shop.body).hexdigest()
    assert pull.fetch(wanted(shop, digest), tmp_path).path.read_bytes() == shop.body


@pytest.mark.parametrize("length", [50_000, 200_000])
def test_a_file_that_changed_its_length_starts_again_without_an_etag(shop: Shop, tmp_path: Path, length: int) -> None:
    shop.etag, shop.breaks_after = None, [100_000] + [0] * (pull.ATTEMPTS - 1)
    with pytest.raises(ModelError):
        pull.fetch(wanted(shop), tmp_path)
    shop.body = BODY[::-1][:length]
    digest = hashlib.sha256(shop.body).hexdigest()
    assert pull.fetch(wanted(shop, digest), tmp_path).path.read_bytes() == shop.body


def test_a_part_from_another_address_or_of_unknown_origin_is_not_gone_on_with(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "net.pt.part").write_bytes(b"x" * 1000)
    assert pull.fetch(wanted(shop), tmp_path).usable
    (tmp_path / "net.pt").unlink()
    (tmp_path / "net.pt.part").write_bytes(b"x" * 1000)
    (tmp_path / "net.pt.part.json").write_text('{"url": "http://elsewhere/net.pt", "total": 300000}')
    assert pull.fetch(wanted(shop), tmp_path).usable
    assert all("range" not in asked for asked in shop.asked)


def test_a_part_that_was_complete_when_the_power_failed_is_enough(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "net.pt.part").write_bytes(BODY)
    (tmp_path / "net.pt.part.json").write_text(json.dumps({"url": shop.url, "total": len(BODY)}))
    assert pull.fetch(wanted(shop), tmp_path).usable
    assert not shop.asked and visible(tmp_path) == ["net.pt"]


def test_a_wrong_hash_is_deleted_and_named(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"has the SHA-256 {DIGEST} instead of {'0' * 64}; it was deleted"):
        pull.fetch(wanted(shop, "0" * 64), tmp_path)
    assert visible(tmp_path) == []


def test_a_wrong_file_that_is_there_is_not_used_and_not_touched(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"old")
    with pytest.raises(ModelError, match="remove it, or fetch it with --again"):
        pull.fetch(wanted(shop), tmp_path)
    assert (tmp_path / "net.pt").read_bytes() == b"old" and not shop.asked
    shop.status = 500
    with pytest.raises(ModelError, match="the server answers 500"):
        pull.fetch(wanted(shop), tmp_path, again=True)
    assert (tmp_path / "net.pt").read_bytes() == b"old"
    shop.status = None
    assert pull.fetch(wanted(shop), tmp_path, again=True).path.read_bytes() == BODY


def test_an_unknown_hash_waits_for_a_person(shop: Shop, tmp_path: Path) -> None:
    waiting = pull.Pulled(tmp_path / "net.pt.unverified", DIGEST, usable=False, fresh=True)
    assert pull.fetch(wanted(shop, None), tmp_path) == waiting
    assert visible(tmp_path) == ["net.pt.unverified"]
    assert not pull.fetch(wanted(shop, None), tmp_path).fresh
    assert not pull.fetch(wanted(shop, None), tmp_path, accepted="0" * 64).usable
    assert visible(tmp_path) == ["net.pt.unverified"]
    found = pull.fetch(WeightFile("net.pt"), tmp_path, accepted=DIGEST)  # the address is not needed any more
    assert found == pull.Pulled(tmp_path / "net.pt", DIGEST, usable=True, fresh=False)
    assert visible(tmp_path) == ["net.pt"] and len(shop.asked) == 1


def test_an_accepted_hash_is_enough_at_once(shop: Shop, tmp_path: Path) -> None:
    assert pull.fetch(wanted(shop, None), tmp_path, accepted=DIGEST).usable


@pytest.mark.parametrize("length", [True, False])
def test_more_bytes_than_allowed_are_refused(shop: Shop, tmp_path: Path, length: bool) -> None:
    shop.length = length
    with pytest.raises(ModelError, match=r"more than the 200\.0 kB that are allowed; raise the limit with --max-size"):
        pull.fetch(wanted(shop), tmp_path, max_bytes=200_000)
    assert visible(tmp_path) == []
    assert pull.fetch(wanted(shop), tmp_path, max_bytes=300_000).usable


def test_another_size_than_the_recorded_one_is_refused(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has 300000 bytes, but net\.pt should have 7"):
        pull.fetch(wanted(shop, size=7), tmp_path)


def test_a_disk_that_is_too_small_is_told_before(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull.shutil, "disk_usage", lambda _: SimpleNamespace(free=5))
    with pytest.raises(ModelError, match=r"300\.0 kB are to come, but .* has only 5 bytes left"):
        pull.fetch(wanted(shop), tmp_path)


@pytest.mark.parametrize(
    ("status", "message"),
    [(404, r"answers 404 .*the file is not there"), (403, "it wants a login"), (204, "answers with status 204")],
)
def test_an_answer_without_a_file_is_told_at_once(shop: Shop, tmp_path: Path, status: int, message: str) -> None:
    shop.status = status
    with pytest.raises(ModelError, match=message):
        pull.fetch(wanted(shop), tmp_path)
    assert len(shop.asked) == 1 and visible(tmp_path) == []


def test_a_web_page_is_not_taken_for_a_file(shop: Shop, tmp_path: Path) -> None:
    shop.headers = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(ModelError, match=r"gives a web page, not net\.pt: open it in a browser"):
        pull.fetch(wanted(shop, None), tmp_path)
    shop.headers, shop.body = {"Content-Type": "application/octet-stream"}, b"<!doctype html><title>Too many downloads"
    with pytest.raises(ModelError, match="gives a web page"):
        pull.fetch(wanted(shop, None), tmp_path)
    assert visible(tmp_path) == []


def test_nobody_there_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Shop) -> None:
    monkeypatch.setattr(pull, "PAUSE_S", 100.0)
    with pytest.raises(ModelError, match=r"http://127\.0\.0\.1:9/net\.pt: .*refused"):
        pull.fetch(WeightFile("net.pt", "http://127.0.0.1:9/net.pt"), tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://a/b.pt", "data:,x", "net.pt", "http:///net.pt"])
def test_only_http_and_https_are_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only addresses that begin with http"):
        pull.fetch(WeightFile("net.pt", url), tmp_path)


@pytest.mark.parametrize("target", ["https://127.0.0.1/net.pt", "ftp://127.0.0.1/net.pt", "file:///etc/passwd"])
def test_a_redirect_to_another_scheme_is_refused(shop: Shop, tmp_path: Path, target: str) -> None:
    shop.status, shop.headers = 302, {"Location": target}
    with pytest.raises(ModelError, match=r"leads to https|leads to ftp|is not allowed"):
        pull.fetch(wanted(shop), tmp_path)
    assert visible(tmp_path) == []


def test_a_redirect_within_the_scheme_is_followed(shop: Shop, tmp_path: Path) -> None:
    shop.status, shop.headers = 302, {"Location": shop.url + "?token=1"}
    answer = shop.answer

    def once(request: BaseHTTPRequestHandler) -> None:
        if "token" in request.path:
            shop.status, shop.headers = None, {}
        answer(request)

    shop.answer = once  # type: ignore[method-assign]
    assert pull.fetch(wanted(shop), tmp_path).usable
    assert len(shop.asked) == 2


def test_two_pulls_at_once_do_not_mix(shop: Shop, tmp_path: Path) -> None:
    with pull._alone(tmp_path / "net.pt"), pytest.raises(ModelError, match="another mien is fetching"):
        pull.fetch(wanted(shop), tmp_path)
    assert not shop.asked
    assert pull.fetch(wanted(shop), tmp_path).usable  # the lock is gone with the one who held it


def test_a_folder_that_cannot_be_made_is_told(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot be written: (Not a directory|File exists)"):
        pull.fetch(wanted(shop), tmp_path / "file" / "cache")


@pytest.mark.parametrize(
    ("text", "size"), [("4GB", 4 * 10**9), ("1.5 MB", 1_500_000), ("2gib", 2**31), ("17", 17), ("3 kB", 3000)]
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert pull.size_in_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "4 apples", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        pull.size_in_bytes(text)


# --- the verb -------------------------------------------------------------------------------------------------------


def run(*, name: str = "liqe", **options: object) -> int:
    return pull_weights(PullOptions(name, quiet=True, **options))  # type: ignore[arg-type]


def test_without_an_address_it_says_what_to_fetch_and_where_to_put_it(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    for part in ("LIQE.pt", "https://github.com/zwx8981/LIQE", str(cache / "liqe" / "LIQE.pt"), "--url ADDRESS"):
        assert part in err


def test_a_file_that_was_put_there_by_hand_is_found(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = cache / "liqe" / "LIQE.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    assert run() == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert weights.cached("liqe") == [path]


def test_the_shown_command_accepts_the_hash(shop: Shop, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(url=shop.url) == 2
    out, err = capsys.readouterr()
    assert out == "" and f"SHA-256  {DIGEST}\n" in err
    command = err.splitlines()[-1].strip()
    assert command == f"mien models pull liqe --file LIQE.pt --accept-hash {DIGEST}"
    assert weights.cached("liqe") == []
    assert run(file="LIQE.pt", accept_hash=DIGEST.upper()) == 0
    assert capsys.readouterr().out == f"{cache / 'liqe' / 'LIQE.pt'}\n"
    assert len(shop.asked) == 1


def test_another_hash_than_the_accepted_one_is_told(
    shop: Shop, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(url=shop.url, accept_hash="0" * 64) == 2
    assert f"has another SHA-256 than the accepted one, {'0' * 64}" in capsys.readouterr().err
    assert visible(cache / "liqe") == ["LIQE.pt.unverified"]


def test_one_missing_file_does_not_hide_the_others(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cache / "dsl-fiqa").mkdir(parents=True)
    (cache / "dsl-fiqa" / "IQA.pt").write_bytes(BODY)
    assert run(name="dsl-fiqa") == 2
    out, err = capsys.readouterr()
    assert out == f"{cache / 'dsl-fiqa' / 'IQA.pt'}\n" and "DE.pt" in err


def test_a_network_without_published_weights_takes_an_address(shop: Shop, cache: Path) -> None:
    with pytest.raises(ModelError, match="no weights of sar are published"):
        run(name="sar")
    assert run(name="sar", url=shop.url, accept_hash=DIGEST) == 0
    assert weights.cached("sar") == [cache / "sar" / "net.pt"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "liqa"}, r"did you mean .*liqe"),
        ({"name": "mien-judge"}, "is in mien with its weights"),
        ({"accept_hash": "abc"}, "64 hexadecimal digits"),
        ({"max_size": "lots"}, "is not a size"),
        ({"file": "../x.pt", "url": "http://a/x.pt"}, "is not a plain file name"),
        ({"file": "x.pt.part"}, "is not a plain file name"),
        ({"name": "sar", "url": "http://a/"}, "does not end in a file name"),
        ({"name": "dsl-fiqa", "url": "http://a/DE.pt"}, r"2 files: say which with --file, of DE\.pt, IQA\.pt"),
        ({"url": "file:///etc/passwd"}, "only addresses that begin with http"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_fetched(options: dict[str, str], message: str, cache: Path) -> None:
    with pytest.raises((UsageError, ModelError), match=message):
        run(**options)
    assert not cache.exists()


def test_a_recorded_hash_cannot_be_overruled(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.apps import zoo_commands

    monkeypatch.setattr(zoo_commands, "read_lock", lambda _: {"liqe": (WeightFile("LIQE.pt", None, DIGEST),)})
    with pytest.raises(UsageError, match=f"is on record: {DIGEST}; no other is accepted"):
        run(accept_hash="0" * 64)


def test_an_interrupted_pull_can_be_gone_on_with(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pull, "fetch", interrupted)
    assert run(url="http://a/LIQE.pt") == 130
    assert "the same command goes on" in capsys.readouterr().err


# --- the house ------------------------------------------------------------------------------------------------------


def test_the_cache_has_a_place_of_its_own_on_every_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIEN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    places = {}
    for system in ("linux", "darwin", "win32"):
        monkeypatch.setattr(weights.sys, "platform", system)
        places[system] = weights.cache_folder().relative_to(tmp_path).as_posix()
    assert places == {
        "linux": ".cache/mien/models",
        "darwin": "Library/Caches/mien/models",
        "win32": "AppData/Local/mien/models",
    }
    monkeypatch.setenv("MIEN_CACHE", str(tmp_path / "own"))
    assert weights.cache_folder() == tmp_path / "own"


@pytest.mark.parametrize(
    "entry",
    [
        {"file": "../x.pt"},
        {"file": "a/b.pt"},
        {"file": ".hidden"},
        {"file": "x.pt", "sha256": "abc"},
        {"file": "x.pt", "colour": "red"},
        {"url": "http://a/x.pt"},
        "x.pt",
    ],
)
def test_a_lock_file_that_is_wrong_is_refused(entry: object, tmp_path: Path) -> None:
    path = tmp_path / "lock.json"
    path.write_text(json.dumps({"net": [entry]}))
    with pytest.raises(ModelError, match="is not a list of weight files"):
        weights.read_lock(path)


def test_nothing_else_in_mien_can_download() -> None:
    source = Path(mien.__file__).parent
    clients = {"urllib.request", "http.client", "ftplib", "requests", "httpx", "aiohttp", "urllib3", "pooch"}
    clients |= {"torch.hub", "huggingface_hub", "gdown"}
    found = set()
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)]
            if clients & {name for full in names for name in (full, full.partition(".")[0])}:
                found.add(path.relative_to(source).as_posix())
    assert found == {"apps/pull.py"}
