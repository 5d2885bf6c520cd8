# SPDX-License-Identifier: Apache-2.0
"""What is not queued is answered through the bridge as MLflow itself answers it: status, headers and bytes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.system import System
from tests.upstream_faults import Answer

CONTENT = bytes(range(256)) * 4
ARTIFACT = "/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/a.bin"
GET_ARTIFACT = "/get-artifact?path=a.bin&run_uuid={run}"
GET_RUN = "/api/2.0/mlflow/runs/get"
PRESIGNED = "/api/2.0/mlflow/artifacts/presigned-upload-url"
GRAPHQL = "query Q($input: MlflowGetRunInput!) { mlflowGetRun(input: $input) { run { info { runId } } } }"

#: What each server, and the front, says of itself; and what a page may do, which the bridge decides (ADR 24).
OWN = {"date", "server", "connection", "x-amzn-requestid", "x-request-id"}
OWN |= {"content-security-policy", "x-content-type-options", "x-frame-options"}


@pytest.fixture(scope="module")
def run(shared_system: System) -> str:
    """A run with an artifact, and a metric that JSON has no word for."""
    run_id = shared_system.create_run()
    shared_system.log("log-metric", {"run_id": run_id, "key": "odd", "value": "NaN"})
    kept = requests.put(shared_system.mlflow_url + ARTIFACT.format(run=run_id), data=CONTENT, timeout=30)
    assert kept.status_code == 200
    shared_system.drained()
    return run_id


@dataclass(frozen=True, kw_only=True)
class Ask:
    """What is asked, and how MLflow is known to answer it."""

    status: int
    says: bytes
    target: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: Any = None

    def at(self, url: str, run: str) -> requests.Response:
        body = None if self.body is None else json.dumps(self.body).replace("{run}", run).encode()
        headers = dict(self.headers) | ({} if body is None else {"Content-Type": "application/json"})
        target = url + self.target.replace("{run}", run)
        return requests.request(self.method, target, headers=headers, data=body, timeout=30, allow_redirects=False)


ASKS = {
    "a range": Ask(target=ARTIFACT, headers=(("Range", "bytes=5-9"),), status=206, says=CONTENT[5:10]),
    "the end": Ask(target=ARTIFACT, headers=(("Range", "bytes=-5"),), status=206, says=CONTENT[-5:]),
    "a range beyond the end": Ask(target=ARTIFACT, headers=(("Range", "bytes=4096-"),), status=416, says=b""),
    "a range of another version": Ask(
        target=ARTIFACT, headers=(("Range", "bytes=0-1"), ("If-Range", '"old"')), status=200, says=CONTENT
    ),
    "get-artifact": Ask(target=GET_ARTIFACT, status=200, says=CONTENT),
    "a range of get-artifact": Ask(
        target=GET_ARTIFACT, headers=(("Range", "bytes=3-4"),), status=206, says=CONTENT[3:5]
    ),
    "an artifact's head": Ask(method="HEAD", target=ARTIFACT, status=200, says=b""),
    "an error's head": Ask(method="HEAD", target=GET_RUN + "?run_id={run}", status=400, says=b""),
    "a get with a body": Ask(target=GET_RUN, body={"run_id": "{run}"}, status=200, says=b'"key": "odd"'),
    "a get with a body and a query": Ask(
        target=GET_RUN + "?x=1", body={"run_id": "{run}"}, status=400, says=b"Missing value for required parameter"
    ),
    "sixty thousand bytes of query": Ask(
        target=GET_RUN + "?x=" + "y" * 60_000 + "&run_id={run}", status=200, says=b'"key": "odd"'
    ),
    "graphql": Ask(
        method="POST",
        target="/graphql",
        body={"query": GRAPHQL, "variables": {"input": {"runId": "{run}"}}},
        status=200,
        says=b'"mlflowGetRun":{"run":{"info":{"runId":',
    ),
    "a bare NaN": Ask(
        target="/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id={run}&metric_key=odd", status=200, says=b":NaN}"
    ),
    "an error of MLflow's": Ask(
        target=GET_RUN + "?run_id=nobody", status=404, says=b'{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "'
    ),
    "an error of FastAPI's": Ask(
        target="/api/2.0/mlflow-artifacts/artifacts/0", status=400, says=b'{"detail":"Artifact path refers to'
    ),
    "an error of Flask's": Ask(target="/experiments/", status=404, says=b"<!doctype html>\n<html lang=en>"),
    "an error in plain text": Ask(
        target=ARTIFACT, headers=(("Range", "x=1"),), status=400, says=b"Only support bytes range"
    ),
    "a workspace where there are none": Ask(
        target=GET_RUN + "?run_id={run}",
        headers=(("X-MLFLOW-WORKSPACE", "red"),),
        status=500,
        says=b'{"error_code":"FEATURE_DISABLED"',
    ),
}


def told(answer: requests.Response) -> tuple[int, dict[str, str], bytes]:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return answer.status_code, {name: value for name, value in headers.items() if name not in OWN}, answer.content


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())
def test_an_answer_is_mlflows_own_to_the_byte(bridge: System, run: str, ask: Ask) -> None:
    itself, through = ask.at(bridge.mlflow_url, run), ask.at(bridge.url, run)

    assert itself.status_code == ask.status
    assert ask.says in itself.content
    assert told(through) == told(itself)


@pytest.mark.parametrize(("target", "status"), [("/", 304), (ARTIFACT, 200)])
def test_what_the_client_has_already_is_for_mlflow_to_say(bridge: System, run: str, target: str, status: int) -> None:
    etag = requests.get(bridge.url + target.format(run=run), timeout=30).headers["ETag"]
    ask = Ask(target=target, headers=(("If-None-Match", etag),), status=status, says=b"")

    itself, through = ask.at(bridge.mlflow_url, run), ask.at(bridge.url, run)

    assert itself.status_code == status
    assert told(through) == told(itself)


def test_several_ranges_come_as_the_parts_that_mlflow_makes_of_them(bridge: System, run: str) -> None:
    ask = Ask(target=ARTIFACT, headers=(("Range", "bytes=0-3,8-11"),), status=206, says=b"")

    def parts(url: str) -> tuple[int, str, list[bytes]]:
        answer = ask.at(url, run)
        media, _, boundary = answer.headers["Content-Type"].partition("; boundary=")
        return answer.status_code, media, answer.content.split(boundary.encode())

    through = parts(bridge.url)
    assert through == parts(bridge.mlflow_url)
    assert through[:2] == (206, "multipart/byteranges")
    assert CONTENT[8:12] in through[2][2]


def test_a_doubled_slash_is_no_detour(bridge: System, run: str) -> None:
    doubled = Ask(target="//api/2.0//mlflow/runs/get?run_id={run}", status=308, says=b"")
    straight = Ask(target=GET_RUN + "?run_id={run}", status=200, says=b"")

    assert doubled.at(bridge.mlflow_url, run).status_code == 308
    assert told(doubled.at(bridge.url, run)) == told(straight.at(bridge.mlflow_url, run))


def test_an_upload_of_unknown_length_arrives_whole(bridge: System, run: str) -> None:
    target = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/unknown.bin"

    def pieces() -> Iterator[bytes]:
        for number in range(30):
            yield bytes([number]) * 100_000

    up = requests.put(bridge.url + target, data=pieces(), timeout=30)

    assert up.request.headers["Transfer-Encoding"] == "chunked"
    assert up.status_code == 200
    assert requests.get(bridge.mlflow_url + target, timeout=30).content == b"".join(pieces())


def test_a_presigned_url_is_the_storages_and_comes_at_once(bridge: System) -> None:
    signed = (
        b'{"presigned_url":"https://bucket.example/a%2Fb?X-Amz-Signature=ab%2B&x=1", "headers" : {"x-amz-acl": "b"}}'
    )
    asked = b'{"run_id": "r", "path":  "a/b", "expiration": 900}'
    bridge.front.script(Answer(200, {"Content-Type": "application/json"}, signed), matching=is_presigned)

    answer = requests.post(bridge.url + PRESIGNED, data=asked, headers={"Content-Type": "application/json"}, timeout=30)

    assert (answer.status_code, answer.content) == (200, signed)
    assert [call.body for call in bridge.front.wait_for_calls(1, matching=is_presigned)] == [asked]


def is_presigned(_: str, path: str) -> bool:
    return path == PRESIGNED


def test_each_queued_write_is_delivered_to_the_workspace_that_it_was_sent_to(bridge: System) -> None:
    run_id = bridge.create_run()
    bridge.front.set_fault(Answer(200, {}, b"{}"), matching=lambda _, path: "/runs/log-" in path)
    wanted = {"of red": "red", "of none": None, "of blue": "blue"}

    for key, workspace in wanted.items():
        headers = {"X-MLFLOW-WORKSPACE": workspace} if workspace else {}
        written = bridge.log("log-metric", {"run_id": run_id, "key": key, "value": 1}, **headers)
        assert written.status_code == 200
    bridge.drained()

    calls = [call for call in bridge.front.calls if run_id.encode() in call.body]
    delivered = [
        (key, call.headers.get("x-mlflow-workspace")) for call in calls for key in wanted if key.encode() in call.body
    ]
    assert delivered == list(wanted.items())
