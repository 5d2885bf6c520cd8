# SPDX-License-Identifier: Apache-2.0
"""Clients who are limited to experiments: each call with ids of theirs, of others, of nobody, with both and none."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from werkzeug.test import Client as Http
from werkzeug.test import TestResponse

from api.http.routing import Route
from api.routes.table import ROUTES
from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from bridge.events import RequestCompleted
from schemas.bodies.references import Kind, Reference
from schemas.client import ACTIONS, Client
from schemas.endpoints import ENDPOINTS, Endpoint, ExperimentRule, Handling
from schemas.write import Op
from tests.amounts import amount
from tests.asgi_client import client_of
from tests.experiments import MINE, MODELS, OTHERS, RUNS, TRACES, Upstream, upstream
from tests.fakes import Events
from tests.integration.test_api_access import LOG_METRIC, key_for
from tests.servers import wait_until

NOBODYS = ""
MLFLOW = "/api/2.0/mlflow"
#: The parts of a queued call that are not about what it is about.
FIELDS: dict[str, dict[str, Any]] = {
    "log-metric": {"key": "k", "value": 1},
    "outputs": {"models": []},
    "link-to-run": {"trace_ids": []},
    "export-traces": {},
    "log-batch": {},
    "log-inputs": {},
    "update": {},
}


@pytest.fixture(scope="module")
def asked() -> Iterator[Upstream]:
    with upstream() as asked:
        yield asked


@pytest.fixture
def limited(environ: dict[str, str], asked: Upstream) -> Api:
    asked.clear()
    asked.status = None
    settings = {
        "BRIDGE_AUTH": "keys",
        "BRIDGE_UPSTREAM": asked.url,
        "BRIDGE_UPSTREAM_RATE": "10000",
        "BRIDGE_READ_YOUR_WRITES_TIMEOUT": "1ms",
    }
    return build_api(read_settings(environ | settings))


@pytest.fixture
def key(limited: Api) -> str:
    return key_for(limited, "nightly", allow=tuple(ACTIONS), experiments=frozenset({MINE, "9"}))


@pytest.fixture
def http(limited: Api) -> Iterator[Http]:
    with client_of(limited) as client:
        yield client


def ask(http: Http, key: str, method: str, path: str, **options: Any) -> TestResponse:
    headers = {"Authorization": f"Bearer {key}", **options.pop("headers", {})}
    return http.open(path, method=method, headers=headers, **options)


def names(endpoint: Endpoint, *owner: str) -> dict[str, Any]:
    """What a call of this kind must say to be about something in these experiments, in MLflow's words."""
    first, every = owner[0], list(owner)
    experiments = [each or "404" for each in every]
    named: dict[ExperimentRule, dict[str, Any]] = {
        ExperimentRule.EXPERIMENT: {"experiment_id": experiments[0]},
        ExperimentRule.EXPERIMENTS: {"experiment_ids": experiments},
        ExperimentRule.LOCATIONS: {
            "locations": [
                {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": each}} for each in experiments
            ]
        },
        ExperimentRule.RUN: {"run_id": RUNS[first]},
        ExperimentRule.RUNS: {"run_ids": [RUNS[each] for each in every]},
        ExperimentRule.RUN_OF_QUERY: {"run_uuid": RUNS[first]},
        ExperimentRule.RUN_OR_MODEL: {"run_id": RUNS[first]},
        ExperimentRule.TRACE: {"request_id" if "request_id=" in endpoint.path else "trace_id": TRACES[first]},
        ExperimentRule.TRACES: {"trace_ids": [TRACES[each] for each in every]},
        ExperimentRule.LOGGED_MODEL: {"model_id": MODELS[first]},
        ExperimentRule.ARTIFACT_PATH: {"path": f"{experiments[0]}/{RUNS[first]}/artifacts"},
    }
    return named.get(endpoint.within, {})


def make(http: Http, key: str, endpoint: Endpoint, named: dict[str, Any], *, owner: str = MINE) -> TestResponse:
    """Make the call with these names, where they belong."""
    experiment = owner or "404"
    path = endpoint.path
    for part, value in (
        *(
            ("{model_id}", MODELS[owner]),
            ("{request_id}", TRACES[owner]),
            ("{trace_id}", TRACES[owner]),
        ),
        *(("{artifact_path}", f"{experiment}/{RUNS[owner]}/artifacts/a.txt"),),
    ):
        path = path.replace(part, value)
    path = path.replace("{", "").replace("}", "")
    if endpoint.method == "GET" or endpoint.within is ExperimentRule.RUN_OF_QUERY:
        return ask(http, key, endpoint.method, f"{path}?{urlencode(named, doseq=True)}")
    body = named | FIELDS.get(endpoint.op, {"key": "k"} if endpoint.op != "-" else {})
    return ask(http, key, endpoint.method, path, json=body)


IN_PATH = ("{model_id}", "{request_id}", "{trace_id}", "{artifact_path}")
CHECKED = [each for each in ENDPOINTS if each.within not in (ExperimentRule.REFUSED, ExperimentRule.HARMLESS)]


def is_refusal(answer: TestResponse) -> bool:
    text = answer.get_data(as_text=True)
    return answer.status_code == 403 and "nightly" in text and "is not within the experiments (7, 9) that it" in text


def test_a_call_is_for_what_is_within_the_experiments(http: Http, key: str, asked: Upstream) -> None:
    for endpoint in CHECKED:
        queued = endpoint.answer is Handling.QUEUED
        asked.clear()
        mine = make(http, key, endpoint, names(endpoint, MINE))
        assert (mine.status_code, len(asked.passed_on)) == (200, 0 if queued else 1), (endpoint, mine.data)
        asked.clear()
        others = make(http, key, endpoint, names(endpoint, OTHERS), owner=OTHERS)
        nobodys = make(http, key, endpoint, names(endpoint, NOBODYS), owner=NOBODYS)
        assert is_refusal(others), (endpoint, others.data)
        assert (nobodys.status_code, nobodys.data) == (403, others.data), (endpoint, "whether there is one is not told")
        if any(part in endpoint.path for part in IN_PATH):
            alone = make(http, key, endpoint, {}, owner=OTHERS)
            assert is_refusal(alone), (endpoint, alone.data)
        else:
            absent = make(http, key, endpoint, {})
            assert absent.status_code == (400 if queued else 403), (endpoint, absent.data)
        assert asked.passed_on == [], endpoint


def test_whatever_else_a_call_names_must_be_within_too(http: Http, key: str, asked: Upstream) -> None:
    further: list[dict[str, Any]] = [
        {"run_uuid": RUNS[OTHERS]},
        {"runId": RUNS[OTHERS]},
        {"experimentId": OTHERS},
        {"experiment_ids": [MINE, OTHERS]},
        {"traceIds": [TRACES[OTHERS]]},
        {"modelId": MODELS[OTHERS]},
    ]
    for endpoint in amount(CHECKED[::5], CHECKED):
        if endpoint.answer is Handling.QUEUED or endpoint.within is ExperimentRule.ARTIFACT_PATH:
            continue
        answers = [make(http, key, endpoint, names(endpoint, MINE) | each) for each in further]
        assert all(is_refusal(answer) for answer in answers), (endpoint, [answer.data for answer in answers])
    assert asked.passed_on == []


def test_a_call_that_is_not_about_experiments_is_refused(http: Http, key: str, asked: Upstream) -> None:
    everything = {"experiment_id": MINE, "experiment_ids": [MINE], "run_id": RUNS[MINE]}
    for endpoint in ENDPOINTS:
        if endpoint.within is ExperimentRule.REFUSED:
            answers = [make(http, key, endpoint, named) for named in ({}, everything)]
            assert all(is_refusal(answer) for answer in answers), (endpoint, answers[0].data)
    assert (asked.passed_on, asked.looked_up) == ([], [])


def test_what_is_harmless_is_for_everybody(http: Http, key: str, asked: Upstream) -> None:
    harmless = [each for each in ENDPOINTS if each.within is ExperimentRule.HARMLESS]

    assert {make(http, key, endpoint, {}).status_code for endpoint in harmless} == {200}
    assert len(asked.passed_on) == len(harmless)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", f"{MLFLOW}/whatever?run_id={RUNS[MINE]}"), ("POST", "/nowhere"), ("GET", "/v1/nothing"), ("BREW", "/")],
)
def test_a_call_that_is_not_known_is_refused(http: Http, key: str, method: str, path: str) -> None:
    assert is_refusal(ask(http, key, method, path))


