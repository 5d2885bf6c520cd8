# SPDX-License-Identifier: Apache-2.0
"""The queued calls: validated, stored for good, then answered as MLflow would answer them."""

import asyncio

import msgspec

from api.draining import Draining
from api.identity import caller
from api.incoming import Incoming
from api.prefer import read_preferences
from api.reply import Reply
from api.together import Together
from bridge.bootstrap import Api
from bridge.outbox import Accepted, Offer
from schemas.endpoints import API_PREFIXES, QUEUED
from schemas.errors import InvalidWrite
from schemas.idempotency import read_idempotency
from schemas.job import JobDocument, JobStatus
from schemas.requests import capture
from schemas.write import Op

OPS = {prefix + path: op for prefix in API_PREFIXES for path, op in QUEUED.items()}

#: A longer body is read in a thread, so that short ones need not wait for it.
_LONG = 64 * 1024


class Writes:
    """Answers the queued calls."""

    def __init__(self, bridge: Api) -> None:
        self._bridge = bridge
        self._together = Together(bridge.intake)

    async def accept(self, op: Op, request: Incoming) -> Reply:
        """Accept a write."""
        if self._bridge.stopping.is_set():
            raise Draining
        _check_content_type(request)
        body = await request.body(longest=self._bridge.settings.max_body)
        read = self._read if len(body) < _LONG else self._read_in_thread
        accepted = await self._together.accept(await read(op, request, body))
        headers = (
            ("Location", f"/v1/jobs/{accepted.job_id}"),
            ("Job-Id", accepted.job_id),
            ("Vary", "Prefer"),
            *((("Idempotency-Replayed", "true"),) if accepted.replayed else ()),
        )
        if read_preferences(request.header(b"prefer")).respond_async:
            return Reply(202, _document(op, accepted), headers=(*headers, ("Preference-Applied", "respond-async")))
        # MLflow's own answer; its client takes no other status than 200 for a success.
        return Reply(200, b"{}", headers=headers)

    async def _read(self, op: Op, request: Incoming, body: bytes) -> Offer:
        return self._offer(op, request, body)

    async def _read_in_thread(self, op: Op, request: Incoming, body: bytes) -> Offer:
        return await asyncio.to_thread(self._offer, op, request, body)

    def _offer(self, op: Op, request: Incoming, body: bytes) -> Offer:
        workspace = request.header(b"x-mlflow-workspace")
        return Offer(
            write=capture(op, body, now=self._bridge.clock.now(), workspace=workspace),
            client=caller(),
            idempotency=read_idempotency(request.header(b"idempotency-key"), op, body, workspace),
        )


def _check_content_type(request: Incoming) -> None:
    content_type = request.header(b"content-type") or ""
    if content_type != "application/json" and content_type.split(";")[0].strip() != "application/json":
        fault = "must be one of ['application/json']." if content_type else "is missing."
        raise InvalidWrite(f"Bad Request. Content-Type header {fault}")


def _document(op: Op, accepted: Accepted) -> bytes:
    document = JobDocument(
        job_id=accepted.job_id,
        status=JobStatus.PENDING,
        run_id=accepted.lane,
        op=op,
        accepted_at=accepted.accepted_at,
    )
    return msgspec.json.encode(document)
