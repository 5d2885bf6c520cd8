# SPDX-License-Identifier: Apache-2.0
"""Many writes in one request: all are accepted, in their order, or it is said which are not and why."""

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import zstandard
from werkzeug.test import Client, TestResponse

from bridge.bootstrap.processes import Api
from bridge.events import RequestCompleted
from schemas.write import Op, Write
from tests.asgi_client import client_of
from tests.factories import RUN, metric
from tests.fakes import Events

PATH = "/v1/writes"
OTHER = "1" * 32
METRIC = {"op": "log-metric", "run_id": RUN, "key": "m", "value": 1, "step": 1, "timestamp": 1}
TAG = {"op": "set-tag", "run_id": OTHER, "key": "t", "value": "v"}


def lines(*writes: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(write).encode() for write in writes) + b"\n"


def post_lines(http: Client, body: bytes, **headers: str) -> TestResponse:
    return http.post(PATH, data=body, content_type="application/x-ndjson", headers=headers)


def pending(api: Api, lane: str) -> list[Write]:
    claim = api.outbox.claim(lane, lease=api.settings.lease)
    return [job.write for job in claim.jobs] if claim else []


def test_each_write_has_a_job_in_its_order(http: Client, api: Api) -> None:
    answer = http.post(PATH, json={"writes": [METRIC, TAG, METRIC | {"step": 2, "value": 2}]})

    assert answer.status_code == 202
    jobs = answer.get_json()["jobs"]
    assert [(job["run_id"], job["op"]) for job in jobs] == [
        (RUN, "log-metric"),
        (OTHER, "set-tag"),
        (RUN, "log-metric"),
    ]
    found = http.post("/v1/jobs/lookup", json={"job_ids": [jobs[2]["job_id"], "nonsense", jobs[0]["job_id"]]})
    assert [job and job["status"] for job in found.get_json()["jobs"]] == ["pending", None, "pending"]
    assert pending(api, RUN) == [metric(1), metric(2)]


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_lines_may_be_compressed(http: Client, api: Api, coding: str) -> None:
    body = lines(*(METRIC | {"step": step, "value": step} for step in range(500)))
    packed = {"identity": body, "gzip": gzip.compress(body), "zstd": zstandard.compress(body)}[coding]

    answer = post_lines(http, packed, **{"Content-Encoding": coding})

    assert len(answer.get_json()["jobs"]) == 500
    assert api.outbox.lane_backlog(RUN).pending == 500
    assert pending(api, RUN)[:3] == [metric(0), metric(1), metric(2)]


def test_zstd_without_its_name_is_refused_with_the_likely_cause(http: Client, api: Api) -> None:
    answer = post_lines(http, zstandard.compress(lines(METRIC)))

    assert answer.status_code == 415
    assert "Amazon API Gateway removes that header" in answer.get_json()["detail"]
    assert api.outbox.backlog().lanes == 0


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_what_was_packed_in_parts_is_whole_and_a_part_that_ends_early_is_refused(
    http: Client, api: Api, pack: Callable[[bytes], bytes]
) -> None:
    coding = {"Content-Encoding": "gzip" if pack is gzip.compress else "zstd"}
    first, second = (pack(lines(METRIC | {"step": step, "value": step})) for step in (1, 2))

    cut = post_lines(http, first + second[:-1], **coding)
    whole = post_lines(http, first + second, **coding)

    assert cut.status_code == 400
    assert whole.status_code == 202
    assert pending(api, RUN) == [metric(1), metric(2)]


def test_after_a_write_that_is_declined_no_more_are_offered(http_with: Any, api: Api) -> None:
    narrow = http_with({"BRIDGE_MAX_PENDING_RUN": "2000B", "BRIDGE_MAX_BODY_SIZE": "1MiB"})
    body = lines(*(METRIC | {"step": step} for step in range(1100)), TAG)

    answer = post_lines(narrow, body)

    assert answer.status_code == 429
    assert answer.get_json()["jobs"][-1] is None
    assert api.outbox.lane_backlog(OTHER).pending == 0


