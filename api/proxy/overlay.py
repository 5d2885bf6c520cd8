# SPDX-License-Identifier: Apache-2.0
"""Overlays reads of one run, experiment or trace with its accepted, undelivered writes (`bridge.outbox.overlay`)."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

import msgspec

from api.http.request import Request
from api.proxy.read_your_writes import Headers, Passed
from bridge.bootstrap.processes import Api
from bridge.errors import StoreUnavailable
from bridge.outbox.overlay import overlay
from bridge.upstream.forwarding import ForwardedRequest, ForwardedResponse, read_up_to
from schemas.job import Job
from schemas.lane import experiment_lane
from schemas.overlaid_reads import Overlaid, overlaid

#: A longer answer, or longer writes of a lane, are not laid over each other, or only the first of them.
_LONGEST_ANSWER = 32 << 20
_MOST_BYTES = 32 << 20
#: How often upstream is asked once more because the lane has moved on too far while it answered.
_TRIES = 3
_UNFIT = frozenset({"content-length", "etag", "last-modified", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class OverlaidReads:
    """Reads what upstream has, and adds what it does not have yet."""

    bridge: Api

    def kind_of(self, request: Request, passed: Passed) -> Overlaid | None:
        """Return the kind of the answer that may have to be overlaid, None for one that is passed on as it is."""
        if request.found is None or request.method != "GET":
            return None
        kind = overlaid(request.found.endpoint)
        return kind if passed.pending or _is_by_name(request) else None

    async def forward(
        self, request: Request, asked: ForwardedRequest, kind: Overlaid, lanes: Sequence[str], stack: AsyncExitStack
    ) -> tuple[ForwardedResponse, bytes, Headers]:
        """Return upstream's answer with the pending writes of the lanes, its body as far as it is read, and headers."""
        identity = tuple(pair for pair in asked.headers if pair[0].lower() != "accept-encoding")
        asked = replace(asked, headers=(*identity, ("accept-encoding", "identity")))
        seen = _Seen(self.bridge, lanes)
        for _ in range(_TRIES):
            await seen.begin()
            tried = await stack.enter_async_context(AsyncExitStack())
            answer = await tried.enter_async_context(self.bridge.forwarding.forward(asked))
            body, is_whole = await read_up_to(_LONGEST_ANSWER if _is_fit(answer) else 0, answer)
            if not (is_whole and _is_fit(answer)):
                return answer, body, ()
            await tried.aclose()
            if _is_by_name(request) and not lanes:
                lanes = await self._pending_by_name(body)
                if not lanes:
                    break
                seen = _Seen(self.bridge, lanes)
            elif await seen.end():
                break
        if not seen.jobs:
            return answer, body, ()
        key = _metric_key(request)
        writes = [job.write for job in seen.jobs]
        changed = await asyncio.to_thread(overlay, kind, body, writes, key=key)
        kept = tuple(pair for pair in answer.headers if pair[0].lower() not in _UNFIT)
        answer = replace(answer, headers=(*kept, ("content-length", str(len(changed)))))
        return answer, changed, (("Bridge-Overlaid", str(len(writes))),)

    async def _pending_by_name(self, body: bytes) -> list[str]:
        """Return the lane of the experiment that an answer is about, if anything is pending there."""
        try:
            lane = experiment_lane(msgspec.json.decode(body, type=_ByName).experiment.experiment_id)
            found = await asyncio.to_thread(self.bridge.outbox.extents, [lane])
        except (msgspec.MsgspecError, UnicodeDecodeError, StoreUnavailable):
            return []
        return [lane for lane, extent in found.items() if extent.pending]


class _Experiment(msgspec.Struct):
    experiment_id: str


class _ByName(msgspec.Struct):
    experiment: _Experiment


class _Seen:
    """The jobs that were pending before upstream was asked, and those that were accepted while it answered.

    Upstream has a beginning of them at most when it answers: all of them, over its answer, are what is accepted.
    """

    def __init__(self, bridge: Api, lanes: Sequence[str]) -> None:
        self._outbox = bridge.outbox
        self._lanes = lanes
        self._jobs: dict[str, list[Job]] = {}
        self._last: dict[str, int | None] = {}

    @property
    def jobs(self) -> list[Job]:
        """All of them, in the order in which they were accepted."""
        found = [job for jobs in self._jobs.values() for job in jobs]
        return sorted(found, key=lambda job: job.accepted_at) if len(self._jobs) > 1 else found

    async def begin(self) -> None:
        """Note what is pending now."""
        await asyncio.to_thread(self._begin)

    def _begin(self) -> None:
        try:
            extents = self._outbox.extents(list(self._lanes)) if self._lanes else {}
            for lane in self._lanes:
                jobs, more = self._outbox.undelivered(lane, after=0, max_bytes=_MOST_BYTES)
                self._jobs[lane] = jobs
                # Of a lane that holds too much the beginning is laid over the answer, which is a state that was so.
                last = jobs[-1].position if jobs else extents[lane].accepted
                self._last[lane] = None if more is not None else last
        except StoreUnavailable:
            self._jobs, self._last = {}, {}

    async def end(self) -> bool:
        """Add what was accepted meanwhile; return whether nothing can have been missed."""
        return await asyncio.to_thread(self._end)

    def _end(self) -> bool:
        try:
            complete = [self._add_newer(lane, last) for lane, last in self._last.items() if last is not None]
            return all(complete)
        except StoreUnavailable:
            return True

    def _add_newer(self, lane: str, last: int) -> bool:
        accepted = self._outbox.extents([lane])[lane].accepted
        newer, _ = self._outbox.undelivered(lane, after=last, max_bytes=_MOST_BYTES)
        self._jobs[lane] += newer
        # Upstream's answer may or may not have what was accepted and delivered meanwhile. It has to be asked again.
        return newer[0].position == last + 1 if newer else accepted <= last


def _is_fit(answer: ForwardedResponse) -> bool:
    headers = {name.lower(): value for name, value in answer.headers}
    is_json = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    return answer.status == 200 and is_json and headers.get("content-encoding", "identity") == "identity"


def _is_by_name(request: Request) -> bool:
    return request.found is not None and request.found.endpoint.path.endswith("/experiments/get-by-name")


def _metric_key(request: Request) -> str:
    query = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    key: str = (query.get("metric_key") or query.get("metricKey") or [""])[0]
    return key
