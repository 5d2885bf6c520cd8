# SPDX-License-Identifier: Apache-2.0
"""Many writes in one request: ``POST /v1/writes``."""

import asyncio
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from api.auth.experiment_scope import ExperimentScope
from api.http.compression import decoded
from api.http.exceptions import Forbidden, OutsideExperiments, PartlyAccepted
from api.http.request import Request
from api.http.response import Response
from api.shutdown import ShuttingDown
from bridge.bootstrap.processes import Api
from bridge.errors import OverCap
from bridge.outbox import Accepted, Offer
from schemas.bodies.bulk import pointer_of, read_writes
from schemas.client import rule_of_op
from schemas.errors import InvalidWrite
from schemas.idempotency import Idempotency, KeyReused, fingerprint, read_key
from schemas.job import AcceptedJob, AcceptedJobs
from schemas.lane import run_of
from schemas.upstream_limits import check_for_upstream, check_has_call
from schemas.write import Write

PATH = "/v1/writes"

_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})


class Bulk:
    """Answers requests that bring many writes."""

    def __init__(self, bridge: Api, limits: ExperimentScope) -> None:
        self._bridge = bridge
        self._limits = limits
        # Its own, so that a store that hangs keeps nobody else from a thread.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="bulk")

    async def accept(self, request: Request) -> Response:
        """Accept all writes of a request, in their order. If one of them is invalid, none."""
        if self._bridge.stopping.is_set():
            raise ShuttingDown
        body = await request.body(longest=self._bridge.settings.max_body_size)
        in_thread = partial(asyncio.get_running_loop().run_in_executor, self._threads)
        try:
            if request.client.experiments is None:
                return await in_thread(lambda: self._accept(request, self._offers(request, body)))
            offers = await in_thread(lambda: self._offers(request, body))
            await self._limits.check_writes(request, [offer.write for offer in offers])
            return await in_thread(lambda: self._accept(request, offers))
        except OutsideExperiments as error:
            error.pointer = await in_thread(self._pointer, request, body, error.number)
            raise
        except PartlyAccepted as error:
            # Only of this one is it told where it stands, for which a long body has to be read again.
            if _is_too_large(error.reason):
                error.pointer = await in_thread(self._pointer, request, body, error.number)
            raise

    def _accept(self, request: Request, offers: Sequence[Offer]) -> Response:
        jobs: list[AcceptedJob | None] = [None] * len(offers)
        declined: tuple[int, Exception] | None = None
        replayed = 0
        for number, verdict in enumerate(self._bridge.intake.accept(offers)):
            match verdict:
                case Accepted():
                    jobs[number] = AcceptedJob(
                        verdict.job_id, verdict.lane, run_of(verdict.lane), offers[number].write.op
                    )
                    replayed += verdict.replayed
                case KeyReused():
                    raise verdict
                case _:
                    declined = declined or (number, verdict)
        accepted = sum(job is not None for job in jobs)
        request.writes = accepted - replayed
        if declined:
            number, reason = declined
            raise PartlyAccepted(jobs, reason, number) if accepted or _is_too_large(reason) else reason
        headers = (("Idempotency-Replayed", "true"),) if replayed == len(jobs) > 0 else ()
        return Response(202, msgspec.json.encode(AcceptedJobs(tuple(filter(None, jobs)))), headers=headers)

    def _offers(self, request: Request, body: bytes) -> Sequence[Offer]:
        is_lines, plain = self._read(request, body)
        writes = read_writes(
            plain,
            is_lines=is_lines,
            now=self._bridge.clock.now(),
            workspace=request.workspace,
            check=self._check,
        )
        _check_each(request, writes)
        key = read_key(request.header(b"idempotency-key"))
        trace_context = request.trace_context
        whole = fingerprint(PATH, plain, request.workspace)
        batch = secrets.token_bytes(8)
        return [
            Offer(
                write=write,
                client=request.client.name,
                trace_context=trace_context,
                request=batch,
                most_pending=request.client.most_pending,
                idempotency=_part(key, whole, number),
            )
            for number, write in enumerate(writes)
        ]

    def _check(self, write: Write) -> None:
        """Raise ``InvalidWrite`` for what this upstream does not have or would not keep."""
        abilities = self._bridge.abilities
        check_has_call(write.op, abilities.lacks, abilities.limits)
        check_for_upstream(write, abilities.limits)

    def _pointer(self, request: Request, body: bytes, number: int) -> str:
        is_lines, plain = self._read(request, body)
        return pointer_of(plain, is_lines=is_lines, number=number)

    def _read(self, request: Request, body: bytes) -> tuple[bool, bytes]:
        """Return whether each write has its line, and the body without its coding."""
        kind = (request.header(b"content-type") or "").split(";")[0].strip().lower()
        if kind not in _LINES and kind != "application/json":
            raise InvalidWrite("The Content-Type must be application/json or application/x-ndjson.", "BAD_REQUEST", 415)
        return kind in _LINES, decoded(
            body, request.header(b"content-encoding"), longest=self._bridge.settings.max_body_size
        )


def _check_each(request: Request, writes: Sequence[Write]) -> None:
    """Raise ``Forbidden`` unless the client may make each of these writes."""
    for op in {write.op for write in writes}:
        if not request.client.may(rule := rule_of_op(op)):
            request.action, request.decision = rule.action, "denied"
            raise Forbidden(request.client, rule)


def _is_too_large(reason: Exception) -> bool:
    return isinstance(reason, OverCap) and reason.most is not None


def _part(key: str | None, whole: bytes, number: int) -> Idempotency | None:
    """Return the idempotency of a write under the key of its request; the first one's decides about the request."""
    if key is None:
        return None
    if number == 0:
        return Idempotency(key=key, fingerprint=whole)
    return Idempotency(key=f"{key}\n{number}", fingerprint=whole, whole=False)
