# SPDX-License-Identifier: Apache-2.0
"""The body of log-batch: what is taken, and which entity of many is named when one is refused."""

import json
from typing import Any

import pytest

from schemas.write import NO_FRAGMENT, Op, Write
from tests.unit.captures import NOW_MS, RUN, held, raw_batch, refusal, take

BAD = (400, "INVALID_PARAMETER_VALUE")
GOOD_METRIC = {"key": "good", "value": 1, "timestamp": 5}


def _batch(**lists: Any) -> bytes:
    return json.dumps({"run_id": RUN, **lists}).encode()


def _metrics(count: int) -> list[dict[str, Any]]:
    return [GOOD_METRIC | {"step": step} for step in range(count)]


def _named(count: int) -> list[dict[str, str]]:
    return [{"key": f"k{number}", "value": "v"} for number in range(count)]


def test_a_batch_is_held_in_the_order_in_which_it_was_sent() -> None:
    metrics = [{"key": "b", "value": 2.0, "timestamp": 5, "step": 1}, {"key": "a", "value": 1.0, "timestamp": 6}]
    params = [{"key": "z", "value": "1"}, {"key": "y", "value": "été"}]
    tags = [{"key": "t", "value": "first"}, {"key": "t", "value": "second"}]

    write = take(Op.LOG_BATCH, _batch(metrics=metrics, params=params, tags=tags), workspace="w")

    assert (held(write.metrics), held(write.params), held(write.tags)) == (metrics, params, tags)
    assert (write.op, write.lane, write.workspace) == (Op.LOG_BATCH, RUN, "w")
    assert write.size == len(write.metrics.json) + len(write.params.json) + len(write.tags.json)


@pytest.mark.parametrize("body", [_batch(), _batch(metrics=[], params=[], tags=[])])
def test_an_empty_batch_is_taken_for_mlflow_takes_it(body: bytes) -> None:
    assert take(Op.LOG_BATCH, body) == Write(op=Op.LOG_BATCH, lane=RUN)


def test_metrics_without_timestamp_are_fixed_at_the_moment_of_intake_each() -> None:
    body = raw_batch(metrics='[{"key":"a","value":1},{"key":"b","value":NaN,"timestamp":null},{"key":"c","value":1}]')

    assert [metric["timestamp"] for metric in held(take(Op.LOG_BATCH, body).metrics)] == [NOW_MS] * 3


def test_one_bare_nan_costs_none_of_its_neighbours_anything() -> None:
    body = raw_batch(
        metrics='[{"key":"a","value":1,"timestamp":5},{"key":"b","value":NaN,"timestamp":5,"modelId":"m"},'
        '{"key":"c","value":-Infinity,"timestamp":5,"step":3}]',
        params='[{"key":"p","value":"NaN"}]',
        tags='[{"key":"t","value":null}]',
    )

    write = take(Op.LOG_BATCH, body)

    assert held(write.metrics) == [
        {"key": "a", "value": 1.0, "timestamp": 5},
        {"key": "b", "value": "NaN", "timestamp": 5, "step": 0, "model_id": "m"},
        {"key": "c", "value": "-Infinity", "timestamp": 5, "step": 3},
    ]
    assert held(write.params) == [{"key": "p", "value": "NaN"}]
    assert held(write.tags) == [{"key": "t", "value": ""}]


def test_a_metrics_own_run_id_is_ignored_for_the_batchs_decides() -> None:
    write = take(Op.LOG_BATCH, _batch(metrics=[GOOD_METRIC | {"run_id": "another"}]))

    assert write.lane == RUN
    assert held(write.metrics) == [GOOD_METRIC]


@pytest.mark.parametrize(
    ("spelled", "path"),
    [
        ('{"value":1}', "key"),
        ('{"key":"","value":1}', "key"),
        ('{"key":null,"value":1}', "key"),
        ('{"key":3,"value":1}', "key"),
        ('{"key":"a@b","value":1}', "name"),
        ('{"key":"/a","value":1}', "name"),
        ('{"key":"a"}', "value"),
        ('{"key":"a","value":null}', "value"),
        ('{"key":"a","value":""}', "value"),
        ('{"key":"a","value":"abc"}', "value"),
        ('{"key":"a","value":"nan"}', "value"),
        ('{"key":"a","value":1e400}', "value"),
        ('{"key":"a","value":[]}', "value"),
        ('{"key":"a","value":1,"timestamp":1.5}', "timestamp"),
        ('{"key":"a","value":1,"timestamp":true}', "timestamp"),
        ('{"key":"a","value":1,"timestamp":-1}', "timestamp"),
        ('{"key":"a","value":1,"timestamp":9223372036854775808}', "timestamp"),
        ('{"key":"a","value":1,"step":1.5}', "step"),
        ('{"key":"a","value":1,"step":"x"}', "step"),
        ('{"key":"a","value":1,"step":9223372036854775808}', "step"),
        ('{"key":"a","value":1,"model_id":5}', "model_id"),
        ('{"key":"a","value":1,"dataset_name":"\\ud800"}', "dataset_name"),
    ],
)
def test_a_bad_metric_is_named_by_its_place_in_the_batch(spelled: str, path: str) -> None:
    good = json.dumps(GOOD_METRIC)

    refused = refusal(Op.LOG_BATCH, raw_batch(metrics=f"[{good},{spelled},{good}]", tags='[{"key":"t"}]'))

    assert (refused.status, refused.error_code) == BAD
    assert f"parameter 'metrics[1].{path}'" in refused.message


