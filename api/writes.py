# SPDX-License-Identifier: Apache-2.0
"""The queued calls: validated, stored for good, then answered as MLflow would answer them.

They are what the bridge is asked for most, so they are answered before Flask, which costs more than all the rest of an
accept (docs/adr/0008). Every other request is passed on.
"""

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import msgspec

from api.draining import Draining
from api.errors import reply_to
from api.identity import caller
from api.prefer import read_preferences
from api.reply import Reply
from bridge.bootstrap import Api
from bridge.errors import RequestIncomplete
from bridge.outbox import Accepted
from schemas.endpoints import API_PREFIXES, QUEUED
from schemas.errors import InvalidWrite
from schemas.idempotency import read_idempotency
from schemas.job import JobDocument, JobStatus
from schemas.requests import capture
from schemas.write import Op

_OPS = {prefix + path: op for prefix in API_PREFIXES for path, op in QUEUED.items()}


class Writes:
    """The WSGI application of the queued calls, in front of one for all others."""

    def __init__(self, bridge: Api, others: WSGIApplication) -> None:
        self._bridge = bridge
        self._others = others

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request (PEP 3333)."""
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        op = _OPS.get(path)
        if op is None or method != "POST":
            return self._others(environ, start_response)
        try:
            reply = self._accept(op, environ)
        except Exception as error:  # noqa: BLE001 - each has its answer
            reply = reply_to(error, method=method, path=path)
        start_response(reply.status_line, reply.header_list())
        return [reply.body]

    def _accept(self, op: Op, environ: WSGIEnvironment) -> Reply:
        if self._bridge.stopping.is_set():
            raise Draining
        body = _read_body(environ, longest=self._bridge.settings.max_body)
        workspace = environ.get("HTTP_X_MLFLOW_WORKSPACE")
        idempotency = read_idempotency(environ.get("HTTP_IDEMPOTENCY_KEY"), op, body, workspace)
        write = capture(op, body, now=self._bridge.clock.now(), workspace=workspace)
        accepted = self._bridge.intake.accept(write, client=caller(), idempotency=idempotency)
        headers = (
            ("Location", f"/v1/jobs/{accepted.job_id}"),
            ("Job-Id", accepted.job_id),
            ("Vary", "Prefer"),
            *((("Idempotency-Replayed", "true"),) if accepted.replayed else ()),
        )
        if read_preferences(environ.get("HTTP_PREFER")).respond_async:
            return Reply(202, _document(op, accepted), headers=(*headers, ("Preference-Applied", "respond-async")))
        # MLflow's own answer; its client takes no other status than 200 for a success.
        return Reply(200, b"{}", headers=headers)


def _read_body(environ: WSGIEnvironment, *, longest: int) -> bytes:
    """Return the whole body, or raise ``InvalidWrite`` for one that MLflow would not read either."""
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type.split(";")[0].strip() != "application/json":
        fault = "must be one of ['application/json']." if content_type else "is missing."
        raise InvalidWrite(f"Bad Request. Content-Type header {fault}")
    announced = environ.get("CONTENT_LENGTH", "")
    if not announced.isdecimal():
        raise InvalidWrite("Send the body with a Content-Length; chunked bodies are not taken.", "BAD_REQUEST", 411)
    length = int(announced) if len(announced) < 20 else 10**20
    if length > longest:
        raise InvalidWrite(
            f"The body has {length} bytes; at most {longest} are taken. Send several smaller batches.",
            "REQUEST_TOO_LARGE",
            413,
        )
    body = bytes(environ["wsgi.input"].read(length))
    if len(body) != length:
        raise RequestIncomplete(f"The body ended after {len(body)} of {length} bytes")
    return body


def _document(op: Op, accepted: Accepted) -> bytes:
    document = JobDocument(
        job_id=accepted.job_id,
        status=JobStatus.PENDING,
        run_id=accepted.lane,
        op=op,
        accepted_at=accepted.accepted_at,
    )
    return msgspec.json.encode(document)
