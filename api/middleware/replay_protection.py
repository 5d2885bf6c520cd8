# SPDX-License-Identifier: Apache-2.0
"""Replay protection: a signed, mutating request runs at most once while its signature is valid (docs/adr/0013).

Client libraries repeat a request with the same signature after an error or a lost response. So a request that was not
carried out may be repeated, and one in progress gets a 503. The repeat of an accepted write gets the first one's job as
long as its lane has no later write, because nothing changes then. Every other repeat is refused.
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec

from api.http.exceptions import RequestInProgress, Unauthenticated
from api.http.preferences import read_preferences
from api.http.record import RequestRecord
from api.http.request import Request
from api.http.response import SendableResponse
from api.http.types import Message, Send
from bridge.auth.sigv4 import UNDER_WAY, WINDOW, ReplayCache
from bridge.errors import StoreUnavailable
from bridge.events import Observer, StoreError
from bridge.outbox import Accepted, Outbox
from bridge.process.clock import Clock
from schemas.write import Op

#: By how much the clocks of the hosts may differ.
_CLOCK_SKEW = dt.timedelta(minutes=1)
#: How long a write may be in progress. If its process dies, a repeat is accepted after this time.
_ACCEPT_TIMEOUT = dt.timedelta(seconds=30)
_COMPLETED = b"done"
_ALREADY_USED = (
    "This signed request has been carried out already. Sign it again: a second later, or with an Idempotency-Key."
)

#: Handles a request, and returns a response also for an error.
Handle = Callable[[Request, RequestRecord], Awaitable[SendableResponse]]
#: Returns the response to a repeated write, with the job of the first one.
RepeatResponse = Callable[[Op, Request, Accepted], Awaitable[SendableResponse]]


class ReplayProtection:
    """Runs signed requests through the replay cache."""

    def __init__(
        self,
        cache: ReplayCache,
        outbox: Outbox,
        clock: Clock,
        observe: Observer,
        *,
        max_body_bytes: Callable[[Op | None], int],
        respond_to_repeat: RepeatResponse,
    ) -> None:
        self._cache = cache
        self._outbox = outbox
        self._clock = clock
        self._observe = observe
        self._max_body_bytes = max_body_bytes
        self._respond_to_repeat = respond_to_repeat

    async def run(self, request: Request, record: RequestRecord, handle: Handle) -> SendableResponse:
        """Handle a request, unless it is signed, mutating and was carried out before."""
        signature = request.identity.signature
        if signature is None or not _is_mutating(request) or _is_idempotent(request):
            return await handle(request, record)
        if request.is_write or request.is_own:
            # The whole body, verified against the signed hash, before the request is marked as in progress.
            await request.buffer(max_bytes=self._max_body_bytes(request.op))
        lease = self._remaining_validity(signature.signed_at)
        if request.is_write:
            wait = read_preferences(request.header(b"prefer")).wait or dt.timedelta()
            lease = min(lease, _ACCEPT_TIMEOUT + wait)
        earlier = await asyncio.to_thread(self._cache.begin, signature.signature, lease=lease)
        if earlier is not None:
            return await self._repeat(request, earlier)
        response = await handle(request, record)
        outcome = _outcome(request, record)

        async def finish(status: int) -> None:
            await self._finish(signature.signature, signature.signed_at, status, outcome)

        return _ObservedResponse(response, finish)

    async def _repeat(self, request: Request, earlier: bytes) -> SendableResponse:
        """Return the response to a repeat, or raise. ``earlier`` is what the cache holds of the first request."""
        if earlier == UNDER_WAY:
            raise RequestInProgress
        if request.op and earlier != _COMPLETED:
            accepted = msgspec.msgpack.decode(earlier, type=Accepted)
            extents = await asyncio.to_thread(self._outbox.extents, [accepted.lane])
            if extents[accepted.lane].accepted == accepted.position:
                return await self._respond_to_repeat(request.op, request, replace(accepted, replayed=True))
        raise Unauthenticated(_ALREADY_USED)

    async def _finish(self, signature: str, signed_at: dt.datetime, status: int, outcome: bytes) -> None:
        """Store the outcome of a request before its client can have received it."""
        try:
            if status >= 400:
                await asyncio.to_thread(self._cache.forget, signature)
            else:
                keep = self._remaining_validity(signed_at)
                await asyncio.to_thread(self._cache.finish, signature, outcome, keep=keep)
        except StoreUnavailable as error:
            self._observe(StoreError(operation="storing a signature", reason=str(error)))

    def _remaining_validity(self, signed_at: dt.datetime) -> dt.timedelta:
        """Return for how long another host may still accept the signature."""
        return signed_at + WINDOW + _CLOCK_SKEW - self._clock.now()


class _ObservedResponse:
    """A response that reports its status before it is sent."""

    def __init__(self, response: SendableResponse, on_status: Callable[[int], Awaitable[None]]) -> None:
        self._response = response
        self._on_status = on_status

    async def send_to(self, send: Send) -> None:
        """Report the status, then send the response."""

        async def observe(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._on_status(message["status"])
            await send(message)

        await self._response.send_to(observe)


def _outcome(request: Request, record: RequestRecord) -> bytes:
    """Return what the cache keeps of a request: the first job of an accepted write, for its repeats."""
    if request.op and record.accepted:
        return msgspec.msgpack.encode(record.accepted)
    return _COMPLETED


def _is_mutating(request: Request) -> bool:
    """Return whether a request can change anything. Reads may be repeated."""
    if request.method in ("GET", "HEAD", "OPTIONS") or (request.own_route and request.own_route.is_read):
        return False
    return request.endpoint_match is None or request.endpoint_match.endpoint.kind != "read"


def _is_idempotent(request: Request) -> bool:
    """Return whether a repeat gets the first one's jobs in any case. The signature covers the key."""
    return request.header(b"idempotency-key") is not None and request.is_write
