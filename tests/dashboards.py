# SPDX-License-Identifier: Apache-2.0
"""An upstream with runs that have one tag, which counts up, for tests of what is read after what was written."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

#: What the bridge asks for itself.
_EXAMINATION = (
    "/version",
    "/none/",
    "/outputs",
    "/delete-experiment-tag",
    "/link-to-run",
    "/link-prompts",
    "/v1/traces",
)


@dataclass
class CountingUpstream:
    url: str = ""
    #: The tag of each run.
    tags: dict[str, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    #: The paths that clients have read.
    reads: list[str] = field(default_factory=list)
    #: Pauses between reading the state and answering with it, as a slow upstream.
    pause_s: float = 0.0
    #: In place of its own answers to reads.
    status: int = 200
    padding: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, target: str, body: bytes) -> tuple[int, Any]:
        url = urlsplit(target)
        if any(part in target for part in _EXAMINATION) or url.query == "max_results=1":
            return 200, {}
        with self.lock:
            if (call := url.path.rsplit("/", 1)[-1]) in ("get", "search"):
                self.reads.append(url.path)
                answer = self._read(call, url.query)
            else:
                answer = self._change(call, json.loads(body or b"{}"))
        time.sleep(self.pause_s)
        return answer

    def _read(self, call: str, query: str) -> tuple[int, Any]:
        if self.status != 200:
            return self.status, {"error_code": "PERMISSION_DENIED", "message": "no"}
        if call == "search":
            return 200, {"runs": [self._run(run_id) for run_id in self.tags], "padding": self.padding}
        return 200, {"run": self._run(parse_qs(query)["run_id"][0])}

    def _run(self, run_id: str) -> dict[str, Any]:
        stage = "deleted" if run_id in self.deleted else "active"
        tags = [{"key": "n", "value": self.tags[run_id]}] if self.tags.get(run_id) else []
        return {"info": {"run_id": run_id, "experiment_id": "7", "lifecycle_stage": stage}, "data": {"tags": tags}}

    def _change(self, call: str, body: dict[str, Any]) -> tuple[int, Any]:
        run_id = body.get("run_id", "")
        match call:
            case "create":
                run_id = f"{len(self.tags):032x}"
                self.tags[run_id] = ""
                return 200, {"run": self._run(run_id)}
            case "delete":
                self.deleted.add(run_id)
            case "restore":
                self.deleted.discard(run_id)
            case "set-tag":
                self.tags[run_id] = body["value"]
            case "log-batch":
                for tag in body.get("tags", []):
                    self.tags[run_id] = tag["value"]
        return 200, {}


@contextmanager
def counting_upstream() -> Iterator[CountingUpstream]:
    """Run the upstream."""
    upstream = CountingUpstream()

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do(self) -> None:
            status, document = upstream.answer(self.path, self.rfile.read(int(self.headers.get("Content-Length") or 0)))
            encoded = json.dumps(document).encode() if self.path != "/version" else b"3.17.2"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(encoded)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    upstream.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield upstream
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
