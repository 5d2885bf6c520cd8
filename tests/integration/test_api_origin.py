# SPDX-License-Identifier: Apache-2.0
"""A web page of somebody else can't use the bridge through the browser of one who reaches it."""

from collections.abc import Callable

import pytest
from werkzeug.test import Client, TestResponse

from bridge.bootstrap.processes import Api
from tests.factories import RUN

METRIC = {"run_id": RUN, "key": "m", "value": 1, "timestamp": 1}
With = Callable[[dict[str, str]], Client]


def log(http: Client, **headers: str) -> TestResponse:
    return http.post("/ajax-api/2.0/mlflow/runs/log-metric", json=METRIC, headers=headers)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8080", None),
        ("127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("10.0.0.7", "https://10.0.0.7"),
        ("LOCALHOST", "http://localhost:80"),
    ],
)
def test_who_asks_by_address_and_from_its_own_page_is_served(http: Client, host: str, origin: str | None) -> None:
    headers = {"Host": host} | ({"Origin": origin} if origin else {})

    assert log(http, **headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("rebound.example", None),
        ("rebound.example:8080", "http://rebound.example:8080"),
        ("localhost.rebound.example", None),
        ("127.0.0.1:8080", "http://evil.example"),
        ("127.0.0.1:8080", "http://127.0.0.1:3000"),
        ("127.0.0.1:8080", "null"),
        ("127.0.0.1:8080", "http://[broken"),
    ],
)
def test_a_page_of_somebody_else_is_turned_away(http: Client, api: Api, host: str, origin: str | None) -> None:
    headers = {"Host": host} | ({"Origin": origin} if origin else {})

    answer = log(http, **headers)

    assert (answer.status_code, answer.get_json()["error_code"]) == (403, "PERMISSION_DENIED")
    assert api.outbox.backlog().lanes == 0


def test_reads_from_another_page_are_left_to_its_browser_which_hides_the_answer(http: Client) -> None:
    assert http.get("/v1/backlog", headers={"Origin": "http://evil.example"}).status_code == 200
    assert http.get("/v1/backlog", headers={"Host": "rebound.example"}).status_code == 403
    assert http.get("/healthz", headers={"Host": "rebound.example"}).status_code == 200


@pytest.mark.parametrize(
    ("settings", "host", "status"),
    [
        ({"BRIDGE_ALLOWED_HOSTS": "bridge.example, other"}, "Bridge.Example:443", 200),
        ({"BRIDGE_ALLOWED_HOSTS": "bridge.example"}, "localhost", 403),
        ({"BRIDGE_ALLOWED_HOSTS": "*"}, "whatever.example", 200),
        ({"BRIDGE_HOST": "0.0.0.0"}, "whatever.example", 200),  # noqa: S104 - it listens nowhere
    ],
)
def test_the_names_can_be_set(http_with: With, settings: dict[str, str], host: str, status: int) -> None:
    assert log(http_with(settings), Host=host).status_code == status


def test_a_proxy_may_put_another_name_into_host(http_with: With) -> None:
    http = http_with({"BRIDGE_ALLOWED_HOSTS": "bridge.example,inside"})

    assert log(http, Host="inside:8080", Origin="https://bridge.example").status_code == 200
    assert log(http, Host="inside:8080", Origin="https://evil.example").status_code == 403


def test_only_what_is_below_a_path_of_ours_is_ours(http: Client) -> None:
    for path in ("/docs-x", "/v1/runsomething", "/v1/jobsx", "/healthzz"):
        answer = http.get(path)
        assert answer.content_type != "application/problem+json", path
