# SPDX-License-Identifier: Apache-2.0
"""A byte order mark before a body, as PowerShell, .NET and Excel write it, is ignored wherever JSON is read."""

import gzip
import json
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from bridge.bootstrap.processes import Api
from schemas.bodies.lane_references import named_in_body
from tests.factories import RUN

MARK = b"\xef\xbb\xbf"
METRIC = {"op": "log-metric", "run_id": RUN, "key": "m", "value": 1}
LINE = json.dumps(METRIC).encode()
JSON, LINES = "application/json", "application/x-ndjson"


def post(http: Client, path: str, body: bytes, kind: str = JSON, **headers: str) -> TestResponse:
    return http.post(path, data=body, content_type=kind, headers=headers)


@pytest.mark.parametrize(
    ("body", "kind", "headers"),
    [
        (LINE + b"\n", LINES, {}),
        (LINE + b"\r\n" + LINE, LINES, {}),
        (b"\n" + LINE, LINES, {}),
        (b'{"writes": [%b]}' % LINE, JSON, {}),
        (LINE, LINES, {"Content-Encoding": "gzip"}),
    ],
    ids=["a line", "lines of Windows", "an empty line first", "a document", "packed"],
)
def test_writes_are_taken_behind_a_mark(
    http: Client, api: Api, body: bytes, kind: str, headers: dict[str, str]
) -> None:
    marked = MARK + body

    answer = post(http, "/v1/writes", gzip.compress(marked) if headers else marked, kind, **headers)

    assert answer.status_code == 202
    assert api.outbox.extents([RUN])[RUN].pending == body.count(b"log-metric")


def test_what_is_wrong_behind_a_mark_is_named_by_its_place(http: Client) -> None:
    answer = post(http, "/v1/writes", MARK + LINE + b"\n" + LINE.replace(b'"m"', b'"@"'), LINES)

    assert (answer.status_code, [each["pointer"] for each in answer.get_json()["errors"]]) == (400, ["/1"])


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/jobs/lookup", b'{"job_ids": ["x"]}', 200),
        ("/v1/runs", b'{"run": "nightly/17"}', 202),
        ("/v1/dead-letters/replay", b'{"dry_run": true}', 200),
        ("/v1/dead-letters/discard", b'{"dry_run": true}', 200),
    ],
)
def test_our_other_paths_take_what_is_behind_a_mark(http: Client, path: str, body: bytes, status: int) -> None:
    with_mark, without = post(http, path, MARK + body), post(http, path, body)

    assert (with_mark.status_code, without.status_code) == (status, status)
    if path != "/v1/runs":
        assert with_mark.data == without.data


@pytest.mark.parametrize(("kind", "faults"), [(JSON, 0), (LINES, 1)])
@pytest.mark.parametrize("body", [MARK + MARK + LINE, LINE + b"\n" + MARK + LINE, b" " + MARK + LINE])
def test_a_mark_elsewhere_is_no_mark(http: Client, body: bytes, kind: str, faults: int) -> None:
    answer = post(http, "/v1/writes", body, kind)

    assert (answer.status_code, len(answer.get_json().get("errors", []))) == (400, faults)


def test_what_a_read_names_behind_a_mark_is_waited_for() -> None:
    body: dict[str, Any] = {"run_id": RUN, "experiment_id": "7"}

    assert named_in_body(MARK + json.dumps(body).encode()) == named_in_body(json.dumps(body).encode()) != []