def test_one_invalid_write_keeps_all_out_and_each_is_named(http: Client, api: Api) -> None:
    bad = [METRIC | {"step": 1.5}, {"op": "log-nothing", "run_id": RUN}, {"run_id": RUN}, 7]

    answer = http.post(PATH, json={"writes": [METRIC, *bad]})

    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    problem = answer.get_json()
    assert [error["pointer"] for error in problem["errors"]] == [f"/writes/{number}" for number in (1, 2, 3, 4)]
    assert "'step'" in problem["errors"][0]["detail"]
    assert "log-batch" in problem["errors"][1]["detail"], "it says which ops there are"
    assert api.outbox.backlog().lanes == 0
    of_lines = post_lines(http, lines(METRIC) + b"\n" + lines({"op": "set-tag"})).get_json()
    assert [error["pointer"] for error in of_lines["errors"]] == ["/2"]


def test_every_op_can_be_sent(http: Client, api: Api) -> None:
    fields: dict[Op, dict[str, Any]] = {
        Op.LOG_METRIC: {"key": "m", "value": 1},
        Op.LOG_PARAMETER: {"key": "p", "value": "v"},
        Op.SET_TAG: {"key": "t", "value": "v"},
        Op.LOG_BATCH: {"tags": [{"key": "t", "value": "v"}]},
        Op.DELETE_TAG: {"key": "t"},
        Op.UPDATE_RUN: {"status": "FINISHED"},
        Op.LOG_INPUTS: {},
        Op.LOG_OUTPUTS: {"models": []},
        Op.LINK_TRACES: {"trace_ids": ["tr-1"]},
        Op.SET_EXPERIMENT_TAG: {"experiment_id": "7", "key": "t", "value": "v"},
        Op.DELETE_EXPERIMENT_TAG: {"experiment_id": "7", "key": "t"},
        Op.SET_TRACE_TAG: {"trace_id": "tr-1", "key": "t", "value": "v"},
        Op.DELETE_TRACE_TAG: {"trace_id": "tr-1", "key": "t"},
        Op.LINK_PROMPTS: {"trace_id": "tr-1", "prompt_versions": [{"name": "p", "version": "1"}]},
        Op.CREATE_RUN: {"run": "nightly/1"},
    }
    assert set(Op) - set(fields) == {Op.EXPORT_TRACES}, "spans have a path of their own"

    answer = http.post(PATH, json={"writes": [{"op": op, "run_id": RUN} | fields[op] for op in fields]})

    assert answer.status_code == 400, "a run that is to be created has no id"
    writes = [{"op": op} | ({} if op is Op.CREATE_RUN else {"run_id": RUN}) | fields[op] for op in fields]
    answer = http.post(PATH, json={"writes": writes})
    assert answer.status_code == 202, answer.data
    lanes = [job["lane"] for job in answer.get_json()["jobs"]]
    assert lanes == [*[RUN] * 9, "experiment:7", "experiment:7", *["trace:tr-1"] * 3, "run:nightly%2F1"]
    assert [write.op for write in pending(api, RUN)] == list(fields)[:9]


def test_a_request_that_is_repeated_under_its_key_stores_nothing(http: Client, api: Api) -> None:
    body = lines(*(METRIC | {"step": step} for step in range(300)), TAG)
    first = post_lines(http, body, **{"Idempotency-Key": "night-1"})

    again = post_lines(http, body, **{"Idempotency-Key": "night-1"})
    other = post_lines(http, lines(TAG), **{"Idempotency-Key": "night-1"})

    assert again.get_json() == first.get_json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert other.status_code == 422
    assert api.outbox.lane_backlog(RUN).pending == 300
    assert api.outbox.lane_backlog(OTHER).pending == 1


