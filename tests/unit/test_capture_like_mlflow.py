# SPDX-License-Identifier: Apache-2.0
"""Intake against MLflow's own code: its protobuf parsing, its validators and their messages."""

import enum
import json
from collections.abc import Callable

import pytest
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException
from mlflow.utils.validation import (
    MAX_BATCH_LOG_REQUEST_SIZE,
    MAX_ENTITIES_PER_BATCH,
    MAX_METRICS_PER_BATCH,
    MAX_PARAMS_TAGS_PER_BATCH,
    _validate_batch_log_limits,
    _validate_metric,
    _validate_param,
    _validate_param_keys_unique,
    _validate_tag,
)

from bridge.upstream.mlflow_calls import single_call
from schemas import mlflow_limits as limits
from schemas.errors import InvalidWrite
from schemas.write import Op
from tests.unit.captures import NOW_MS, RUN, raw, raw_batch, raw_metric, refusal, take
from tests.unit.mlflow_reading import ParseError, mlflow_reads, what_is_held


class Verdict(enum.Enum):
    """How intake and MLflow's parser stand to each other over a body."""

    SAME = "both read the same"
    REPAIRED = "MLflow's parser gives up, we hold what was meant"
    REFUSED = "MLflow's parser gives up, and so do we"
    STRICTER = "MLflow's parser takes it, its rules or ours don't"


SAME, REPAIRED, REFUSED, STRICTER = Verdict

_VALUES = {
    SAME: [
        *("0.1", "1", "-0.0", "5e-324", "1e308", '"0.25"', '"1e5"', '" 1"', '"1_0"', "true", "false", '"NaN"'),
        *('"Infinity"', '"-Infinity"', '"inf"', '"-inf"', '"+inf"', '"INFINITY"', '"NAN"', '"-nan"', "9" * 300),
    ],
    REPAIRED: ["NaN", "Infinity", "-Infinity"],
    REFUSED: ["1e400", "-1e400", '"nan"', '"abc"', '""', "{}", "[]", '"0x1"', '"\\u0000"'],
    STRICTER: ["null", '"1e400"'],
}
_INTEGERS = {
    SAME: ["0", "5", "5.0", "5e2", '"5"', '"5.0"', '"5e2"', '"+5"', '"05"', "9223372036854775807", "9007199254740993"],
    REPAIRED: ['" 5"'],
    REFUSED: [
        "1.5",
        "true",
        "false",
        '"1.5"',
        '"x"',
        '""',
        "[]",
        "{}",
        "NaN",
        "Infinity",
        "1e400",
        "9223372036854775808",
    ],
}
_TEXTS = {
    SAME: ['"v"', '""', "null", '"été \\u65e5"', '"\\ud83d\\ude00"', '"\\u0000"', '"a\\nb"'],
    REFUSED: ["3", "1.5", "true", "[]", "{}", '"\\ud800"'],
}
_BATCHES = {
    SAME: [
        raw_batch(),
        raw_batch(metrics="[]"),
        raw_batch(metrics='[{"key":"a","value":1,"timestamp":5},{"key":"b","value":"NaN","timestamp":6,"step":-1}]'),
        raw_batch(metrics='[{"key":"a","value":1,"timestamp":5,"modelId":"m","dataset_name":"d","datasetDigest":"e"}]'),
        raw_batch(params='[{"key":"a","value":"1"},{"key":"b"}]', tags='[{"key":"t","value":"1"},{"key":"t"}]'),
        raw_batch(tags='[{"key":"t","value":"\\u00e9","colour":3}]', colour="{}"),
        json.dumps(raw_batch(params='[{"key":"a","value":"1"}]').decode()).encode(),
    ],
    REPAIRED: [
        raw_batch(metrics='[{"key":"a","value":NaN,"timestamp":5},{"key":"b","value":1,"timestamp":5}]'),
        raw_batch(metrics='[{"key":"a","value":-Infinity,"timestamp":5}]', params='[{"key":"p","value":"1"}]'),
    ],
    REFUSED: [
        raw_batch(metrics="{}"),
        raw_batch(metrics="[null]"),
        raw_batch(metrics='[{"key":"a","value":"abc","timestamp":5}]'),
        raw_batch(params='[{"key":"a","value":3}]'),
        raw_batch(params="[3]"),
        raw_batch(tags='[{"key":"a","value":true}]'),
        raw(run_id="5"),
    ],
    STRICTER: [raw_batch(metrics="null"), raw_batch(metrics='["a"]'), raw_batch(tags='[{"value":"1"}]'), raw()],
}
_PAIR = {"run_id": f'"{RUN}"', "key": '"k"'}

CASES = [
    *((Op.LOG_METRIC, raw_metric(value=text), verdict) for verdict, texts in _VALUES.items() for text in texts),
    *((Op.LOG_METRIC, raw_metric(step=text), verdict) for verdict, texts in _INTEGERS.items() for text in texts),
    *((Op.LOG_METRIC, raw_metric(timestamp=text), verdict) for verdict, texts in _INTEGERS.items() for text in texts),
    *((Op.LOG_PARAMETER, raw(**_PAIR, value=text), verdict) for verdict, texts in _TEXTS.items() for text in texts),
    *((Op.SET_TAG, raw(**_PAIR, value=text), verdict) for verdict, texts in _TEXTS.items() for text in texts),
    *((Op.LOG_BATCH, body, verdict) for verdict, bodies in _BATCHES.items() for body in bodies),
    (Op.LOG_METRIC, raw_metric(run_id="null", run_uuid='"r"'), SAME),
    (Op.LOG_METRIC, raw_metric(timestamp="-1"), STRICTER),
    (Op.LOG_METRIC, raw_metric(step="null"), SAME),
    (Op.LOG_METRIC, raw_metric(step="-9223372036854775808"), SAME),
]


