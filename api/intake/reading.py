# SPDX-License-Identifier: Apache-2.0
"""Reads the write of a queued call: validates its body, and checks it against the limits of upstream."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

from api.http.request import Request
from bridge.outbox import Offer
from bridge.process.clock import Clock
from bridge.upstream.capabilities import UpstreamCapabilities
from schemas.bodies.batchable import capture
from schemas.bodies.otlp import capture_export, check_headers, coding_of
from schemas.bodies.spans import decompress_export
from schemas.errors import InvalidWrite
from schemas.idempotency import read_idempotency
from schemas.upstream_limits import check_for_upstream
from schemas.write import Op, Write

#: Bodies of at least this length are read in a thread, so that short ones do not wait for them.
_LONG_BODY_BYTES = 64 * 1024
#: The same for an export of spans, which takes a millisecond then. Every compressed one is read in a thread.
_LONG_EXPORT_BYTES = 4 * 1024
#: Few, because a long body can take thirty times its length in memory to read.
_LONG_BODY_THREADS = 2
#: Of decompressed bodies beyond this length, one is read at a time.
_VERY_LONG_BODY_BYTES = 4 * 1024 * 1024


class WriteReader:
    """Reads queued calls. Long bodies are read in threads."""

    def __init__(
        self, clock: Clock, capabilities: UpstreamCapabilities, *, max_body_bytes: Callable[[Op | None], int]
    ) -> None:
        """``max_body_bytes`` returns the length limit for a kind of call."""
        self._clock = clock
        self._capabilities = capabilities
        self._max_body_bytes = max_body_bytes
        self._threads = ThreadPoolExecutor(_LONG_BODY_THREADS, thread_name_prefix="long-body")
        self._very_long = threading.Lock()

    async def read(self, op: Op, request: Request, path_parameter: str) -> Offer:
        """Return the write of a request, or raise ``InvalidWrite``. ``path_parameter`` is the id in the path."""
        if op is Op.EXPORT_TRACES:
            check_headers(request.header_texts)
        elif request.method == "POST":
            _check_content_type(request)
        body = await request.body(max_bytes=self._max_body_bytes(op))
        if not _is_long(op, request, body):
            return self._offer(op, request, body, path_parameter)
        loop = asyncio.get_running_loop()
        offer = await loop.run_in_executor(self._threads, self._offer_or_error, op, request, body, path_parameter)
        if isinstance(offer, InvalidWrite):
            raise offer
        return offer

    def _offer_or_error(self, op: Op, request: Request, body: bytes, path_parameter: str) -> Offer | InvalidWrite:
        try:
            return self._offer(op, request, body, path_parameter)
        except InvalidWrite as error:
            # A copy: through its traceback, the original would hold all that was read until the response is sent.
            return InvalidWrite(error.message, error.error_code, error.status)

    def _offer(self, op: Op, request: Request, body: bytes, path_parameter: str) -> Offer:
        plain = body
        if op is Op.EXPORT_TRACES:
            plain = decompress_export(body, coding_of(request.header_texts), max_bytes=self._max_body_bytes(op))
        with self._very_long if len(plain) > _VERY_LONG_BODY_BYTES else nullcontext():
            write = self._capture(op, request, body, plain, path_parameter)
        check_for_upstream(write, self._capabilities.limits)
        return Offer(
            write=write,
            client=request.client.name,
            trace_context=request.trace_context,
            most_pending=request.client.most_pending,
            idempotency=read_idempotency(request.header(b"idempotency-key"), op, body, request.workspace),
        )

    def _capture(self, op: Op, request: Request, body: bytes, plain: bytes, path_parameter: str) -> Write:
        if op is Op.EXPORT_TRACES:
            return capture_export(body, plain, request.header_texts, workspace=request.workspace)
        return capture(op, body, now=self._clock.now(), workspace=request.workspace, path_parameter=path_parameter)


def _is_long(op: Op, request: Request, body: bytes) -> bool:
    """Return whether reading the body would block the event loop noticeably."""
    if op is not Op.EXPORT_TRACES:
        return len(body) >= _LONG_BODY_BYTES
    return len(body) >= _LONG_EXPORT_BYTES or bool(coding_of(request.header_texts))


def _check_content_type(request: Request) -> None:
    """Raise MLflow's own errors for another Content-Type than JSON."""
    content_type = request.header(b"content-type")
    if content_type is None:
        raise InvalidWrite("Bad Request. Content-Type header is missing.")
    if content_type.split(";")[0] != "application/json":
        raise InvalidWrite("Bad Request. Content-Type must be one of ['application/json'].")
