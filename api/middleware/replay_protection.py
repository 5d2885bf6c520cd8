# SPDX-License-Identifier: Apache-2.0
"""Has a signed request carried out once, whoever sends it again while its signature counts (docs/adr/0013).

Clients' own libraries repeat a request after an error or a lost answer, as it was, with the same signature. So what was
not carried out may come again; what is under way may come back later; and a write that was accepted is answered with
its job, as long as that changes nothing: while its lane holds no later one. Everything else is refused.
"""

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec

from api.http.exceptions import RequestInProgress, Unauthenticated
from api.http.paths import is_own_path
from api.http.preferences import read_preferences
from api.http.request import Request
from api.http.response import SendableResponse
from api.http.types import Message, Send
from api.intake import bulk, runs
from api.intake.writes import Writes
from bridge.auth.sigv4 import UNDER_WAY, WINDOW
from bridge.bootstrap.processes import Api
from bridge.errors import StoreUnavailable
from bridge.events import StoreError
from bridge.outbox import Accepted
from schemas.endpoints import EndpointMatch

#: Clocks of our hosts may differ by so much.
_MARGIN = dt.timedelta(minutes=1)
#: How long accepting a write may take; if its process has died meanwhile, its client is heard again after this.
_ACCEPTING = dt.timedelta(seconds=30)
_DONE = b"done"
_USED = "This signed request has been carried out already. Sign it again: a second later, or with an Idempotency-Key."


_CarryOut = Callable[[Request, EndpointMatch | None], Awaitable[SendableResponse]]


class ReplayProtection:
    """Remembers replay_cache."""

    def __init__(self, bridge: Api, writes: Writes) -> None:
        self._bridge = bridge
        self._writes = writes

    async def answer(self, request: Request, found: EndpointMatch | None, carry_out: _CarryOut) -> SendableResponse:
        """Carry a request out, unless it is signed, changes something and was carried out before."""
        if request.claim is None or not _changes(request, found) or _knows_repeats(request, found):
            return await carry_out(request, found)
        is_write = _is_write(request, found)
        if is_write or is_own_path(request.path):
            # Whole, and with the hash that was signed, before it counts as under way.
            await request.keep(longest=self._bridge.settings.longest_body(found.op if found else None))
        lease = self._left(request)
        if is_write:
            waits = read_preferences(request.header(b"prefer")).wait or dt.timedelta()
            lease = min(lease, _ACCEPTING + waits)
        replay_cache, signature = self._bridge.replay_cache, request.claim.signature
        earlier = await asyncio.to_thread(replay_cache.begin, signature, lease=lease)
        if earlier is not None:
            return await self._again(request, found, earlier)
        return _Marked(await carry_out(request, found), lambda status: self._over(request, found, status))

    async def _again(self, request: Request, found: EndpointMatch | None, earlier: bytes) -> SendableResponse:
        if earlier == UNDER_WAY:
            raise RequestInProgress
        if found and found.op and earlier != _DONE:
            accepted = msgspec.msgpack.decode(earlier, type=Accepted)
            extents = await asyncio.to_thread(self._bridge.outbox.extents, [accepted.lane])
            if extents[accepted.lane].accepted == accepted.position:
                return await self._writes.answer(found.op, request, replace(accepted, replayed=True))
        raise Unauthenticated(_USED)

    async def _over(self, request: Request, found: EndpointMatch | None, status: int) -> None:
        """Note what came of a request, before anybody can have heard of it."""
        try:
            await asyncio.to_thread(self._note, request, found, status)
        except StoreUnavailable as error:
            self._bridge.observe(StoreError(operation="noting a signature", reason=str(error)))

    def _note(self, request: Request, found: EndpointMatch | None, status: int) -> None:
        replay_cache, claim = self._bridge.replay_cache, request.claim
        if claim is None:
            return
        if status >= 400:
            replay_cache.forget(claim.signature)
            return
        outcome = msgspec.msgpack.encode(request.accepted) if found and found.op and request.accepted else _DONE
        replay_cache.finish(claim.signature, outcome, keep=self._left(request))

    def _left(self, request: Request) -> dt.timedelta:
        """Return how long the request's signature still counts."""
        signed_at = request.claim.signed_at if request.claim else self._bridge.clock.now()
        return signed_at + WINDOW + _MARGIN - self._bridge.clock.now()


class _Marked:
    """An answer whose beginning says what came of its request."""

    def __init__(self, response: SendableResponse, over: Callable[[int], Awaitable[None]]) -> None:
        self._response = response
        self._over = over

    async def send_to(self, send: Send) -> None:
        """Send it."""

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                await self._over(message["status"])
            await send(message)

        await self._response.send_to(noting)


def _changes(request: Request, found: EndpointMatch | None) -> bool:
    """Whether a request can change anything. What reads may be asked time and again within the same second."""
    if request.method in ("GET", "HEAD", "OPTIONS") or request.path == "/v1/jobs/lookup":
        return False
    return found is None or found.endpoint.kind != "read"


def _is_write(request: Request, found: EndpointMatch | None) -> bool:
    return (found is not None and found.op is not None) or request.path in (bulk.PATH, runs.PATH)


def _knows_repeats(request: Request, found: EndpointMatch | None) -> bool:
    """Whether a repeat is answered with the first one's jobs anyway. The key is signed, as all such headers are."""
    return request.header(b"idempotency-key") is not None and _is_write(request, found)
