# SPDX-License-Identifier: Apache-2.0
"""The queued calls: validated, stored for good, then answered as MLflow would answer them."""

import asyncio
import datetime as dt

import msgspec

from api.draining import Draining
from api.identity import caller
from api.incoming import Incoming
from api.prefer import NO_PREFERENCES, Preferences, read_preferences
from api.recent import Recent
from api.reply import Reply
from api.together import Together
from api.waiting import wait_until
from bridge.bootstrap import Api
from bridge.errors import StoreUnavailable
from bridge.outbox import Accepted, Offer
from schemas.endpoints import API_PREFIXES, QUEUED
from schemas.errors import InvalidWrite
from schemas.idempotency import read_idempotency
from schemas.job import JobDocument, JobStatus, UpstreamAnswer
from schemas.problem import MlflowError
from schemas.requests import capture
from schemas.write import Op

OPS = {prefix + path: op for prefix in API_PREFIXES for path, op in QUEUED.items()}

Headers = tuple[tuple[str, str], ...]

#: A longer body is read in a thread, so that short ones need not wait for it.
_LONG = 64 * 1024


class Writes:
    """Answers the queued calls."""

    def __init__(self, bridge: Api, recent: Recent) -> None:
        self._bridge = bridge
        self._together = Together(bridge.intake)
        self._recent = recent

    async def accept(self, op: Op, request: Incoming) -> Reply:
        """Accept a write, and answer as its client prefers (RFC 7240)."""
        if self._bridge.stopping.is_set():
            raise Draining
        _check_content_type(request)
        body = await request.body(longest=self._bridge.settings.max_body)
        read = self._read if len(body) < _LONG else self._read_in_thread
        offer = await read(op, request, body)
        accepted = await self._together.accept(offer)
        self._recent.note(offer.client, accepted.lane)
        headers: Headers = (
            ("Location", f"/v1/jobs/{accepted.job_id}"),
            ("Job-Id", accepted.job_id),
            ("Vary", "Prefer"),
            *((("Idempotency-Replayed", "true"),) if accepted.replayed else ()),
        )
        preferences = read_preferences(request.header(b"prefer"))
        if preferences is NO_PREFERENCES:
            # MLflow's own answer; its client takes no other status than 200 for a success.
            return Reply(200, b"{}", headers=headers)
        return await self._as_preferred(preferences, op, accepted, offer.client, headers)

    async def _as_preferred(
        self, preferences: Preferences, op: Op, accepted: Accepted, client: str, headers: Headers
    ) -> Reply:
        """Answer with what upstream said, if it says so in time, or else with the job."""
        document = _pending(op, accepted)
        if preferences.wait:
            headers = (*headers, ("Preference-Applied", f"wait={preferences.wait.seconds}"))
            document = await self._settled(accepted, client, preferences.wait) or document
        elif preferences.respond_async:
            headers = (*headers, ("Preference-Applied", "respond-async"))
        elif preferences.wait is None:
            return Reply(200, b"{}", headers=headers)
        return _settled_reply(document, headers) or Reply(202, msgspec.json.encode(document), headers=headers)

    async def _settled(self, accepted: Accepted, client: str, wait: dt.timedelta) -> JobDocument | None:
        try:
            return await wait_until(
                lambda: self._bridge.outbox.job(accepted.job_id, client=client),
                lambda document: document is None or document.status is not JobStatus.PENDING,
                longest=wait,
                stopping=self._bridge.stopping,
            )
        except StoreUnavailable:
            # The write is ours; that nothing more is known of it now is no error.
            return None

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
    content_type = request.header(b"content-type")
    if content_type is None:
        raise InvalidWrite("Bad Request. Content-Type header is missing.")
    if content_type.split(";")[0] != "application/json":
        raise InvalidWrite("Bad Request. Content-Type must be one of ['application/json'].")


def _pending(op: Op, accepted: Accepted) -> JobDocument:
    return JobDocument(
        job_id=accepted.job_id,
        status=JobStatus.PENDING,
        run_id=accepted.lane,
        op=op,
        accepted_at=accepted.accepted_at,
    )


def _settled_reply(document: JobDocument, headers: Headers) -> Reply | None:
    """Return the answer of MLflow that the client would have had without the bridge, None if there is none yet."""
    match document:
        case JobDocument(status=JobStatus.DELIVERED):
            return Reply(200, b"{}", headers=headers)
        case JobDocument(status=JobStatus.DEAD, upstream=UpstreamAnswer() as answer):
            error = MlflowError(answer.error_code or "INTERNAL_ERROR", answer.message or "")
            return Reply(answer.status, msgspec.json.encode(error), headers=headers)
    return None
