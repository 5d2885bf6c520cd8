# SPDX-License-Identifier: Apache-2.0
"""Tells of each request who asked for what, and what came of it. Never what was in it."""

import datetime as dt
import time

from api.http.request import SHOWN, Request
from api.http.types import Message, Send
from bridge.events import RequestCompleted

_JOB, _OURS, _UPSTREAMS = b"job-id", b"x-request-id", b"x-amzn-requestid"
_REPLAYED = b"idempotency-replayed"


class AccessLog:
    """Looks at one request from its head on, and at its answer while that is sent, which names it: ``X-Request-Id``."""

    def __init__(self, request: Request, send: Send) -> None:
        self._request = request
        self._began = time.perf_counter()
        self._send = send
        self._headers: dict[bytes, bytes] = {}
        self._status = 0
        self._complete = False

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers.update(message["headers"])
            message = {**message, "headers": [*message["headers"], (_OURS, self._request.request_id.encode())]}
        await self._send(message)
        self._complete = message["type"] == "http.response.body" and not message.get("more_body")

    def told(self, *, proxies: int) -> RequestCompleted:
        """Return what is to be told of the request, also where its answer broke off."""
        request = self._request
        return RequestCompleted(
            at=dt.datetime.now(dt.UTC),
            client=request.client.name,
            address=request.address(proxies=proxies),
            # A client may make both as long as the server takes them.
            method=request.method[:20],
            path=request.path[:SHOWN],
            route=request.route,
            action=request.action,
            decision=request.decision,
            status=self._status,
            duration=dt.timedelta(seconds=time.perf_counter() - self._began),
            complete=self._complete,
            lane=request.lane,
            writes=request.writes,
            replayed=_REPLAYED in self._headers,
            job_id=_text(self._headers.get(_JOB)),
            request_id=request.request_id,
            upstream_request_id=_text(self._headers.get(_UPSTREAMS)),
        )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
