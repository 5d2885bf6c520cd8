# SPDX-License-Identifier: Apache-2.0
"""The queued calls: each write is validated, stored durably, then answered as MLflow would answer it."""

import datetime as dt
import threading
from dataclasses import dataclass

import msgspec

from api.auth.experiment_scope import ExperimentScope
from api.http.polling import poll
from api.http.preferences import NO_PREFERENCES, Preferences, read_preferences
from api.http.record import RequestRecord
from api.http.request import Request
from api.http.response import Response
from api.intake.batching import WriteBatcher
from api.intake.reading import WriteReader
from api.intake.run_info import run_info_from_update, run_info_from_upstream
from api.shutdown import ShuttingDown
from bridge.errors import StoreUnavailable
from bridge.outbox import Accepted, Outbox
from bridge.upstream.forwarding import Forwarding
from schemas.job import JobDocument, JobStatus, UpstreamAnswer
from schemas.lane import run_of
from schemas.problem import MlflowError
from schemas.write import Op, Write

Headers = tuple[tuple[str, str], ...]


class Writes:
    """Stores the writes of queued calls."""

    def __init__(
        self, reader: WriteReader, batcher: WriteBatcher, experiments: ExperimentScope, stopping: threading.Event
    ) -> None:
        self._reader = reader
        self._batcher = batcher
        self._experiments = experiments
        self._stopping = stopping

    async def accept(
        self, op: Op, request: Request, record: RequestRecord, path_parameter: str = ""
    ) -> tuple[Accepted, Write | None]:
        """Store a write, or raise the error that says why it is not stored. ``path_parameter`` is the id in the path.

        The write is returned only for an update of a run: its response needs it. Other writes leave the memory.
        """
        if self._stopping.is_set():
            raise ShuttingDown
        offer = await self._reader.read(op, request, path_parameter)
        if request.client.experiments is not None:
            await self._experiments.check_writes(request, [offer.write])
        accepted = await self._batcher.accept(offer)
        record.accepted, record.writes = accepted, 1
        return accepted, offer.write if op is Op.UPDATE_RUN else None


class Jobs:
    """Waits for the outcomes of jobs."""

    def __init__(self, outbox: Outbox, stopping: threading.Event) -> None:
        self._outbox = outbox
        self._stopping = stopping

    async def wait_until_settled(self, accepted: Accepted, client: str, wait: dt.timedelta) -> JobDocument | None:
        """Return a job of a client once it is settled or the time is over, None if its state is unknown."""
        try:
            return await poll(
                lambda: self._outbox.job(accepted.job_id, client=client),
                lambda document: document is None or document.status is not JobStatus.PENDING,
                max_wait=wait,
                stopping=self._stopping,
            )
        except StoreUnavailable:
            # The write is stored; that its outcome can't be read now is no error.
            return None


@dataclass(frozen=True, slots=True)
class WriteResponses:
    """Responds to queued calls in MLflow's format, or as the client prefers (RFC 7240)."""

    jobs: Jobs
    reader: WriteReader
    forwarding: Forwarding

    async def respond(self, op: Op, request: Request, accepted: Accepted, write: Write | None = None) -> Response:
        """Return the response to an accepted write.

        ``write`` is that of an update of a run, None if it has to be read again because the request is a repeat.
        """
        headers = accepted_headers(accepted)
        preferences = read_preferences(request.header(b"prefer"))
        if preferences is NO_PREFERENCES:
            # As MLflow responds: its client takes no other status than 200 for a success.
            return await self._as_mlflow(op, request, write, headers)
        return await self._as_preferred(op, preferences, request, accepted, write, headers)

    async def _as_preferred(
        self,
        op: Op,
        preferences: Preferences,
        request: Request,
        accepted: Accepted,
        write: Write | None,
        headers: Headers,
    ) -> Response:
        """Return MLflow's response once the write is delivered, or else the job; ``wait=0`` returns the job at once."""
        document = _pending_document(op, accepted)
        if preferences.wait:
            headers = (*headers, ("Preference-Applied", f"wait={preferences.wait.seconds}"))
            document = await self.jobs.wait_until_settled(accepted, request.client.name, preferences.wait) or document
        elif preferences.respond_async:
            headers = (*headers, ("Preference-Applied", "respond-async"))
        elif preferences.wait is None:
            return await self._as_mlflow(op, request, write, headers)
        if document.status is JobStatus.DELIVERED:
            return await self._as_mlflow(op, request, write, headers, is_delivered=True)
        return _refusal(document, headers) or Response(202, msgspec.json.encode(document), headers=headers)

    async def _as_mlflow(
        self, op: Op, request: Request, write: Write | None, headers: Headers, *, is_delivered: bool = False
    ) -> Response:
        """Return MLflow's response: an empty object, which has no bytes in protobuf, or the run."""
        if op is Op.EXPORT_TRACES:
            return Response(200, b"", "application/x-protobuf", headers)
        if op is not Op.UPDATE_RUN:
            return Response(200, b"{}", headers=headers)
        write = write or (await self.reader.read(op, request, "")).write
        client = request.client.name
        info = await run_info_from_upstream(self.forwarding, write, client=client) if is_delivered else None
        return Response(200, info or run_info_from_update(write), headers=headers)


def accepted_headers(accepted: Accepted) -> Headers:
    """Return the headers of every response to an accepted write."""
    return (
        ("Location", f"/v1/jobs/{accepted.job_id}"),
        ("Job-Id", accepted.job_id),
        ("Vary", "Prefer"),
        *((("Idempotency-Replayed", "true"),) if accepted.replayed else ()),
    )


def _pending_document(op: Op, accepted: Accepted) -> JobDocument:
    return JobDocument(
        job_id=accepted.job_id,
        status=JobStatus.PENDING,
        lane=accepted.lane,
        run_id=run_of(accepted.lane),
        op=op,
        accepted_at=accepted.accepted_at,
    )


def _refusal(document: JobDocument, headers: Headers) -> Response | None:
    """Return MLflow's error for a write that it has refused, None for any other write."""
    match document:
        case JobDocument(status=JobStatus.DEAD, upstream=UpstreamAnswer() as answer):
            error = MlflowError(answer.error_code or "INTERNAL_ERROR", answer.message or "")
            return Response(answer.status, msgspec.json.encode(error), headers=headers)
    return None
