# SPDX-License-Identifier: Apache-2.0
"""Rate limits: charges requests to the quotas of their clients, and delays 429 responses.

``RateLimit-Policy`` and ``RateLimit`` are the fields of draft-ietf-httpapi-ratelimit-headers-10.
"""

import asyncio
import random
import threading
from collections import Counter

from api.http.request import Request
from api.http.types import Message, Send
from bridge.auth.rate_limits import WINDOW_S, RateLimits, RateLimitStatus
from schemas.client import UNAUTHENTICATED

#: The quota units of the draft, by the names that `schemas.client.Quota` has for them.
_QUOTA_UNITS = {"requests": "requests", "writes": "writes", "bytes": "content-bytes"}


class RequestCharge:
    """What one request costs its client. Without a quota it costs nothing."""

    def __init__(self, request: Request, rate_limits: RateLimits) -> None:
        self._request = request
        self._rate_limits = rate_limits
        self._is_charged = False
        self._charged_bytes = 0

    def begin(self) -> None:
        """Charge the request itself, before its body is read; raise ``OverQuota`` if nothing is left."""
        if self._is_limited():
            self._rate_limits.admit(self._request.client, needs=_required_quotas(self._request))
            self._is_charged = True

    def charge(self, writes: int) -> None:
        """Charge the writes that were accepted and the bytes that have been received."""
        if self._is_charged:
            self._charged_bytes = self._request.received_bytes
            used = {"writes": float(writes), "bytes": float(self._charged_bytes)}
            self._rate_limits.charge(self._request.client, used)

    def charge_late_bytes(self) -> None:
        """Charge the bytes of the body that have arrived after ``charge``, while the response was sent."""
        if self._is_charged and self._request.received_bytes > self._charged_bytes:
            self._rate_limits.charge(
                self._request.client, {"bytes": float(self._request.received_bytes - self._charged_bytes)}
            )

    def with_rate_limit_fields(self, send: Send) -> Send:
        """Return a ``send`` that adds the state of the client's quotas to the response."""
        if not self._is_limited():
            return send
        fields = _rate_limit_fields(self._rate_limits.status(self._request.client))

        async def send_with_fields(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *fields]}
            await send(message)

        return send_with_fields

    def _is_limited(self) -> bool:
        # Load balancers probe open paths, and must not get a 429 because of others behind the same address.
        client = self._request.client
        return client is not UNAUTHENTICATED and not self._request.is_open and self._rate_limits.applies_to(client)


def _required_quotas(request: Request) -> list[str]:
    """Return the quotas that must not be used up for this request to be admitted."""
    return ["requests", *(["writes"] if request.is_write else []), *(["bytes"] if request.has_body else [])]


def _rate_limit_fields(statuses: list[RateLimitStatus]) -> list[tuple[bytes, bytes]]:
    policies = (f'"{each.use}";q={each.capacity};w={WINDOW_S};qu="{_QUOTA_UNITS[each.use]}"' for each in statuses)
    levels = (f'"{each.use}";r={each.left};t={each.full_in}' for each in statuses)
    return [(b"ratelimit-policy", ", ".join(policies).encode()), (b"ratelimit", ", ".join(levels).encode())]


#: A random delay, so that clients do not retry in step.
_MIN_DELAY_S, _MAX_DELAY_S = 0.2, 0.3
#: The rate of 429 responses to one client. Beyond it, the delay grows.
_MAX_REJECTIONS_PER_S = 250
_DELAY_LIMIT_S = 5.0
#: The interval at which delayed responses look whether the process stops.
_STOPPING_CHECK_INTERVAL_S = 0.25
#: Delayed responses at a time, in all and of one client; each holds about 16 KiB.
_MAX_DELAYED, _MAX_DELAYED_OF_CLIENT = 4_000, 2_000


class RejectionDelay:
    """Delays 429 responses, so that clients over their limit cannot busy the event loop."""

    def __init__(self, stopping: threading.Event, *, trusted_proxies: int) -> None:
        self._stopping = stopping
        self._trusted_proxies = trusted_proxies
        self._delayed = 0
        self._delayed_of: Counter[str] = Counter()
        self._random = random.Random()  # noqa: S311 - it only spreads
        #: Done when the process stops. A timer checks that while any response is delayed.
        self._stop: asyncio.Future[None] | None = None

    async def wait(self, request: Request) -> None:
        """Return after the delay; at once if the process stops, or if too many responses are delayed already.

        The request releases its head and body, because thousands may wait. It does not notice that its client has
        disconnected: that would cost more than the response.
        """
        address = request.address(trusted_proxies=self._trusted_proxies)
        client = address if request.client is UNAUTHENTICATED else request.client.name
        request.release_memory(address)
        if self._delayed >= _MAX_DELAYED or self._delayed_of[client] >= _MAX_DELAYED_OF_CLIENT:
            return
        self._delayed += 1
        self._delayed_of[client] += 1
        delay = self._random.uniform(_MIN_DELAY_S, _MAX_DELAY_S) + self._delayed_of[client] / _MAX_REJECTIONS_PER_S
        try:
            await asyncio.wait({self._stop_future()}, timeout=min(delay, _DELAY_LIMIT_S))
        finally:
            self._delayed -= 1
            self._delayed_of[client] -= 1
            if not self._delayed_of[client]:
                del self._delayed_of[client]

    def _stop_future(self) -> asyncio.Future[None]:
        if self._stop is None:
            self._stop = asyncio.get_running_loop().create_future()
            self._check_stopping(self._stop)
        return self._stop

    def _check_stopping(self, stop: asyncio.Future[None]) -> None:
        if self._stopping.is_set():
            stop.set_result(None)
        elif self._delayed:
            stop.get_loop().call_later(_STOPPING_CHECK_INTERVAL_S, self._check_stopping, stop)
        else:
            self._stop = None
