# SPDX-License-Identifier: Apache-2.0
"""Files of MLflow's UI with a hash in their names are fetched once; all others, and all errors, each time."""

import datetime as dt
import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from werkzeug.test import Client as Http
from werkzeug.test import TestResponse

from api.proxy import static_files
from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from bridge.redis_store.outbox import connect
from schemas.client import Scope
from tests.asgi_client import client_of
from tests.integration.test_api_access import key_for
from tests.recording_upstream import RecordingUpstream
from tests.servers import Server, wait_until

MAIN = "/static-files/static/js/main.c2f5f8d4.js"
#: As MLflow 3.17 sends it.
HEADERS = {
    "Content-Type": "text/javascript; charset=utf-8",
    "Cache-Control": "public, max-age=2419200",
    "ETag": '"1796004227.1-9-22"',
    "Last-Modified": "Mon, 30 Nov 2026 02:03:47 GMT",
    "Vary": "Origin",
    "X-Content-Type-Options": "nosniff",
}


def answer(body: bytes = b"script(1)", status: str = "200 OK", **changed: str | None) -> bytes:
    headers = HEADERS | {"Content-Length": str(len(body))} | {name.replace("_", "-"): v for name, v in changed.items()}
    lines = [f"{name}: {value}" for name, value in headers.items() if value is not None]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode() + body


class Ui:
    """The api before an upstream with one file."""

    def __init__(self, bridge: Api, http: Http, upstream: RecordingUpstream) -> None:
        self.bridge, self.http, self.upstream = bridge, http, upstream
        self.key = key_for(bridge, "ann")

    def get(self, path: str = MAIN, *, key: str | None = None, method: str = "GET", **headers: Any) -> TestResponse:
        sent = {"Authorization": f"Bearer {key or self.key}"} | {n.replace("_", "-"): v for n, v in headers.items()}
        return self.http.open(path, method=method, headers=sent)

    @property
    def calls(self) -> list[bytes]:
        return [request for request in self.upstream.requests if b" /static-files/" in request.partition(b"\r\n")[0]]


@pytest.fixture
def ui(redis_server: tuple[Server, str]) -> Iterator[Ui]:
    connect(redis_server[1], timeout=dt.timedelta(seconds=5), connections=1).flushall()
    with ExitStack() as stack:
        upstream = stack.enter_context(RecordingUpstream())
        bridge = build_api(
            read_settings(
                {
                    "BRIDGE_STORE_URL": redis_server[1],
                    "BRIDGE_UPSTREAM": upstream.url,
                    "BRIDGE_UPSTREAM_VERSION": "3.17.2",
                    "BRIDGE_AUTH": "keys",
                }
            )
        )
        http = stack.enter_context(client_of(bridge))
        upstream.expect(answer())
        yield Ui(bridge, http, upstream)


def test_a_hashed_file_is_fetched_once_and_is_the_same_each_time(ui: Ui) -> None:
    first, second = ui.get(), ui.get()

    assert len(ui.calls) == 1
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.data == second.data == b"script(1)"
    own = ("x-request-id", "age")
    alike = [{pair for pair in each.headers if pair[0].lower() not in own} for each in (first, second)]
    assert alike[0] == alike[1]
    assert second.headers["Age"] == "0"


def test_a_client_that_has_the_file_is_told_so(ui: Ui) -> None:
    ui.get()
    known = ui.get(If_None_Match=f'"other", W/{HEADERS["ETag"]}')
    since = ui.get(If_Modified_Since=HEADERS["Last-Modified"])
    other = ui.get(If_None_Match='"other"', If_Modified_Since=HEADERS["Last-Modified"])

    assert [each.status_code for each in (known, since, other)] == [304, 304, 200]
    assert known.data == b""
    assert known.headers["ETag"] == HEADERS["ETag"]
    assert "Content-Length" not in known.headers
    assert len(ui.calls) == 1


def test_who_may_not_see_the_ui_does_not_get_its_files(ui: Ui) -> None:
    ui.get()
    writer = key_for(ui.bridge, "bob", scopes=(Scope.WRITE,))

    assert ui.get(key="mbk_wrong").status_code == 401
    assert ui.get(key=writer).status_code == 403
    assert ui.get().status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/static-files/favicon.ico", "/static-files/index.html", "/", f"{MAIN}?x=1", "/static-files/c2f5f8d4/main.js"],
)
def test_a_file_without_a_hash_in_its_name_is_fetched_each_time(ui: Ui, path: str) -> None:
    before = len(ui.upstream.requests)
    assert [ui.get(path).status_code for _ in range(2)] == [200, 200]
    asked = [each for each in ui.upstream.requests[before:] if each.startswith(f"GET {path} ".encode())]
    assert len(asked) == 2


