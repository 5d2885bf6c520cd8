# SPDX-License-Identifier: Apache-2.0
"""Lets a client read what it has written: a proxied call waits for the writes that were accepted before it.

It waits for positions, not for empty lanes: a run that is written all the time stays readable.
"""

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence

from api.incoming import Incoming
from api.prefer import Preferences, read_preferences
from api.recent import Recent
from api.waiting import wait_until
from bridge.bootstrap import Api
from bridge.errors import StoreUnavailable
from bridge.outbox import Extent
from bridge.spool import Spool
from schemas.endpoints import Waits
from schemas.naming import named_in_body, named_in_query, what_it_waits_for

#: A longer body is that of an upload; no call that names a run is as long.
_LONGEST_NAMING = 64 * 1024

#: A call that names more is made to wait for these.
_MOST_LANES = 100
#: How long a store that was not prompt is left alone, in seconds.
_PAUSE = 1.0

Headers = tuple[tuple[str, str], ...]


class Barrier:
    """Makes calls wait, and tells how much they have not waited for."""

    def __init__(self, bridge: Api, recent: Recent) -> None:
        self._bridge = bridge
        self._recent = recent
        #: When the store may be asked again after it was not prompt, on the clock of the event loop.
        self._ask_again_at = 0.0

    async def pass_through(self, request: Incoming, body: Spool | None, *, client: str) -> Headers:
        """Return when the writes that the call may be about are settled, or as long as it wants to wait is over.

        The headers say what of a named run is still pending, and that the client's preference was heard.
        """
        waits = what_it_waits_for(request.method, request.path)
        if waits is Waits.NONE:
            return ()
        lanes = _named(request, body)
        if waits is Waits.RECENT:
            lanes = list(dict.fromkeys([*lanes, *self._recent.lanes(client)]))
        preferences = read_preferences(request.header(b"prefer"))
        headers = _applied(preferences)
        if lanes:
            pending = await self._wait(lanes[:_MOST_LANES], preferences.wait, patiently=waits is Waits.NAMED)
            if pending and waits is Waits.NAMED:
                headers = (*headers, ("Bridge-Pending-Writes", str(pending)))
        return headers

    async def _wait(self, lanes: Sequence[str], wait: dt.timedelta | None, *, patiently: bool) -> int:
        """Return how many writes are still pending. Only who is patient waits for lanes that upstream does not take."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._ask_again_at:
            return 0
        try:
            # On the loop: a thread would cost more than the question does.
            before = self._bridge.prompt.extents(lanes)
            if not patiently:
                before = {lane: extent for lane, extent in before.items() if not extent.fails}
            if not any(extent.pending for extent in before.values()):
                return 0
            longest = self._bridge.settings.read_barrier if wait is None else wait
            if longest and await self._may_be_delivered():
                now = await wait_until(
                    lambda: self._bridge.outbox.extents(lanes),
                    lambda now: _reached(now, before),
                    longest=longest,
                    stopping=self._bridge.stopping,
                )
            else:
                now = before
        except StoreUnavailable:
            # A read needs no store, and must not wait for one.
            self._ask_again_at = loop.time() + _PAUSE
            return 0
        return sum(extent.pending for extent in now.values())

    async def _may_be_delivered(self) -> bool:
        """Return whether waiting makes sense: while the breaker is open nothing is delivered."""
        return (await asyncio.to_thread(self._bridge.gate.state)).breaker != "open"


def _named(request: Incoming, body: Spool | None) -> list[str]:
    named = named_in_query(request.scope["query_string"].decode("latin-1"))
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
