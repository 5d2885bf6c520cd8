# SPDX-License-Identifier: Apache-2.0
"""Requests of bytes that no honest client sends: each is answered, or cut, at once, and none becomes two upstream.

``GuardedApi.ask`` sees to it that no answer is a 500 or tells a secret, and that the next client is served.
"""

import pytest

from tests.guarded_api import GuardedApi
from tests.recording_upstream import head_of
from tests.servers import wait_until

pytestmark = pytest.mark.usefixtures("unfinished")

CREATE = "/api/2.0/mlflow/runs/create"
CHUNKED = "Transfer-Encoding: chunked"
TWO = b"2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        *("Content-Length: 2\r\nContent-Length: 3", "Content-Length: 2, 2", "Content-Length: 2, 3"),
        *(f"Content-Length: {length}" for length in ("+2", "0x2", "-2", "2 2", "1e1", "2_", "", "2\x00", "9" * 20)),
        *("Content-Length : 2", "Content-Length:\r\n 2", "X-A: a\r\n b\r\nContent-Length: 2"),
        *(f"Transfer-Encoding: {coding}" for coding in ("xchunked", "identity", "chunked, identity", '"chunked"')),
        *(f"Transfer-Encoding: {coding}" for coding in ("\x0bchunked", "chunked\x00", "gzip, chunked")),
        *("Transfer-Encoding: chunked, chunked", "Transfer-Encoding: identity, chunked"),
        f"{CHUNKED}\r\nTransfer-Encoding: identity",
        f"Transfer-Encoding: identity\r\n{CHUNKED}",
        *("Transfer-Encoding : chunked", "Transfer-Encoding:\r\n chunked"),
    ],
)
def test_a_body_whose_end_can_be_seen_in_two_ways_is_refused(guarded_alone: GuardedApi, framing: str) -> None:
    smuggled = guarded_alone.head("GET", "/smuggled")
    request = guarded_alone.head("POST", CREATE, "Content-Type: application/json", framing, close=False)

    answered, seen = guarded_alone.seen(request + TWO + smuggled)

    assert answered.statuses in ([400], [501])
    assert answered.closed
    assert seen == []


@pytest.mark.parametrize("first", ["Content-Length", "Transfer-Encoding"])
def test_a_length_beside_chunks_is_refused(guarded_alone: GuardedApi, first: str) -> None:
    smuggled = guarded_alone.head("GET", "/smuggled")
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled)
    lines = sorted((f"Content-Length: {len(body)}", CHUNKED), key=lambda line: not line.startswith(first))

    answered, seen = guarded_alone.seen(guarded_alone.head("POST", CREATE, *lines, close=False) + body + smuggled)

    assert answered.statuses == [400]
    assert answered.closed
    assert seen == []


@pytest.mark.parametrize(
    "chunks",
    [
        *(
            b"0x2\r\n{}\r\n0\r\n\r\n",
            b"+2\r\n{}\r\n0\r\n\r\n",
            b"-2\r\n{}\r\n0\r\n\r\n",
            b"2\n{}\n0\n\n",
            b"zz\r\n",
            b"\r\n",
        ),
        *(b"2\r\n{}0\r\n\r\n", b"fffffffffffffffff\r\n{}", b"2;" + b"x" * 1_000_000 + b"\r\n{}\r\n0\r\n\r\n"),
        *(
            b"2\r\n{}\r\n0\r\n" + b"X-T: 1\r\n" * 2000 + b"\r\n",
            b"2\r\n{}\r\n0\r\nX-T: " + b"a" * 1_000_000 + b"\r\n\r\n",
        ),
    ],
)
def test_bad_chunks_are_refused(guarded_alone: GuardedApi, chunks: bytes) -> None:
    answered, seen = guarded_alone.seen(guarded_alone.head("POST", CREATE, CHUNKED) + chunks)

    assert answered.statuses == [400]
    assert seen == []


def test_trailers_become_no_headers(guarded_alone: GuardedApi) -> None:
    trailed = b"2;note=x\r\n{}\r\n0\r\nX-Trailer: 1\r\nAuthorization: x\r\n\r\n"

    answered, [seen] = guarded_alone.seen(guarded_alone.head("POST", CREATE, CHUNKED) + trailed)

    assert answered.statuses == [200]
    assert b"railer" not in seen
    assert seen.endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize("framing", ["Content-Length: 10", CHUNKED])
def test_a_body_that_is_cut_goes_nowhere(guarded_alone: GuardedApi, framing: str) -> None:
    guarded_alone.upstream.expect()

    answered = guarded_alone.ask(guarded_alone.head("POST", CREATE, framing) + b"5\r\nab", hang_up=True)

    assert answered.statuses in ([400], [])
    assert guarded_alone.upstream.requests == []


