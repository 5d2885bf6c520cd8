# SPDX-License-Identifier: Apache-2.0
"""The queued calls: validated, stored for good, then answered as MLflow would answer them."""

from collections.abc import Callable

import msgspec
from flask import Blueprint, Request, Response, request

from api.draining import Draining
from api.identity import caller
from api.prefer import read_preferences
from bridge.bootstrap import Api
from bridge.errors import RequestIncomplete
from bridge.outbox import Accepted
from schemas.endpoints import API_PREFIXES, QUEUED
from schemas.errors import InvalidWrite
from schemas.idempotency import read_idempotency
from schemas.job import JobDocument, JobStatus
from schemas.requests import capture
from schemas.write import Op


def writes(bridge: Api) -> Blueprint:
    """Return the routes of all queued calls."""
    blueprint = Blueprint("writes", __name__)
    for prefix in API_PREFIXES:
        for path, op in QUEUED.items():
            name = f"{prefix}/{op}".strip("/").replace("/", "_").replace(".", "_")
            blueprint.add_url_rule(prefix + path, name, _accept(bridge, op), methods=["POST"])
    return blueprint


def _accept(bridge: Api, op: Op) -> Callable[[], Response]:
    def view() -> Response:
        if bridge.stopping.is_set():
            raise Draining
        body = _read_body(request, longest=bridge.settings.max_body)
        workspace = request.headers.get("X-MLFLOW-WORKSPACE")
        idempotency = read_idempotency(request.headers.get("Idempotency-Key"), op, body, workspace)
        write = capture(op, body, now=bridge.clock.now(), workspace=workspace)
        preferences = read_preferences(request.headers)
        accepted = bridge.intake.accept(write, client=caller(), idempotency=idempotency)
        answer = _answer_async(op, accepted) if preferences.respond_async else _answer_plain()
        answer.headers["Location"] = f"/v1/jobs/{accepted.job_id}"
        answer.headers["Job-Id"] = accepted.job_id
        answer.headers["Vary"] = "Prefer"
        if accepted.replayed:
            answer.headers["Idempotency-Replayed"] = "true"
        return answer

    return view


def _read_body(request: Request, *, longest: int) -> bytes:
    """Return the whole body, or raise ``InvalidWrite`` for one that MLflow would not read either."""
    content_type = request.headers.get("Content-Type", "")
    if content_type.split(";")[0].strip() != "application/json":
        fault = "must be one of ['application/json']." if content_type else "is missing."
        raise InvalidWrite(f"Bad Request. Content-Type header {fault}")
    length = request.content_length
    if length is None:
        raise InvalidWrite("Send the body with a Content-Length; chunked bodies are not taken.", "BAD_REQUEST", 411)
    if length > longest:
        raise InvalidWrite(
            f"The body has {length} bytes; at most {longest} are taken. Send several smaller batches.",
            "REQUEST_TOO_LARGE",
            413,
        )
    body = request.get_data(cache=False)
    if len(body) != length:
        raise RequestIncomplete(f"The body ended after {len(body)} of {length} bytes")
    return body


def _answer_plain() -> Response:
    """MLflow's own answer; its client takes no other status than 200 for a success."""
    return Response(b"{}", content_type="application/json")


def _answer_async(op: Op, accepted: Accepted) -> Response:
    document = JobDocument(
        job_id=accepted.job_id,
        status=JobStatus.PENDING,
        run_id=accepted.lane,
        op=op,
        accepted_at=accepted.accepted_at,
    )
    answer = Response(msgspec.json.encode(document), 202, content_type="application/json")
    answer.headers["Preference-Applied"] = "respond-async"
    return answer
