# SPDX-License-Identifier: Apache-2.0
"""Spans that OpenTelemetry exports, tags of traces and experiments, and links: queued, and there in the end."""

import gzip
import os
import time
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.servers import wait_until
from tests.system import System
from tests.upstream_faults import Answer

EXPERIMENT = {"x-mlflow-experiment-id": "0"}
PROTOBUF = {"Content-Type": "application/x-protobuf"}


def export(trace: bytes, *names: str) -> bytes:
    """An export of one trace with spans of these names, the first of which is its root."""
    request = ExportTraceServiceRequest()
    spans = request.resource_spans.add().scope_spans.add().spans
    root = os.urandom(8)
    for number, name in enumerate(names):
        span = spans.add(trace_id=trace, name=name, start_time_unix_nano=time.time_ns())
        span.span_id = root if number == 0 else os.urandom(8)
        span.parent_span_id = b"" if number == 0 else root
        span.end_time_unix_nano = span.start_time_unix_nano + 1000
    body: bytes = request.SerializeToString()
    return body


def post_spans(bridge: System, body: bytes, **headers: str) -> requests.Response:
    sent = EXPERIMENT | PROTOBUF | {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(f"{bridge.url}/v1/traces", data=body, headers=sent, timeout=60)


def trace_of(bridge: System, trace_id: str) -> dict[str, Any] | None:
    """The trace as MLflow itself has it."""
    url = f"{bridge.mlflow_url}/api/3.0/mlflow/traces/{trace_id}"
    answer = requests.get(url, timeout=30)
    return answer.json()["trace"]["trace_info"] if answer.status_code == 200 else None


def test_spans_that_are_exported_while_upstream_is_down_arrive(bridge: System) -> None:
    trace = os.urandom(16)
    bridge.front.set_fault(Answer(503, {"Content-Type": "text/plain"}, b"down"))

    first = post_spans(bridge, gzip.compress(export(trace, "root", "child")), Content_Encoding="gzip")
    repeated = post_spans(bridge, export(os.urandom(16), "other"))
    bridge.front.set_fault(None)

    assert (first.status_code, first.content) == (200, b"")
    assert first.headers["Content-Type"] == "application/x-protobuf"
    assert bridge.job(first.headers["Job-Id"])["status"] == "delivered"
    document = bridge.job(repeated.headers["Job-Id"])
    assert (document["status"], document["lane"], document["run_id"]) == ("delivered", "traces:0", None)
    assert trace_of(bridge, f"tr-{trace.hex()}")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"no protobuf", EXPERIMENT | PROTOBUF, 400),
        (b"{}", EXPERIMENT | {"Content-Type": "application/json"}, 400),
        (b"not gzip", EXPERIMENT | PROTOBUF | {"Content-Encoding": "gzip"}, 400),
        (export(b"", "without an id"), EXPERIMENT | PROTOBUF, 422),
        (export(b"t" * 17, "an id that is too long"), EXPERIMENT | PROTOBUF, 422),
        (b"x", EXPERIMENT | {"Content-Type": "text/plain"}, 400),
        (b"x", PROTOBUF, 422),
    ],
    # Of its own bytes, which have random ids in them, no two processes make the same name.
    ids=["garbage", "json", "not gzip", "no id", "long id", "text", "no experiment"],
)
def test_what_is_no_export_is_refused_as_by_mlflow_and_never_stored(
    bridge: System, body: bytes, headers: dict[str, str], status: int
) -> None:
    ours, theirs = (
        requests.post(f"{url}/v1/traces", data=body, headers=headers, timeout=30)
        for url in (bridge.url, bridge.mlflow_url)
    )

    assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
    assert ours.status_code == status
    assert "Job-Id" not in ours.headers


