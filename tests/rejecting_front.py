# SPDX-License-Identifier: Apache-2.0
"""A front of the bridge that rejects the first attempts of a client, to test how the client repeats them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

RETRY_AFTER_S = 1


@dataclass(frozen=True)
class Attempt:
    """One request of the client, and the bridge's response to it, if it was forwarded."""

    method: str
    authorization: str | None
    at: float
    response: requests.Response | None


class RejectingFront(ThreadingHTTPServer):
    """Forwards to the bridge, but responds 503 to the first POST and 429 to the first GET.

    The first POST reaches the bridge, and only its response is lost: a repeat without its Idempotency-Key would be a
    second write. The first GET does not reach it.
    """

    def __init__(self, bridge_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bridge_url = bridge_url
        self.attempts: list[Attempt] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def of(self, method: str) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.method == method]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RejectingFront

    def do_GET(self) -> None:
        is_first = not self.server.of("GET")
        response = None if is_first else self._forward()
        self._record(response)
        self._respond(None if is_first else response, 429)

    def do_POST(self) -> None:
        is_first = not self.server.of("POST")
        response = self._forward()
        self._record(response)
        self._respond(None if is_first else response, 503)

    def _forward(self) -> requests.Response:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in {"host", "connection"}}
        url = self.server.bridge_url + self.path
        return requests.request(self.command, url, data=body, headers=headers, timeout=60)

    def _record(self, response: requests.Response | None) -> None:
        self.server.attempts.append(
            Attempt(self.command, self.headers.get("Authorization"), time.monotonic(), response)
        )

    def _respond(self, response: requests.Response | None, rejection: int) -> None:
        """Pass the bridge's response on, or reject the request with this status."""
        content = b"{}" if response is None else response.content
        headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
        if response is None:
            headers["Retry-After"] = str(RETRY_AFTER_S)
        elif "Job-Id" in response.headers:
            headers["Job-Id"] = response.headers["Job-Id"]
        self.send_response(rejection if response is None else response.status_code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Requests are recorded, not logged."""


@contextmanager
def rejecting_front(bridge_url: str) -> Iterator[RejectingFront]:
    """Run a front of this bridge until the `with` ends."""
    with RejectingFront(bridge_url) as front:
        thread = threading.Thread(target=front.serve_forever)
        thread.start()
        try:
            yield front
        finally:
            front.shutdown()
            thread.join()
