# SPDX-License-Identifier: Apache-2.0
"""``/v1/usage``, and calls of MLflow's AI Gateway before an upstream that answers as the test says."""

import csv
import datetime as dt
import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import Any

import msgspec
import pytest
from werkzeug.test import Client as Http
from werkzeug.test import TestResponse

from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from bridge.errors import StoreUnavailable
from bridge.events import GatewayUse, RequestCompleted
from schemas.client import Client, Quota, Scope
from schemas.usage import UsagePeriod
from tests.asgi_client import client_of
from tests.fakes import Events
from tests.integration.test_api_access import ask, key_for
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer

HOUR = UsagePeriod.HOUR.begin(dt.datetime.now(dt.UTC))
YESTERDAY = HOUR - dt.timedelta(days=1)
CHAT = "/gateway/mlflow/v1/chat/completions"
ANSWER = {"choices": [{"message": {"content": "x" * 5000}}], "usage": {"prompt_tokens": 9, "completion_tokens": 12}}
FORMULA = "=cmd|' /C calc'!A0"


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def guarded(environ: dict[str, str], events: Events) -> Api:
    return replace(build_api(read_settings(environ | {"BRIDGE_AUTH": "keys"})), observe=events)


@pytest.fixture
def http(guarded: Api) -> Iterator[Http]:
    with client_of(guarded) as client:
        yield client


@pytest.fixture
def admin(guarded: Api) -> str:
    return key_for(guarded, "operator", scopes=(Scope.ADMIN,))


def page(http: Http, key: str, query: str = "", path: str = "/v1/usage") -> Any:
    answer = ask(http, key, "GET", f"{path}{query}")
    assert answer.status_code == 200, answer.data
    return answer.get_json()


def test_operators_see_each_client_by_hour_and_by_day(http: Http, guarded: Api, admin: str) -> None:
    calls = {"requests/chat": 1, "prompt_tokens/chat": 9, "completion_tokens/chat": 12}
    guarded.clients.usage.add({(HOUR, "a"): {"requests": 2, "prompt_tokens": 9, **calls}, (HOUR, "b"): {"requests": 1}})
    guarded.clients.usage.add({(YESTERDAY, "a"): {"requests": 40, "writes": 7}})

    hours, days = page(http, admin), page(http, admin, "?days=2&client=a")

    assert (hours["step"], days["step"], hours["next"]) == (3600, 86_400, None)
    assert dt.datetime.fromisoformat(hours["begin"]) in (HOUR - dt.timedelta(hours=23), HOUR - dt.timedelta(hours=22))
    assert [each["client"] for each in hours["clients"]] == ["a", "b"]
    [step], total = hours["clients"][0]["hours"], hours["clients"][0]["total"]
    assert dt.datetime.fromisoformat(step.pop("at")) == HOUR
    assert step == total
    assert total["models"] == {"chat": {"requests": 1, "prompt_tokens": 9, "completion_tokens": 12}}
    [a] = days["clients"]
    assert ([each["requests"] for each in a["hours"]], a["total"]["requests"]) == ([40, 2], 42)
    assert a["total"]["writes"] == 7


def test_a_page_that_has_not_changed_is_not_sent_again(http: Http, guarded: Api, admin: str) -> None:
    guarded.clients.usage.add({(HOUR, "a"): {"requests": 1}})
    first = ask(http, admin, "GET", "/v1/usage?client=a")
    headers = {"Authorization": f"Bearer {admin}", "If-None-Match": first.headers["ETag"]}

    assert http.get("/v1/usage?client=a", headers=headers).status_code == 304
    guarded.clients.usage.add({(HOUR, "a"): {"requests": 1}})
    assert http.get("/v1/usage?client=a", headers=headers).status_code == 200


def test_many_clients_are_in_several_pages(http: Http, guarded: Api, admin: str) -> None:
    names = [f"c{number}" for number in range(5)]
    guarded.clients.usage.add({(HOUR, name): {"requests": 1} for name in names})

    found: list[list[str]] = []
    cursor: str | None = ""
    while cursor is not None:
        part = page(http, admin, f"?limit=2&cursor={cursor}")
        found.append([each["client"] for each in part["clients"]])
        cursor = part["next"]

    assert found == [["c0", "c1"], ["c2", "c3"], ["c4"]]


