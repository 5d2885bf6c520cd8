# SPDX-License-Identifier: Apache-2.0
"""The floor: a server that decodes one JSON body and calls one Redis script, and nothing else.

``flask_app`` does that in a Flask route; ``bare_app`` in a bare WSGI callable with one connection per thread. The
script appends the body to a list, on the same kind of store as the bridge's.
"""

import json
import os
import threading
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import redis
from flask import Flask, Response, request
from redis.commands.core import Script

_SCRIPT = "return redis.call('RPUSH', KEYS[1], ARGV[1])"
_URL = os.environ.get("BENCH_STORE_URL", "redis://127.0.0.1")
_JSON = [("Content-Type", "application/json"), ("Content-Length", "2")]

flask_app = Flask(__name__)
_push = redis.Redis.from_url(_URL).register_script(_SCRIPT)
_local = threading.local()


@flask_app.post("/api/2.0/mlflow/runs/log-metric")
def log_metric() -> Response:
    """Decode the body, call the script and respond."""
    body = request.get_json()
    _push(["bench:flask"], [f"{body['run_id']} {body['key']} {body['value']}"])
    return Response(b"{}", content_type="application/json")


@flask_app.get("/health")
def health() -> str:
    """Report that the process is up."""
    return "OK"


def bare_app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The same without Flask, and with a connection for each thread."""
    if environ["REQUEST_METHOD"] == "POST":
        body = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        _script()(["bench:bare"], [f"{body['run_id']} {body['key']} {body['value']}"])
    start_response("200 OK", _JSON)
    return [b"{}"]


def _script() -> Script:
    script: Script | None = getattr(_local, "script", None)
    if script is None:
        client = redis.Redis.from_url(_URL, single_connection_client=True)
        script = _local.script = client.register_script(_SCRIPT)
    return script