@pytest.mark.parametrize(
    "query",
    [
        "experiment_id=&experiment_id=7",
        "experiment_id=7&experiment_id=8",
        "experiment_id=7;experiment_id=8",
        "experiment_id=8;experiment_id=7",
        "view_type=1;experiment_id=8&experiment_id=7",
        "experimentId=7",
        "experiment_id[]=7",
        "experiment_id=7&experiment_id%5B%5D=8",
        "experiment_id=7&EXPERIMENT_ID=8",
        "experiment_id=07",
        "experiment_id=7%00",
        "",
    ],
)
def test_a_query_that_can_be_read_in_two_ways_is_refused(http: Http, key: str, asked: Upstream, query: str) -> None:
    assert is_refusal(ask(http, key, "GET", f"{MLFLOW}/experiments/get?{query}"))
    assert (asked.passed_on, asked.looked_up) == ([], [])


SEARCH = f"{MLFLOW}/runs/search"


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"experiment_ids": ["8"], "experiment_ids": ["7"]}', {}),
        (b'{"experiment_ids": ["7"], "experiment_ids": ["8"]}', {}),
        (b'{"experiment_ids": "7"}', {}),
        (b'{"experiment_ids": [7]}', {}),
        (b'{"experiment_ids": []}', {}),
        (b'{"experiment_ids": [""]}', {}),
        (b'{"experiment_ids": null}', {}),
        (b'{"experimentIds": ["7"]}', {}),
        (b'{"experiment_ids": ["7"], "\\u0065xperimentIds": ["8"]}', {}),
        (b'{"experiment_ids": ["7"], "x": {"y": [{"run_id": "' + RUNS[OTHERS].encode() + b'"}]}}', {}),
        (b'"{\\"experiment_ids\\": [\\"7\\"]}"', {}),
        (b'[{"experiment_ids": ["7"]}]', {}),
        (b'{"experiment_ids": ["7"]} {"experiment_ids": ["8"]}', {}),
        (b'{"experiment_ids": ["7"], "max_results": NaN}', {}),
        ('{"experiment_ids": ["7"]}'.encode("utf-16"), {}),
        (b'\xef\xbb\xbf{"experiment_ids": ["7"]}', {}),
        (b'{"experiment_ids": ["7"]}', {"Content-Type": "text/plain"}),
        (b'{"experiment_ids": ["7"]}', {"Content-Encoding": "gzip"}),
        (b'{"experiment_ids": ["7"]}', {"Content-Type": "multipart/form-data; boundary=x"}),
        (b"experiment_ids=7", {"Content-Type": "application/x-www-form-urlencoded"}),
        (b"[" * 100_000, {}),
        (b"", {}),
    ],
)
def test_a_body_that_can_be_read_in_two_ways_is_refused(
    http: Http, key: str, asked: Upstream, body: bytes, headers: dict[str, str]
) -> None:
    answer = ask(http, key, "POST", SEARCH, data=body, headers={"Content-Type": "application/json"} | headers)

    assert is_refusal(answer), answer.data
    assert asked.passed_on == []


