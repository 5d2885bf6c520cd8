# SPDX-License-Identifier: Apache-2.0
"""Everything that is not queued: sent to upstream while the client waits, and streamed back."""

from contextlib import ExitStack
from urllib.parse import quote

from flask import Blueprint, Response, abort, request
from flask.typing import ResponseReturnValue

from api.bulkhead import Bulkhead
from api.errors import OWN_PATHS
from bridge.bootstrap import Api
from bridge.upstream import Request

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# What RFC 3986 allows in a path beside letters, digits and the percent sign's own doing.
_PATH_SAFE = "/-._~!$&'()*+,;=:@"


def proxy(bridge: Api, bulkhead: Bulkhead) -> Blueprint:
    """Return the route that takes every path no other route takes."""
    blueprint = Blueprint("proxy", __name__)

    @blueprint.route("/", defaults={"path": ""}, methods=_METHODS, provide_automatic_options=False)
    @blueprint.route("/<path:path>", methods=_METHODS, provide_automatic_options=False)
    def forward(path: str) -> ResponseReturnValue:  # noqa: ARG001 - the target is rebuilt from the environment
        if not request.environ["PATH_INFO"].startswith("/"):
            abort(400, "The request's target must be a path.")
        if request.path.startswith(OWN_PATHS):
            abort(404, "The bridge has no such path, or not for this method.")
        if request.content_length is None and "Transfer-Encoding" in request.headers:
            abort(411, "Send the body with a Content-Length; chunked bodies are not taken.")
        with ExitStack() as stack:
            bulkhead.enter()
            stack.callback(bulkhead.leave)
            answer = stack.enter_context(bridge.upstream.forward(_request()))
            body = answer.body if request.method != "HEAD" else iter(())
            response = Response(body, answer.status)
            response.headers.clear()
            response.headers.extend(answer.headers)
            # The seat and upstream's connection are given back when the last byte has been sent or the client is gone.
            response.call_on_close(stack.pop_all().close)
            return response

    return blueprint


def _request() -> Request:
    return Request(
        method=request.method,
        target=_target(),
        headers=tuple(request.headers.items()),
        body=request.stream,
        content_length=request.content_length,
    )


def _target() -> str:
    """Return path and query. WSGI hands the path over decoded, as Latin-1 text of its bytes (PEP 3333)."""
    path = quote(request.environ["PATH_INFO"].encode("latin-1"), safe=_PATH_SAFE)
    query = request.environ.get("QUERY_STRING", "")
    return f"{path}?{query}" if query else path
