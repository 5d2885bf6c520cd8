# SPDX-License-Identifier: Apache-2.0
"""What the bridge sends for a request that it takes leaves the same in MLflow as the request itself."""

import datetime as dt
import json
from collections.abc import Iterator

import pytest

from bridge.upstream.mlflow_calls import single_call
from schemas.bodies.batchable import capture
from schemas.write import Op
from tests.acceptance.parity_bodies import Request
from tests.acceptance.parity_difference import body
from tests.acceptance.parity_sides import Sides, sides
from tests.servers import Server

NOW = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
_DATASET = '{"name":"é","digest":"1","source_type":"local","source":"{}","schema":null,"profile":"p"}'

TAKEN = [
    *(
        body(Op.LOG_METRIC, f'"key":"k","value":{value},"timestamp":5,"step":7')
        for value in ('"NaN"', '"Infinity"', '"-inf"', '"0.25"', "true", "1e308", "5e-324", "-0.0", "9" * 300)
    ),
    *(
        body(Op.LOG_METRIC, f'"key":"k","value":1,"timestamp":{number},"step":{number}')
        for number in ("0", "5.0", '"5e2"', '"1_0"', "9007199254740993", "9223372036854775807")
    ),
    body(Op.LOG_METRIC, '"key":"k","value":1,"timestamp":5,"step":-9223372036854775808'),
    body(Op.LOG_METRIC, '"key":"été","value":1,"timestamp":5,"modelId":null,"colour":[]'),
    *(
        body(op, f'"key":"{"k" * 250}","value":{value}')
        for op in (Op.LOG_PARAMETER, Op.SET_TAG)
        for value in ('""', "null", '"\\ud83d\\ude00"', '"a\\u0000b\\n"', f'"{"é" * 6000}"')
    ),
    body(Op.SET_TAG, f'"key":"k","value":"{"x" * 8000}"'),
    body(
        Op.LOG_BATCH,
        '"metrics":[{"key":"k","value":1,"timestamp":5},{"key":"k","value":"NaN","timestamp":"6","step":3}],'
        '"params":[{"key":"p"},{"key":"q","value":"1"}],"tags":[{"key":"t","value":"1"},{"key":"t","value":"2"}]',
    ),
    body(Op.LOG_BATCH, '"metrics":[{"key":"k","value":1,"timestamp":5},{"key":"k","value":1,"timestamp":5}]'),
    body(Op.UPDATE_RUN, '"status":"FINISHED","end_time":"1700000000000","run_name":"é"'),
    body(Op.UPDATE_RUN, '"status":" 4","endTime":17e5,"runName":""'),
    body(Op.UPDATE_RUN, '"status":3.0'),
    body(Op.LOG_INPUTS, f'"datasets":[{{"dataset":{_DATASET},"tags":[{{"key":"a","value":"b"}}]}}]'),
    body(Op.LOG_INPUTS, '"models":[{"modelId":"m-1","step":"none"}]'),
    body(Op.LOG_OUTPUTS, '"models":[{"model_id":"m-1","step":"5.0"},{"modelId":"m-2"}]'),
]


@pytest.fixture(scope="module")
def both(redis_server: tuple[Server, str], mlflow_url: str) -> Iterator[Sides]:
    with sides(redis_server[1], mlflow_url) as both:
        yield both


@pytest.mark.parametrize("request_", TAKEN, ids=lambda request: f"{request.op}-{request.body[44:120]!r}")
def test_what_is_taken_is_stored_as_mlflow_stores_it(both: Sides, request_: Request) -> None:
    directly, by_us = both.create_run(), both.create_run()
    call = single_call(capture(request_.op, request_.about(by_us), now=NOW))

    answers = [both.post(call.path, request_.about(directly)), both.post(call.path, call.body)]

    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert both.stored(by_us) == both.stored(directly)
    if request_.op is not Op.UPDATE_RUN:
        assert len(json.dumps(both.stored(by_us))) > len(json.dumps(both.stored(both.create_run())))
