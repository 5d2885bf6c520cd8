# SPDX-License-Identifier: Apache-2.0
"""The queued calls: validated, stored for good, then answered as MLflow would answer them."""

import asyncio
import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import msgspec

from api.auth.experiment_scope import ExperimentScope
from api.http.polling import wait_until
from api.http.preferences import NO_PREFERENCES, Preferences, read_preferences
from api.http.request import Request
from api.http.response import Response
from api.intake.batching import WriteBatcher
from api.intake.run_info import run_info_from_update, run_info_from_upstream
from api.shutdown import ShuttingDown
from bridge.bootstrap.processes import Api
from bridge.errors import StoreUnavailable
from bridge.outbox import Accepted, Offer
from schemas.bodies.batchable import capture
from schemas.bodies.otlp import capture_export, check_headers, coding_of
from schemas.bodies.spans import unpacked
from schemas.errors import InvalidWrite
from schemas.idempotency import read_idempotency
from schemas.job import JobDocument, JobStatus, UpstreamAnswer
from schemas.lane import run_of
from schemas.problem import MlflowError
from schemas.upstream_limits import check_for_upstream
from schemas.write import Op, Write

Headers = tuple[tuple[str, str], ...]

#: A longer body is read in a thread, so that short ones need not wait for it.
_LONG = 64 * 1024
#: The same for an export: a millisecond of protobuf's JSON, which is slow to read. A packed one is long, however short.
_LONG_EXPORT = 4 * 1024
#: So many long ones are read at a time.
_MOST_LONG = 2
#: Of those beyond this length, unpacked, one is read at a time.
_VERY_LONG = 4 * 1024 * 1024


class Writes:
    """Answers the queued calls."""

    def __init__(self, bridge: Api, limits: ExperimentScope) -> None:
        self._bridge = bridge
        self._limits = limits
        self._together = WriteBatcher(bridge.intake)
        # Few, for a long body can take thirty times its length to read.
        self._threads = ThreadPoolExecutor(_MOST_LONG, thread_name_prefix="long-body")
        self._very_long = threading.Lock()

    async def accept(self, op: Op, request: Request, subject: str = "") -> Response:
        """Accept a write, and answer as its client prefers (RFC 7240). ``subject`` is what the path names."""
        accepted, _ = await self.take(op, request, subject)
        return await self.answer(op, request, accepted)

    async def answer(self, op: Op, request: Request, accepted: Accepted) -> Response:
        """Answer as the client of an accepted write prefers."""
        headers = _told(accepted)
        preferences = read_preferences(request.header(b"prefer"))
        if preferences is NO_PREFERENCES:
            # MLflow's own answer; its client takes no other status than 200 for a success.
            return await self._done(op, request, headers)
        return await self._as_preferred(op, preferences, request, accepted, headers)

    async def take(self, op: Op, request: Request, subject: str = "") -> tuple[Accepted, Headers]:
        """Accept a write and return what is to be said of it, or raise why it is not accepted."""
        if self._bridge.stopping.is_set():
            raise ShuttingDown
        if op is Op.EXPORT_TRACES:
            check_headers(request.texts)
        elif request.method == "POST":
            _check_content_type(request)
        body = await request.body(longest=self._bridge.settings.longest_body(op))
        read = self._read_in_thread if _is_long(op, request, body) else self._read
        offer = await read(op, request, body, subject)
        if request.client.experiments is not None:
            await self._limits.check_writes(request, [offer.write])
        accepted = await self._together.accept(offer)
        request.written = offer.write if op is Op.UPDATE_RUN else None
        request.lane, request.writes, request.accepted = accepted.lane, 1, accepted
        return accepted, _told(accepted)

    async def settled(self, accepted: Accepted, accepted_by: str, wait: dt.timedelta) -> JobDocument | None:
        """Return the job once it is settled, or as it is when the time is over; None if nothing is known of it."""
        try:
            return await wait_until(
                lambda: self._bridge.outbox.job(accepted.job_id, client=accepted_by),
                lambda document: document is None or document.status is not JobStatus.PENDING,
                longest=wait,
                stopping=self._bridge.stopping,
            )
        except StoreUnavailable:
            # The write is ours; that nothing more is known of it now is no error.
            return None

    async def _as_preferred(
        self, op: Op, preferences: Preferences, request: Request, accepted: Accepted, headers: Headers
    ) -> Response:
        """Answer with what upstream said, if it says so in time, or else with the job."""
        document = _pending(op, accepted)
        if preferences.wait:
            headers = (*headers, ("Preference-Applied", f"wait={preferences.wait.seconds}"))
            document = await self.settled(accepted, request.client.name, preferences.wait) or document
        elif preferences.respond_async:
            headers = (*headers, ("Preference-Applied", "respond-async"))
        elif preferences.wait is None:
            return await self._done(op, request, headers)
        if document.status is JobStatus.DELIVERED:
            return await self._done(op, request, headers, is_delivered=True)
        return _refused(document, headers) or Response(202, msgspec.json.encode(document), headers=headers)

    async def _done(self, op: Op, request: Request, headers: Headers, *, is_delivered: bool = False) -> Response:
        """Answer as MLflow would: with an empty object, which has no bytes in protobuf, or with the run."""
        if op is Op.EXPORT_TRACES:
            return Response(200, b"", "application/x-protobuf", headers)
        if op is not Op.UPDATE_RUN:
            return Response(200, b"{}", headers=headers)
        write = request.written
        if write is None:
            # A repeat, which is answered without being accepted.
            body = await request.body(longest=self._bridge.settings.longest_body(op))
            write = self._offer(op, request, body, "").write
        client = request.client.name
        said = await run_info_from_upstream(self._bridge, write, client=client) if is_delivered else None
        return Response(200, said or run_info_from_update(write), headers=headers)

    async def _read(self, op: Op, request: Request, body: bytes, subject: str) -> Offer:
        return self._offer(op, request, body, subject)

    async def _read_in_thread(self, op: Op, request: Request, body: bytes, subject: str) -> Offer:
        loop = asyncio.get_running_loop()
        read = await loop.run_in_executor(self._threads, self._offer_or_fault, op, request, body, subject)
        if isinstance(read, InvalidWrite):
            raise read
        return read

    def _offer_or_fault(self, op: Op, request: Request, body: bytes, subject: str) -> Offer | InvalidWrite:
        try:
            return self._offer(op, request, body, subject)
        except InvalidWrite as error:
            # The error itself, by where it was raised, would hold all that was read until it is answered.
            return InvalidWrite(error.message, error.error_code, error.status)

    def _offer(self, op: Op, request: Request, body: bytes, subject: str) -> Offer:
        plain = body
        if op is Op.EXPORT_TRACES:
            longest = self._bridge.settings.longest_body(op)
            plain = unpacked(body, coding_of(request.texts), longest=longest)
        with self._very_long if len(plain) > _VERY_LONG else nullcontext():
            write = self._write(op, request, body, plain, subject)
        check_for_upstream(write, self._bridge.abilities.limits)
        return Offer(
            write=write,
            client=request.client.name,
            trace_context=request.trace_context,
            most_pending=request.client.most_pending,
            idempotency=read_idempotency(request.header(b"idempotency-key"), op, body, request.workspace),
        )

    def _write(self, op: Op, request: Request, body: bytes, plain: bytes, subject: str) -> Write:
        if op is Op.EXPORT_TRACES:
            return capture_export(body, plain, request.texts, workspace=request.workspace)
        return capture(op, body, now=self._bridge.clock.now(), workspace=request.workspace, subject=subject)


