# SPDX-License-Identifier: Apache-2.0
"""Bodies at the edge of what JSON, protobuf and MLflow read."""

import pytest

from schemas.write import Op
from tests.unit.captures import raw, raw_batch, raw_metric, refusal, take


@pytest.mark.parametrize("body", [b'{"a":' * 100_000, raw_metric(colour="[" * 5000 + "]" * 5000)])
def test_a_body_of_objects_without_end_is_refused(body: bytes) -> None:
    assert refusal(Op.LOG_METRIC, body).status == 400


@pytest.mark.parametrize("depth", range(940, 1000))
def test_a_deep_value_is_refused(depth: int) -> None:
    assert refusal(Op.LOG_METRIC, raw_metric(value="[" * depth + "]" * depth)).status == 400


@pytest.mark.parametrize("field", ["run_id", "key", "model_id"])
def test_a_bare_nan_for_a_text_is_refused(field: str) -> None:
    assert refusal(Op.LOG_METRIC, raw_metric(**{field: "NaN"})).status == 400


@pytest.mark.parametrize("op", [Op.LOG_PARAMETER, Op.SET_TAG])
def test_a_bare_nan_for_a_params_value_is_refused(op: Op) -> None:
    assert refusal(op, raw(run_id='"r"', key='"k"', value="NaN")).status == 400


@pytest.mark.parametrize(
    "body",
    [
        raw_metric(model_id='"a"', modelId='"b"'),
        raw_metric(dataset_name='"a"', datasetName='"b"'),
        raw_metric(run_uuid='"a"', runUuid='"b"'),
    ],
)
def test_two_names_of_one_field_are_refused(body: bytes) -> None:
    assert refusal(Op.LOG_METRIC, body).status == 400


def test_two_names_of_one_field_are_refused_in_a_batch() -> None:
    body = raw_batch(metrics='[{"key":"k","value":1,"timestamp":1,"modelId":"x","model_id":"y"}]')
    assert refusal(Op.LOG_BATCH, body).status == 400


@pytest.mark.parametrize("timestamp", ['"3.0"', '"1e3"'])
def test_a_timestamp_that_is_taken_is_taken_beside_a_nan_as_well(timestamp: str) -> None:
    take(Op.LOG_METRIC, raw_metric(timestamp=timestamp))
    take(Op.LOG_METRIC, raw_metric(timestamp=timestamp, value="NaN"))


@pytest.mark.parametrize("run_id", ["0", "false", "[]", "{}", '""'])
def test_a_run_id_that_is_no_text_is_refused_beside_a_run_uuid(run_id: str) -> None:
    assert refusal(Op.LOG_METRIC, raw_metric(run_id=run_id, run_uuid='"r"')).status == 400


def test_a_run_that_mlflow_would_look_at_by_one_name_and_write_to_by_the_other_is_refused() -> None:
    refused = refusal(Op.LOG_METRIC, raw(run_uuid='"r"', runId='"s"', key='"k"', value="1"))

    assert refused.message == "Request specifies both 'run_uuid' and 'runId'; provide only one of them."


@pytest.mark.parametrize("name", ["run_uuid", "runUuid"])
def test_an_older_name_of_the_run_that_is_no_text_is_refused_beside_the_newer_one(name: str) -> None:
    refused = refusal(Op.LOG_METRIC, raw_metric(**{name: "[null]"}))

    assert refused.message.startswith(
        "Invalid value [null] for parameter 'run_uuid' supplied:  Hint: Value was of type"
    )


@pytest.mark.parametrize("name", ["metrics", "params", "tags"])
def test_a_bare_nan_for_a_list_is_refused_as_the_number_that_it_is(name: str) -> None:
    refused = refusal(Op.LOG_BATCH, raw_batch(**{name: "NaN"}))

    expected = f"Invalid value NaN for parameter '{name}' supplied:  Hint: Value was of type 'float'"
    assert refused.message.startswith(expected)


@pytest.mark.parametrize("op", [Op.LOG_METRIC, Op.LOG_PARAMETER, Op.SET_TAG])
def test_a_bad_name_is_told_before_a_run_that_can_not_be(op: Op) -> None:
    refused = refusal(op, raw(run_id='"r 1"', key='"a@b"', value='"1"'))

    assert (refused.status, "a@b" in refused.message) == (400, True)


def test_a_body_that_is_no_utf8_is_refused_wherever_the_fault_is() -> None:
    assert refusal(Op.LOG_METRIC, raw_metric()[:-1] + b',"colour":"\xff"}').status == 400


def test_a_bad_run_id_in_a_batch_is_refused_in_mlflows_words() -> None:
    refused = refusal(Op.LOG_BATCH, raw(run_id='"r 1"'))
    assert refused.message == "Invalid value \"r 1\" for parameter 'run_id' supplied."