def test_a_client_sees_its_own_and_no_others(http: Http, guarded: Api) -> None:
    guarded.clients.usage.add({(HOUR, "a"): {"requests": 1}, (HOUR, "b"): {"requests": 2}})
    key = key_for(guarded, "a", scopes=())

    assert [each["client"] for each in page(http, key, path="/v1/usage/mine")["clients"]] == ["a"]
    assert ask(http, key, "GET", "/v1/usage?client=a").status_code == 403
    assert ask(http, key, "GET", "/v1/usage/mine?client=b").status_code == 400
    allowed = key_for(guarded, "c", allow=("GetUsage",))
    assert len(page(http, allowed)["clients"]) == 2


@pytest.mark.parametrize(
    "query",
    [
        "hours=0",
        "hours=193",
        "days=397",
        "days=0",
        "days=-1",
        "hours=1&days=1",
        "hours=x",
        "limit=0",
        "limit=1001",
        "x=1",
    ],
)
def test_a_query_that_is_not_valid_is_refused(http: Http, admin: str, query: str) -> None:
    answer = ask(http, admin, "GET", f"/v1/usage?{query}")

    assert answer.status_code == 400
    assert "The query is not valid" in answer.get_json()["detail"]


def test_a_table_has_all_clients_and_no_formulas(http: Http, guarded: Api, admin: str) -> None:
    names = [f"c{number:03}" for number in range(120)]
    guarded.clients.usage.add({(HOUR, name): {"requests": 1, f"requests/{FORMULA}": 1} for name in names})
    headers = {"Authorization": f"Bearer {admin}", "Accept": "text/csv"}

    answer = http.get("/v1/usage?hours=192", headers=headers)

    assert answer.mimetype == "text/csv"
    rows = list(csv.DictReader(answer.get_data(as_text=True).splitlines()))
    assert [row["client"] for row in rows] == names
    assert {row["requests"] for row in rows} == {"1"}
    assert json.loads(rows[0]["models"]) == {FORMULA: {"requests": 1, "prompt_tokens": 0, "completion_tokens": 0}}
    assert not any(cell.startswith("=") for row in rows for cell in row.values())


def call(http: Http, key: str, path: str = CHAT, **options: Any) -> TestResponse:
    options = options or {"json": {"messages": [], "model": "chat"}}
    return http.post(path, headers={"Authorization": f"Bearer {key}", "Accept-Encoding": "gzip, br"}, **options)


def line(events: Events) -> RequestCompleted:
    found = events.of(RequestCompleted)[-1]
    events.seen.clear()
    return found


def caller(guarded: Api, name: str = "caller", **permissions: Any) -> str:
    return key_for(guarded, name, allow=("InvokeGateway",), **permissions)


def test_a_call_is_recorded_with_its_tokens(http: Http, guarded: Api, front: SignatureFront, events: Events) -> None:
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, json.dumps(ANSWER).encode()))
    key = caller(guarded)

    answer = call(http, key)

    assert answer.get_json() == ANSWER
    found = line(events)
    assert found.gateway == GatewayUse(endpoint="chat", prompt_tokens=9, completion_tokens=12)
    assert found.bytes == len('{"messages": [], "model": "chat"}')
    assert front.calls[-1].headers["accept-encoding"] == "identity"
    call(http, key, "/gateway/by-path/mlflow/invocations", json={"model": "chat"})
    assert line(events).gateway == GatewayUse(endpoint="by-path", prompt_tokens=9, completion_tokens=12)
    call(http, key, "/gateway/gemini/v1beta/models/of-google:generateContent", json={})
    assert line(events).gateway == GatewayUse(endpoint="of-google", prompt_tokens=9, completion_tokens=12)


@pytest.mark.parametrize("announced", [True, False], ids=["streamed", "chunked"])
def test_the_endpoint_is_found_behind_a_long_question(
    http: Http, guarded: Api, front: SignatureFront, events: Events, *, announced: bool
) -> None:
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, json.dumps(ANSWER).encode()))
    body = json.dumps({"messages": [{"content": 'a "model": "lie" ' * 100_000}], "model": "chat"}).encode()
    headers = {"Authorization": f"Bearer {caller(guarded)}"}
    if announced:
        answer = http.post(CHAT, data=body, content_type="application/json", headers=headers)
    else:
        answer = http.post(CHAT, input_stream=BytesIO(body), headers=headers | {"Transfer-Encoding": "chunked"})

    assert answer.status_code == 200, answer.data
    found = line(events)
    assert (found.gateway and found.gateway.endpoint, found.bytes) == ("chat", len(body))


