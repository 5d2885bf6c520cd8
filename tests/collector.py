# SPDX-License-Identifier: Apache-2.0
"""A collector of traces on loopback: takes OTLP over HTTP, as protobuf, and remembers each span."""

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.servers import wait_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One span."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str
    links: list[tuple[str, str]]
    attributes: dict[str, Any]
    failed: bool


class Collector:
    """Runs for as long as the `with` lasts."""

    def __init__(self) -> None:
        self.spans: list[Recorded] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert self.path == "/v1/traces"
                collector.spans += _spans(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for_span(self, span_id: str) -> Recorded:
        """The span of this id, once it is sent."""
        [span] = wait_until(lambda: [each for each in self.spans if each.span_id == span_id])
        assert isinstance(span, Recorded)
        return span

    def wait_for(self, service: str, route: str, count: int = 1) -> list[Recorded]:
        """The spans of this route that a service has sent, once there are so many."""

        def found() -> list[Recorded]:
            those = [
                each for each in self.spans if (each.service, each.attributes.get("http.route")) == (service, route)
            ]
            return those if len(those) >= count else []

        spans: list[Recorded] = wait_until(found)
        return spans


def _spans(request: ExportTraceServiceRequest) -> list[Recorded]:
    return [
        Recorded(
            service=_plain(resource.resource.attributes)["service.name"],
            name=span.name,
            kind=span.kind,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
            attributes=_plain(span.attributes),
            failed=span.status.code == span.status.STATUS_CODE_ERROR,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _plain(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}
