# SPDX-License-Identifier: Apache-2.0
"""What a request costs its client's quota, and the fields that tell him what is left.

``RateLimit-Policy`` and ``RateLimit`` are those of draft-ietf-httpapi-ratelimit-headers-10.
"""

from api.asgi_types import Message, Send
from api.incoming import Incoming
from bridge.quotas import WINDOW, Quotas, Standing
from schemas.endpoints import find

_UNITS = {"requests": "requests", "writes": "writes", "bytes": "content-bytes"}


class Spending:
    """Counts requests against the quotas of their clients. Costs nothing where there are none."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    def enter(self, request: Incoming) -> None:
        """Let a request in, before its body is read, or raise ``OverQuota``."""
        if self._quotas.limit(request.client):
            request.charged = _announced(request)
            self._quotas.enter(request.client, wanted=request.charged)

    def leave(self, request: Incoming) -> None:
        """Charge what it has come to besides: more writes than one, a body whose length nobody had announced."""
        if request.charged:
            came_to = {"writes": float(request.writes), "bytes": float(request.received)}
            more = {use: units - request.charged.get(use, 0) for use, units in came_to.items()}
            self._quotas.charge(request.client, {use: units for use, units in more.items() if units > 0})

    def telling(self, request: Incoming, send: Send) -> Send:
        """Return what sends an answer that says how its client stands."""
        if not self._quotas.limit(request.client):
            return send
        fields = _fields(self._quotas.standing(request.client))

        async def with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *fields]}
            await send(message)

        return with_fields


def _announced(request: Incoming) -> dict[str, float]:
    """Return what is known of a request by its head."""
    found = find(request.method, request.path)
    is_write = (found is not None and found.op is not None) or (request.method == "POST" and request.path in _WRITES)
    return {"requests": 1.0, "writes": float(is_write), "bytes": float(request.announced or 0)}


_WRITES = ("/v1/writes", "/v1/runs")


def _fields(standings: list[Standing]) -> list[tuple[bytes, bytes]]:
    policy = ", ".join(f'"{each.use}";q={each.capacity};w={WINDOW};qu="{_UNITS[each.use]}"' for each in standings)
    left = ", ".join(f'"{each.use}";r={each.left};t={each.full_in}' for each in standings)
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]
