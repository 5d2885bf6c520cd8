# SPDX-License-Identifier: Apache-2.0
"""The Flask application of the bridge's own routes, run in threads of its own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any
from urllib.parse import quote_from_bytes

from a2wsgi import WSGIMiddleware
from flask import Flask, request
from flask import Response as FlaskResponse

from api.http.error_responses import error_response
from api.http.request import Request
from api.http.routing import views_of
from api.http.types import Message, Scope, Send
from api.routes.context import CLIENT, REQUEST_ID, SESSION, failed_request

#: Characters of a query that are not quoted. Other bytes are: a WSGI query string is ASCII.
_QUERY_SAFE = "%!\"#$&'()*+,/:;<=>?@[\\]^`{|}"


class RoutesApp:
    """Runs requests in Flask, which sees the client of each in its ASGI scope."""

    def __init__(self, flask: Flask, *, threads: int, max_body_bytes: int) -> None:
        self.flask = flask
        self._max_body_bytes = max_body_bytes
        # The library has types of its own for WSGI and ASGI.
        self._app = WSGIMiddleware(flask, workers=threads)  # type: ignore[arg-type]

    async def respond(self, request: Request) -> "_RouteResponse":
        """Read the body, so that no thread waits for it. The route runs when the response is sent."""
        body = await request.body(max_bytes=self._max_body_bytes)
        query = quote_from_bytes(request.scope["query_string"], safe=_QUERY_SAFE).encode()
        replaced = {
            "path": request.path,
            "query_string": query,
            CLIENT: request.client,
            REQUEST_ID: request.request_id,
            SESSION: request.identity.session,
        }
        return _RouteResponse(self._app, {**request.scope, **replaced}, body)


@dataclass(frozen=True, slots=True)
class _RouteResponse:
    app: WSGIMiddleware
    scope: Scope
    body: bytes

    async def send_to(self, send: Send) -> None:
        """Run the route and send its response."""

        async def receive() -> Message:
            return {"type": "http.request", "body": self.body, "more_body": False}

        await self.app(self.scope, receive, send)  # type: ignore[arg-type]


def create_flask_app(*instances: object, on_change: Callable[[], None]) -> Flask:
    """Return the Flask application of the routes that these instances declare.

    ``on_change`` is called once a route has changed something, before its client knows.
    """
    app = Flask(__name__, static_folder=None)
    for route, view in views_of(*instances):
        served_view = view
        if route.is_polled:
            served_view = _with_etag(view)
        elif route.has_audited_effect:
            served_view = _reported(view, on_change)
        app.add_url_rule(route.path, f"{route.method} {route.path}", served_view, methods=[route.method])
    app.register_error_handler(Exception, _on_error)
    return app


def _with_etag(view: Callable[..., FlaskResponse]) -> Callable[..., FlaskResponse]:
    """Return a view with an ETag in its 200, or with a 304 if the client has that ETag (RFC 9110, section 13.1.2)."""

    @wraps(view)
    def respond(**parameters: Any) -> FlaskResponse:  # noqa: ANN401 - the variable parts of a path
        response = view(**parameters)
        response.headers["Cache-Control"] = "no-cache"
        response.vary.update(("Authorization", "Cookie"))
        # A streamed body has no ETag: it is not known before it is sent.
        if response.status_code == 200 and not response.is_streamed:
            response.add_etag()
            response.make_conditional(request)
        return response

    return respond


def _reported(view: Callable[..., FlaskResponse], on_change: Callable[[], None]) -> Callable[..., FlaskResponse]:
    """Return a view that reports its change, also if it fails: it may have changed something before."""

    @wraps(view)
    def respond(**parameters: Any) -> FlaskResponse:  # noqa: ANN401 - the variable parts of a path
        try:
            return view(**parameters)
        finally:
            on_change()

    return respond


def _on_error(error: Exception) -> FlaskResponse:
    response = error_response(error, failed_request())
    return FlaskResponse(response.body, response.status, response.header_list())
