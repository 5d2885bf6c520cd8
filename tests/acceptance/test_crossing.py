# SPDX-License-Identifier: Apache-2.0
"""What crosses the bridge, to the byte: no credential of a client goes upstream, and no answer from there splits.

The upstream writes down what it is sent, and answers what a server gone wrong, or in wrong hands, might.
"""

import base64
import gzip

import pytest

from tests.guarded_api import GuardedApi
from tests.recording_upstream import head_of

pytestmark = pytest.mark.usefixtures("unfinished")

LENGTH = b"Content-Length: 2\r\n\r\n{}"
WAYS = ("Bearer", "Basic", "X-Api-Key", "X-API-KEY", "X_Api_Key")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("method", "path"), [("GET", "/x"), ("POST", "/api/2.0/mlflow/runs/create"), ("HEAD", "/x")])
def test_however_a_key_is_sent_and_whatever_beside_it_none_of_it_goes_upstream(
    guarded_alone: GuardedApi, way: str, method: str, path: str
) -> None:
    key = guarded_alone.keys["ops-admin"]
    basic = base64.b64encode(f"anybody:{key}".encode()).decode()
    said = {"Bearer": f"Authorization: Bearer {key}", "Basic": f"Authorization: Basic {basic}"}
    # A name with underscores is none that says who asks; to a WSGI server it would be the other one.
    known = [said.get(way, f"{way}: {key}"), *([f"X-Api-Key: {key}"] if "_" in way else [])]
    beside = [
        *(f"Cookie: session={key}", f"Proxy-Authorization: Basic {basic}", f"Proxy-Connection: {key}"),
        *(f"X-Amz-Security-Token: {key}", f"X-Amz-Date: {key}", f"x-amzn-oidc-data: {key}", f"X_Amz_Date: {key}"),
        *(f"Forwarded: for={key}", f"X-Forwarded-For: {key}", f"X-Forwarded-Host: {key}", f"X_Forwarded_Host: {key}"),
        *(f"Via: {key}", f"Proxy: {key}", f"Origin: http://localhost?{key}", f"Expect: {key}", f"Prefer: {key}"),
        *("TE: trailers", f"Keep-Alive: {key}", f"Trailer: {key}", f"X-Mine: {key}", f"X-Yours: {key}"),
        *(f"X-Mlflow-Sm-Tracking-Server-Arn: {key}", f"X-Sm-Mlflow-App-Arn: {key}", f"Idempotency-Key: {key}"),
        *("Connection: X-Mine, close", "Connection: x-yours, host, content-length", "X-Kept: kept"),
    ]

    answered, [seen] = guarded_alone.seen(
        guarded_alone.head(method, path, *known, *beside, "Content-Length: 2", client="") + b"{}"
    )

    names = {name for name, _ in head_of(seen)[1]}
    assert answered.statuses == [200]
    assert key.encode() not in seen
    assert basic.encode() not in seen
    assert names == {b"host", b"x-kept", b"user-agent", b"accept-encoding", b"content-length", b"x-request-id", b"via"}


def test_upstreams_cookies_tokens_and_what_concerns_its_hop_do_not_come_back(guarded_alone: GuardedApi) -> None:
    answer = b"\r\n".join(
        [
            *(b"HTTP/1.1 200 OK", b"Set-Cookie: s=SECRET", b"Set-Cookie2: s=SECRET", b"Authorization: SECRET"),
            *(b"X-Amz-Security-Token: SECRET", b"Proxy-Authenticate: SECRET", b"Connection: X-Hop", b"X-Hop: SECRET"),
            *(b"Keep-Alive: SECRET", b"Upgrade: SECRET", b"Trailer: SECRET", b"Server: SECRET", b"X-Kept: kept"),
            LENGTH,
        ]
    )

    answered, _ = guarded_alone.seen(guarded_alone.head("GET", "/x"), answer)

    assert answered.statuses == [200]
    assert b"SECRET" not in answered.received
    assert b"x-kept: kept" in answered.received


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        *(
            (b"HTTP/1.1 %s OK\r\n" % status + LENGTH, 502)
            for status in (b"099", b"000", b"101", b"600", b"999", b"1000")
        ),
        *((b"HTTP/1.1 %s OK\r\n" % status + LENGTH, 502) for status in (b"-1", b"abc", b"", b"2 0")),
        (b"HTTP/1.1 200 OK\r\nX-A: a\nSet-Cookie: s=SECRET\r\n" + LENGTH, 200),
        (b"HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: s=SECRET\r\n" + LENGTH, 502),
        (b"HTTP/1.1 200 OK\r\nX-A: a\r\n Set-Cookie: s=SECRET\r\n" + LENGTH, 200),
        *((b"HTTP/1.1 200 OK\r\nX-A: SECRET%c\r\n" % code + LENGTH, 200) for code in (1, 8, 11, 27, 127)),
        (b"HTTP/1.1 200 OK\r\nX-A: SECRET\x00\r\n" + LENGTH, 502),
        (b"HTTP/1.1 200 OK\r\nX A: SECRET\r\n" + LENGTH, 502),
        (b"HTTP/1.1 200 OK\r\nX-A : SECRET\r\n" + LENGTH, 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n" + LENGTH, 502),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + LENGTH, 502),
        (b"HTTP/1.1 200 OK\r\nX-A: " + b"SECRET" * 20_000 + b"\r\n" + LENGTH, 502),
        (b"HTTP/1.1 200 OK\r\n" + b"X-A: SECRET\r\n" * 20_000 + LENGTH, 502),
        (b"SSH-2.0-SECRET\r\n\r\n", 502),
        (b"HTTP/1.1 302 OK\r\nLocation: http://[SECRET\r\n" + LENGTH, 302),
        (b"HTTP/1.1 200 OK\r\n" + LENGTH + b"HTTP/1.1 200 OK\r\nX-A: SECRET\r\n" + LENGTH, 200),
    ],
)
def test_an_answer_that_is_none_breaks_nothing_and_splits_nothing(
    guarded_alone: GuardedApi, answer: bytes, status: int
) -> None:
    before = guarded_alone.processes()

    answered, seen = guarded_alone.seen(guarded_alone.head("GET", "/x"), answer)
    after, _ = guarded_alone.seen(guarded_alone.head("GET", "/after"))

    assert answered.statuses == [status]
    assert b"\nset-cookie" not in answered.received.lower()
    # What goes on in a folded line, or in a line of its own, is nothing but a value, or a header like another.
    assert b"SECRET" not in answered.received or b"\r\nx-a: a Set-Cookie: s=SECRET\r\n" in answered.received
    assert len(seen) <= 1
    assert (after.statuses, after.received[-2:]) == ([200], b"{}")
    assert guarded_alone.processes() == before


def test_what_upstream_has_packed_stays_packed(guarded_alone: GuardedApi) -> None:
    bomb = gzip.compress(b" " * 100_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)

    answered, _ = guarded_alone.seen(guarded_alone.head("GET", "/x", "Accept-Encoding: gzip"), head + bomb)

    assert answered.statuses == [200]
    assert answered.received.endswith(b"\r\n\r\n" + bomb)


def test_nothing_of_what_aws_says_of_our_credentials_comes_back(guarded_alone: GuardedApi) -> None:
    said = b"HTTP/1.1 403 Forbidden\r\nx-amzn-ErrorType: InvalidSignatureException:http://SECRET\r\n"

    answered, _ = guarded_alone.seen(guarded_alone.head("GET", "/x"), said + b"Content-Length: 6\r\n\r\nSECRET")

    assert answered.statuses == [502]
    assert b"SECRET" not in answered.received
