# SPDX-License-Identifier: Apache-2.0
"""Tags of experiments and traces, links, and exports: what becomes of their bodies, and how they go out."""

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.upstream import Delivered, Outcome, Refused
from bridge.upstream.mlflow_calls import single_call
from schemas.bodies.batchable import capture
from schemas.bodies.otlp import capture_export
from schemas.endpoints import was_done_before
from schemas.errors import InvalidWrite
from schemas.job import JobStatus
from schemas.write import Op, Write
from tests.factories import NOW, RUN
from tests.unit.lanes import Lane

API = "/api/2.0/mlflow"
#: In protobuf, of one resource without spans.
EXPORT = b"\x0a\x00"
EARLY = Refused(status=400, error_code="BAD_REQUEST", message="(sqlite3.IntegrityError) FOREIGN KEY constraint failed")


def taken(op: Op, subject: str = "", **fields: Any) -> Write:
    return capture(op, json.dumps(fields).encode(), now=NOW, workspace="w", path_parameter=subject)


def refusal(op: Op, subject: str = "", **fields: Any) -> str:
    with pytest.raises(InvalidWrite) as caught:
        taken(op, subject, **fields)
    assert (caught.value.status, caught.value.error_code) == (400, "INVALID_PARAMETER_VALUE")
    return caught.value.message


@pytest.mark.parametrize(
    ("write", "lane", "method", "path", "body"),
    [
        (
            taken(Op.SET_EXPERIMENT_TAG, experiment_id="7", key="k", value="v"),
            *("experiment:7", "POST", f"{API}/experiments/set-experiment-tag"),
            {"experiment_id": "7", "key": "k", "value": "v"},
        ),
        (
            taken(Op.DELETE_EXPERIMENT_TAG, experimentId="7", key="k", other=1),
            *("experiment:7", "POST", f"{API}/experiments/delete-experiment-tag"),
            {"experiment_id": "7", "key": "k"},
        ),
        (
            taken(Op.SET_TRACE_TAG, "tr-1/x?#", key="k"),
            *("trace:tr-1%2Fx%3F%23", "PATCH", f"{API}/traces/tr-1%2Fx%3F%23/tags"),
            {"key": "k", "value": ""},
        ),
        (
            taken(Op.DELETE_TRACE_TAG, trace_id="tr-1", key="k"),
            *("trace:tr-1", "DELETE", f"{API}/traces/tr-1/tags"),
            {"key": "k"},
        ),
        (
            taken(Op.LINK_TRACES, run_id=RUN, traceIds=["tr-1", "tr-2", "tr-1"]),
            *(RUN, "POST", f"{API}/traces/link-to-run"),
            {"run_id": RUN, "trace_ids": ["tr-1", "tr-2"]},
        ),
        (
            taken(Op.LINK_PROMPTS, trace_id="tr-1", prompt_versions=[{"name": "p", "version": "3"}]),
            *("trace:tr-1", "POST", f"{API}/traces/link-prompts"),
            {"trace_id": "tr-1", "prompt_versions": [{"name": "p", "version": "3"}]},
        ),
    ],
    ids=lambda value: str(value.op) if isinstance(value, Write) else "",
)
def test_a_call_is_kept_by_what_it_is_about_and_sent_as_it_came(
    write: Write, lane: str, method: str, path: str, body: dict[str, Any]
) -> None:
    call = single_call(write)

    assert write.lane == lane
    assert (call.method, call.path, json.loads(call.body), call.workspace) == (method, path, body, "w")


