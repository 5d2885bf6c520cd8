# SPDX-License-Identifier: Apache-2.0
"""The calls that are queued as they are: what of their bodies is kept, and what is refused."""

import json
from typing import Any

import msgspec
import pytest

from bridge.delivery.batching import next_call
from bridge.upstream.mlflow_calls import single_call
from schemas.bodies.batchable import capture
from schemas.endpoints import was_done_before
from schemas.errors import InvalidWrite
from schemas.write import Op, Write
from tests.factories import NOW, RUN, job, metric

DATASET = {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}


def captured(op: Op, **fields: Any) -> Write:
    return capture(op, json.dumps({"run_id": RUN} | fields).encode(), now=NOW)


def sent(write: Write) -> Any:
    return msgspec.json.decode(single_call(write).body)


@pytest.mark.parametrize(
    ("op", "fields"),
    [
        (Op.DELETE_TAG, {"key": "t"}),
        (Op.UPDATE_RUN, {}),
        (Op.UPDATE_RUN, {"status": "FINISHED", "end_time": 1700000000000, "run_name": "n"}),
        (Op.UPDATE_RUN, {"status": 3}),
        (Op.LOG_INPUTS, {"datasets": [{"dataset": DATASET, "tags": [{"key": "k", "value": "v"}]}]}),
        (Op.LOG_INPUTS, {"models": [{"model_id": "m-1"}]}),
        (Op.LOG_OUTPUTS, {"models": [{"model_id": "m-1", "step": 7}]}),
    ],
)
def test_a_call_is_sent_as_it_came(op: Op, fields: dict[str, Any]) -> None:
    assert sent(captured(op, **fields)) == {"run_id": RUN} | fields


def test_protobufs_other_spellings_are_understood() -> None:
    assert sent(captured(Op.UPDATE_RUN, endTime="1700000000000", runName="n")) == {
        "run_id": RUN,
        "end_time": 1700000000000,
        "run_name": "n",
    }
    by_older_name = capture(Op.UPDATE_RUN, json.dumps({"run_uuid": RUN, "status": "KILLED"}).encode(), now=NOW)
    numbers = captured(Op.LOG_OUTPUTS, models=[{"modelId": "m", "step": "5.0"}, {"model_id": "n", "step": 7.0}])
    assert sent(numbers)["models"] == [{"model_id": "m", "step": 5}, {"model_id": "n", "step": 7}]
    assert [sent(captured(Op.UPDATE_RUN, status=status))["status"] for status in (3.0, "3", " 03")] == [3, 3, 3]
    assert sent(by_older_name) == {"run_id": RUN, "status": "KILLED"}
    twice = json.dumps(json.dumps({"run_id": RUN, "key": "t"})).encode()
    assert sent(capture(Op.DELETE_TAG, twice, now=NOW)) == {"run_id": RUN, "key": "t"}


@pytest.mark.parametrize(
    ("op", "fields", "names"),
    [
        (Op.DELETE_TAG, {}, "'key'"),
        (Op.DELETE_TAG, {"key": 3}, "'key'"),
        (Op.UPDATE_RUN, {"status": "DONE"}, "'status'"),
        (Op.UPDATE_RUN, {"status": "finished"}, "'status'"),
        (Op.UPDATE_RUN, {"status": 6}, "'status'"),
        (Op.UPDATE_RUN, {"end_time": 1.5}, "'end_time'"),
        (Op.UPDATE_RUN, {"end_time": 1, "endTime": 2}, "'endTime'"),
        (Op.UPDATE_RUN, {"run_name": 3}, "'run_name'"),
        (Op.UPDATE_RUN, {"run_uuid": 3}, "'run_uuid'"),
        (Op.LOG_INPUTS, {"datasets": [{"dataset": DATASET | {"digest": "x" * 37}}]}, "'digest'"),
        (Op.LOG_INPUTS, {"datasets": [{"dataset": DATASET, "tags": [{"key": "k", "value": 3}]}]}, "tags[0].value"),
        (Op.LOG_INPUTS, {"datasets": {}}, "'datasets'"),
        (Op.LOG_INPUTS, {"datasets": [{"dataset": DATASET, "tags": [{"key": "k"}, {"key": "k"}]}]}, "named twice"),
        (Op.LOG_OUTPUTS, {}, "'models'"),
        (Op.LOG_OUTPUTS, {"models": ""}, "Missing value for required parameter 'models'"),
        (Op.LOG_OUTPUTS, {"models": [{"model_id": "m", "step": 1}, {"model_id": "m"}]}, "named twice"),
        (Op.UPDATE_RUN, {"status": 99}, "'status' supplied:  Hint: Value was of type 'int'"),
        (Op.LOG_INPUTS, {"run_id": "a b"}, "Invalid value \"a b\" for parameter 'run_id' supplied."),
        (Op.LOG_INPUTS, {"models": {"a": 1}}, 'Invalid value {"a":1}'),
        (Op.LOG_OUTPUTS, {"models": [{"model_id": "m", "step": 1.5}]}, "$.models[0].step"),
    ],
)
def test_what_mlflow_would_refuse_or_drop_is_refused_by_name(op: Op, fields: dict[str, Any], names: str) -> None:
    with pytest.raises(InvalidWrite) as refused:
        captured(op, **fields)

    assert refused.value.status == 400
    assert names in refused.value.message


