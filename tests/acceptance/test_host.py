# SPDX-License-Identifier: Apache-2.0
"""The Host of a request: one that came twice is refused everywhere, and a program of HTTP/1.0 may leave it out."""

import pytest

from tests.guarded_api import GuardedApi

pytestmark = pytest.mark.usefixtures("unfinished")

METRIC = b'{"run_id": "a", "key": "k", "value": 1}'
QUEUED = "/api/2.0/mlflow/runs/log-metric"
GET = "/api/2.0/mlflow/experiments/get?experiment_id=0"


def request(api: GuardedApi, target: str, *host: str, version: str = "1.1", origin: str = "") -> bytes:
    """A request that is allowed everything: of the queue with a write, of all else without a body."""
    body = METRIC if target == QUEUED else b""
    lines = [
        f"{'POST' if body else 'GET'} {target} HTTP/{version}",
        *host,
        *([f"Origin: {origin}"] if origin else []),
        f"Authorization: Bearer {api.keys['ops-admin']}",
        "Connection: close",
        *(["Content-Type: application/json", f"Content-Length: {len(body)}"] if body else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("target", [GET, QUEUED, "/v1/jobs?run_id=a", "/healthz", "http://localhost/x"])
@pytest.mark.parametrize(
    "hosts",
    [
        ["localhost", "localhost"],
        ["evil.example", "localhost"],
        ["localhost", "LOCALHOST:80"],
        ["localhost", ""],
        ["", "localhost"],
        ["localhost", "evil.example", "localhost"],
    ],
    ids="|".join,
)
def test_a_host_that_came_twice_is_refused_whatever_is_asked(
    guarded_alone: GuardedApi, hosts: list[str], target: str, version: str
) -> None:
    lines = [f"{'Host' if number else 'hOST'}: {host}" for number, host in enumerate(hosts)]

    answered, seen = guarded_alone.seen(request(guarded_alone, target, *lines, version=version))

    assert answered.statuses == [400]
    assert answered.closed
    assert seen == []


@pytest.mark.parametrize("target", ["/health", GET, QUEUED, "/v1/jobs?run_id=a", "/metrics"])
def test_a_program_of_http_1_0_may_leave_the_host_out(guarded_alone: GuardedApi, target: str) -> None:
    answered = guarded_alone.ask(request(guarded_alone, target, version="1.0"))

    assert answered.statuses == [200]


@pytest.mark.parametrize(
    ("version", "host", "status"),
    [
        ("1.0", ["Host: localhost"], 200),
        ("1.0", ["Host: evil.example"], 403),
        ("1.0", ["Host: @"], 403),
        ("1.1", [], 403),
        ("1.1", ["Host:"], 403),
    ],
)
def test_a_name_that_is_given_counts_in_each_version(
    guarded_alone: GuardedApi, version: str, host: list[str], status: int
) -> None:
    assert guarded_alone.ask(request(guarded_alone, GET, *host, version=version)).statuses == [status]


def test_the_name_in_a_whole_url_counts_where_there_is_no_host(guarded_alone: GuardedApi) -> None:
    ours = guarded_alone.ask(request(guarded_alone, "http://localhost/x", version="1.0"))
    others = guarded_alone.ask(request(guarded_alone, "http://evil.example/x", version="1.0"))

    assert ours.statuses == [200]
    assert others.statuses == [403]


def test_a_page_of_another_site_is_turned_away_without_a_host_as_well(guarded_alone: GuardedApi) -> None:
    answered = guarded_alone.ask(request(guarded_alone, QUEUED, version="1.0", origin="http://evil.example"))

    assert answered.statuses == [403]
