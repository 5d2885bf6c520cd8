# SPDX-License-Identifier: Apache-2.0
"""An upstream that only knows what is in which experiment, and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MINE, OTHERS = "7", "8"
#: Runs, traces and models by their experiment; what is nowhere is not among them.
RUNS = {MINE: "a" * 32, OTHERS: "b" * 32, "": "c" * 32}
TRACES = {MINE: "tr-a", OTHERS: "tr-b", "": "tr-c"}
MODELS = {MINE: "m-a", OTHERS: "m-b", "": "m-c"}
_EVERY = {thing: experiment for things in (RUNS, TRACES, MODELS) for experiment, thing in things.items()}


@dataclass
class Upstream:
    url: str = ""
    #: What clients have asked.
    passed_on: list[tuple[str, str, bytes]] = field(default_factory=list)
    #: What the bridge has asked, to find out.
    looked_up: list[str] = field(default_factory=list)
    #: Answered in place of what it knows.
    status: int | None = None

    def clear(self) -> None:
        self.passed_on.clear()
        self.looked_up.clear()

    def answer(self, target: str, *, is_look_up: bool) -> tuple[int, Mapping[str, object]]:
        if self.status:
            return self.status, {"error_code": "TEMPORARILY_UNAVAILABLE", "message": "away"}
        if not is_look_up:
            return 200, {}
        url = urlsplit(target)
        thing = (parse_qs(url.query).get("run_id") or [url.path.removesuffix("/info").rsplit("/", 1)[-1]])[0]
        experiment = {"experiment_id": _EVERY.get(thing)}
        if not experiment["experiment_id"]:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"{thing} is nowhere"}
        return 200, {"run": {"info": experiment}, "model": {"info": experiment}, "trace_info": experiment}


@contextmanager
def upstream() -> Iterator[Upstream]:
    asked = Upstream()

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            # The clients of these tests don't say what they take.
            is_look_up = self.headers.get("Accept") == "application/json"
            if is_look_up:
                asked.looked_up.append(self.path)
            else:
                asked.passed_on.append((self.command, self.path, body))
            status, document = asked.answer(self.path, is_look_up=is_look_up)
            told = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(told)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(told)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        server.daemon_threads = True
        asked.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield asked
        finally:
            server.shutdown()
