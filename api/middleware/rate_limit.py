# SPDX-License-Identifier: Apache-2.0
"""What a request costs its client's quota, and the fields that tell him what is left.

``RateLimit-Policy`` and ``RateLimit`` are those of draft-ietf-httpapi-ratelimit-headers-10.
"""

import asyncio
import random
import threading
from collections import Counter

from api.auth.authorization import OPEN
from api.http.request import Request
from api.http.types import Message, Send
from bridge.auth.rate_limits import WINDOW_S, RateLimits, RateLimitStatus
from schemas.client import UNAUTHENTICATED

_UNITS = {"requests": "requests", "writes": "writes", "bytes": "content-bytes"}


class RateLimitMiddleware:
    """Counts requests against the quotas of their clients. Costs nothing where there are none."""

    def __init__(self, rate_limits: RateLimits) -> None:
        self._rate_limits = rate_limits

    def enter(self, request: Request) -> None:
        """Let a request in, before its body is read, or raise ``OverQuota``."""
        if self._counts(request):
            self._rate_limits.admit(request.client, needs=_needs(request))
            request.is_counted = True

    def leave(self, request: Request) -> None:
        """Charge what a request has come to: the writes that were accepted, the bytes that were received."""
        if request.is_counted:
            self._rate_limits.charge(
                request.client, {"writes": float(request.writes), "bytes": float(request.received)}
            )
            request.charged = request.received

    def leave_late(self, request: Request) -> None:
        """Charge the rest of a body that came in after its answer."""
        if request.is_counted and request.received > request.charged:
            self._rate_limits.charge(request.client, {"bytes": float(request.received - request.charged)})

    def telling(self, request: Request, send: Send) -> Send:
        """Return what sends an answer that says how its client stands."""
        if not self._counts(request):
            return send
        fields = _fields(self._rate_limits.status(request.client))

        async def with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *fields]}
            await send(message)

        return with_fields

    def _counts(self, request: Request) -> bool:
        # What is open is asked by load balancers, who must not find it shut because of others.
        is_somebodys = request.client is not UNAUTHENTICATED and request.path not in OPEN
        return is_somebodys and self._rate_limits.applies_to(request.client)


def _needs(request: Request) -> list[str]:
    """Return the uses whose buckets must not be empty for this request."""
    is_queued = request.found is not None and request.found.op is not None
    is_write = is_queued or (request.method == "POST" and request.path in _WRITES)
    return ["requests", *(["writes"] if is_write else []), *(["bytes"] if request.has_body else [])]


_WRITES = ("/v1/writes", "/v1/runs")


def _fields(standings: list[RateLimitStatus]) -> list[tuple[bytes, bytes]]:
    policy = ", ".join(f'"{each.use}";q={each.capacity};w={WINDOW_S};qu="{_UNITS[each.use]}"' for each in standings)
    left = ", ".join(f'"{each.use}";r={each.left};t={each.full_in}' for each in standings)
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]


#: In seconds. Not the same for all, for they would all come again at once.
_SHORTEST, _LONGEST = 0.2, 0.3
_REFUSALS_A_SECOND = 250
#: Nobody waits for longer, also in seconds.
_PATIENCE = 5.0
#: How often, in seconds, it is looked whether the bridge is about to stop.
_LOOK = 0.25
#: So many wait at a time, and of one client; each holds about 16 KiB.
_MOST, _MOST_OF_ONE = 4_000, 2_000


class RejectionDelay:
    """Keeps refusals back for a moment."""

    def __init__(self, stopping: threading.Event, *, proxies: int) -> None:
        self._stopping = stopping
        self._proxies = proxies
        self._all = 0
        self._waiting: Counter[str] = Counter()
        self._random = random.Random()  # noqa: S311 - it only spreads
        #: Done when nobody is to wait any longer; looked after as long as somebody does.
        self._over: asyncio.Future[None] | None = None

    async def wait(self, request: Request) -> None:
        """Return in a moment; at once if the bridge is about to stop, or too many wait already.

        The request forgets all but who asked for what: there may be thousands of them. Whether a client is still there
        is not looked at, for that costs more than the refusal.
        """
        address = request.address(proxies=self._proxies)
        who = address if request.client is UNAUTHENTICATED else request.client.name
        request.shed(address)
        if self._all >= _MOST or self._waiting[who] >= _MOST_OF_ONE:
            return
        self._all += 1
        self._waiting[who] += 1
        moment = self._random.uniform(_SHORTEST, _LONGEST) + self._waiting[who] / _REFUSALS_A_SECOND
        try:
            await asyncio.wait({self._end()}, timeout=min(moment, _PATIENCE))
        finally:
            self._all -= 1
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]

    def _end(self) -> asyncio.Future[None]:
        if self._over is None:
            self._over = asyncio.get_running_loop().create_future()
            self._look(self._over)
        return self._over

    def _look(self, over: asyncio.Future[None]) -> None:
        if self._stopping.is_set():
            over.set_result(None)
        elif self._all:
            over.get_loop().call_later(_LOOK, self._look, over)
        else:
            self._over = None