@pytest.mark.parametrize("code", [0, 1, 8, 10, 11, 12, 13, 27, 127])
@pytest.mark.parametrize("place", ["name", "value", "target", "method"])
def test_control_characters_are_nowhere_taken(guarded_alone: GuardedApi, code: int, place: str) -> None:
    wrong = chr(code)
    name, value = f"X-A{wrong if place == 'name' else ''}b", f"a{wrong if place == 'value' else ''}X-Injected: b"
    method, target = ("P" + wrong if place == "method" else "") + "GET", "/x" + (wrong if place == "target" else "")

    answered, seen = guarded_alone.seen(guarded_alone.head(method, target, f"{name}: {value}"))

    assert answered.statuses in ([400], []), answered
    assert seen == []


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET /x HTTP/1.1", ["X-A: a"] * 90, 200),
        ("GET /x HTTP/1.1", ["X-A: a"] * 1000, 431),
        ("GET /x HTTP/1.1", ["X-A: " + "a" * 100_000], 200),
        ("GET /x HTTP/1.1", ["X-A: " + "a" * 600_000], 431),
        ("GET /x HTTP/1.1", ["X-A: " + "a" * 20_000_000], 431),
        (f"GET /{'a' * 60_000} HTTP/1.1", [], 200),
        (f"GET /{'a' * 70_000} HTTP/1.1", [], 414),
        (f"GET /x?{'a' * 20_000_000} HTTP/1.1", [], 414),
        (f"{'G' * 60_000} /x HTTP/1.1", [], 405),
        ("G" * 20_000_000, [], 400),
    ],
    ids=lambda each: each if isinstance(each, int) else len(str(each)),
)
def test_what_is_too_long_or_too_much_is_refused_before_it_is_held(
    guarded_alone: GuardedApi, request_line: str, headers: list[str], status: int
) -> None:
    bearer = f"Authorization: Bearer {guarded_alone.keys['ops-admin']}"
    lines = [request_line, "Host: localhost", bearer, "Connection: close", *headers, "", ""]

    answered, seen = guarded_alone.seen("\r\n".join(lines).encode())

    # A client that is still sending may find its connection cut.
    assert answered.statuses in ([status], [] if len(request_line) + len(str(headers)) > 128 * 1024 else [status])
    assert len(seen) == (status == 200)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("http://169.254.169.254/latest", b"/latest"),
        ("https://u:p@evil.example:1/x?y", b"/x?y="),
        ("//evil.example/x", b"/evil.example/x"),
        ("/x#@evil.example/..", b"/x"),
        ("/a\\..\\b", b"/a%5C..%5Cb"),
        ("/a;/..;/b", b"/a%3B/..%3B/b"),
        ("/%252e%252e/b", b"/%252e%252e/b"),
        ("/%c0%ae%c0%ae/b", b"/%C0%AE%C0%AE/b"),
        ("/a%2F%2Fb", b"/a%2F%2Fb"),
        ("/a%", b"/a%25"),
        ("/a?b%0d%0aX-Injected:%20y", b"/a?b%0D%0AX-Injected%3A%20y="),
    ],
)
def test_whatever_a_target_says_upstream_is_asked_for_a_path_on_itself(
    guarded_alone: GuardedApi, target: str, path: bytes
) -> None:
    answered, [seen] = guarded_alone.seen(guarded_alone.head("GET", target))

    first, headers = head_of(seen)
    assert answered.statuses == [200]
    assert first == b"GET %s HTTP/1.1" % path
    assert [value for name, value in headers if name == b"host"] == [guarded_alone.upstream.url[7:].encode()]
    assert b"x-injected" not in dict(headers)


@pytest.mark.parametrize(
    "target",
    [
        *(
            "/api/2.0/mlflow/../../x",
            "/%2e%2e/x",
            "/a/..%2f..%2fx",
            "/a%2f..",
            "/./healthz",
            "/healthz/..",
            "http://h/../x",
        ),
        *("/a%00", "/a%0d%0aX-Injected:%20y", "/a/.%00./b", "/a%7f"),
        *("*", "evil.example:443", "x", "?x", "/a b", "", "/a?\xff", "/\xc0\xae\xc0\xae/x"),
    ],
)
def test_a_target_that_upstream_might_read_otherwise_is_refused(guarded_alone: GuardedApi, target: str) -> None:
    answered, seen = guarded_alone.seen(guarded_alone.head("GET", target))

    assert answered.statuses == [400]
    assert seen == []


