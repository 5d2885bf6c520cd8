# SPDX-License-Identifier: Apache-2.0
"""What the api records of a request where traces are recorded, and that nothing is loaded for it where they are not."""

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
from celery.signals import setup_logging, worker_ready, worker_shutdown, worker_shutting_down
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from werkzeug.test import Client as Http

from bridge.bootstrap import processes as bootstrap
from bridge.bootstrap.processes import Api
from bridge.config.environment import read_settings
from bridge.telemetry.opentelemetry import OtelTracer
from tests.asgi_client import client_of
from tests.factories import RUN
from tests.integration.test_api_access import LOG_METRIC, METRIC
from tests.signature_front import SignatureFront
from workers.server import _connect_signals

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"

#: A Python that has of OpenTelemetry only the form of its bodies, which exports are read with.
_ABSENT = """for name in ("context", "exporter", "metrics", "sdk", "trace"):
    sys.modules["opentelemetry." + name] = None
"""
#: What the processes load and build there.
_WITHOUT = f"""
import os, sys
{_ABSENT}
import api.server.process, bridge.bootstrap.processes, workers.app, workers.server
from bridge.config.environment import read_settings
worker = bridge.bootstrap.processes.build_worker(read_settings(os.environ))
workers.app.create_app(worker)
worker.close()
"""
#: The same where it is installed; redis-py has a look at its metrics by itself.
_WITH = (
    _WITHOUT.replace(_ABSENT, "")
    + """
ours = ("opentelemetry.sdk.trace", "opentelemetry.exporter", "bridge.telemetry.opentelemetry")
sys.exit(", ".join(name for name in sys.modules if name.startswith(ours)) or 0)
"""
)


@pytest.fixture
def recorded() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(recorded: InMemorySpanExporter) -> Iterator[OtelTracer]:
    tracer = OtelTracer(recorded, service="test")
    yield tracer
    tracer.close()


@pytest.fixture
def http(api: Api, tracer: OtelTracer) -> Iterator[Http]:
    with client_of(replace(api, tracer=tracer)) as client:
        yield client


def test_a_write_is_stored_with_the_place_of_its_accept(
    http: Http, api: Api, tracer: OtelTracer, recorded: InMemorySpanExporter
) -> None:
    answer = http.post(f"{LOG_METRIC}?q=s3cret", json=METRIC, headers={"traceparent": PARENT})

    claim = api.outbox.claim(RUN, lease=dt.timedelta(seconds=30))
    tracer.close()
    [span] = recorded.get_finished_spans()
    context = span.get_span_context()
    assert claim
    assert context
    assert span.name == f"POST {LOG_METRIC}"
    assert claim.jobs[0].trace_context.trace
    assert claim.jobs[0].trace_context.trace.traceparent == f"00-{TRACE_ID}-{context.span_id:016x}-01"
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": LOG_METRIC,
        "http.response.status_code": 200,
        "mlflow_bridge.route": "queued",
        "mlflow_bridge.request_id": answer.headers["X-Request-Id"],
        "mlflow_bridge.job_id": answer.headers["Job-Id"],
        "mlflow_bridge.lane": RUN,
        "mlflow_bridge.writes": 1,
    }


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/v1/jobs/nothing", None),
        ("GET", "/healthz", None),
        ("GET", "/api/2.0/mlflow/no/such/s3cret", "GET"),
        ("BREW", "/api/2.0/mlflow/runs/get", "_OTHER"),
    ],
)
def test_a_span_is_named_by_what_the_bridge_knows_and_never_by_what_was_sent(
    http: Http, tracer: OtelTracer, recorded: InMemorySpanExporter, method: str, path: str, name: str | None
) -> None:
    http.open(path, method=method)

    tracer.close()
    spans = recorded.get_finished_spans()
    assert [span.name for span in spans] == ([name] if name else [])
    assert not any("s3cret" in span.to_json() for span in spans)


@pytest.mark.parametrize("traceparent", [PARENT, "nonsense"])
def test_where_nobody_records_a_proxied_request_keeps_what_its_client_has_sent(
    api: Api, front: SignatureFront, traceparent: str
) -> None:
    with client_of(api) as http:
        http.get("/version", headers={"traceparent": traceparent, "tracestate": "v=1"})

    [call] = front.wait_for_calls(1, matching=lambda _, path: path == "/version")
    assert (call.headers["traceparent"], call.headers["tracestate"]) == (traceparent, "v=1")


@pytest.mark.parametrize("program", [_WITHOUT, _WITH], ids=["absent", "installed"])
def test_where_nobody_records_nothing_is_loaded_for_it(environ: dict[str, str], program: str) -> None:
    ended = _run(program, environ)

    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_worker_that_ends_sends_what_is_recorded(
    environ: dict[str, str], tracer: OtelTracer, recorded: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_tracer", lambda *_: tracer)
    tied = (worker_ready, worker_shutting_down, worker_shutdown, setup_logging)
    before = [list(signal.receivers) for signal in tied]
    try:
        _connect_signals(bootstrap.build_worker(read_settings(environ)))
        tracer.request("GET", "/version", None).span.end()
        worker_shutdown.send(sender=None)
    finally:
        for signal, receivers in zip(tied, before, strict=True):
            signal.receivers[:] = receivers

    assert len(recorded.get_finished_spans()) == 1


def test_tracing_without_its_packages_is_refused_with_what_to_install(environ: dict[str, str]) -> None:
    ended = _run(_WITHOUT, environ | {"BRIDGE_TRACING": "http://127.0.0.1:1"})

    assert ended.returncode == 1
    assert "CannotStart: BRIDGE_TRACING needs opentelemetry.trace: install mlflow-bridge[tracing]" in ended.stderr


def _run(program: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | environ
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
