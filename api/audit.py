# SPDX-License-Identifier: Apache-2.0
"""Tells of each request who asked for what, and what came of it. Never what was in it."""

import re
import secrets

from api.asgi_types import Message, Send
from api.incoming import Incoming
from bridge.events import Observer, RequestAnswered

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_JOB, _OURS, _UPSTREAMS = b"job-id", b"x-request-id", b"x-amzn-requestid"


def audited(request: Incoming, send: Send, observe: Observer, *, proxies: int) -> Send:
    """Return what sends an answer and then tells of it. The answer names the request: ``X-Request-Id``."""
    request_id = _request_id(request)
    told: dict[bytes, bytes] = {}
    status = 0

    async def telling(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            told.update(message["headers"])
            message = {**message, "headers": [*message["headers"], (_OURS, request_id)]}
        await send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            observe(
                RequestAnswered(
                    client=request.client.name,
                    address=request.address(proxies=proxies),
                    method=request.method,
                    path=request.path[:1000],
                    action=request.action,
                    decision=request.decision,
                    status=status,
                    lane=request.lane,
                    job_id=_text(told.get(_JOB)),
                    request_id=request_id.decode(),
                    upstream_request_id=_text(told.get(_UPSTREAMS)),
                )
            )

    return telling


def _request_id(request: Incoming) -> bytes:
    """Return the client's own id of the request, if it has one that can be told, or a new one."""
    sent = (request.header(_OURS) or "").encode("latin-1")
    return sent if _REQUEST_ID.fullmatch(sent) else secrets.token_hex(8).encode()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")
