# SPDX-License-Identifier: Apache-2.0
"""Overlays reads of one run, experiment or trace with its accepted, undelivered writes (`bridge.outbox.overlay`)."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from urllib.parse import parse_qs

import msgspec

from api.http.request import Request
from api.proxy.answers import FetchedAnswer
from api.proxy.questions import Question
from api.proxy.read_your_writes import Headers, WaitResult
from api.proxy.shared_reads import Positions, SharedReads
from bridge.errors import StoreUnavailable
from bridge.outbox import Outbox
from bridge.outbox.overlay import overlay
from bridge.upstream.forwarding import ForwardedRequest, ForwardedResponse, read_up_to
from schemas.job import Job
from schemas.lane import experiment_lane
from schemas.overlaid_reads import OverlayKind, overlay_kind_of

#: A longer response is not overlaid, and of a lane with more bytes only its first writes are.
_MAX_RESPONSE_BYTES = 32 << 20
_MAX_LANE_BYTES = 32 << 20
#: Calls to upstream for one read, if too many writes of the lane are delivered while upstream responds.
_MAX_TRIES = 3
#: Headers of upstream that are wrong for an overlaid body.
_DROPPED_HEADERS = frozenset({"age", "content-length", "etag", "last-modified", "transfer-encoding"})
#: Headers of a client that are not forwarded: upstream's 304 would hide a pending write.
_DROPPED_CONDITIONS = frozenset({"accept-encoding", "if-modified-since", "if-none-match", "range"})


@dataclass(frozen=True, slots=True)
class OverlaidReads:
    """Forwards reads, and adds the pending writes to upstream's answers."""

    shared: SharedReads
    outbox: Outbox

    def kind_of(self, request: Request, waited: WaitResult) -> OverlayKind | None:
        """Return the kind of a response that may have to be overlaid, None for one that is forwarded unchanged."""
        if request.endpoint_match is None or request.method != "GET":
            return None
        kind = overlay_kind_of(request.endpoint_match.endpoint)
        return kind if waited.pending or _is_by_name(request) else None

    async def forward(
        self,
        request: Request,
        forwarded: ForwardedRequest,
        kind: OverlayKind,
        waited: WaitResult,
        question: Question | None,
        stack: AsyncExitStack,
    ) -> tuple[FetchedAnswer, Headers]:
        """Return upstream's response with the pending writes of the awaited lanes, and the headers to add to it.

        A response that can't be overlaid is returned as it is.
        """
        forwarded, question = _without_encoding(forwarded, question)
        lanes: Sequence[str] = waited.pending
        window = _PendingWindow(self.outbox, lanes)
        for _ in range(_MAX_TRIES):
            await window.begin()
            attempt = await stack.enter_async_context(AsyncExitStack())
            fetched = await self.shared.fetch(forwarded, question, window.base(waited.settled), attempt)
            fetched, can_be_overlaid = await _read_whole(fetched)
            if not can_be_overlaid:
                return fetched, ()
            await attempt.aclose()
            body = fetched.start or b""
            if _is_by_name(request) and not lanes:
                lanes = await self._pending_by_name(body)
                if not lanes:
                    break
                window = _PendingWindow(self.outbox, lanes)
            elif await window.end():
                break
        if not window.jobs:
            return fetched, ()
        writes = [job.write for job in window.jobs]
        overlaid = await asyncio.to_thread(overlay, kind, body, writes, key=_metric_key(request))
        response = _with_length(fetched.response, overlaid)
        return FetchedAnswer(response, overlaid, is_whole=True), (("Bridge-Overlaid", str(len(writes))),)

    async def _pending_by_name(self, body: bytes) -> list[str]:
        """Return the lane of the experiment in a response to get-by-name, if the lane has pending writes."""
        try:
            experiment = msgspec.json.decode(body, type=_ExperimentAnswer).experiment
            lane = experiment_lane(experiment.experiment_id)
            extents = await asyncio.to_thread(self.outbox.extents, [lane])
        except (msgspec.MsgspecError, UnicodeDecodeError, StoreUnavailable):
            return []
        return [lane for lane, extent in extents.items() if extent.pending]


class _Experiment(msgspec.Struct):
    experiment_id: str


class _ExperimentAnswer(msgspec.Struct):
    experiment: _Experiment


