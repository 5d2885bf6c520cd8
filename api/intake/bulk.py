# SPDX-License-Identifier: Apache-2.0
"""``POST /v1/writes``: many writes in one request."""

import asyncio
import dataclasses
import secrets
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from api.action_modes import ActionSwitch
from api.auth.experiment_scope import ExperimentScope
from api.http.compression import decompress
from api.http.exceptions import Forbidden, OutsideExperiments, PartlyAccepted
from api.http.record import RequestRecord
from api.http.request import Request
from api.http.response import Response
from api.http.routing import Route
from api.openapi.bodies import bulk_content
from api.shutdown import ShuttingDown
from bridge.errors import OverCap
from bridge.outbox import ACCEPT_ID_BYTES, Accepted, Offer, RunNames
from bridge.outbox.intake import Intake
from bridge.process.clock import Clock
from bridge.upstream.capabilities import UpstreamCapabilities
from schemas.bodies.bulk import pointer_of, read_writes
from schemas.client import Scope, rule_of_op
from schemas.endpoints import ExperimentRule
from schemas.errors import InvalidWrite
from schemas.idempotency import Idempotency, KeyReused, fingerprint, read_key
from schemas.job import AcceptedJob, AcceptedJobs
from schemas.lane import named_run, run_of
from schemas.upstream_limits import check_for_upstream, check_has_call
from schemas.write import Op, Write

_PATH = "/v1/writes"
_BULK_THREADS = 4
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})


class BulkReader:
    """Reads the writes of a bulk request. Its methods block."""

    def __init__(
        self, clock: Clock, capabilities: UpstreamCapabilities, switch: ActionSwitch, *, max_body_bytes: int
    ) -> None:
        self.max_body_bytes = max_body_bytes
        self._action_switch = switch
        self._clock = clock
        self._capabilities = capabilities

    def read(self, request: Request, body: bytes) -> Sequence[Offer]:
        """Return all writes in their order, or raise ``InvalidWrites`` or ``Forbidden`` if any is invalid."""
        is_lines, plain = self._decompress(request, body)
        writes = read_writes(
            plain, is_lines=is_lines, now=self._clock.now(), workspace=request.workspace, check=self._check
        )
        _check_permissions(request, writes)
        key = read_key(request.header(b"idempotency-key"))
        trace_context = request.trace_context
        request_fingerprint = fingerprint(_PATH, plain, request.workspace)
        # Not atomic: once one of the group is declined, no later one of its lane is stored.
        offer_group = secrets.token_bytes(8)
        # One call for all: one for each is a tenth of the cost of a write.
        random = secrets.token_bytes(ACCEPT_ID_BYTES * len(writes))
        return [
            Offer(
                write=write,
                client=request.client.name,
                trace_context=trace_context,
                group=offer_group,
                most_pending=request.client.most_pending,
                idempotency=_idempotency(key, request_fingerprint, index),
                accept_id=random[index * ACCEPT_ID_BYTES : (index + 1) * ACCEPT_ID_BYTES],
            )
            for index, write in enumerate(writes)
        ]

    def pointer(self, request: Request, body: bytes, index: int) -> str:
        """Return the JSON pointer to a write by its index. The body is read again: a write does not know its place."""
        is_lines, plain = self._decompress(request, body)
        return pointer_of(plain, is_lines=is_lines, index=index)

    def _check(self, write: Write) -> None:
        """Raise ``ActionRefused`` or ``InvalidWrite`` for a write that is not queued, or that upstream can't store."""
        self._action_switch.check_queued(write.op)
        check_has_call(write.op, self._capabilities.lacks, self._capabilities.limits)
        check_for_upstream(write, self._capabilities.limits)

    def _decompress(self, request: Request, body: bytes) -> tuple[bool, bytes]:
        """Return whether the body is NDJSON, and the decompressed body."""
        media_type = (request.header(b"content-type") or "").split(";")[0].strip().lower()
        if media_type not in _NDJSON and media_type != "application/json":
            raise InvalidWrite("The Content-Type must be application/json or application/x-ndjson.", "BAD_REQUEST", 415)
        plain = decompress(body, request.header(b"content-encoding"), max_bytes=self.max_body_bytes)
        return media_type in _NDJSON, plain