def test_what_a_call_is_about_is_what_mlflow_reads_first(http: Http, key: str, asked: Upstream) -> None:
    # MLflow stops at the fraction, and would create the run in its default experiment.
    body = b'{"start_time": 1.5, "tags": [1e400], "experiment_id": "7"}'
    answer = ask(http, key, "POST", f"{MLFLOW}/runs/create", data=body, content_type="application/json")

    assert answer.status_code == 200
    assert asked.passed_on[0][2] == b'{"experiment_id":"7","start_time":1.5,"tags":[1e400]}'


def test_a_query_beside_a_body_counts_as_well(http: Http, key: str) -> None:
    mine = {"experiment_ids": [MINE]}

    assert is_refusal(ask(http, key, "POST", f"{SEARCH}?experiment_ids={OTHERS}", json=mine))
    assert is_refusal(ask(http, key, "POST", f"{SEARCH}?experiment_ids={MINE}", json={}))
    assert is_refusal(ask(http, key, "GET", f"{MLFLOW}/experiments/get?experiment_id=7", json={"experiment_id": "7"}))
    # A refusal of a HEAD has no words. MLflow would read it without its query.
    assert ask(http, key, "HEAD", f"{MLFLOW}/experiments/get?experiment_id=7").status_code == 403


def test_a_long_body_is_not_taken(http: Http, key: str, asked: Upstream) -> None:
    body = {"experiment_ids": [MINE], "filter": "x" * (1 << 20)}

    assert ask(http, key, "POST", SEARCH, json=body).status_code == 413
    assert (asked.passed_on, asked.looked_up) == ([], [])