class _PendingWindow:
    """The jobs that were pending before the call to upstream, and those that were accepted during it.

    Upstream's response has at most a prefix of them, so all of them over it are the accepted state.
    """

    def __init__(self, outbox: Outbox, lanes: Sequence[str]) -> None:
        self._outbox = outbox
        self._lanes = lanes
        self._jobs: dict[str, list[Job]] = {}
        #: The position of the last job that was read; None for a lane that was not read to its end.
        self._last: dict[str, int | None] = {}
        #: The position before the first job that was read.
        self._base: dict[str, int] = {}

    def base(self, settled: Positions | None) -> Positions | None:
        """Return the positions that upstream's response must have, so that nothing is between it and these jobs.

        They replace those that were settled before.
        """
        if settled is None or self._base.keys() != set(self._lanes):
            return None
        return {**settled, **self._base}

    @property
    def jobs(self) -> list[Job]:
        """All jobs in the order in which they were accepted."""
        all_jobs = [job for jobs in self._jobs.values() for job in jobs]
        return sorted(all_jobs, key=lambda job: job.accepted_at) if len(self._jobs) > 1 else all_jobs

    async def begin(self) -> None:
        """Read the pending jobs."""
        await asyncio.to_thread(self._begin)

    def _begin(self) -> None:
        try:
            extents = self._outbox.extents(list(self._lanes)) if self._lanes else {}
            for lane in self._lanes:
                jobs, next_position = self._outbox.undelivered(lane, after=0, max_bytes=_MAX_LANE_BYTES)
                self._jobs[lane] = jobs
                self._base[lane] = jobs[0].position - 1 if jobs else extents[lane].accepted
                # The first writes of a lane that holds too much, over the response, are an earlier state of the run.
                last = jobs[-1].position if jobs else extents[lane].accepted
                self._last[lane] = None if next_position is not None else last
        except StoreUnavailable:
            self._jobs, self._last, self._base = {}, {}, {}

    async def end(self) -> bool:
        """Add the jobs that were accepted since ``begin``. Return whether the window has all of them."""
        return await asyncio.to_thread(self._end)

    def _end(self) -> bool:
        try:
            # Each lane is read, whatever the others have.
            complete = [self._add_newer(lane, last) for lane, last in self._last.items() if last is not None]
            return all(complete)
        except StoreUnavailable:
            return True

    def _add_newer(self, lane: str, last: int) -> bool:
        """Add the jobs behind a position. Return whether none of them has been delivered already."""
        accepted = self._outbox.extents([lane])[lane].accepted
        newer, _ = self._outbox.undelivered(lane, after=last, max_bytes=_MAX_LANE_BYTES)
        self._jobs[lane] += newer
        # Upstream's response may lack a write that was accepted and delivered since then: call upstream again.
        return newer[0].position == last + 1 if newer else accepted <= last


def _without_encoding(
    forwarded: ForwardedRequest, question: Question | None
) -> tuple[ForwardedRequest, Question | None]:
    """Return the request, and its question, for a complete response without an encoding."""
    kept = tuple(pair for pair in forwarded.headers if pair[0].lower() not in _DROPPED_CONDITIONS)
    plain = replace(forwarded, headers=(*kept, ("accept-encoding", "identity")))
    return plain, question and replace(question, key=(question.key, "identity"))


async def _read_whole(fetched: FetchedAnswer) -> tuple[FetchedAnswer, bool]:
    """Return the response, and whether it can be overlaid. If so, its whole body is read."""
    can_be_overlaid = _is_overlayable(fetched.response)
    if fetched.is_whole or not can_be_overlaid:
        return fetched, can_be_overlaid
    start = fetched.start or b""
    rest, is_whole = await read_up_to(_MAX_RESPONSE_BYTES - len(start), fetched.response)
    return FetchedAnswer(fetched.response, start + rest, is_whole), is_whole


def _with_length(response: ForwardedResponse, body: bytes) -> ForwardedResponse:
    kept = tuple(pair for pair in response.headers if pair[0].lower() not in _DROPPED_HEADERS)
    return replace(response, headers=(*kept, ("content-length", str(len(body)))))


def _is_overlayable(response: ForwardedResponse) -> bool:
    headers = {name.lower(): value for name, value in response.headers}
    is_json = headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"
    return response.status == 200 and is_json and headers.get("content-encoding", "identity") == "identity"


def _is_by_name(request: Request) -> bool:
    match = request.endpoint_match
    return match is not None and match.endpoint.path.endswith("/experiments/get-by-name")


def _metric_key(request: Request) -> str:
    query = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    key: str = (query.get("metric_key") or query.get("metricKey") or [""])[0]
    return key
