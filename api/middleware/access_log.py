# SPDX-License-Identifier: Apache-2.0
"""Access log: builds one event from each request, its record and its response. Bodies are never logged."""

import datetime as dt
import time

from api.http.record import RequestRecord
from api.http.request import MAX_LOGGED_PATH, Request
from api.http.types import Message, Send
from bridge.events import RequestCompleted

_JOB_ID, _REQUEST_ID, _UPSTREAM_REQUEST_ID = b"job-id", b"x-request-id", b"x-amzn-requestid"
_REPLAYED = b"idempotency-replayed"
_MAX_LOGGED_METHOD = 20


class AccessLog:
    """Observes the response of one request while it is sent, and adds its ``X-Request-Id``."""

    def __init__(self, request: Request, send: Send) -> None:
        self._request = request
        self._began = time.perf_counter()
        self._send = send
        self._headers: dict[bytes, bytes] = {}
        self._status = 0
        self._is_complete = False

    async def send(self, message: Message) -> None:
        """Send a part of the response."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers.update(message["headers"])
            message = {**message, "headers": [*message["headers"], (_REQUEST_ID, self._request.request_id.encode())]}
        await self._send(message)
        self._is_complete = message["type"] == "http.response.body" and not message.get("more_body")

    def event(self, record: RequestRecord, *, trusted_proxies: int) -> RequestCompleted:
        """Return the event of the request, also if its response has broken off."""
        request, accepted = self._request, record.accepted
        return RequestCompleted(
            at=dt.datetime.now(dt.UTC),
            client=request.client.name,
            address=request.address(trusted_proxies=trusted_proxies),
            method=request.method[:_MAX_LOGGED_METHOD],
            path=request.path[:MAX_LOGGED_PATH],
            route=record.route,
            action=record.action,
            target=_target(request),
            decision=record.decision,
            status=self._status,
            duration=dt.timedelta(seconds=time.perf_counter() - self._began),
            complete=self._is_complete,
            lane=accepted.lane if accepted else None,
            writes=record.writes,
            replayed=_REPLAYED in self._headers,
            job_id=_text(self._headers.get(_JOB_ID)),
            request_id=request.request_id,
            upstream_request_id=_text(self._headers.get(_UPSTREAM_REQUEST_ID)),
            bytes=request.received_bytes,
            gateway=record.gateway_use() if record.gateway_use else None,
        )


def _target(request: Request) -> str | None:
    """Return what a route of the bridge's own is to change. Sign-ins have events of their own."""
    route = request.own_route
    if route is None or not route.has_audited_effect:
        return None
    return " ".join((route.parameters(request.path) or {}).values())[:MAX_LOGGED_PATH]


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
