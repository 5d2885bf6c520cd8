# SPDX-License-Identifier: Apache-2.0
"""Lets a client read what it has written: a proxied call waits for the writes that were accepted before it.

It waits for positions, not for empty lanes: a run that is written all the time stays readable.
"""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.http.polling import wait_until
from api.http.preferences import Preferences, read_preferences
from api.http.request import Request
from bridge.bootstrap.processes import Api
from bridge.errors import StoreUnavailable
from bridge.outbox import Extent
from bridge.upstream.forwarding import BufferedBody
from schemas.bodies.lane_references import awaited_lanes, named_in_body, named_in_path, named_in_query
from schemas.endpoints import AwaitedLanes

#: A longer body is that of an upload; no call that names a run is as long.
_LONGEST_NAMING = 64 * 1024

#: A call waits for no more lanes than these, also where it names more or its client has written to more.
_MOST_LANES = 100
#: How long a store that was not prompt is left alone, in seconds.
_PAUSE = 1.0

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Passed:
    """What a call has waited for."""

    #: Of the answer: what is still pending, and that the client's preference was heard.
    headers: Headers = ()
    #: What the call names and where writes are still pending.
    pending: tuple[str, ...] = ()


class ReadYourWrites:
    """Makes calls wait, and reports how much they have not waited for."""

    def __init__(self, bridge: Api) -> None:
        self._bridge = bridge
        #: When the store may be asked again after it was not prompt, on the clock of the event loop.
        self._ask_again_at = 0.0

    async def pass_through(self, request: Request, body: BufferedBody | None, *, client: str) -> Passed:
        """Return when the writes that the call may be about are settled, or as long as it wants to wait is over."""
        waits = awaited_lanes(request.method, request.path)
        if waits is AwaitedLanes.NONE:
            return Passed()
        named = _named(request, body)
        preferences = read_preferences(request.header(b"prefer"))
        headers = _applied(preferences)
        pending = await self._wait(client, named, preferences.wait, of_client=waits is AwaitedLanes.RECENT)
        if pending:
            headers = (*headers, ("Bridge-Pending-Writes", str(sum(pending.values()))))
        return Passed(headers, tuple(pending))

    async def _wait(
        self, client: str, named: Sequence[str], wait: dt.timedelta | None, *, of_client: bool
    ) -> dict[str, int]:
        """Return how many writes are still pending in the lanes that are named, or that runs have as a name.

        A call waits for all that is pending there, and one that may be about anything for its client's own writes, but
        not for lanes that upstream does not take: those would hold up each search.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._ask_again_at:
            return {}
        try:
            # On the loop: a thread would cost more than the question does.
            about = self._pending(named)
            before = about if not of_client else {**self._pending_of(client), **about}
            if not before:
                return {}
            longest = self._bridge.settings.read_your_writes_timeout if wait is None else wait
            if longest and await self._may_be_delivered():
                now = await wait_until(
                    lambda: self._bridge.outbox.extents(list(before)),
                    lambda now: _reached(now, before),
                    longest=longest,
                    stopping=self._bridge.stopping,
                )
                about = {lane: now[lane] for lane in about}
        except StoreUnavailable:
            # A read needs no store, and must not wait for one.
            self._ask_again_at = loop.time() + _PAUSE
            return {}
        return {lane: extent.pending for lane, extent in about.items() if extent.pending}

    def _pending(self, lanes: Sequence[str]) -> dict[str, Extent]:
        found = self._bridge.fast_outbox.extents(lanes[:_MOST_LANES]) if lanes else {}
        return {lane: extent for lane, extent in found.items() if extent.pending}

    def _pending_of(self, client: str) -> dict[str, Extent]:
        """Return where writes of a client wait that upstream takes, whichever process has accepted them."""
        found = self._pending(self._bridge.fast_outbox.lanes_of(client, limit=_MOST_LANES))
        return {lane: extent for lane, extent in found.items() if not extent.fails}

    async def _may_be_delivered(self) -> bool:
        """Return whether waiting makes sense: while the breaker is open nothing is delivered."""
        return (await asyncio.to_thread(self._bridge.flow_control.state)).breaker != "open"


def _named(request: Request, body: BufferedBody | None) -> list[str]:
    named = named_in_query(request.scope["query_string"].decode("latin-1"))
    if request.found and request.found.subject:
        named += named_in_path(request.found)
    if not named and body and body.length <= _LONGEST_NAMING:
        body.file.seek(0)
        named = named_in_body(body.file.read())
    return named


def _reached(now: Mapping[str, Extent], before: Mapping[str, Extent]) -> bool:
    # A lane that was forgotten meanwhile has nothing pending.
    return all(
        now[lane].settled >= earlier.accepted or not now[lane].pending
        for lane, earlier in before.items()
        if lane in now
    )


def _applied(preferences: Preferences) -> Headers:
    wait = preferences.wait
    return () if wait is None else (("Preference-Applied", f"wait={wait.seconds}"),)
