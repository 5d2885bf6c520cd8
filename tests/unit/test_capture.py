# SPDX-License-Identifier: Apache-2.0
"""The bodies of log-metric, log-parameter and set-tag: what is taken, what is repaired, what is refused and how.

Batches are in `test_capture_batch`, MLflow's own opinion in `test_capture_like_mlflow`.
"""

import json
import random
from typing import Any

import pytest

from schemas.write import NO_FRAGMENT, Fragment, Op, Write
from tests.unit.captures import NOW_MS, RUN, held, raw, raw_metric, refusal, take

SINGLE = [Op.LOG_METRIC, Op.LOG_PARAMETER, Op.SET_TAG]
PAIRS = [Op.LOG_PARAMETER, Op.SET_TAG]
BAD = (400, "INVALID_PARAMETER_VALUE")
#: All of the first plane, and some of the next, but no halves of surrogate pairs.
CHARACTERS = [*range(0xD800), *range(0xE000, 0x11000)]
SEE_DOCS = " See the API docs for more information about request parameters."


def _metric(body: bytes) -> dict[str, Any]:
    [metric] = held(take(Op.LOG_METRIC, body).metrics)
    return dict(metric)


def _pair(op: Op, body: bytes) -> dict[str, Any]:
    write = take(op, body)
    [pair] = held(write.params if op is Op.LOG_PARAMETER else write.tags)
    return dict(pair)


def test_a_metric_is_held_with_all_its_fields_and_nothing_else() -> None:
    body = raw_metric(model_id='"m-1"', dataset_name='"d"', dataset_digest='"x"', colour='"green"')

    write = take(Op.LOG_METRIC, body, workspace="research")

    metric = {"key": "loss", "value": 0.5, "timestamp": 5, "step": 7}
    assert held(write.metrics) == [metric | {"model_id": "m-1", "dataset_name": "d", "dataset_digest": "x"}]
    assert write == Write(op=Op.LOG_METRIC, lane=RUN, metrics=write.metrics, workspace="research")
    assert write.size == len(write.metrics.json)


def test_fields_by_protobufs_other_names_are_held_as_well() -> None:
    body = raw_metric(modelId='"m-1"', datasetName='"d"', datasetDigest='"x"')

    metric = _metric(body)

    assert (metric["model_id"], metric["dataset_name"], metric["dataset_digest"]) == ("m-1", "d", "x")


@pytest.mark.parametrize("op", PAIRS)
def test_a_param_or_tag_is_held_as_it_was_sent(op: Op) -> None:
    write = take(op, raw(run_id=f'"{RUN}"', key='"lr"', value='"0.1"', colour="[1]"))

    fragment = Fragment(1, b'{"key":"lr","value":"0.1"}')
    expected = (fragment, NO_FRAGMENT) if op is Op.LOG_PARAMETER else (NO_FRAGMENT, fragment)
    assert (write.params, write.tags) == expected
    assert (write.op, write.lane, write.metrics, write.workspace) == (op, RUN, NO_FRAGMENT, None)


@pytest.mark.parametrize(
    ("spelled", "value"),
    [
        ("0.25", 0.25),
        ("3", 3.0),
        ("-0.0", 0.0),
        ("1E5", 1e5),
        ("1e-400", 0.0),
        ("1.7976931348623157e308", 1.7976931348623157e308),
        ("12345678901234567890", 12345678901234567890.0),
        ('"0.25"', 0.25),
        ('"1e5"', 1e5),
        ('" 1 "', 1.0),
        ("true", 1.0),
        ("false", 0.0),
    ],
)
def test_a_metric_value_that_mlflow_reads_as_a_number_is_that_number(spelled: str, value: float) -> None:
    assert _metric(raw_metric(value=spelled)) == {"key": "loss", "value": value, "timestamp": 5, "step": 7}


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("NaN", "NaN"),
        ("Infinity", "Infinity"),
        ("-Infinity", "-Infinity"),
        ('"NaN"', "NaN"),
        ('"NAN"', "NaN"),
        ('"Infinity"', "Infinity"),
        ('"-Infinity"', "-Infinity"),
        ('"inf"', "Infinity"),
        ('"-inf"', "-Infinity"),
        ('"infinity"', "Infinity"),
    ],
)
def test_a_metric_value_that_is_no_finite_number_is_held_by_its_name(spelled: str, name: str) -> None:
    assert _metric(raw_metric(value=spelled)) == {"key": "loss", "value": name, "timestamp": 5, "step": 7}


