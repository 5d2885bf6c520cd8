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
#: A call waits for no more lanes, of those that it names and of those that its client has written to.
_MAX_LANES = 100
#: After the store was slow, no call asks it for this long.
_STORE_PAUSE_S = 1.0

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Waited:
    """The result of the wait."""

    #: Headers for the response: the number of pending writes, and the preference that was applied.
    headers: Headers = ()
    #: The lanes that the call names and that still have pending writes.
    pending: tuple[str, ...] = ()
    #: The settled position of each lane that the call names. None if they are not all known.
    settled: Mapping[str, int] | None = None


class ReadYourWrites:
    """Makes calls wait for writes."""

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
        #: When the store may be asked again, on the clock of the event loop.
        self._retry_at = 0.0

    async def wait(self, request: Request, body: BufferedBody | None, *, client: str) -> Waited:
        """Return when the writes that the call may read are settled, or when its waiting time is over."""
        lanes = awaited_lanes(request.method, request.path)
        if lanes is AwaitedLanes.NONE:
            return Waited()
        named = _named_lanes(request, body)
        preferences = read_preferences(request.header(b"prefer"))
        headers = _applied(preferences)
        found = await self._settled(client, named, preferences.wait, of_client=lanes is AwaitedLanes.RECENT)
        if found is None:
            return Waited(headers)
        pending = {lane: extent.pending for lane, extent in found.items() if extent.pending}
        if pending:
            headers = (*headers, ("Bridge-Pending-Writes", str(sum(pending.values()))))
        settled = {lane: extent.settled for lane, extent in found.items()} if len(named) <= _MAX_LANES else None
        return Waited(headers, tuple(pending), settled)

    async def _settled(
        self, client: str, named: Sequence[str], wait: dt.timedelta | None, *, of_client: bool
    ) -> Mapping[str, Extent] | None:
        """Wait, then return the extents of the named lanes; None if the store does not respond.

        ``of_client``: the call may read anything, so it also waits for all writes of its client. It does not wait for
        lanes that upstream rejects, which would delay each search.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._retry_at:
            return None
        try:
            found = await self._batch.extents(named[:_MAX_LANES]) if named else {}
            before = _pending(found) if not of_client else {**self._pending_of(client), **_pending(found)}
            if not before:
                return found
            max_wait = self._timeout if wait is None else wait
            if max_wait and await self._is_delivering():
                now = await poll(
                    lambda: self._outbox.extents(list(before)),
                    lambda now: are_settled(now, before),
                    max_wait=max_wait,
                    stopping=self._stopping,
                )
                found = {lane: now.get(lane, extent) for lane, extent in found.items()}
        except StoreUnavailable:
            # Upstream can serve a read without the store, so it must not wait for it.
            self._retry_at = loop.time() + _STORE_PAUSE_S
            return None
        return found

    def _pending_of(self, client: str) -> dict[str, Extent]:
        """Return the lanes with pending writes of a client that upstream accepts, from all api processes."""
        lanes = self._fast_outbox.lanes_of(client, limit=_MAX_LANES)
        found = _pending(self._fast_outbox.extents(lanes)) if lanes else {}
        return {lane: extent for lane, extent in found.items() if not extent.is_failing}

    async def _is_delivering(self) -> bool:
        """Return whether waiting makes sense: nothing is delivered while the breaker is open, or in a pause."""
        state = await asyncio.to_thread(self._flow_control.state)
        return state.breaker != "open" and state.paused is None


class _ExtentBatch:
    """Reads the extents that all requests of one turn of the event loop need in one round trip.

    It reads on the event loop: a thread would cost more than the read.
    """

    def __init__(self, fast_outbox: Outbox) -> None:
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
            found = self._fast_outbox.extents_of([lanes for lanes, _ in waiting])
        except Exception as error:  # noqa: BLE001 - each request has its own way to treat it
            for _, future in waiting:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), extents in zip(waiting, found, strict=True):
            if not future.done():
                future.set_result(extents)


def _pending(extents: Mapping[str, Extent]) -> dict[str, Extent]:
    return {lane: extent for lane, extent in extents.items() if extent.pending}


def _named_lanes(request: Request, body: BufferedBody | None) -> list[str]:
    named = named_in_query(request.scope["query_string"].decode("latin-1"))
    if request.found and request.found.subject:
        named += named_in_path(request.found)
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


def _applied(preferences: Preferences) -> Headers:
    wait = preferences.wait
    return () if wait is None else (("Preference-Applied", f"wait={wait.seconds}"),)