@pytest.mark.parametrize(
    "path",
    [
        *("8/run/artifacts/a", "77/a", "", "7%252f..%252f8/a", "7/%252e%252e/8", "7%5C..%5C8/a", "file:7/a", "7/a%23b"),
        *("%2F8/a", "./8/a", "workspaces/w/7/a"),
    ],
)
def test_no_spelling_leads_to_artifacts_of_others(http: Http, key: str, asked: Upstream, path: str) -> None:
    for call in (f"artifacts/{path}", f"mpu/create/{path}"):
        method = "PUT" if call.startswith("artifacts") else "POST"
        assert ask(http, key, method, f"/api/2.0/mlflow-artifacts/{call}", data=b"{}").status_code in (400, 403)
    assert is_refusal(ask(http, key, "GET", f"/api/2.0/mlflow-artifacts/artifacts?path={path}"))
    assert is_refusal(ask(http, key, "GET", f"/api/2.0/mlflow-artifacts/artifacts?path=7&path={path}"))
    assert (asked.passed_on, asked.looked_up) == ([], [])


def test_an_artifact_is_passed_on_as_it_is(http: Http, key: str, asked: Upstream) -> None:
    path = f"/api/2.0/mlflow-artifacts/artifacts/7/{RUNS[MINE]}/artifacts/a.bin"
    blob = bytes(range(256)) * 10_000

    assert ask(http, key, "PUT", path, data=blob).status_code == 200
    assert asked.passed_on == [("PUT", path, blob)]


LOG = {"key": "k", "value": 1}


def writes(*bodies: dict[str, Any]) -> dict[str, Any]:
    return {"writes": [{"op": "log-metric", **LOG, **body} for body in bodies]}


def test_of_many_writes_the_first_that_is_not_within_is_told_and_none_is_taken(
    http: Http, key: str, limited: Api
) -> None:
    body = writes(*({"run_id": RUNS[each]} for each in (MINE, MINE, OTHERS, NOBODYS)))
    lines = b"\n\n".join(json.dumps(each).encode() for each in body["writes"])

    answer = ask(http, key, "POST", "/v1/writes", json=body)
    of_lines = ask(http, key, "POST", "/v1/writes", data=lines, headers={"Content-Type": "application/x-ndjson"})

    assert is_refusal(answer)
    assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/writes/2"]
    assert [error["pointer"] for error in of_lines.get_json()["errors"]] == ["/4"]
    assert limited.outbox.lane_backlog(RUNS[MINE]).pending == 0
    mine = ask(http, key, "POST", "/v1/writes", json=writes({"run_id": RUNS[MINE]}, {"run_id": RUNS[MINE]}))
    assert mine.status_code == 202


@pytest.mark.parametrize(
    "write",
    [
        {"op": "log-metric", **LOG, "model_id": MODELS[OTHERS]},
        {"op": "log-metric", **LOG, "modelId": MODELS[OTHERS]},
        {"op": "log-batch", "metrics": [{**LOG, "timestamp": 1, "model_id": MODELS[OTHERS]}]},
        {"op": "outputs", "models": [{"model_id": MODELS[MINE]}, {"model_id": MODELS[OTHERS]}]},
        {"op": "log-inputs", "models": [{"modelId": MODELS[OTHERS]}]},
        {"op": "link-to-run", "trace_ids": [TRACES[MINE], TRACES[OTHERS]]},
        {"op": "set-trace-tag", "trace_id": TRACES[MINE], "key": "mlflow.artifactLocation", "value": "/8"},
        {"op": "set-trace-tag", "trace_id": TRACES[OTHERS], "key": "k", "value": "v"},
        {"op": "set-experiment-tag", "experiment_id": OTHERS, "key": "k", "value": "v"},
        {"op": "link-prompts", "trace_id": TRACES[MINE], "prompt_versions": []},
        {"op": "create-run", "run": "n", "experiment_id": OTHERS},
        {"op": "create-run", "run": "n", "experiment_name": "mine"},
        {"op": "create-run", "run": "n"},
        {"op": "log-metric", **LOG, "run_id": None, "run": "nobodys"},
    ],
)
def test_whatever_a_write_names_must_be_within(http: Http, key: str, write: dict[str, Any]) -> None:
    about = {} if "experiment" in write["op"] or "trace_id" in write or "run" in write else {"run_id": RUNS[MINE]}

    assert is_refusal(ask(http, key, "POST", "/v1/writes", json={"writes": [about | write]}))


