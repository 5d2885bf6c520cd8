# SPDX-License-Identifier: Apache-2.0
"""What a body may look like as a whole, and which run it is for: the same for all calls about a run."""

import json

import pytest

from schemas.endpoints import QUEUED
from schemas.write import Op
from tests.unit.captures import RUN, held, raw, raw_metric, refusal, take

EVERY = [Op(each.op) for each in QUEUED if each.lane == "run" and each.op != Op.LINK_TRACES]
SINGLE = [Op.LOG_METRIC, Op.LOG_PARAMETER, Op.SET_TAG]
BAD = (400, "INVALID_PARAMETER_VALUE")


def _body(**run: str) -> bytes:
    return raw(**run, key='"k"', value='"1"', timestamp="5", models="[]")


@pytest.mark.parametrize("op", EVERY)
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"  ", b"{", b'{"run_id":}', b'{"run_id":"r"} x', b'{"run_id":"r",}', b'"x"', b"nonsense", b"\xff"),
        b'{"run_id":"r\xff","key":"k","value":"1"}',
        b'{"run_id":"r","key":"k","value":"1"}\x00',
    ],
)
def test_a_body_that_is_not_json_is_refused_with_mlflows_message_and_the_reason(op: Op, body: bytes) -> None:
    refused = refusal(op, body)

    assert (refused.status, refused.error_code) == BAD
    assert refused.message.startswith("Missing value for required parameter 'run_id'. The body is not JSON: ")


@pytest.mark.parametrize("op", EVERY)
@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"[]", "list"), (b"NaN", "float"), (b"3", "int"), (b"true", "bool"), (b'"3"', "int"), (b'"[]"', "list")],
)
def test_a_body_that_is_no_object_is_refused(op: Op, body: bytes, kind: str) -> None:
    refused = refusal(op, body)

    message = f"'body' must be a JSON object, not a value of type '{kind}'."
    assert (refused.status, refused.error_code, refused.message) == (*BAD, message)


@pytest.mark.parametrize("op", EVERY)
def test_a_body_that_is_null_is_a_call_without_fields(op: Op) -> None:
    assert refusal(op, b"null").message.startswith("Missing value for required parameter 'run_id'. See the API docs")


@pytest.mark.parametrize("op", EVERY)
def test_a_body_of_arrays_without_end_is_refused(op: Op) -> None:
    refused = refusal(op, b"[" * 100_000)

    assert (refused.status, refused.error_code) == BAD


@pytest.mark.parametrize("op", EVERY)
def test_a_body_whose_json_is_encoded_twice_is_taken_like_mlflow_takes_it(op: Op) -> None:
    body = _body(run_id=f'"{RUN}"')

    twice = take(op, json.dumps(body.decode()).encode())

    assert twice == take(op, body)


@pytest.mark.parametrize("op", EVERY)
def test_a_body_encoded_three_times_is_refused(op: Op) -> None:
    thrice = json.dumps(json.dumps(_body(run_id=f'"{RUN}"').decode())).encode()

    assert refusal(op, thrice).message == "'body' must be a JSON object, not a value of type 'str'."


@pytest.mark.parametrize("op", EVERY)
@pytest.mark.parametrize("unknown", ["null", "NaN", '"\\ud800"', "[1,{}]", "[" * 500 + "]" * 500])
def test_an_unknown_field_is_ignored_whatever_it_holds(op: Op, unknown: str) -> None:
    body = _body(run_id=f'"{RUN}"')

    with_unknown = take(op, body[:-1] + b',"colour":' + unknown.encode() + b"}")

    # Only an object that was read twice names its step, which is 0 either way.
    assert with_unknown.lane == RUN
    assert [m | {"step": 0} for m in held(with_unknown.metrics)] == [
        m | {"step": 0} for m in held(take(op, body).metrics)
    ]
    assert (with_unknown.params, with_unknown.tags) == (take(op, body).params, take(op, body).tags)


@pytest.mark.parametrize("op", EVERY)
def test_of_a_field_that_is_given_twice_the_last_counts(op: Op) -> None:
    body = b'{"run_id":"first","key":"k","value":"1","models":[],"run_id":"second"}'

    assert take(op, body).lane == "second"


@pytest.mark.parametrize("op", SINGLE)
@pytest.mark.parametrize(
    "run",
    [
        {"run_uuid": f'"{RUN}"'},
        {"run_id": "null", "run_uuid": f'"{RUN}"'},
        {"run_id": f'"{RUN}"', "run_uuid": f'"{RUN}"'},
        {"run_id": f'"{RUN}"', "run_uuid": '"another"'},
        {"run_id": f'"{RUN}"', "run_uuid": "null"},
    ],
)
def test_run_uuid_stands_in_for_a_missing_run_id(op: Op, run: dict[str, str]) -> None:
    assert take(op, _body(**run)).lane == RUN