def test_what_does_not_fit_is_named_and_comes_in_with_a_repeat_under_the_key(http_with: Any, api: Api) -> None:
    narrow, wide = http_with({"BRIDGE_MAX_PENDING_RUN": "2000B"}), http_with({})
    body = lines(*(METRIC | {"step": step} for step in range(100)))

    partly = post_lines(narrow, body, **{"Idempotency-Key": "k"})
    stored = api.outbox.lane_backlog(RUN).pending
    rest = post_lines(wide, body, **{"Idempotency-Key": "k"})

    assert partly.status_code == 429
    assert partly.headers["Retry-After"]
    jobs = partly.get_json()["jobs"]
    assert len(jobs) == 100
    assert sum(job is not None for job in jobs) == stored
    assert 0 < stored < 100
    assert rest.status_code == 202
    assert [job["job_id"] for job in rest.get_json()["jobs"]][:stored] == [job["job_id"] for job in jobs[:stored]]
    assert api.outbox.lane_backlog(RUN).pending == 100


@pytest.mark.parametrize(
    ("body", "content_type", "coding", "status"),
    [
        (b"{}", "text/plain", "identity", 415),
        (b"[]", "application/json", "identity", 400),
        (b'{"writes": 3}', "application/json", "identity", 400),
        (b"{", "application/json", "identity", 400),
        (b"{}", "application/json", "br", 415),
        (b"not gzip", "application/json", "gzip", 400),
        (gzip.compress(b"{}", mtime=0)[:-9], "application/json", "gzip", 400),
        (b"not zstd", "application/json", "zstd", 400),
        (gzip.compress(b" " * 70_000, mtime=0), "application/json", "gzip", 413),
        (zstandard.compress(b" " * 70_000), "application/json", "zstd", 413),
        (b" " * 70_000, "application/json", "identity", 413),
    ],
)
def test_a_body_that_is_no_list_of_writes_is_refused(
    http: Client, api: Api, body: bytes, content_type: str, coding: str, status: int
) -> None:
    answer = http.post(PATH, data=body, content_type=content_type, headers={"Content-Encoding": coding})

    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert answer.get_json()["detail"]
    assert api.outbox.backlog().lanes == 0


@pytest.mark.parametrize(
    ("body", "status"), [({"job_ids": "x"}, 400), ({}, 400), ({"job_ids": ["x"] * 1001}, 400), ({"job_ids": []}, 200)]
)
def test_a_lookup_wants_a_list_of_ids(http: Client, body: dict[str, Any], status: int) -> None:
    assert http.post("/v1/jobs/lookup", json=body).status_code == status


def test_a_write_that_can_never_be_taken_is_named_and_the_others_are_not_lost(http_with: Any, api: Api) -> None:
    narrow = http_with({"BRIDGE_MAX_PENDING_RUN": "2000B"})
    large = TAG | {"value": "v" * 3000}

    partly = narrow.post(PATH, json={"writes": [METRIC, TAG, large, TAG]})
    wholly = post_lines(narrow, lines(large, METRIC))

    assert (partly.status_code, wholly.status_code) == (413, 413)
    [fault], [of_line] = partly.get_json()["errors"], wholly.get_json()["errors"]
    assert (fault["pointer"], of_line["pointer"]) == ("/writes/2", "/0")
    assert "without the one in `errors`" in partly.get_json()["detail"]
    assert [job is not None for job in partly.get_json()["jobs"]] == [True, True, False, True]
    assert api.outbox.lane_backlog(OTHER).pending == 2


def test_what_was_accepted_before_counts_once(api: Api) -> None:
    events = Events()
    with client_of(replace(api, observe=events)) as client:
        for _ in range(3):
            client.post(PATH, json={"writes": [METRIC, TAG]}, headers={"Idempotency-Key": "once"})

    assert [told.writes for told in events.of(RequestCompleted)] == [2, 0, 0]


def test_writes_by_name_and_by_id_of_one_request_keep_their_order_in_one_lane(http: Client, api: Api) -> None:
    api.names.bind("run:nightly", RUN)
    writes = [
        {"op": "set-tag", "run_id": RUN, "key": "a", "value": "1"},
        {"op": "set-tag", "run": "nightly", "key": "a", "value": "2"},
        {"op": "set-tag", "run_id": RUN, "key": "a", "value": "3"},
    ]

    answer = post_lines(http, lines(*writes))

    assert answer.status_code == 202, answer.data
    assert [json.loads(write.tags.json)["value"] for write in pending(api, RUN)] == ["1", "2", "3"]
    assert pending(api, "run:nightly") == []