@pytest.mark.parametrize(
    ("op", "fields", "says"),
    [
        (Op.SET_EXPERIMENT_TAG, {"key": "k"}, "Missing value for required parameter 'experiment_id'"),
        (Op.SET_EXPERIMENT_TAG, {"experiment_id": 7, "key": "k"}, "Invalid value 7 for parameter 'experiment_id'"),
        (Op.SET_EXPERIMENT_TAG, {"experiment_id": "7"}, "Missing value for required parameter 'key'"),
        (Op.SET_EXPERIMENT_TAG, {"experiment_id": "7", "key": "a@b"}, "Names may only contain"),
        (
            Op.SET_EXPERIMENT_TAG,
            {"experiment_id": "7", "key": "k", "value": 3},
            "Invalid value 3 for parameter",
        ),
        (Op.SET_EXPERIMENT_TAG, {"experiment_id": "7", "key": "k" * 251}, "'key' exceeds the maximum length of 250"),
        (
            Op.SET_EXPERIMENT_TAG,
            {"experiment_id": "7", "key": "k", "value": "x" * 20_001},
            "'value' exceeds the maximum length of 20000",
        ),
        (Op.DELETE_EXPERIMENT_TAG, {"experiment_id": "7"}, "Missing value for required parameter 'key'"),
        (Op.SET_TRACE_TAG, {"trace_id": "t", "value": "v"}, "Missing value for required parameter 'key'"),
        (Op.SET_TRACE_TAG, {"key": "k"}, "Missing value for required parameter 'trace_id'"),
        (
            Op.SET_TRACE_TAG,
            {"trace_id": "t", "key": "k", "value": "x" * 8001},
            "'value' exceeds the maximum",
        ),
        (Op.LINK_TRACES, {"trace_ids": ["t"]}, "Missing value for required parameter 'run_id'"),
        (Op.LINK_TRACES, {"run_id": RUN}, "Missing value for required parameter 'trace_ids'"),
        (Op.LINK_TRACES, {"run_id": RUN, "trace_ids": [1]}, "Invalid value [1] for parameter 'trace_ids'"),
        (Op.LINK_TRACES, {"run_id": RUN, "trace_ids": ["t"] * 101}, "Cannot link more than 100 traces"),
        (Op.LINK_PROMPTS, {"trace_id": "t"}, "Missing value for required parameter 'prompt_versions'"),
        (Op.LINK_PROMPTS, {"trace_id": "t", "prompt_versions": [{"version": "x"}]}, "must be a whole number"),
        (Op.LINK_PROMPTS, {"trace_id": "t", "prompt_versions": [3]}, "prompt_versions are not valid"),
        (Op.LINK_PROMPTS, {"trace_id": "t", "prompt_versions": [{"name": "\ud800", "version": "1"}]}, "surrogate"),
        (Op.SET_TRACE_TAG, {"trace_id": "..", "key": "k"}, "printable ASCII"),
        (Op.SET_TRACE_TAG, {"trace_id": "t" * 257, "key": "k"}, "printable ASCII"),
        (Op.SET_TRACE_TAG, {"trace_id": "a b", "key": "k"}, "printable ASCII"),
        (Op.SET_TRACE_TAG, {"trace_id": "t", "key": "mlflow.trace.spansLocation"}, "immutable and cannot be set"),
        (Op.DELETE_TRACE_TAG, {"trace_id": "t", "key": "mlflow.trace.archiveLocation"}, "cannot be deleted"),
        (Op.SET_EXPERIMENT_TAG, {"experiment_id": "7/8", "key": "k"}, "printable ASCII"),
    ],
)
def test_what_mlflow_would_refuse_is_refused(op: Op, fields: dict[str, Any], says: str) -> None:
    assert says in refusal(op, **fields)


def test_a_body_that_is_not_json_misses_the_field_that_mlflow_looks_for_first() -> None:
    with pytest.raises(InvalidWrite, match=r"required parameter 'experiment_id'\. The body is not JSON"):
        capture(Op.SET_EXPERIMENT_TAG, b"{", now=NOW)


def test_spans_are_sent_as_the_bytes_and_under_the_headers_that_they_came_with() -> None:
    headers = {
        "content-type": "application/x-protobuf",
        "content-encoding": "gzip",
        "x-mlflow-experiment-id": "7",
        "x-mlflow-run-id": RUN,
        "authorization": "a secret",
    }

    call = single_call(capture_export(b"as it came", EXPORT, headers, workspace="w"))

    assert (call.path, call.body, call.workspace, call.optional) == ("/v1/traces", b"as it came", "w", True)
    assert dict(call.headers) == {name: value for name, value in headers.items() if name != "authorization"}


@pytest.mark.parametrize("changed", [{"x-mlflow-experiment-id": "a/b"}, {"x-mlflow-run-id": "\xa0x"}])
def test_spans_that_could_not_be_sent_on_are_refused(changed: dict[str, str]) -> None:
    headers = {"content-type": "application/x-protobuf", "x-mlflow-experiment-id": "7"} | changed

    with pytest.raises(InvalidWrite) as caught:
        capture_export(EXPORT, EXPORT, headers, workspace=None)
    assert caught.value.status == 400


def test_a_tag_whose_trace_is_not_there_yet_is_tried_again_for_ten_minutes() -> None:
    lane = Lane(taken(Op.SET_TRACE_TAG, "tr-1", key="k", value="v"))
    lane.flow_control.others_get_through = True
    lane.upstream.answer = lambda _: EARLY
    for _ in range(9):
        lane.expire_lease_of("trace:tr-1")
        lane.delivery.deliver("trace:tr-1")
        assert lane.statuses() == [JobStatus.PENDING]
        lane.clock.pass_(dt.timedelta(minutes=1))
    lane.clock.pass_(dt.timedelta(minutes=2))
    lane.expire_lease_of("trace:tr-1")
    lane.delivery.deliver("trace:tr-1")

    assert lane.statuses() == [JobStatus.DEAD]


def test_a_tag_whose_trace_has_come_meanwhile_is_delivered() -> None:
    lane = Lane(taken(Op.SET_TRACE_TAG, "tr-1", key="k", value="v"))
    lane.flow_control.others_get_through = True
    answers: Iterator[Outcome] = iter([EARLY, Delivered(status=200)])
    lane.upstream.answer = lambda _: next(answers)

    for _ in range(2):
        lane.expire_lease_of("trace:tr-1")
        lane.delivery.deliver("trace:tr-1")

    assert lane.statuses() == [JobStatus.DELIVERED]


@pytest.mark.parametrize(
    ("op", "says"),
    [
        (Op.DELETE_EXPERIMENT_TAG, "No tag with name: k in experiment with id 7"),
        (Op.DELETE_TRACE_TAG, "No trace tag with key 'k' for trace with ID 'tr-1'"),
    ],
)
def test_a_tag_that_was_deleted_already_was_deleted_before(op: Op, says: str) -> None:
    assert was_done_before(op, 404, "RESOURCE_DOES_NOT_EXIST", says)
    assert not was_done_before(op, 404, "RESOURCE_DOES_NOT_EXIST", "Trace with ID 'tr-1' not found.")