@pytest.mark.parametrize("path", ["/x", "/metrics", "/ajax-api/3.0/mlflow/assistant/x", "/v1/jobs", "/healthz"])
@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "get", "post", "Delete", "G.T"])
def test_what_is_no_method_or_shows_or_opens_too_much_goes_nowhere(
    guarded_alone: GuardedApi, method: str, path: str
) -> None:
    answered, seen = guarded_alone.seen(guarded_alone.head(method, path))

    assert answered.statuses == [405]
    assert b"\r\nallow: " in answered.received
    assert seen == []


def test_connect_opens_no_tunnel(guarded_alone: GuardedApi) -> None:
    guarded_alone.upstream.expect()

    answered = guarded_alone.ask(guarded_alone.head("CONNECT", "169.254.169.254:80") + b"GET / HTTP/1.1\r\n\r\n")

    assert answered.statuses[:1] == [405]
    assert guarded_alone.upstream.requests == []


@pytest.mark.parametrize(
    ("host", "status"),
    [
        (["Host: localhost", "Host: evil.example"], 400),
        (["Host: localhost", "Host: localhost"], 400),
        (["Host: evil.example"], 403),
        (["Host: evil.example@"], 403),
        (["Host: [::1"], 403),
        (["Host: \xff"], 403),
        (["Host:"], 403),
        ([], 403),
        (["Host: localhost@evil.example"], 403),
        (["Host: evil.example@localhost"], 403),
    ],
)
@pytest.mark.parametrize("path", ["/x", "/v1/jobs?run_id=a"])
def test_only_one_host_of_ours_is_asked(guarded_alone: GuardedApi, host: list[str], status: int, path: str) -> None:
    bearer = f"Authorization: Bearer {guarded_alone.keys['ops-admin']}"
    lines = [f"GET {path} HTTP/1.1", *host, bearer, "Connection: close", "", ""]

    answered, seen = guarded_alone.seen("\r\n".join(lines).encode("latin-1"))

    assert answered.statuses == [status]
    assert seen == []


