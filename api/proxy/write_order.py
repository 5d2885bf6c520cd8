# SPDX-License-Identifier: Apache-2.0
"""Order of writes that are proxied although they are normally queued: earlier writes of their lane go first."""

import asyncio
import datetime as dt
import threading
from collections.abc import Callable

from api.auth.experiment_scope import ExperimentScope
from api.http.exceptions import EarlierWritesPending
from api.http.polling import poll
from api.http.request import Request
from api.intake.reading import WriteReader
from api.proxy.read_your_writes import are_settled
from bridge.outbox import Outbox
from schemas.errors import InvalidWrite
from schemas.write import Op


class WriteOrder:
    """Lets a write pass once every write that was accepted before it, for the same lane, is settled."""

    def __init__(
        self,
        reader: WriteReader,
        outbox: Outbox,
        experiments: ExperimentScope,
        stopping: threading.Event,
        *,
        max_body_bytes: Callable[[Op | None], int],
        timeout: dt.timedelta,
    ) -> None:
        self._reader = reader
        self._outbox = outbox
        self._experiments = experiments
        self._stopping = stopping
        self._max_body_bytes = max_body_bytes
        self._timeout = timeout

    async def wait(self, op: Op, request: Request) -> None:
        """Return when the write may be forwarded, or raise ``EarlierWritesPending``.

        An invalid write belongs to no lane; it is forwarded, and upstream refuses it. A client that is limited to
        experiments gets the bridge's error, because its write can't be checked.
        """
        await request.buffer(max_bytes=self._max_body_bytes(op))
        try:
            match = request.endpoint_match
            offer = await self._reader.read(op, request, match.path_parameter if match else "")
        except InvalidWrite:
            if request.client.experiments is not None:
                raise
            return
        if request.client.experiments is not None:
            await self._experiments.check_writes(request, [offer.write])
        await self._wait_until_settled(offer.write.lane)

    async def _wait_until_settled(self, lane: str) -> None:
        before = await asyncio.to_thread(self._outbox.extents, [lane])
        if not any(extent.pending for extent in before.values()):
            return
        now = await poll(
            lambda: self._outbox.extents(list(before)),
            lambda now: are_settled(now, before),
            max_wait=self._timeout,
            stopping=self._stopping,
        )
        if not are_settled(now, before):
            raise EarlierWritesPending