@pytest.mark.parametrize("spelled", ["1e400", "-1e400", '"1e400"', "1" + "0" * 310, '"1' + "0" * 310 + '"'])
def test_a_number_too_large_for_a_double_is_refused_rather_than_made_infinite(spelled: str) -> None:
    refused = refusal(Op.LOG_METRIC, raw_metric(value=spelled))

    assert (refused.status, refused.error_code) == BAD
    assert "for parameter 'value' supplied:" in refused.message


def test_the_lower_case_nan_that_mlflow_would_store_as_zero_is_refused_with_the_spelling_to_use() -> None:
    refused = refusal(Op.LOG_METRIC, raw_metric(value='"nan"'))

    assert (refused.status, refused.error_code) == BAD
    assert refused.message.startswith("""Invalid value "nan" for parameter 'value' supplied: Write "NaN":""")


@pytest.mark.parametrize("spelled", ['"abc"', "[]", "{}", '"0x10"', '"1d5"', '"\\ud800"', '"\\u0000"'])
def test_a_metric_value_that_is_no_number_is_refused(spelled: str) -> None:
    refused = refusal(Op.LOG_METRIC, raw_metric(value=spelled))

    assert (refused.status, refused.error_code) == BAD
    assert refused.message.startswith(f"Invalid value {spelled} for parameter 'value' supplied:  Hint: Value was of")


@pytest.mark.parametrize("field", ["timestamp", "step"])
@pytest.mark.parametrize(
    ("spelled", "value"),
    [
        ("12", 12),
        ("12.0", 12),
        ("1.2e1", 12),
        ('"12"', 12),
        ('"12.0"', 12),
        ("1795218952242.0", 1795218952242),
        ("9223372036854775807", 2**63 - 1),
        ('"9223372036854775807"', 2**63 - 1),
    ],
)
def test_a_whole_number_in_any_spelling_of_protobufs_is_a_timestamp_or_step(
    field: str, spelled: str, value: int
) -> None:
    assert _metric(raw_metric(**{field: spelled}))[field] == value


@pytest.mark.parametrize("field", ["timestamp", "step"])
@pytest.mark.parametrize(
    "spelled",
    [
        *("1.5", "1795218952242.123", "true", "false", "[]", "{}", '"1.5"', '""', '"abc"', '"2026-11-21T00:00:00Z"'),
        *("NaN", "Infinity", "1e400", "9223372036854775808", '"9223372036854775808"', "1e19", '"' + "9" * 5000 + '"'),
    ],
)
def test_a_timestamp_or_step_that_mlflow_would_store_as_zero_is_refused(field: str, spelled: str) -> None:
    refused = refusal(Op.LOG_METRIC, raw_metric(**{field: spelled}))

    assert (refused.status, refused.error_code) == BAD
    assert f"for parameter '{field}' supplied:" in refused.message
    assert len(refused.message) < 500


@pytest.mark.parametrize(("step", "held_step"), [("null", 0), ("0", 0), ("-3", -3), ("-9223372036854775808", -(2**63))])
def test_a_step_may_be_missing_or_negative(step: str, held_step: int) -> None:
    assert _metric(raw_metric(step=step)).get("step", 0) == held_step


@pytest.mark.parametrize("timestamp", ["-1", '"-1"', "-9223372036854775809"])
def test_a_negative_timestamp_is_refused(timestamp: str) -> None:
    refused = refusal(Op.LOG_METRIC, raw_metric(timestamp=timestamp))

    assert (refused.status, refused.error_code) == BAD
    assert "Timestamp must be a nonnegative long (64-bit integer)" in refused.message


@pytest.mark.parametrize("value", ["0.5", "NaN"])
def test_a_missing_timestamp_is_fixed_at_the_moment_of_intake(value: str) -> None:
    absent = raw(run_id=f'"{RUN}"', key='"loss"', value=value)

    for body in (absent, raw_metric(value=value, timestamp="null")):
        assert _metric(body)["timestamp"] == NOW_MS
    assert _metric(raw_metric(value=value, timestamp="0"))["timestamp"] == 0


@pytest.mark.parametrize("op", PAIRS)
@pytest.mark.parametrize("spelled", ["null", '""', None])
def test_a_param_or_tag_without_a_value_has_the_empty_value(op: Op, spelled: str | None) -> None:
    value = {} if spelled is None else {"value": spelled}

    assert _pair(op, raw(run_id=f'"{RUN}"', key='"k"', **value)) == {"key": "k", "value": ""}