def test_a_batch_does_not_know_run_uuid() -> None:
    refused = refusal(Op.LOG_BATCH, _body(run_uuid=f'"{RUN}"'))

    assert refused.message.startswith("Missing value for required parameter 'run_id'.")


@pytest.mark.parametrize("op", EVERY)
def test_run_id_by_protobufs_other_name_is_not_enough(op: Op) -> None:
    refused = refusal(op, _body(runId=f'"{RUN}"'))

    assert (refused.status, refused.error_code) == BAD
    assert refused.message.startswith("Missing value for required parameter 'run_id'.")


@pytest.mark.parametrize("op", EVERY)
def test_run_id_by_both_of_its_names_is_refused(op: Op) -> None:
    refused = refusal(op, _body(run_id=f'"{RUN}"', runId=f'"{RUN}"'))

    assert (refused.status, refused.error_code) == BAD
    assert "'run_id' and 'runId'" in refused.message


@pytest.mark.parametrize("op", EVERY)
@pytest.mark.parametrize("run_id", ["r", "0", "Run-1_b", "a" * 256, "aé"])
def test_a_run_id_that_mlflow_could_know_is_taken(op: Op, run_id: str) -> None:
    assert take(op, _body(run_id=json.dumps(run_id))).lane == run_id


@pytest.mark.parametrize("run_id", ["r 1", "-r", "_r", "r/1", "é", "r\n", "a" * 257, "{p01}", "r\u0000"])
def test_a_run_id_that_no_run_can_have_is_not_found(run_id: str) -> None:
    body = _body(run_id=json.dumps(run_id))

    for op in SINGLE:
        refused = refusal(op, body)
        assert (refused.status, refused.error_code) == (404, "RESOURCE_DOES_NOT_EXIST")
        assert refused.message == f"Run with id={run_id} not found"
    refused = refusal(Op.LOG_BATCH, body)
    assert (refused.status, refused.error_code) == BAD
    assert refused.message.startswith("Invalid ")


@pytest.mark.parametrize("op", EVERY)
def test_half_a_surrogate_pair_in_a_run_id_is_refused(op: Op) -> None:
    refused = refusal(op, _body(run_id='"\\ud800"'))

    assert (refused.status, refused.error_code) == BAD
    assert refused.message.startswith("Invalid value \"\\ud800\" for parameter 'run_id' supplied: It holds half of a")


@pytest.mark.parametrize("field", ["key", "model_id", "dataset_name"])
def test_half_a_surrogate_pair_in_a_metrics_name_is_refused(field: str) -> None:
    refused = refusal(Op.LOG_METRIC, raw_metric(**{field: '"a\\udc00"'}))

    assert (refused.status, refused.error_code) == BAD
    assert f"for parameter '{field}' supplied: It holds half of a surrogate pair" in refused.message


@pytest.mark.parametrize("op", [Op.LOG_PARAMETER, Op.SET_TAG])
def test_half_a_surrogate_pair_in_a_value_is_refused_and_a_whole_one_is_a_character(op: Op) -> None:
    half = raw(run_id=f'"{RUN}"', key='"k"', value='"\\ud83d"')
    whole = raw(run_id=f'"{RUN}"', key='"k"', value='"\\ud83d\\ude00"')

    assert "for parameter 'value' supplied: It holds half of a surrogate pair" in refusal(op, half).message
    write = take(op, whole)
    assert held(write.params + write.tags) == [{"key": "k", "value": "\U0001f600"}]


@pytest.mark.parametrize("op", EVERY)
@pytest.mark.parametrize("workspace", [None, "default", "équipe"])
def test_the_workspace_travels_with_the_write(op: Op, workspace: str | None) -> None:
    assert take(op, _body(run_id=f'"{RUN}"'), workspace=workspace).workspace == workspace


@pytest.mark.parametrize("op", EVERY)
def test_the_same_body_at_the_same_moment_becomes_the_same_bytes(op: Op) -> None:
    body = raw(run_id=f'"{RUN}"', models="[]", key='"k"', value='"NaN"', metrics='[{"key":"m","value":NaN}]')

    assert take(op, body) == take(op, body)


def test_a_refusal_quotes_no_more_than_a_little_of_a_long_value() -> None:
    long_key = json.dumps("@" * 100_000)

    for op in SINGLE:
        body = raw(run_id=f'"{RUN}"', key=long_key, value='"1"')
        assert len(refusal(op, body).message) < 1000
    assert len(refusal(Op.SET_TAG, _body(run_id=long_key)).message) < 1000
