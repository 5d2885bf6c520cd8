# SPDX-License-Identifier: Apache-2.0
"""How writes come in: HTTP, on MLflow's own paths and the bridge's. The only code that knows Flask."""

import re
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, request

from api.backlog import backlog
from api.bulkhead import Bulkhead
from api.dead_letters import dead_letters
from api.errors import reply_to
from api.health import health
from api.jobs import jobs
from api.proxy import proxy
from api.writes import Writes
from bridge.bootstrap import Api


def create_app(bridge: Api) -> Flask:
    """Return the WSGI application of this bridge."""
    app = Flask(__name__, static_folder=None)
    bulkhead = Bulkhead(seats=max(1, bridge.settings.api_threads * 3 // 4))
    app.register_blueprint(jobs(bridge, bulkhead))
    app.register_blueprint(backlog(bridge))
    app.register_blueprint(dead_letters(bridge))
    app.register_blueprint(health(bridge))
    app.register_blueprint(proxy(bridge, bulkhead))
    app.register_error_handler(Exception, _answer_error)
    # Flask's own way to put something in front of itself.
    app.wsgi_app = _single_slashes(Writes(bridge, app.wsgi_app))  # type: ignore[assignment,method-assign]
    return app


def _answer_error(error: Exception) -> Response:
    reply = reply_to(error, method=request.method, path=request.path)
    return Response(reply.body, reply.status, reply.header_list())


def _single_slashes(inner: WSGIApplication) -> WSGIApplication:
    """Read ``//api`` as ``/api``: a base URL that ends in a slash must not lead around the queue."""

    def outer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if "//" in environ["PATH_INFO"]:
            environ["PATH_INFO"] = re.sub("/{2,}", "/", environ["PATH_INFO"])
        return inner(environ, start_response)

    return outer