def test_what_is_known_is_asked_once_and_nothing_of_who_is_not_limited(
    http: Http, key: str, limited: Api, asked: Upstream
) -> None:
    body = {"run_id": RUNS[MINE], **LOG}
    free = key_for(limited, "free")

    assert [ask(http, free, "POST", LOG_METRIC, json=body | {"run_id": run}).status_code for run in RUNS.values()] == [
        200
    ] * 3
    assert (asked.passed_on, asked.looked_up) == ([], [])
    assert [ask(http, key, "POST", LOG_METRIC, json=body).status_code for _ in range(3)] == [200] * 3
    with client_of(limited) as anew:
        assert ask(anew, key, "POST", LOG_METRIC, json=body).status_code == 200
    assert len(asked.looked_up) == 1
    # Another process knows it from the store.
    other = build_api(limited.settings)
    asked.status = 503
    with client_of(other) as anew:
        assert ask(anew, key, "POST", LOG_METRIC, json=body).status_code == 200
    assert len(asked.looked_up) == 1


def test_what_can_not_be_found_out_now_is_neither_taken_nor_told(http: Http, key: str, asked: Upstream) -> None:
    asked.status = 503
    answers = [
        ask(http, key, "POST", LOG_METRIC, json={"run_id": run, **LOG}) for run in (*RUNS.values(), *RUNS.values())
    ]
    read = ask(http, key, "GET", f"{MLFLOW}/runs/get?run_id={RUNS[MINE]}")
    deleted = ask(http, key, "POST", f"{MLFLOW}/runs/delete", json={"run_id": RUNS[MINE]})
    bulk = ask(http, key, "POST", "/v1/writes", json=writes({"run_id": RUNS[MINE]}))

    assert [answer.status_code for answer in answers] == [503] * 6
    assert len({answer.data for answer in answers}) == 1
    assert (read.status_code, deleted.status_code, bulk.status_code) == (503, 429, 503)
    assert all(answer.headers["Retry-After"] for answer in (*answers, read, deleted, bulk))


