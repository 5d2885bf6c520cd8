# SPDX-License-Identifier: Apache-2.0
"""The bridge's own routes: jobs, backlog, dead letters, health. In Flask, in threads of their own."""

from dataclasses import dataclass
from urllib.parse import quote_from_bytes

from a2wsgi import WSGIMiddleware
from flask import Flask, request
from flask import Response as FlaskResponse

from api.http.error_responses import error_response
from api.http.polling import Bulkhead
from api.http.request import Request
from api.http.types import Message, Scope, Send
from api.openapi.document import openapi
from api.routes.backlog import backlog
from api.routes.context import CLIENT, REQUEST_ID, client, request_id
from api.routes.dead_letters import dead_letters
from api.routes.jobs import job_list, jobs
from api.routes.monitoring import health, metrics
from api.routes.runs import runs
from bridge.bootstrap.processes import Api

#: What stands for itself in a query, a percent sign among it; WSGI's text of a query has no bytes beyond ASCII.
_QUERY_SAFE = "%!\"#$&'()*+,/:;<=>?@[\\]^`{|}"


class RoutesApp:
    """Answers what is asked of the bridge itself."""

    def __init__(self, bridge: Api) -> None:
        self._most = bridge.settings.max_body_size
        # Its types of WSGI and ASGI are its own.
        self._app = WSGIMiddleware(create_routes_app(bridge), workers=bridge.settings.api_threads)  # type: ignore[arg-type]

    async def respond(self, request: Request) -> "_Called":
        """Take the body in, so that no thread waits for it; the routes are called when the answer is sent."""
        body = await request.body(longest=self._most)
        query = quote_from_bytes(request.scope["query_string"], safe=_QUERY_SAFE).encode()
        changed = {"path": request.path, "query_string": query, CLIENT: request.client, REQUEST_ID: request.request_id}
        return _Called(self._app, {**request.scope, **changed}, body)


@dataclass(frozen=True, slots=True)
class _Called:
    app: WSGIMiddleware
    scope: Scope
    body: bytes

    async def send_to(self, send: Send) -> None:
        """Have the routes answer."""

        async def receive() -> Message:
            return {"type": "http.request", "body": self.body, "more_body": False}

        await self.app(self.scope, receive, send)  # type: ignore[arg-type]


def create_routes_app(bridge: Api) -> Flask:
    """Return the Flask application of the routes."""
    app = Flask(__name__, static_folder=None)
    # Of the threads, a quarter never waits for a job.
    bulkhead = Bulkhead(seats=max(1, bridge.settings.api_threads * 3 // 4))
    app.register_blueprint(jobs(bridge, bulkhead))
    app.register_blueprint(job_list(bridge))
    app.register_blueprint(backlog(bridge))
    app.register_blueprint(runs(bridge, bulkhead))
    app.register_blueprint(dead_letters(bridge))
    app.register_blueprint(health(bridge))
    app.register_blueprint(metrics(bridge))
    app.register_blueprint(openapi())
    app.register_error_handler(Exception, _answer_error)
    return app


def _answer_error(error: Exception) -> FlaskResponse:
    reply = error_response(
        error, method=request.method, path=request.path, request_id=request_id(), client=client().name
    )
    return FlaskResponse(reply.body, reply.status, reply.header_list())
