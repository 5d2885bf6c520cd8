# SPDX-License-Identifier: Apache-2.0
"""The naive contender: signs and forwards each request while the client waits, like the published samples.

It uses Flask, one keep-alive requests session per thread and botocore's signer; it never queues, merges or retries.
"""

import os
import threading

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session
from flask import Flask, Response, request

_UPSTREAM = os.environ.get("BENCH_UPSTREAM", "http://127.0.0.1:5000")
_DROPPED = {"host", "connection", "content-length", "transfer-encoding", "content-encoding"}

app = Flask(__name__)
_signer = SigV4Auth(Session().get_credentials(), "sagemaker-mlflow", "eu-central-1")
_local = threading.local()


@app.route("/health")
def health() -> str:
    """Report that the process is up."""
    return "OK"


@app.route("/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def forward(path: str) -> Response:
    """Sign the request and forward it."""
    url = f"{_UPSTREAM}/{path}"
    if request.query_string:
        url += "?" + request.query_string.decode()
    signed = AWSRequest(request.method, url, data=request.get_data(), headers={"Content-Type": "application/json"})
    _signer.add_auth(signed)
    answer = _session().request(request.method, url, data=request.get_data(), headers=dict(signed.headers), timeout=60)
    headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in _DROPPED]
    return Response(answer.content, answer.status_code, headers)


def _session() -> requests.Session:
    session: requests.Session | None = getattr(_local, "session", None)
    if session is None:
        session = _local.session = requests.Session()
    return session
