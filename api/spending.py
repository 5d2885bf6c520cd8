# SPDX-License-Identifier: Apache-2.0
"""What a request costs its client's quota, and the fields that tell him what is left.

``RateLimit-Policy`` and ``RateLimit`` are those of draft-ietf-httpapi-ratelimit-headers-10.
"""

from api.asgi_types import Message, Send
from api.incoming import Incoming
from api.rules import OPEN
from bridge.quotas import WINDOW, Quotas, Standing
from schemas.client import STRANGER

_UNITS = {"requests": "requests", "writes": "writes", "bytes": "content-bytes"}


class Spending:
    """Counts requests against the quotas of their clients. Costs nothing where there are none."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    def enter(self, request: Incoming) -> None:
        """Let a request in, before its body is read, or raise ``OverQuota``."""
        if self._counts(request):
            self._quotas.enter(request.client, needs=_needs(request))
            request.is_counted = True

    def leave(self, request: Incoming) -> None:
        """Charge what a request has come to: the writes that were accepted, the bytes that were received."""
        if request.is_counted:
            self._quotas.charge(request.client, {"writes": float(request.writes), "bytes": float(request.received)})
            request.charged = request.received

    def leave_late(self, request: Incoming) -> None:
        """Charge the rest of a body that came in after its answer."""
        if request.is_counted and request.received > request.charged:
            self._quotas.charge(request.client, {"bytes": float(request.received - request.charged)})

    def telling(self, request: Incoming, send: Send) -> Send:
        """Return what sends an answer that says how its client stands."""
        if not self._counts(request):
            return send
        fields = _fields(self._quotas.standing(request.client))

        async def with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *fields]}
            await send(message)

        return with_fields

    def _counts(self, request: Incoming) -> bool:
        # What is open is asked by load balancers, who must not find it shut because of others.
        is_somebodys = request.client is not STRANGER and request.path not in OPEN
        return is_somebodys and self._quotas.limit(request.client)


def _needs(request: Incoming) -> list[str]:
    """Return the uses whose buckets must not be empty for this request."""
    is_queued = request.found is not None and request.found.op is not None
    is_write = is_queued or (request.method == "POST" and request.path in _WRITES)
    return ["requests", *(["writes"] if is_write else []), *(["bytes"] if request.has_body else [])]


_WRITES = ("/v1/writes", "/v1/runs")


def _fields(standings: list[Standing]) -> list[tuple[bytes, bytes]]:
    policy = ", ".join(f'"{each.use}";q={each.capacity};w={WINDOW};qu="{_UNITS[each.use]}"' for each in standings)
    left = ", ".join(f'"{each.use}";r={each.left};t={each.full_in}' for each in standings)
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]