@pytest.mark.parametrize(("op", "body", "verdict"), CASES, ids=[f"{op}-{body!r:.90}" for op, body, _ in CASES])
def test_what_is_taken_is_what_mlflow_reads_and_what_its_parser_gives_up_on_is_mended_or_refused(
    op: Op, body: bytes, verdict: Verdict
) -> None:
    try:
        theirs = mlflow_reads(op, body)
    except ParseError:
        theirs = None

    try:
        ours = take(op, body)
    except InvalidWrite:
        assert verdict is (STRICTER if theirs else REFUSED)
    else:
        assert verdict is (SAME if theirs else REPAIRED)
        assert mlflow_reads(op, single_call(ours).body) == what_is_held(ours)
        assert theirs in (None, what_is_held(ours))


def test_a_metric_that_mlflow_would_read_without_its_time_is_sent_with_it() -> None:
    ours = take(Op.LOG_METRIC, raw(run_id=f'"{RUN}"', key='"k"', value="1"))

    sent = mlflow_reads(Op.LOG_METRIC, single_call(ours).body)

    assert sent.metrics == (("k", "1.0", str(NOW_MS), "0", "", "", ""),)


def _mlflow_refuses(rule: Callable[..., object], *args: object, **named: object) -> str | None:
    try:
        rule(*args, **named)
    except MlflowException as error:
        return str(error.message)
    return None


def _we_refuse(op: Op, body: bytes) -> str | None:
    try:
        take(op, body)
    except InvalidWrite as error:
        return error.message
    return None


@pytest.mark.parametrize(
    "name",
    [
        *("loss", "a/b", "a b", "a:b", "a.b-c_d", "-", " ", "été", "日本", "٣", "a/..b", "a\n", ".a", "a.", "k" * 250),
        *("a@b", "a,b", "a(b)", "a=b", "a\nb", "a\tb", "a\\b", 'a"b', "\U0001f600", "a\u0000", "\u200b", "k" * 251),
        *("/abs", "//a", "a//b", "a/", ".", "..", "...", "..a", "./a", "../x", "a/../b", "a/.", "a/./b", "@" * 250),
    ],
)
def test_a_name_is_refused_where_mlflow_refuses_it_and_in_its_words(name: str) -> None:
    key = json.dumps(name)

    assert _we_refuse(Op.LOG_METRIC, raw_metric(key=key)) == _mlflow_refuses(_validate_metric, name, 0.5, 5, 7)
    assert _we_refuse(Op.LOG_PARAMETER, raw(run_id='"r"', key=key)) == _mlflow_refuses(_validate_param, name, "")
    assert _we_refuse(Op.SET_TAG, raw(run_id='"r"', key=key)) == _mlflow_refuses(_validate_tag, name, "")
    second = raw_batch(tags=f'[{{"key":"good"}},{{"key":{key}}}]')
    assert _we_refuse(Op.LOG_BATCH, second) == _mlflow_refuses(_validate_tag, name, "", path="tags[1]")


@pytest.mark.parametrize("half", ["dataset_name", "dataset_digest", "datasetDigest"])
def test_a_dataset_that_is_named_by_half_is_refused_in_mlflows_words(half: str) -> None:
    expected = _mlflow_refuses(Metric, "k", 0.5, 5, 7, dataset_name="d")

    assert expected
    assert _we_refuse(Op.LOG_METRIC, raw_metric(**{half: '"d"'})) == expected
    assert _we_refuse(Op.LOG_BATCH, raw_batch(metrics=f'[{{"key":"a","value":1,"{half}":"d"}}]')) == expected


def test_a_negative_timestamp_is_refused_in_mlflows_words() -> None:
    expected = _mlflow_refuses(_validate_metric, "loss", 0.5, -1, 7)

    assert expected
    assert refusal(Op.LOG_METRIC, raw_metric(timestamp="-1")).message == expected


@pytest.mark.parametrize(
    ("metrics", "params", "tags"), [(1000, 0, 0), (1001, 0, 0), (0, 101, 0), (0, 0, 101), (1000, 1, 0), (801, 100, 100)]
)
def test_a_batch_is_refused_for_its_size_in_mlflows_words(metrics: int, params: int, tags: int) -> None:
    sizes = [range(metrics), range(params), range(tags)]
    expected = _mlflow_refuses(_validate_batch_log_limits, *sizes)
    lists = {
        "metrics": [{"key": "k", "value": 1, "timestamp": 5} for _ in sizes[0]],
        "params": [{"key": f"k{number}"} for number in sizes[1]],
        "tags": [{"key": f"k{number}"} for number in sizes[2]],
    }

    assert _we_refuse(Op.LOG_BATCH, json.dumps({"run_id": RUN, **lists}).encode()) == expected


@pytest.mark.parametrize("keys", ["a", "abc", "aa", "abab", "aaa", "cbabc"])
def test_a_param_named_twice_is_refused_in_mlflows_words(keys: str) -> None:
    expected = _mlflow_refuses(_validate_param_keys_unique, [Param(key, "1") for key in keys])
    body = json.dumps({"run_id": RUN, "params": [{"key": key, "value": "1"} for key in keys]}).encode()

    assert _we_refuse(Op.LOG_BATCH, body) == expected


def test_the_limits_are_mlflows() -> None:
    assert limits.MAX_METRICS == MAX_METRICS_PER_BATCH
    assert limits.MAX_PARAMS == limits.MAX_TAGS == MAX_PARAMS_TAGS_PER_BATCH
    assert limits.MAX_ENTITIES == MAX_ENTITIES_PER_BATCH
    assert limits.MAX_BATCH_BYTES == MAX_BATCH_LOG_REQUEST_SIZE
