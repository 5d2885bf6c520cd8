# SPDX-License-Identifier: Apache-2.0
"""Filters headers in both directions: no credentials, cookies or hop-by-hop headers pass (RFC 9110, section 7.6.1)."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import urlsplit, urlunsplit

from bridge.upstream.forwarding import is_event_stream

Headers = Iterable[tuple[str, str]]

# RFC 9110, section 7.6.1, and older names that are still in use.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# The bridge checks `Origin` itself: MLflow would reject any but its own. The bridge's server answers `Expect`.
_DROPPED_REQUEST_HEADERS = _HOP_BY_HOP | {
    "authorization",
    "content-length",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "idempotency-key",
    "origin",
    "prefer",
    "proxy",
    "via",
    "x-api-key",
    "x-mlflow-sm-tracking-server-arn",
    "x-sm-mlflow-app-arn",
}
# A client's own `x-amz-*` would get into the bridge's signature, or to an LLM provider behind MLflow's AI gateway.
_DROPPED_REQUEST_PREFIXES = ("proxy-", "x-amz-", "x-amzn-", "x-forwarded-")
_DROPPED_RESPONSE_HEADERS = _HOP_BY_HOP | {
    "authorization",
    "date",
    "server",
    "set-cookie",
    "set-cookie2",
    "x-amz-security-token",
}
#: Not allowed in a header value (RFC 9110, section 5.5): the server would abort such a response.
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: MLflow's AI gateway omits these from server-sent events, so proxies would buffer them.
_EVENT_STREAM_HEADERS = (("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no"))


def to_upstream(headers: Headers) -> Iterator[tuple[str, str]]:
    """Yield the headers of a client's request that upstream may see."""
    headers = list(headers)
    named = _named_by_connection(headers)
    for name, value in headers:
        if is_forwarded(name) and not (named and _normalized(name) in named):
            yield name, value


# Cached: each request has nearly the same names.
@lru_cache(maxsize=1024)
def is_forwarded(name: str) -> bool:
    """Return whether upstream may see a header of a client's request, unless `Connection` names it."""
    normalized = _normalized(name)
    return normalized not in _DROPPED_REQUEST_HEADERS and not normalized.startswith(_DROPPED_REQUEST_PREFIXES)


def to_client(headers: Headers, *, upstream_url: str) -> Iterator[tuple[str, str]]:
    """Yield the headers of upstream's response that the client may see. Redirects point to the bridge."""
    headers = list(headers)
    dropped = _DROPPED_RESPONSE_HEADERS | _named_by_connection(headers)
    for name, value in headers:
        if _normalized(name) in dropped or _CONTROL_CHARACTERS.search(value):
            continue
        rewritten = _rewrite_location(value, upstream_url) if name.lower() == "location" else value
        if rewritten is not None:
            yield name, rewritten
    if is_event_stream(headers):
        present = {name.lower() for name, _ in headers}
        yield from (pair for pair in _EVENT_STREAM_HEADERS if pair[0].lower() not in present)


def _rewrite_location(location: str, upstream_url: str) -> str | None:
    """Return a location within upstream as a path of the bridge, any other as it is; None if it is no URL."""
    upstream = urlsplit(upstream_url)
    try:
        target = urlsplit(location)
        same_origin = (target.scheme, target.hostname, target.port) == (
            upstream.scheme,
            upstream.hostname,
            upstream.port,
        )
    except ValueError:
        return None
    if not same_origin:
        return location
    path = target.path.removeprefix(upstream.path) or "/"
    return urlunsplit(("", "", path, target.query, target.fragment))


def _normalized(name: str) -> str:
    # To a WSGI server, which MLflow may run on, `X_Forwarded_Host` is another spelling of `X-Forwarded-Host`.
    return name.lower().replace("_", "-")


def _named_by_connection(headers: Headers) -> frozenset[str]:
    """Return the names that `Connection` lists: further hop-by-hop headers (RFC 9110, section 7.6.1)."""
    lists = (value.split(",") for name, value in headers if name.lower() == "connection")
    return frozenset(_normalized(option.strip()) for options in lists for option in options)