class BulkWrites:
    """Serves requests with many writes."""

    def __init__(
        self,
        reader: BulkReader,
        intake: Intake,
        names: RunNames,
        experiments: ExperimentScope,
        stopping: threading.Event,
    ) -> None:
        self._reader = reader
        self._intake = intake
        self._names = names
        self._experiments = experiments
        self._stopping = stopping
        # Threads of their own, so that a store that hangs blocks no other work.
        self._threads = ThreadPoolExecutor(_BULK_THREADS, thread_name_prefix="bulk")

    @Route(
        "POST",
        _PATH,
        summary="Queue many writes for many runs",
        action="LogBatch",
        scope=Scope.WRITE,
        experiments=ExperimentRule.RUN,
        is_queued=True,
        content=bulk_content,
        answers={202: AcceptedJobs},
        problems=(408, 413, 415, 422),
    )
    async def accept(self, request: Request, record: RequestRecord) -> Response:
        """Store all writes of a request, in their order. If one of them is invalid, none is stored."""
        if self._stopping.is_set():
            raise ShuttingDown
        body = await request.body(max_bytes=self._reader.max_body_bytes)
        in_thread = partial(asyncio.get_running_loop().run_in_executor, self._threads)
        try:
            if request.client.experiments is None:
                return await in_thread(lambda: self._store(self._reader.read(request, body), record))
            offers = await in_thread(self._reader.read, request, body)
            await self._experiments.check_writes(request, [offer.write for offer in offers])
            return await in_thread(self._store, offers, record)
        except OutsideExperiments as error:
            error.pointer = await in_thread(self._reader.pointer, request, body, error.index)
            raise
        except PartlyAccepted as error:
            # Only where it names one write: to find the pointer, a long body has to be read again.
            if _is_too_large(error.reason):
                error.pointer = await in_thread(self._reader.pointer, request, body, error.index)
            raise

    def _store(self, offers: Sequence[Offer], record: RequestRecord) -> Response:
        """Store the writes and return the response, or raise the error of the first write that is not stored."""
        offers = self._in_one_lane_per_run(offers)
        jobs: list[AcceptedJob | None] = [None] * len(offers)
        declined: tuple[int, Exception] | None = None
        replayed = 0
        for index, verdict in enumerate(self._intake.accept(offers)):
            match verdict:
                case Accepted():
                    op = offers[index].write.op
                    jobs[index] = AcceptedJob(verdict.job_id, verdict.lane, run_of(verdict.lane), op)
                    replayed += verdict.replayed
                case KeyReused():
                    raise verdict
                case _:
                    declined = declined or (index, verdict)
        accepted = sum(job is not None for job in jobs)
        record.writes = accepted - replayed
        if declined:
            index, reason = declined
            # A write that is too large is named by its index, even if none was accepted.
            raise PartlyAccepted(jobs, reason, index) if accepted or _is_too_large(reason) else reason
        headers = (("Idempotency-Replayed", "true"),) if replayed == len(jobs) > 0 else ()
        return Response(202, msgspec.json.encode(AcceptedJobs(tuple(filter(None, jobs)))), headers=headers)

    def _in_one_lane_per_run(self, offers: Sequence[Offer]) -> Sequence[Offer]:
        """Return the offers with one lane for each run that the request calls by its name and by its id.

        Delivery orders the two lanes of a run by the time of acceptance, which is the same within one request. Under an
        Idempotency-Key the lanes stay as they are: a repeat must find the jobs of the first request in its lanes.
        """
        lanes = {offer.write.lane for offer in offers}
        run_ids = {lane: self._names.run_id(lane) for lane in lanes if named_run(lane) and len(lanes) > 1}
        replaced = {lane: run_id for lane, run_id in run_ids.items() if run_id in lanes}
        if not replaced or any(offer.idempotency for offer in offers):
            return offers
        return [_in_lane(offer, replaced.get(offer.write.lane)) for offer in offers]


def _in_lane(offer: Offer, run_id: str | None) -> Offer:
    """Return the offer in the lane of this run; the creation of a run stays in the lane of its name."""
    if run_id is None or offer.write.op is Op.CREATE_RUN:
        return offer
    return dataclasses.replace(offer, write=msgspec.structs.replace(offer.write, lane=run_id))


def _check_permissions(request: Request, writes: Sequence[Write]) -> None:
    """Raise ``Forbidden`` unless the client may make each of these writes."""
    for op in {write.op for write in writes}:
        if not request.client.may(rule := rule_of_op(op)):
            raise Forbidden(request.client, rule)


def _is_too_large(reason: Exception) -> bool:
    """Return whether the write alone exceeds a cap, so that no retry can succeed."""
    return isinstance(reason, OverCap) and reason.max_bytes is not None


def _idempotency(key: str | None, request_fingerprint: bytes, index: int) -> Idempotency | None:
    """Return the idempotency of a write under the key of its request. The first write reserves the key for all."""
    if key is None:
        return None
    if index == 0:
        return Idempotency(key=key, fingerprint=request_fingerprint)
    return Idempotency(key=f"{key}\n{index}", fingerprint=request_fingerprint, reserves_key=False)