def _is_long(op: Op, request: Request, body: bytes) -> bool:
    """Return whether reading the body would keep the event loop for more than a moment."""
    if op is not Op.EXPORT_TRACES:
        return len(body) >= _LONG
    return len(body) >= _LONG_EXPORT or bool(coding_of(request.texts))


def _told(accepted: Accepted) -> Headers:
    return (
        ("Location", f"/v1/jobs/{accepted.job_id}"),
        ("Job-Id", accepted.job_id),
        ("Vary", "Prefer"),
        *((("Idempotency-Replayed", "true"),) if accepted.replayed else ()),
    )


def _check_content_type(request: Request) -> None:
    content_type = request.header(b"content-type")
    if content_type is None:
        raise InvalidWrite("Bad Request. Content-Type header is missing.")
    if content_type.split(";")[0] != "application/json":
        raise InvalidWrite("Bad Request. Content-Type must be one of ['application/json'].")


def _pending(op: Op, accepted: Accepted) -> JobDocument:
    return JobDocument(
        job_id=accepted.job_id,
        status=JobStatus.PENDING,
        lane=accepted.lane,
        run_id=run_of(accepted.lane),
        op=op,
        accepted_at=accepted.accepted_at,
    )


def _refused(document: JobDocument, headers: Headers) -> Response | None:
    """Return the answer of MLflow to a write that it has refused, None for another one."""
    match document:
        case JobDocument(status=JobStatus.DEAD, upstream=UpstreamAnswer() as answer):
            error = MlflowError(answer.error_code or "INTERNAL_ERROR", answer.message or "")
            return Response(answer.status, msgspec.json.encode(error), headers=headers)
    return None