def test_a_tag_that_comes_before_its_trace_waits_for_it(bridge: System) -> None:
    trace = os.urandom(16)
    trace_id = f"tr-{trace.hex()}"
    tag = requests.patch(
        f"{bridge.url}/api/3.0/mlflow/traces/{trace_id}/tags", json={"key": "reviewed", "value": "yes"}, timeout=30
    )
    assert (tag.status_code, tag.content) == (200, b"{}")
    backlog = f"{bridge.url}/v1/jobs?lane=trace:{trace_id}"
    wait_until(lambda: [job for job in requests.get(backlog, timeout=30).json()["jobs"] if job["attempts"] > 0])

    post_spans(bridge, export(trace, "root"))

    assert bridge.job(tag.headers["Job-Id"], wait=60)["status"] == "delivered"
    found = trace_of(bridge, trace_id)
    assert found
    assert found["tags"]["reviewed"] == "yes"


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_tags_of_a_trace_are_set_and_deleted_in_order(bridge: System, version: str) -> None:
    trace = os.urandom(16)
    trace_id = f"tr-{trace.hex()}"
    tags = f"{bridge.url}/ajax-api/{version}/mlflow/traces/{trace_id}/tags"
    post_spans(bridge, export(trace, "root"), Prefer="wait=30")

    for value in ("first", "second"):
        requests.patch(tags, json={"key": "kept", "value": value}, timeout=30)
    requests.patch(tags, json={"key": "gone", "value": "soon"}, timeout=30)
    last = requests.delete(tags, json={"key": "gone"}, timeout=30)

    assert bridge.job(last.headers["Job-Id"])["status"] == "delivered"
    found = trace_of(bridge, trace_id)
    assert found
    assert (found["tags"]["kept"], "gone" in found["tags"]) == ("second", False)


def test_traces_are_linked_to_a_run_and_prompts_to_a_trace(bridge: System) -> None:
    trace = os.urandom(16)
    trace_id, run_id = f"tr-{trace.hex()}", bridge.create_run()
    post_spans(bridge, export(trace, "root"), Prefer="wait=30")
    links = f"{bridge.url}/api/2.0/mlflow/traces"

    to_run = requests.post(f"{links}/link-to-run", json={"run_id": run_id, "trace_ids": [trace_id]}, timeout=30)
    prompts: Any = {"trace_id": trace_id, "prompt_versions": [{"name": "p", "version": "1"}]}
    to_prompt = requests.post(f"{links}/link-prompts", json=prompts, timeout=30)

    assert bridge.job(to_run.headers["Job-Id"])["status"] == "delivered"
    assert bridge.job(to_prompt.headers["Job-Id"])["status"] == "delivered"
    wanted: Any = {
        "locations": [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": "0"}}],
        "filter": f"attributes.run_id = '{run_id}'",
    }
    found = requests.post(f"{bridge.mlflow_url}/api/3.0/mlflow/traces/search", json=wanted, timeout=30).json()
    assert [each["trace_id"] for each in found["traces"]] == [trace_id]


def test_tags_of_an_experiment_are_read_as_they_were_written(bridge: System) -> None:
    api = f"{bridge.url}/api/2.0/mlflow/experiments"
    created = requests.post(f"{api}/create", json={"name": "tagged"}, timeout=30).json()
    experiment = {"experiment_id": created["experiment_id"]}
    for value in ("a", "b", "last"):
        answer = requests.post(f"{api}/set-experiment-tag", json=experiment | {"key": "t", "value": value}, timeout=30)
        assert (answer.status_code, answer.content) == (200, b"{}")
    requests.post(f"{api}/set-experiment-tag", json=experiment | {"key": "gone", "value": "soon"}, timeout=30)
    requests.post(f"{api}/delete-experiment-tag", json=experiment | {"key": "gone"}, timeout=30)

    read = requests.get(f"{api}/get", params=experiment, timeout=30).json()["experiment"]

    tags = {tag["key"]: tag["value"] for tag in read["tags"]}
    assert (tags["t"], "gone" in tags) == ("last", False)
    long = requests.post(f"{api}/set-experiment-tag", json=experiment | {"key": "t", "value": "x" * 20_001}, timeout=30)
    assert long.json()["message"] == "'value' exceeds the maximum length of 20000 characters"