@pytest.mark.parametrize("kind", ["params", "tags"])
@pytest.mark.parametrize(
    ("spelled", "path"),
    [
        ('{"value":"1"}', "key"),
        ('{"key":""}', "key"),
        ('{"key":null}', "key"),
        ('{"key":3}', "key"),
        ('{"key":"a@b"}', "key"),
        ('{"key":"a/../b"}', "key"),
        ('{"key":"\\udc00"}', "key"),
        ('{"key":"a","value":3}', "value"),
        ('{"key":"a","value":true}', "value"),
        ('{"key":"a","value":{}}', "value"),
        ('{"key":"a","value":"\\udc00"}', "value"),
    ],
)
def test_a_bad_param_or_tag_is_named_by_its_place_in_the_batch(kind: str, spelled: str, path: str) -> None:
    metrics = json.dumps([GOOD_METRIC])

    refused = refusal(Op.LOG_BATCH, raw_batch(metrics=metrics, **{kind: f'[{{"key":"good"}},{spelled}]'}))

    assert (refused.status, refused.error_code) == BAD
    assert f"parameter '{kind}[1].{path}'" in refused.message


@pytest.mark.parametrize(("kind", "limit"), [("params", 6000), ("tags", 8000)])
def test_a_value_that_mlflow_would_cut_is_named_by_its_place_in_the_batch(kind: str, limit: int) -> None:
    def body(length: int) -> bytes:
        return _batch(**{kind: [{"key": "good"}, {"key": "long", "value": "v" * length}]})

    assert take(Op.LOG_BATCH, body(limit)).op is Op.LOG_BATCH
    refused = refusal(Op.LOG_BATCH, body(limit + 1))
    assert (refused.status, refused.error_code) == BAD
    assert f"exceeds the maximum length of {limit} characters" in refused.message
    assert f"'{kind}[1].value'" in refused.message


@pytest.mark.parametrize("kind", ["metrics", "params", "tags"])
@pytest.mark.parametrize("spelled", ["null", "{}", '"x"', "3", "true"])
def test_a_list_that_is_none_is_refused_where_mlflow_would_answer_500(kind: str, spelled: str) -> None:
    refused = refusal(Op.LOG_BATCH, raw_batch(**{kind: spelled}))

    assert (refused.status, refused.error_code) == BAD
    assert refused.message.startswith(f"Invalid value {spelled} for parameter '{kind}' supplied:")


@pytest.mark.parametrize("kind", ["metrics", "params", "tags"])
@pytest.mark.parametrize("spelled", ["null", '"a"', "3", "[]"])
def test_an_entity_that_is_no_object_is_refused(kind: str, spelled: str) -> None:
    refused = refusal(Op.LOG_BATCH, raw_batch(**{kind: f"[{spelled}]"}))

    assert (refused.status, refused.error_code) == BAD
    assert refused.message.startswith(f"'{kind}[0]' must be a JSON object")


@pytest.mark.parametrize(
    ("metrics", "params", "tags"), [(1000, 0, 0), (0, 100, 0), (0, 0, 100), (800, 100, 100), (998, 1, 1)]
)
def test_a_batch_at_mlflows_limits_is_taken(metrics: int, params: int, tags: int) -> None:
    write = take(Op.LOG_BATCH, _batch(metrics=_metrics(metrics), params=_named(params), tags=_named(tags)))

    assert (write.metrics.count, write.params.count, write.tags.count) == (metrics, params, tags)


@pytest.mark.parametrize(
    ("metrics", "params", "tags", "limit", "kind"),
    [
        (1001, 0, 0, 1000, "metrics"),
        (0, 101, 0, 100, "params"),
        (0, 0, 101, 100, "tags"),
        (1000, 1, 0, 1000, "metrics, params, and tags"),
        (801, 100, 100, 1000, "metrics, params, and tags"),
    ],
)
def test_a_batch_beyond_mlflows_limits_is_refused(metrics: int, params: int, tags: int, limit: int, kind: str) -> None:
    body = _batch(metrics=_metrics(metrics), params=_named(params), tags=_named(tags))

    refused = refusal(Op.LOG_BATCH, body)

    got = metrics + params + tags
    assert (refused.status, refused.error_code) == BAD
    assert refused.message.startswith(f"A batch logging request can contain at most {limit} {kind}. Got {got} {kind}.")


@pytest.mark.parametrize("other", ["1", "2"])
def test_a_param_that_is_named_twice_is_refused_even_for_equal_values(other: str) -> None:
    params = [{"key": "a", "value": "1"}, {"key": "b", "value": "1"}, {"key": "a", "value": other}]

    refused = refusal(Op.LOG_BATCH, _batch(params=params))

    assert (refused.status, refused.error_code) == BAD
    assert refused.message.startswith("Duplicate parameter keys have been submitted: ['a'].")


def test_tags_and_metrics_may_be_named_twice() -> None:
    tags = [{"key": "t", "value": "1"}, {"key": "t", "value": "2"}]

    write = take(Op.LOG_BATCH, _batch(metrics=[GOOD_METRIC, GOOD_METRIC], tags=tags))

    assert held(write.metrics) == [GOOD_METRIC, GOOD_METRIC]
    assert held(write.tags) == tags


def test_a_batch_longer_than_a_merged_call_may_be_is_taken_all_the_same() -> None:
    tags = [{"key": f"t{number}", "value": "é" * 8000} for number in range(100)]

    write = take(Op.LOG_BATCH, _batch(tags=tags))

    assert write.size > 1_600_000
    assert (write.metrics, write.params) == (NO_FRAGMENT, NO_FRAGMENT)
    assert held(write.tags) == tags
