# SPDX-License-Identifier: Apache-2.0
"""Which headers cross the bridge, in each direction."""

from collections.abc import Callable

import pytest

from bridge.upstream.headers import to_client, to_upstream

UPSTREAM = "https://upstream.example"

Direction = Callable[..., list[tuple[str, str]]]

HOP_BY_HOP = [
    *("Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer"),
    *("Transfer-Encoding", "Upgrade"),
]


def _sent(*headers: tuple[str, str]) -> list[tuple[str, str]]:
    return list(to_upstream(iter(headers)))


def _returned(*headers: tuple[str, str], upstream_url: str = UPSTREAM) -> list[tuple[str, str]]:
    return list(to_client(iter(headers), upstream_url=upstream_url))


@pytest.mark.parametrize(
    "name",
    [
        *("Accept", "Accept-Encoding", "Accept-Language", "Content-Type", "Content-Encoding", "User-Agent", "Range"),
        *("If-None-Match", "X-MLFLOW-WORKSPACE", "Referer", "X-Custom", "Cache-Control", "Traceparent"),
    ],
)
def test_what_upstream_needs_to_know_reaches_it_as_it_was_sent(name: str) -> None:
    assert _sent((name, "Some Value")) == [(name, "Some Value")]


@pytest.mark.parametrize(
    "name",
    [
        *HOP_BY_HOP,
        *("Authorization", "Cookie", "X-Api-Key", "Host", "Content-Length", "Expect", "Via", "Forwarded", "Proxy"),
        *("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Origin", "Prefer", "Idempotency-Key"),
        *("X-Amz-Date", "X-Amz-Security-Token", "X-Amz-Content-SHA256", "X-Amz-Target", "X-Amzn-Trace-Id"),
        *("X-Mlflow-Sm-Tracking-Server-Arn", "X-Sm-Mlflow-App-Arn"),
    ],
)
@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_credentials_and_what_concerns_one_hop_stay_here(name: str, spell: Callable[[str], str]) -> None:
    assert _sent((spell(name), "secret"), ("Accept", "a")) == [("Accept", "a")]


def test_a_header_that_is_sent_twice_is_forwarded_twice_in_order() -> None:
    headers = (("X-Multi", "1"), ("Accept", "a"), ("X-Multi", "2"))

    assert _sent(*headers) == list(headers)


@pytest.mark.parametrize("direction", [_sent, _returned])
def test_headers_that_connection_names_stay_with_it(direction: Direction) -> None:
    headers = [("X-Foo", "1"), ("Accept", "a"), ("CONNECTION", "close, x-foo ,X-BAR"), ("x-bar", "2"), ("X-Foo-2", "3")]

    assert direction(*headers) == [("Accept", "a"), ("X-Foo-2", "3")]


@pytest.mark.parametrize("direction", [_sent, _returned])
def test_two_connection_headers_count_both(direction: Direction) -> None:
    headers = [("Connection", "X-Foo"), ("Connection", "X-Bar"), ("X-Foo", "1"), ("X-Bar", "2"), ("X-Baz", "3")]

    assert direction(*headers) == [("X-Baz", "3")]


@pytest.mark.parametrize(
    "name",
    [
        *("Content-Type", "Content-Length", "Content-Encoding", "Content-Disposition", "ETag", "Vary", "Cache-Control"),
        *("Retry-After", "x-amzn-RequestId", "X-Amzn-ErrorType", "WWW-Authenticate", "X-Frame-Options"),
    ],
)
def test_upstreams_own_headers_reach_the_client(name: str) -> None:
    assert _returned((name, "Some Value")) == [(name, "Some Value")]


@pytest.mark.parametrize("name", ["X_Api_Key", "X_Forwarded_Host", "x-amz_date", "Proxy_Authorization", "X_Hop"])
def test_what_is_spelled_with_underscores_is_the_same_header(name: str) -> None:
    assert _sent(("Connection", "X-Hop"), (name, "secret"), ("X_Kept", "a")) == [("X_Kept", "a")]


@pytest.mark.parametrize("code", [0, 1, 8, 10, 13, 31, 127])
def test_a_value_that_no_header_may_have_does_not_return(code: int) -> None:
    assert _returned(("X-A", f"a{chr(code)}b"), ("X-B", "a\tb")) == [("X-B", "a\tb")]


@pytest.mark.parametrize(
    "name", [*HOP_BY_HOP, "Set-Cookie", "Set-Cookie2", "Server", "Date", "Authorization", "X-Amz-Security-Token"]
)
@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
def test_cookies_and_what_our_server_says_itself_do_not_return(name: str, spell: Callable[[str], str]) -> None:
    assert _returned((spell(name), "x"), ("ETag", "e")) == [("ETag", "e")]


@pytest.mark.parametrize("name", ["Location", "location", "LOCATION"])
@pytest.mark.parametrize("upstream_url", [UPSTREAM, f"{UPSTREAM}:8443/prefix"])
@pytest.mark.parametrize(("path", "location"), [("/login?next=%2F", "/login?next=%2F"), ("/", "/"), ("", "/")])
def test_a_redirect_within_upstream_points_to_the_bridge(
    name: str, upstream_url: str, path: str, location: str
) -> None:
    assert _returned((name, upstream_url + path), upstream_url=upstream_url) == [(name, location)]


@pytest.mark.parametrize(
    "location", ["/relative", "relative", "https://elsewhere.example/x", "http://upstream.example/"]
)
def test_another_redirect_is_left_as_it_is(location: str) -> None:
    assert _returned(("Location", location)) == [("Location", location)]


@pytest.mark.parametrize("media", ["text/event-stream", "Text/Event-Stream; charset=utf-8"])
def test_nobody_on_the_way_may_keep_events_back(media: str) -> None:
    sent = ("content-type", media)

    assert _returned(sent) == [sent, ("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no")]


def test_what_upstream_says_of_its_events_holds() -> None:
    said = [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "yes")]

    assert _returned(*said) == said


@pytest.mark.parametrize("media", ["text/plain", "text/event-streams", "application/json; of=text/event-stream"])
def test_only_events_are_said_to_be_events(media: str) -> None:
    assert _returned(("Content-Type", media)) == [("Content-Type", media)]