@pytest.mark.parametrize(
    ("options", "endpoint"),
    [
        ({"data": b"no JSON"}, "other"),
        ({"data": b""}, "other"),
        ({"json": {"model": "a\nb"}}, "other"),
        ({"json": {"model": 7}}, "other"),
        ({"json": {"model": "x" * 900}}, "x" * 250),
        ({"data": b"[" * 100_000 + b'{"model": "chat"}'}, "other"),
    ],
)
def test_an_endpoint_that_no_one_can_read_is_other(
    http: Http, guarded: Api, front: SignatureFront, events: Events, options: dict[str, Any], endpoint: str
) -> None:
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, json.dumps(ANSWER).encode()))

    call(http, caller(guarded), **options)

    found = line(events).gateway
    assert found == GatewayUse(endpoint=endpoint, prompt_tokens=9, completion_tokens=12)


def test_only_what_the_gateway_has_answered_counts(
    http: Http, guarded: Api, front: SignatureFront, events: Events
) -> None:
    key, body = caller(guarded), json.dumps(ANSWER).encode()
    for status in (400, 404, 429, 500):
        front.set_fault(Answer(status, {"Content-Type": "application/json"}, body))
        assert call(http, key).status_code == status
        assert line(events).gateway is None
    squeezed = gzip.compress(body)
    front.set_fault(Answer(200, {"Content-Type": "application/json", "Content-Encoding": "gzip"}, squeezed))
    assert call(http, key).data == squeezed
    assert line(events).gateway == GatewayUse(endpoint="chat")
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, body))
    ask(http, key, "GET", "/api/2.0/mlflow/experiments/get?experiment_id=0")
    assert line(events).gateway is None


def test_a_client_beyond_its_tokens_calls_no_model(
    http: Http, guarded: Api, front: SignatureFront, events: Events
) -> None:
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, json.dumps(ANSWER).encode()))
    key, other = caller(guarded, quota=Quota(tokens_per_day=100)), caller(guarded, "other")
    guarded.clients.usage.add({(HOUR, "caller"): {"prompt_tokens": 99, "completion_tokens": 1}})

    refused = call(http, key)

    assert refused.status_code == 429
    assert front.calls[-1:] == [] or front.calls[-1].path != CHAT
    assert refused.get_json() == {
        "error_code": "REQUEST_LIMIT_EXCEEDED",
        "message": "The client 'caller' has used 100 of its 100 tokens of this day (UTC), so MLflow's AI Gateway is not"
        " called. Call it after midnight, or ask the bridge's operator for more.",
    }
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    found = line(events)
    assert (found.decision, found.action, found.gateway) == ("rate_limited", "InvokeGateway", None)
    assert call(http, other).status_code == 200
    assert ask(http, key, "GET", "/gateway/mlflow/v1/models").status_code == 200
    assert call(http, key, "/gateway/of-a-later-mlflow/v9/chat").status_code in (403, 429)


def test_a_call_costs_one_read_of_the_store_at_most(
    guarded: Api, front: SignatureFront, monkeypatch: pytest.MonkeyPatch
) -> None:
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, json.dumps(ANSWER).encode()))
    reads: list[str] = []
    tokens = guarded.clients.usage.tokens

    def watched(client: str, day: dt.datetime) -> int:
        reads.append(client)
        return tokens(client, day)

    monkeypatch.setattr(guarded.clients.usage, "tokens", watched)
    key, free = caller(guarded, quota=Quota(tokens_per_day=10**6)), caller(guarded, "free")
    with client_of(guarded) as http:
        assert {call(http, each).status_code for each in (key, free, free)} == {200}
        assert reads == ["caller"]
        for _ in range(3):
            call(http, key)
    assert len(reads) <= 2


def test_without_the_store_calls_go_on(guarded: Api, front: SignatureFront, monkeypatch: pytest.MonkeyPatch) -> None:
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, json.dumps(ANSWER).encode()))

    def away(client: str, day: dt.datetime) -> int:
        raise StoreUnavailable(f"{client} {day}")

    monkeypatch.setattr(guarded.clients.usage, "tokens", away)
    with client_of(guarded) as http:
        assert call(http, caller(guarded, quota=Quota(tokens_per_day=1))).status_code == 200


def test_an_older_process_reads_a_client_with_a_budget() -> None:
    """It ignores the budget: its `Quota` has no such field."""

    class OlderQuota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
        requests: float | None = None

    class OlderClient(msgspec.Struct, frozen=True, kw_only=True):
        name: str
        quota: OlderQuota = OlderQuota()

    stored = msgspec.msgpack.encode(Client(name="a", quota=Quota(requests=1, tokens_per_day=5)))
    assert msgspec.msgpack.decode(stored, type=OlderClient).quota.requests == 1