@pytest.mark.parametrize(
    "sent",
    [
        answer(status="404 Not Found"),
        answer(status="206 Partial Content"),
        answer(Cache_Control="no-cache"),
        answer(Cache_Control="private, max-age=9"),
        answer(Vary="Cookie"),
        answer(b"x" * 10, Content_Length="0"),
    ],
)
def test_what_is_no_whole_public_file_is_fetched_each_time(ui: Ui, sent: bytes) -> None:
    ui.upstream.expect(sent)
    for _ in range(2):
        ui.get()

    assert len(ui.calls) == 2


def test_a_part_a_head_and_another_encoding_are_fetched(ui: Ui) -> None:
    ui.get()
    ui.get(Range="bytes=0-3")
    ui.get(method="HEAD")
    ui.get(Accept_Encoding="gzip")
    ui.get(Accept_Encoding="gzip")

    assert len(ui.calls) == 4


def test_a_compressed_file_stays_compressed(ui: Ui) -> None:
    ui.upstream.expect(answer(b"not really gzip", Content_Encoding="gzip", Vary="Accept-Encoding"))
    files = [ui.get(Accept_Encoding="gzip") for _ in range(2)]

    assert [each.headers["Content-Encoding"] for each in files] == ["gzip", "gzip"]
    assert files[1].data == b"not really gzip"
    assert len(ui.calls) == 1


def test_a_newer_upstream_is_asked_again(ui: Ui) -> None:
    ui.get()
    ui.bridge.capabilities._examined_version = "3.18.0"  # noqa: SLF001
    ui.upstream.expect(answer(status="404 Not Found"))

    assert ui.get().status_code == 404


def test_a_file_from_before_the_version_was_known_is_that_of_the_first_known_one(ui: Ui) -> None:
    ui.bridge.capabilities._stated = None  # noqa: SLF001
    ui.bridge.capabilities._examined_version = None  # noqa: SLF001
    ui.get()
    for version in ("3.17.2", None, "3.17.2", "3.18.0"):
        ui.bridge.capabilities._examined_version = version  # noqa: SLF001
        ui.get()

    assert len(ui.calls) == 2


def test_the_bytes_that_are_kept_are_bounded(ui: Ui, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(static_files, "_MAX_BYTES", 20)
    names = [MAIN.replace("c2f5f8d4", f"c2f5f8d{number}") for number in range(3)]
    for name in [names[0], names[1], names[0], names[2], names[0], names[1]]:
        ui.get(name)

    fetched = [re.findall(rb"c2f5f8d\d", call)[0][-1:] for call in ui.calls]
    assert fetched == [b"0", b"1", b"2", b"1"]


def test_a_page_from_the_cache_has_the_same_content_policy(ui: Ui) -> None:
    ui.upstream.expect(answer(b"<svg/>", Content_Type="image/svg+xml", X_Frame_Options="SAMEORIGIN"))
    pages = [ui.get("/static-files/static/media/logo.0123456789abcdef.svg") for _ in range(2)]

    assert len(ui.calls) == 1
    assert pages[0].headers["Content-Security-Policy"] == pages[1].headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in pages[1].headers


def test_cached_files_are_counted(ui: Ui) -> None:
    operator = key_for(ui.bridge, "ops", scopes=(Scope.ADMIN,))
    for _ in range(3):
        ui.get()

    def counted() -> bool:
        return 'mlflow_bridge_reads_cached_total{cache="static"} 2' in ui.get("/metrics", key=operator).text

    wait_until(counted, timeout=10)


def test_the_validator_of_another_read_passes_in_both_directions(ui: Ui) -> None:
    ui.upstream.expect(answer(b"", "304 Not Modified", Content_Length=None))
    page = ui.get("/", If_None_Match='"x"')

    assert page.status_code == 304
    assert page.headers["ETag"] == HEADERS["ETag"]
    assert any(b'if-none-match: "x"' in request.lower() for request in ui.upstream.requests)
