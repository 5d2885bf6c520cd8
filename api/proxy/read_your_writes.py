# SPDX-License-Identifier: Apache-2.0
"""Read-your-writes: a proxied call waits for the writes that were accepted before it.

It waits for positions and not for empty lanes, so a run that is written all the time stays readable.
"""

import asyncio
import datetime as dt
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.http.polling import poll
from api.http.preferences import Preferences, read_preferences
from api.http.request import Request
from bridge.errors import StoreUnavailable
from bridge.outbox import Extent, Outbox
from bridge.upstream.flow_control import FlowControl
from bridge.upstream.forwarding import BufferedBody
from schemas.bodies.lane_references import awaited_lanes, named_in_body, named_in_path, named_in_query
from schemas.endpoints import AwaitedLanes

#: No call that names a run has a longer body; longer ones are uploads.
_MAX_NAMING_BODY_BYTES = 64 * 1024
#: The limit of the lanes that a call names and waits for, and of its client's lanes that it waits for.
_MAX_LANES = 100
#: After the store has failed, no call reads it for this long.
_STORE_PAUSE_S = 1.0

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class WaitResult:
    """What is known after the wait: headers for the response, and the state of the lanes that the call names."""

    #: The number of pending writes, and the preference that was applied.
    headers: Headers = ()
    #: The named lanes that still have pending writes.
    pending: tuple[str, ...] = ()
    #: The settled position of each named lane; None if not all are known.
    settled: Mapping[str, int] | None = None


class ReadYourWrites:
    """Makes proxied calls wait for the pending writes that they may read."""

    def __init__(
        self,
        outbox: Outbox,
        fast_outbox: Outbox,
        flow_control: FlowControl,
        stopping: threading.Event,
        *,
        timeout: dt.timedelta,
    ) -> None:
        """``fast_outbox`` gives up soon enough to be used on the event loop."""
        self._outbox = outbox
        self._fast_outbox = fast_outbox
        self._batch = _ExtentBatch(fast_outbox)
        self._flow_control = flow_control
        self._stopping = stopping
        self._timeout = timeout
        #: When calls may read the store again, on the clock of the event loop.
        self._retry_at = 0.0

    async def wait(self, request: Request, body: BufferedBody | None, *, client: str) -> WaitResult:
        """Return when the writes that the call may read are settled, or when its waiting time is over."""
        awaited = awaited_lanes(request.method, request.path)
        if awaited is AwaitedLanes.NONE:
            return WaitResult()
        named = _named_lanes(request, body)
        preferences = read_preferences(request.header(b"prefer"))
        headers = _preference_applied(preferences)
        of_client = awaited is AwaitedLanes.RECENT
        extents = await self._wait_until_settled(client, named, preferences.wait, of_client=of_client)
        if extents is None:
            return WaitResult(headers)
        pending = {lane: extent.pending for lane, extent in extents.items() if extent.pending}
        if pending:
            headers = (*headers, ("Bridge-Pending-Writes", str(sum(pending.values()))))
        settled = {lane: extent.settled for lane, extent in extents.items()} if len(named) <= _MAX_LANES else None
        return WaitResult(headers, tuple(pending), settled)

    async def _wait_until_settled(
        self, client: str, named: Sequence[str], wait: dt.timedelta | None, *, of_client: bool
    ) -> Mapping[str, Extent] | None:
        """Return the extents of the named lanes after the wait; None if the store does not respond.

        ``of_client``: the call may read anything, so it also waits for all writes of its client. It does not wait for
        lanes that upstream rejects, which would delay each search.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._retry_at:
            return None
        try:
            extents = await self._batch.extents(named[:_MAX_LANES]) if named else {}
            before = {**(self._pending_of(client) if of_client else {}), **_with_pending(extents)}
            if not before:
                return extents
            max_wait = self._timeout if wait is None else wait
            if max_wait and await self._is_delivering():
                now = await poll(
                    lambda: self._outbox.extents(list(before)),
                    lambda now: are_settled(now, before),
                    max_wait=max_wait,
                    stopping=self._stopping,
                )
                extents = {lane: now.get(lane, extent) for lane, extent in extents.items()}
        except StoreUnavailable:
            # Upstream can serve a read without the store, so it must not wait for it.
            self._retry_at = loop.time() + _STORE_PAUSE_S
            return None
        return extents

    def _pending_of(self, client: str) -> dict[str, Extent]:
        """Return the lanes with pending writes of a client that upstream accepts, from all api processes."""
        lanes = self._fast_outbox.lanes_of(client, limit=_MAX_LANES)
        pending = _with_pending(self._fast_outbox.extents(lanes)) if lanes else {}
        return {lane: extent for lane, extent in pending.items() if not extent.is_failing}

    async def _is_delivering(self) -> bool:
        """Return whether writes are delivered now: not while the breaker is open, and not in a pause."""
        state = await asyncio.to_thread(self._flow_control.state)
        return state.breaker != "open" and state.paused is None


class _ExtentBatch:
    """Reads the extents that all requests of one turn of the event loop need in one round trip.

    It reads on the event loop: a thread would cost more than the read.
    """

    def __init__(self, fast_outbox: Outbox) -> None:
        """``fast_outbox`` gives up soon enough for an event loop."""
        self._fast_outbox = fast_outbox
        self._waiting: list[tuple[Sequence[str], asyncio.Future[dict[str, Extent]]]] = []

    async def extents(self, lanes: Sequence[str]) -> dict[str, Extent]:
        """Return the extents of lanes as they are after this call, or raise ``StoreUnavailable``."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[dict[str, Extent]] = loop.create_future()
        self._waiting.append((lanes, future))
        if len(self._waiting) == 1:
            loop.call_soon(self._read)
        return await future

    def _read(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            extents_by_request = self._fast_outbox.extents_of([lanes for lanes, _ in waiting])
        except Exception as error:  # noqa: BLE001 - each request has its own way to treat it
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), extents in zip(waiting, extents_by_request, strict=True):
            if not future.done():
                future.set_result(extents)


def _with_pending(extents: Mapping[str, Extent]) -> dict[str, Extent]:
    return {lane: extent for lane, extent in extents.items() if extent.pending}


def _named_lanes(request: Request, body: BufferedBody | None) -> list[str]:
    """Return the lanes that a call names: in its query and path, or else in its body."""
    named = named_in_query(request.scope["query_string"].decode("latin-1"))
    if request.endpoint_match and request.endpoint_match.path_parameter:
        named += named_in_path(request.endpoint_match)
    if not named and body and body.length <= _MAX_NAMING_BODY_BYTES:
        body.file.seek(0)
        named = named_in_body(body.file.read())
    return named


def are_settled(now: Mapping[str, Extent], before: Mapping[str, Extent]) -> bool:
    """Return whether all writes that ``before`` includes are settled."""
    # A lane that has been removed since then has nothing pending.
    return all(
        now[lane].settled >= earlier.accepted or not now[lane].pending
        for lane, earlier in before.items()
        if lane in now
    )


def _preference_applied(preferences: Preferences) -> Headers:
    wait = preferences.wait
    return () if wait is None else (("Preference-Applied", f"wait={wait.seconds}"),)