def test_a_run_that_was_just_made_is_known_while_upstream_is_away(
    http: Http, key: str, limited: Api, asked: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {"run": {"info": {"run_id": RUNS[MINE], "experiment_id": MINE}}}
    monkeypatch.setattr(asked, "answer", lambda *_, **__: (200, made))
    assert ask(http, key, "POST", f"{MLFLOW}/runs/create", json={"experiment_id": MINE}).status_code == 200
    monkeypatch.setattr(asked, "answer", lambda *_, **__: (503, {}))

    assert ask(http, key, "POST", LOG_METRIC, json={"run_id": RUNS[MINE], **LOG}).status_code == 200
    with client_of(build_api(limited.settings)) as anew:
        wait_until(lambda: ask(anew, key, "POST", LOG_METRIC, json={"run_id": RUNS[MINE], **LOG}).status_code == 200)


def test_a_named_run_is_written_to_once_it_is_there(http: Http, key: str, limited: Api) -> None:
    named = {"run": "nightly/1", **LOG}
    other = key_for(limited, "other", experiments=frozenset({OTHERS}))

    assert ask(http, key, "POST", "/v1/runs", json={"run": "nightly/1", "experiment_id": MINE}).status_code == 202
    early = ask(http, key, "POST", LOG_METRIC, json=named)
    assert (early.status_code, early.headers["Retry-After"]) == (503, "5")
    assert ask(http, key, "GET", "/v1/runs/nightly/1").status_code == 503
    assert ask(http, other, "POST", LOG_METRIC, json=named).status_code == 403
    limited.names.bind("run:nightly%2F1", RUNS[MINE])
    for path in ("/v1/runs/nightly/1", "/v1/runs/nightly/1/backlog", f"/v1/runs/{RUNS[MINE]}/backlog"):
        assert ask(http, key, "GET", path).status_code == 200, path
        assert ask(http, other, "GET", path).status_code == 403, path
    assert ask(http, key, "POST", LOG_METRIC, json=named).status_code == 200
    assert ask(http, other, "POST", LOG_METRIC, json=named).status_code == 403


def test_who_asks_for_a_run_by_the_name_of_anothers_is_not_told_of_it(http: Http, key: str, limited: Api) -> None:
    limited.names.bind("run:nightly%2F1", RUNS[OTHERS])

    answer = ask(http, key, "POST", "/v1/runs", json={"run": "nightly/1", "experiment_id": MINE})

    assert is_refusal(answer)
    assert RUNS[OTHERS] not in answer.get_data(as_text=True)
    assert is_refusal(ask(http, key, "POST", LOG_METRIC, json={"run": "nightly/1", **LOG}))
    assert is_refusal(ask(http, key, "GET", f"/v1/runs/{RUNS[OTHERS]}/backlog"))


class Bound:
    """The names of runs, after somebody else's run has got the name in the same moment."""

    def run_id(self, _lane: str) -> str | None:
        return RUNS[OTHERS]

    def bind(self, _lane: str, run_id: str) -> str:
        return run_id


def test_who_loses_the_race_for_a_name_is_not_told_of_the_run_that_has_it(limited: Api, key: str) -> None:
    with client_of(replace(limited, names=Bound())) as http:
        answer = ask(http, key, "POST", "/v1/runs", json={"run": "nightly/1", "experiment_id": MINE})

    assert is_refusal(answer)
    assert RUNS[OTHERS] not in answer.get_data(as_text=True)


GUARDED = [route for route in ROUTES if not route.is_open]


@pytest.mark.parametrize("route", GUARDED, ids=lambda route: f"{route.method} {route.path}")
def test_each_call_of_our_own_is_harmless_or_checked_or_refused(
    http: Http, key: str, limited: Api, route: Route
) -> None:
    actions = (route.action for route in GUARDED if route.action)
    limited.api_keys.put_client(Client(name="nightly", allow=(*ACTIONS, *actions), experiments=frozenset("7")))
    path = route.path.replace("<path:name>", "n/1").replace("<path:run>", RUNS[OTHERS])
    body: dict[str, Any] | None = {"writes": []} if route.method == "POST" else None

    answer = ask(http, key, route.method, path.replace("<", "").replace(">", ""), json=body)

    expected = route.experiments is ExperimentRule.REFUSED or path.startswith("/v1/runs/")
    assert (answer.status_code == 403) == expected, answer.data


def test_of_our_own_calls_only_reads_are_harmless() -> None:
    harmless = [route for route in GUARDED if route.experiments is ExperimentRule.HARMLESS]

    changing = {(route.method, route.path) for route in harmless if route.method != "GET" and not route.is_read}
    assert {(route.method, route.path) for route in harmless if route.is_read} == {("POST", "/v1/jobs/lookup")}
    # Only operators end sessions, and no experiment limits these.
    assert changing == {("DELETE", "/v1/sessions/<session_id>")}


def test_a_client_without_any_experiment_may_do_nothing(http: Http, limited: Api) -> None:
    nothing = key_for(limited, "nothing", experiments=frozenset())

    assert ask(http, nothing, "POST", LOG_METRIC, json={"run_id": RUNS[MINE], **LOG}).status_code == 403
    assert ask(http, nothing, "GET", f"{MLFLOW}/experiments/get?experiment_id=").status_code == 403


def test_many_runs_are_found_out_a_few_at_a_time(http: Http, key: str, asked: Upstream, monkeypatch: Any) -> None:
    runs = [f"{number:032x}" for number in range(40)]
    monkeypatch.setattr(asked, "answer", lambda *_, **__: (200, {"run": {"info": {"experiment_id": MINE}}}))

    assert ask(http, key, "POST", "/v1/writes", json=writes(*({"run_id": run} for run in runs))).status_code == 202
    assert len(asked.looked_up) == len(runs)


def test_after_the_first_that_is_not_within_nothing_more_is_asked(http: Http, key: str, asked: Upstream) -> None:
    runs = [RUNS[MINE], *(f"{number:032x}" for number in range(40))]

    answer = ask(http, key, "POST", "/v1/writes", json=writes(*({"run_id": run} for run in runs)))

    assert [error["pointer"] for error in answer.get_json()["errors"]] == ["/writes/1"]
    assert len(asked.looked_up) == 4


def test_an_upstream_that_hangs_keeps_nobody_else_waiting(
    http: Http, key: str, limited: Api, asked: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def hang(*_: object, **__: object) -> tuple[int, dict[str, object]]:
        over.wait(30)
        return 200, {}

    monkeypatch.setattr(asked, "answer", hang)
    free, body = key_for(limited, "free"), {"run_id": RUNS[MINE], **LOG}
    runs = [f"{number:032x}" for number in range(80)]
    with ThreadPoolExecutor(80) as at_once:
        waiting = [at_once.submit(ask, http, key, "POST", LOG_METRIC, json=body | {"run_id": run}) for run in runs]
        wait_until(lambda: len(asked.looked_up) >= 4)
        wait_until(lambda: sum(each.done() for each in waiting) >= 16, timeout=9)
        unlimited = ask(http, free, "POST", LOG_METRIC, json=body)
        over.set()
        answers = [each.result() for each in waiting]

    assert unlimited.status_code == 200
    assert {answer.status_code for answer in answers} <= {503, 403}
    assert sum(answer.status_code == 503 for answer in answers) >= 16, "more than can be found out is not collected"


def test_a_refusal_is_told_as_one_and_so_is_what_is_not_known(limited: Api, key: str, asked: Upstream) -> None:
    events = Events()
    body = {"run_id": RUNS[OTHERS], **LOG}
    with client_of(replace(limited, observe=events)) as http:
        ask(http, key, "POST", LOG_METRIC, json=body)
        ask(http, key, "POST", "/v1/writes", json=writes(body))
        ask(http, key, "POST", LOG_METRIC, json=body | {"run_id": RUNS[MINE]})
        asked.status = 503
        ask(http, key, "GET", f"{MLFLOW}/runs/get?run_id={RUNS[OTHERS]}")

    told = [(line.client, line.action, line.decision, line.status) for line in events.of(RequestCompleted)]
    assert told == [
        *[("nightly", "LogMetric", "denied", 403)] * 2,
        ("nightly", "LogMetric", "allowed", 200),
        ("nightly", "GetRun", "denied", 503),
    ]


@pytest.mark.parametrize("workspace", [None, "w"])
@pytest.mark.parametrize("kind", [Kind.RUN, Kind.TRACE, Kind.MODEL])
def test_mlflow_says_of_ids_that_it_has_not_given_that_there_are_none(
    environ: dict[str, str], kind: Kind, workspace: str | None
) -> None:
    bridge = build_api(read_settings(environ))

    for odd in ("a" * 32, "x" * 256, "a:b", "A-_", "7", "search", "batchGet"):
        assert not bridge.experiments.is_within(Reference(kind, odd), {MINE}, workspace=workspace), odd
    assert bridge.flow_control.state().breaker == "closed"


QUEUED = [each for each in ENDPOINTS if each.answer is Handling.QUEUED]


@pytest.mark.parametrize("endpoint", QUEUED, ids=lambda each: f"{each.method} {each.path}")
@pytest.mark.parametrize("owner", [MINE, OTHERS])
def test_a_call_that_upstream_seems_to_lack_is_no_way_around_the_limit(
    http: Http, limited: Api, key: str, asked: Upstream, endpoint: Endpoint, owner: str
) -> None:
    """It may have it by now: what the bridge knows of upstream is up to half a minute old."""
    limited.capabilities.lacks = frozenset({Op(endpoint.op)})

    answer = make(http, key, endpoint, names(endpoint, owner), owner=owner)

    assert answer.status_code in (403, 404), answer.data
    assert asked.passed_on == []
    assert limited.outbox.backlog().lanes == 0