@pytest.mark.parametrize("op", PAIRS)
@pytest.mark.parametrize(("spelled", "kind"), [("3", "int"), ("1.5", "float"), ("true", "bool"), ("{}", "dict")])
def test_a_param_or_tag_value_that_is_no_text_is_refused_as_mlflow_refuses_it(op: Op, spelled: str, kind: str) -> None:
    refused = refusal(op, raw(run_id=f'"{RUN}"', key='"k"', value=spelled))

    message = f"Invalid value {spelled} for parameter 'value' supplied:  Hint: Value was of type '{kind}'.{SEE_DOCS}"
    assert (refused.status, refused.error_code, refused.message) == (*BAD, message)


@pytest.mark.parametrize(("op", "limit"), [(Op.LOG_PARAMETER, 6000), (Op.SET_TAG, 8000)])
def test_a_value_that_mlflow_would_cut_is_refused(op: Op, limit: int) -> None:
    def body(length: int) -> bytes:
        return raw(run_id=f'"{RUN}"', key='"k"', value=json.dumps("é" * length))

    assert _pair(op, body(limit))["value"] == "é" * limit
    refused = refusal(op, body(limit + 1))
    assert (refused.status, refused.error_code) == BAD
    assert f"alue' exceeds the maximum length of {limit} characters" in refused.message


@pytest.mark.parametrize("op", SINGLE)
@pytest.mark.parametrize("field", ["run_id", "key"])
@pytest.mark.parametrize("spelled", ["null", '""', None])
def test_a_required_field_that_is_missing_is_named(op: Op, field: str, spelled: str | None) -> None:
    fields = {"run_id": f'"{RUN}"', "key": '"k"', "value": '"1"'} | ({field: spelled} if spelled else {})
    if spelled is None:
        del fields[field]

    refused = refusal(op, raw(**fields))

    message = f"Missing value for required parameter '{field}'.{SEE_DOCS}"
    assert (refused.status, refused.error_code, refused.message) == (*BAD, message)


@pytest.mark.parametrize("spelled", ["null", '""', None])
def test_a_metric_without_a_value_is_refused(spelled: str | None) -> None:
    value = {} if spelled is None else {"value": spelled}

    refused = refusal(Op.LOG_METRIC, raw(run_id=f'"{RUN}"', key='"loss"', **value))

    assert refused.message == f"Missing value for required parameter 'value'.{SEE_DOCS}"


@pytest.mark.parametrize("field", ["run_id", "key", "model_id", "dataset_name", "dataset_digest"])
@pytest.mark.parametrize("spelled", ["3", "true", "[1]", '{"a":1}'])
def test_a_name_that_is_no_text_is_refused(field: str, spelled: str) -> None:
    refused = refusal(Op.LOG_METRIC, raw_metric(**{field: spelled}))

    assert (refused.status, refused.error_code) == BAD
    assert refused.message.startswith(f"Invalid value {spelled} for parameter '{field}' supplied:")


@pytest.mark.parametrize("op", SINGLE)
@pytest.mark.parametrize("name", ["été", "日本", "Σ/loss", "a.b-c_d:e f", "long" * 62 + "ly"])
def test_a_name_of_letters_of_any_script_survives_as_it_is(op: Op, name: str) -> None:
    body = raw(run_id=f'"{RUN}"', key=json.dumps(name), value='"1"')

    held_name = (_metric(body) if op is Op.LOG_METRIC else _pair(op, body))["key"]

    assert held_name == name


@pytest.mark.parametrize("seed", range(20))
def test_what_is_held_is_what_was_sent_whatever_the_text(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - nothing is kept secret by it
    text = "".join(map(chr, dice.choices(CHARACTERS, k=200)))
    number = dice.choice([dice.uniform(-1e3, 1e3), dice.uniform(-1, 1) * 10.0 ** dice.randrange(-300, 300)])
    step = dice.randrange(-(2**63), 2**63)

    tag = _pair(Op.SET_TAG, json.dumps({"run_id": RUN, "key": "k", "value": text}).encode())
    metric = _metric(raw_metric(value=repr(number), step=str(step)))

    assert tag == {"key": "k", "value": text}
    assert (metric["value"], metric["step"]) == (number, step)