@pytest.mark.parametrize(
    ("op", "body"),
    [
        (Op.DELETE_TAG, '{"run_id": "%s", "key": "\\ud800"}'),
        (Op.DELETE_TAG, '{"run_id": "%s", "\\ud800": 1, "key": "\\udfff"}'),
        (Op.DELETE_TAG, '{"run_id": "%s", "key": NaN}'),
        (Op.UPDATE_RUN, '{"run_id": "%s", "status": "' + "9" * 5000 + '"}'),
        (Op.UPDATE_RUN, '{"run_id": "%s", "end_time": 9223372036854775808}'),
        (Op.UPDATE_RUN, '{"run_id": "%s", "end_time": "-9223372036854775809"}'),
        (Op.LOG_OUTPUTS, '{"run_id": "%s", "models": [{"model_id": "m", "step": 9223372036854775808}]}'),
        (Op.LOG_INPUTS, '{"run_id": "%s", "x": ' + "[" * 2000 + "]" * 2000 + "}"),
    ],
)
def test_what_no_server_could_read_is_refused(op: Op, body: str) -> None:
    with pytest.raises(InvalidWrite) as refused:
        capture(op, body.replace("%s", RUN).encode(), now=NOW)

    assert refused.value.status == 400
    assert len(refused.value.message) < 2000


@pytest.mark.parametrize("op", [Op.DELETE_TAG, Op.UPDATE_RUN, Op.LOG_INPUTS, Op.LOG_OUTPUTS])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"3", b"{", b'{"run_id": 3}', b'{"run_id": ""}', b'{"key": "t"}', b"\xff"]
)
def test_a_body_that_names_no_run_is_refused(op: Op, body: bytes) -> None:
    with pytest.raises(InvalidWrite):
        capture(op, body, now=NOW)


def test_such_a_call_goes_alone_and_in_its_place() -> None:
    update = captured(Op.UPDATE_RUN, status="FINISHED")
    jobs = [job(write, position) for position, write in enumerate([metric(1), metric(2), update, metric(3)], 1)]

    first, count = next_call(jobs)
    second, then = next_call(jobs[2:])

    assert (first.path, count) == ("/api/2.0/mlflow/runs/log-batch", 2)
    assert (second.path, then) == ("/api/2.0/mlflow/runs/update", 1)


def test_only_what_can_be_done_but_once_is_taken_for_done() -> None:
    gone = (404, "RESOURCE_DOES_NOT_EXIST", "No tag with name: t in run with id r")
    stored = (400, "BAD_REQUEST", "(sqlite3.IntegrityError) UNIQUE constraint failed: inputs.source_type")

    assert {op for op in Op if was_done_before(op, *gone)} == {
        *(Op.DELETE_TAG, Op.DELETE_EXPERIMENT_TAG, Op.DELETE_TRACE_TAG)
    }
    assert {op for op in Op if was_done_before(op, *stored)} == {Op.LOG_OUTPUTS}
    assert was_done_before(Op.LOG_OUTPUTS, 400, "BAD_REQUEST", "(pymysql.err.IntegrityError) (1062, Duplicate entry")
    assert not was_done_before(Op.DELETE_TAG, 404, "RESOURCE_DOES_NOT_EXIST", "Run with id=r not found")
