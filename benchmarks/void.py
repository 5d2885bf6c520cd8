# SPDX-License-Identifier: Apache-2.0
"""An upstream without work: answers every call with ``{}``, and downloads with the requested size.

With ``BENCH_REFUSES=1`` it refuses each write instead, in MLflow's form.
"""

import os
import time
from collections.abc import Iterable, Iterator
from wsgiref.types import StartResponse, WSGIEnvironment

_PIECE = bytes(256 * 1024)
#: The delay of the response to a write, in seconds.
_DELAY = float(os.environ.get("BENCH_DELAY", "0"))
_REFUSAL = b'{"error_code":"INVALID_PARAMETER_VALUE","message":"refused"}'
_WRITE_RESPONSE = ("400 Bad Request", _REFUSAL) if os.environ.get("BENCH_REFUSES") else ("200 OK", b"{}")


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request. ``/mib/<count>`` is a download of ``count`` MiB."""
    _, _, count = environ["PATH_INFO"].partition("/mib/")
    if count:
        start_response("200 OK", [("Content-Length", str(int(count) << 20))])
        return _zeros(int(count))
    status, body = "200 OK", b"{}"
    if environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)):
        time.sleep(_DELAY)
        status, body = _WRITE_RESPONSE
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


def _zeros(mebibytes: int) -> Iterator[bytes]:
    for _ in range(mebibytes * 4):
        yield _PIECE