@pytest.mark.parametrize("version", ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/9.9", "http/1.1", "HTTP/1.1 x", ""])
def test_other_versions_of_http_are_refused(guarded_alone: GuardedApi, version: str) -> None:
    request = guarded_alone.head("GET", "/x").replace(b" HTTP/1.1", f" {version}".encode(), 1)

    answered, seen = guarded_alone.seen(request)

    assert answered.statuses in ([400], [505])
    assert seen == []


@pytest.mark.parametrize(
    "upgrade",
    [
        ["Connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
        ["Connection: Upgrade, close", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: eA=="],
    ],
)
def test_no_connection_becomes_one_of_another_protocol(guarded_alone: GuardedApi, upgrade: list[str]) -> None:
    answered, [seen] = guarded_alone.seen(guarded_alone.head("GET", "/x", *upgrade, close=False))

    assert answered.statuses == [200]
    assert b"pgrade" not in seen


def test_an_old_client_may_keep_its_connection(guarded_alone: GuardedApi) -> None:
    kept = guarded_alone.head("GET", "/a", "Connection: keep-alive", close=False).replace(b"HTTP/1.1", b"HTTP/1.0", 1)
    last = guarded_alone.head("GET", "/b", close=False).replace(b"HTTP/1.1", b"HTTP/1.0", 1)

    answered, seen = guarded_alone.seen(kept + last)

    assert answered.statuses == [200, 200]
    assert answered.closed
    assert len(seen) == 2


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_a_body_where_none_is_usual_is_no_request(guarded_alone: GuardedApi, method: str) -> None:
    body = guarded_alone.head("GET", "/smuggled")
    request = guarded_alone.head(method, "/x", f"Content-Length: {len(body)}", close=False) + body

    answered, seen = guarded_alone.seen(request + guarded_alone.head("GET", "/after"))

    assert answered.statuses == [200, 200]
    assert [head_of(each)[0].split()[1] for each in seen] == [b"/x", b"/after"]


@pytest.mark.parametrize("path", ["/x", "/v1/jobs", "/v1/writes", CREATE])
def test_the_body_of_a_stranger_is_no_request(guarded_alone: GuardedApi, path: str) -> None:
    body = guarded_alone.head("GET", "/smuggled")
    request = guarded_alone.head("POST", path, f"Content-Length: {len(body)}", client="", close=False) + body

    answered, seen = guarded_alone.seen(request + guarded_alone.head("GET", "/after"))

    assert answered.statuses[0] == 401
    assert answered.statuses[1:] in ([200], [])
    assert b"/smuggled" not in b"".join(seen)


@pytest.mark.parametrize(
    ("bad", "status"),
    [("/..", 400), ("/v1/jobs/nothing", 404), ("/ajax-api/3.0/mlflow/assistant/x", 403), ("/good", 200)],
)
def test_requests_one_behind_the_other_are_answered_in_their_order(
    guarded_alone: GuardedApi, bad: str, status: int
) -> None:
    requests = guarded_alone.head("GET", bad, close=False) + guarded_alone.head("GET", "/after")

    answered, seen = guarded_alone.seen(requests)

    assert answered.statuses == [status, 200]
    assert len(seen) == 1 + (status == 200)


def test_what_follows_a_request_that_can_not_be_read_is_not_read(guarded_alone: GuardedApi) -> None:
    answered, seen = guarded_alone.seen(b"GET /a\x00 HTTP/1.1\r\n\r\n" + guarded_alone.head("GET", "/after"))

    assert answered.statuses == [400]
    assert answered.closed
    assert seen == []


def test_a_client_that_expects_continue_gets_none_once_its_body_has_arrived(guarded_alone: GuardedApi) -> None:
    expecting = ("Expect: 100-continue", "Content-Length: 2")

    known, [seen] = guarded_alone.seen(guarded_alone.head("POST", CREATE, *expecting) + b"{}")
    unknown = guarded_alone.ask(guarded_alone.head("POST", CREATE, *expecting, client=""))

    assert known.statuses == [200]
    assert unknown.statuses == [401]
    assert b"expect" not in dict(head_of(seen)[1])


@pytest.mark.parametrize("workspace", ["a\r\nX-Injected: 1", "a\x00", "\xff", "a" * 300, "caf\xe9"])
def test_no_workspace_becomes_another_header(guarded_alone: GuardedApi, workspace: str) -> None:
    body = b'{"run_id": "a", "key": "k", "value": 1}'
    request = guarded_alone.post("/api/2.0/mlflow/runs/log-metric", body, f"X-MLFLOW-WORKSPACE: {workspace}")

    answered = guarded_alone.ask(request)

    # A line of its own is a header of its own already when it comes in.
    assert answered.statuses == [200 if "\r\n" in workspace else 400]


@pytest.mark.parametrize(
    "target",
    ["/healthz?\u00e9", "/readyz?a=\u00e9", "/v1/jobs?run_id=\u00e9", "/v1/dead-letters?\u00e9", "/v1/jobs/\u00e9"],
)
def test_text_beyond_ascii_that_is_not_quoted_breaks_nothing(guarded_alone: GuardedApi, target: str) -> None:
    answered = guarded_alone.ask(guarded_alone.head("GET", target.encode().decode("latin-1")))

    assert answered.statuses[0] in (200, 400, 404)


@pytest.mark.parametrize(
    "login",
    [
        *(
            "Basic \xe9",
            "Basic",
            "Basic %%",
            "Basic /////w==",
            "Basic " + "A" * 100_000,
            "Bearer \xff",
            "\xff",
            "Bearer",
        ),
        *("Bearer " + "." * 100_000, "Bearer mbk_" + "a" * 10_000),
    ],
)
def test_a_login_that_is_nonsense_is_one_that_failed(guarded_alone: GuardedApi, login: str) -> None:
    answered, seen = guarded_alone.seen(guarded_alone.head("GET", "/x", f"Authorization: {login}", client=""))

    assert answered.statuses == [401]
    assert seen == []


@pytest.mark.parametrize(
    "header",
    [
        *("Prefer: wait=" + "9" * 100_000, "Prefer: " + "a," * 50_000, 'Prefer: "' + "\\" * 100_000),
        *("Idempotency-Key: " + '\\"' * 50_000, "X-Forwarded-For: " + "1," * 50_000, "Cookie: " + "a=b;" * 25_000),
        *('If-None-Match: "a"' + ',"a"' * 25_000, "Accept: " + "a/b;q=1," * 12_000, "Range: bytes=" + "0-1," * 25_000),
        *("Content-Type: " + "a;" * 50_000, "Origin: http://[" + "a" * 1000, "X-Request-Id: " + "a" * 100_000),
    ],
)
@pytest.mark.parametrize("path", ["/v1/jobs/x", "/v1/dead-letters", "/x"])
def test_long_lists_in_headers_take_no_long_time(guarded_alone: GuardedApi, header: str, path: str) -> None:
    answered = guarded_alone.ask(guarded_alone.head("GET", path, header))

    assert answered.statuses[0] < 431
    assert answered.seconds < 3


def test_no_request_makes_a_long_line_in_the_log_nor_a_key_in_it(guarded_alone: GuardedApi) -> None:
    log = guarded_alone.directory / "api.log"
    long = guarded_alone.head("GET", f"/long-line{'a' * 60_000}?key={guarded_alone.keys['ops-admin']}")

    guarded_alone.ask(long)

    [line] = wait_until(lambda: [line for line in log.read_text().splitlines() if "/long-line" in line])
    assert len(line) < 2000
    assert [name for name, key in guarded_alone.keys.items() if key in log.read_text()] == []
