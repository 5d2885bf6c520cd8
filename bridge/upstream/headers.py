# SPDX-License-Identifier: Apache-2.0
"""Which headers cross the bridge. Credentials, cookies and everything about one hop stay behind, both ways."""

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit, urlunsplit

from bridge.upstream.forwarding import is_event_stream

Headers = Iterable[tuple[str, str]]

# RFC 9110, section 7.6.1, with the older names that are still seen.
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
# `Origin` was checked: MLflow would refuse any but its own. `Expect` is answered by our server.
_NOT_SENT = _HOP_BY_HOP | {
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
# `x-amz-*` of a client that signs for itself would end in our signature, or at an LLM provider behind MLflow's gateway.
_NOT_SENT_PREFIXES = ("proxy-", "x-amz-", "x-amzn-", "x-forwarded-")
_NOT_RETURNED = _HOP_BY_HOP | {"authorization", "date", "server", "set-cookie", "set-cookie2", "x-amz-security-token"}
#: No value may have them (RFC 9110, section 5.5): our server breaks off an answer that does.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
#: What MLflow's gateway does not say of its events: that nobody on their way may keep them back.
_OF_EVENTS = (("Cache-Control", "no-cache"), ("X-Accel-Buffering", "no"))


def to_upstream(headers: Headers) -> Iterator[tuple[str, str]]:
    """Yield the headers of a client's request that upstream may see."""
    headers = list(headers)
    dropped = _NOT_SENT | _named_by_connection(headers)
    for name, value in headers:
        # To a WSGI server, which MLflow may run on, `X_Forwarded_Host` is another spelling of `X-Forwarded-Host`.
        spelled = name.lower().replace("_", "-")
        if spelled not in dropped and not spelled.startswith(_NOT_SENT_PREFIXES):
            yield name, value


def to_client(headers: Headers, *, upstream_url: str) -> Iterator[tuple[str, str]]:
    """Yield the headers of upstream's answer that the client may see. Redirects point to the bridge."""
    headers = list(headers)
    dropped = _NOT_RETURNED | _named_by_connection(headers)
    for name, value in headers:
        if name.lower().replace("_", "-") in dropped or _CONTROL.search(value):
            continue
        shown = _at_bridge(value, upstream_url) if name.lower() == "location" else value
        if shown is not None:
            yield name, shown
    if is_event_stream(headers):
        said = {name.lower() for name, _ in headers}
        yield from (pair for pair in _OF_EVENTS if pair[0].lower() not in said)


def _at_bridge(location: str, upstream_url: str) -> str | None:
    """Return a location within upstream as one within the bridge, any other as it is; None if it is no URL at all."""
    upstream = urlsplit(upstream_url)
    try:
        there = urlsplit(location)
        same = (there.scheme, there.hostname, there.port) == (upstream.scheme, upstream.hostname, upstream.port)
    except ValueError:
        return None
    if not same:
        return location
    path = there.path.removeprefix(upstream.path) or "/"
    return urlunsplit(("", "", path, there.query, there.fragment))


def _named_by_connection(headers: Headers) -> frozenset[str]:
    options = (value.split(",") for name, value in headers if name.lower() == "connection")
    return frozenset(option.strip().lower().replace("_", "-") for each in options for option in each)
